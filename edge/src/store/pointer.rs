//! Pointers: small files that say which manifest was in use. Each is written beside and renamed
//! into place; the one with the highest number is the newest. Its signature is kept with it: whoever is about
//! to serve by it verifies that again.

use domain::id::EnvironmentId;
use edge_protocol::signing::Proof;
use edge_protocol::{ManifestRef, SignedManifest};
use serde::{Deserialize, Serialize};

use super::record;

/// The version of the record; the first one had no signature.
const FORMAT: u8 = 2;

/// No pointer is nearly as long; what is longer is none.
pub(super) const POINTER_BYTES_MAX: usize = 4096;

/// A manifest that was in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The environment, by the name in the settings.
    pub environment: String,
    /// The environment, by identifier.
    pub environment_id: EnvironmentId,
    /// The manifest.
    pub manifest: ManifestRef,
    /// What proves it.
    pub proof: Proof,
}

impl Pointer {
    /// What was in use, as it was offered.
    #[must_use]
    pub fn signed(&self) -> SignedManifest {
        SignedManifest {
            manifest: self.manifest,
            environment_id: self.environment_id.clone(),
            proof: self.proof.clone(),
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        record::encode(FORMAT, self)
    }

    /// `None` for anything that was not written whole by [`Self::encode`].
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        record::decode(FORMAT, bytes)
    }
}

#[cfg(test)]
mod tests {
    use domain::id::{ClusterId, Seed};
    use domain::model::{Epoch, ManifestVersion};
    use domain::time::Timestamp;
    use domain::tree::Hash;
    use edge_protocol::signing::KeyPair;

    use super::*;
    use crate::store::record::CHECK_BYTES;

    fn pointer() -> Pointer {
        Pointer {
            environment: "production".to_owned(),
            environment_id: EnvironmentId::new(Seed {
                unix_ms: 0,
                random: 0,
            }),
            manifest: ManifestRef {
                epoch: Epoch(1),
                version: ManifestVersion(300),
                root: Hash([0xab; 32]),
            },
            proof: Proof {
                cluster_id: ClusterId::new(Seed {
                    unix_ms: 0,
                    random: 0,
                }),
                previous: Hash([0xcd; 32]),
                at: Timestamp(7),
                signature: KeyPair::new(&[7; 32]).unwrap().sign(b""),
            },
        }
    }

    #[test]
    fn pointers_keep_their_bytes() {
        let bytes = pointer().encode().unwrap();
        let (body, check) = bytes.split_at(bytes.len() - CHECK_BYTES);
        let id = "00".repeat(14);
        let (root, previous) = ("ab".repeat(32), "cd".repeat(32));
        let signature = pointer().proof.signature;
        let signature = format!("{}{}", signature.key, hex::encode(signature.bytes.bytes()));
        assert_eq!(
            hex::encode(body),
            format!("020a70726f64756374696f6e0e{id}01ac02{root}0e{id}{previous}07{signature}")
        );
        assert_eq!(check, Hash::of(body).0);
        assert_eq!(Pointer::decode(&bytes), Some(pointer()));
    }

    #[test]
    fn a_pointer_that_was_cut_or_changed_anywhere_is_none() {
        let bytes = pointer().encode().unwrap();
        for length in 0..bytes.len() {
            assert_eq!(Pointer::decode(&bytes[..length]), None, "{length} bytes");
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            assert_eq!(Pointer::decode(&changed), None, "byte {place}");
        }
    }
}
