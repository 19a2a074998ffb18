//! Pointers: small files that say which manifest was in use. Each is written beside and renamed
//! into place; the one with the highest number is the newest.
//!
//! ```text
//! version  1 byte: FORMAT
//! record   postcard
//! check    32 bytes: SHA-256 of all before it
//! ```

use domain::id::EnvironmentId;
use domain::tree::Hash;
use edge_protocol::ManifestRef;
use serde::{Deserialize, Serialize};

const FORMAT: u8 = 1;
const CHECK_BYTES: usize = 32;

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
}

impl Pointer {
    pub(super) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let mut bytes = postcard::to_extend(self, vec![FORMAT])?;
        let check = Hash::of(&bytes);
        bytes.extend_from_slice(&check.0);
        Ok(bytes)
    }

    /// `None` for anything that was not written whole by [`Self::encode`].
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, check) = bytes.split_at_checked(bytes.len().checked_sub(CHECK_BYTES)?)?;
        let (&format, record) = body.split_first()?;
        if Hash::of(body).0 != check || format != FORMAT {
            return None;
        }
        let (pointer, rest) = postcard::take_from_bytes(record).ok()?;
        rest.is_empty().then_some(pointer)
    }
}

#[cfg(test)]
mod tests {
    use domain::id::Seed;
    use domain::model::{Epoch, ManifestVersion};

    use super::*;

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
        }
    }

    #[test]
    fn pointers_keep_their_bytes() {
        let bytes = pointer().encode().unwrap();
        let (body, check) = bytes.split_at(bytes.len() - CHECK_BYTES);
        let id = "00".repeat(14);
        let root = "ab".repeat(32);
        assert_eq!(
            hex::encode(body),
            format!("010a70726f64756374696f6e0e{id}01ac02{root}")
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
