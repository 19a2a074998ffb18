//! Secrets as the cluster stores them: sealed by whoever proposed them. The state machine opens none; it
//! can tell under which key one is sealed, so that this can be counted and changed. How sealing is done is the
//! node's matter.
//!
//! ```text
//! under the pepper          sealed   the secret's ciphertext
//! under a key of its own    sealed   magic      7 bytes
//!                                    format     1 byte
//!                                    key        8 bytes: the identifier of the key-encryption key
//!                                    data key  48 bytes: sealed under that key with `nonce`
//!                                    secret     the rest: sealed under the data key
//! ```
//!
//! What is sealed under the pepper has no head: its ciphertext begins with the magic by chance once in 2^56.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{CertificateId, EnvironmentId, WebhookEndpointId};
use crate::time::Timestamp;
use crate::tree::Hash;

/// What an envelope begins with.
const MAGIC: [u8; 7] = *b"VGseal\0";

/// The format that is written.
const FORMAT: u8 = 1;

/// How long a sealed data key is: 32 bytes and their tag.
pub const SEALED_DATA_KEY_BYTES: usize = 48;

/// The name of a key-encryption key, which is made of the key itself: whoever names it has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KekId(pub [u8; 8]);

impl KekId {
    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// From bytes, if they are eight.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KekId({self})")
    }
}

/// Under which key the cluster seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealing {
    /// The key.
    pub active: KekId,
    /// Since when.
    pub since: Timestamp,
}

/// A secret as the cluster stores it: sealed, with what it takes to open it but for the key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedKey {
    /// Drawn for this secret alone.
    pub nonce: [u8; 12],
    /// The secret, encrypted and authenticated.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedKey(..)")
    }
}

/// How a secret is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal<'a> {
    /// Under a key that is made of the pepper.
    Pepper,
    /// Under a key-encryption key.
    Kek(Envelope<'a>),
    /// In a format of a later release.
    Unknown,
}

/// The parts of a secret that is sealed under a key-encryption key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The key-encryption key.
    pub kek: KekId,
    /// The data key, sealed under it.
    pub data_key: &'a [u8; SEALED_DATA_KEY_BYTES],
    /// The secret, sealed under the data key.
    pub secret: &'a [u8],
}

impl fmt::Debug for Envelope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("kek", &self.kek)
            .finish_non_exhaustive()
    }
}

impl SealedKey {
    /// Puts an envelope together; `nonce` is the data key's.
    #[must_use]
    pub fn enveloped(nonce: [u8; 12], envelope: Envelope<'_>) -> Self {
        let head = [
            &MAGIC[..],
            &[FORMAT],
            &envelope.kek.0,
            &envelope.data_key[..],
        ];
        Self {
            nonce,
            sealed: [head.concat().as_slice(), envelope.secret].concat(),
        }
    }

    /// How it is sealed.
    #[must_use]
    pub fn seal(&self) -> Seal<'_> {
        let Some(rest) = self.sealed.strip_prefix(&MAGIC) else {
            return Seal::Pepper;
        };
        let read = || {
            let rest = rest.strip_prefix(&[FORMAT])?;
            let (kek, rest) = rest.split_first_chunk()?;
            let (data_key, secret) = rest.split_first_chunk()?;
            Some(Envelope {
                kek: KekId(*kek),
                data_key,
                secret,
            })
        };
        read().map_or(Seal::Unknown, Seal::Kek)
    }

    /// The key-encryption key that it takes; nothing of one that is sealed under the pepper.
    #[must_use]
    pub fn kek(&self) -> Option<KekId> {
        match self.seal() {
            Seal::Kek(envelope) => Some(envelope.kek),
            Seal::Pepper | Seal::Unknown => None,
        }
    }

    /// By what it is recognised when it is to be replaced.
    #[must_use]
    pub fn digest(&self) -> Hash {
        let digest = Sha256::new()
            .chain_update(self.nonce)
            .chain_update(&self.sealed);
        Hash(digest.finalize().into())
    }
}

/// Counts the secrets of a webhook endpoint, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretGeneration(pub u32);

/// Where the cluster keeps a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SecretPlace {
    /// The key that signs what edges follow.
    SigningKey,
    /// A certificate's private key.
    Certificate {
        /// The environment.
        environment_id: EnvironmentId,
        /// The certificate.
        certificate_id: CertificateId,
    },
    /// A secret that signs what a webhook endpoint is sent.
    WebhookSecret {
        /// The environment.
        environment_id: EnvironmentId,
        /// The endpoint.
        endpoint_id: WebhookEndpointId,
        /// Which of its secrets.
        generation: SecretGeneration,
    },
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SigningKey => f.write_str("the signing key"),
            Self::Certificate { certificate_id, .. } => {
                write!(f, "the private key of certificate {certificate_id}")
            }
            Self::WebhookSecret {
                endpoint_id,
                generation,
                ..
            } => write!(
                f,
                "secret {} of webhook endpoint {endpoint_id}",
                generation.0
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enveloped() -> SealedKey {
        SealedKey::enveloped(
            [1; 12],
            Envelope {
                kek: KekId([2; 8]),
                data_key: &[3; SEALED_DATA_KEY_BYTES],
                secret: &[4; 20],
            },
        )
    }

    #[test]
    fn an_envelope_has_its_bytes_and_reads_back() {
        let golden = format!(
            "56477365616c0001{}{}{}",
            "02".repeat(8),
            "03".repeat(48),
            "04".repeat(20)
        );
        let sealed = enveloped();
        assert_eq!(hex::encode(&sealed.sealed), golden);
        assert_eq!(sealed.kek(), Some(KekId([2; 8])));
        let Seal::Kek(envelope) = sealed.seal() else {
            panic!("{:?}", sealed.seal());
        };
        assert_eq!(SealedKey::enveloped(sealed.nonce, envelope), sealed);
    }

    #[test]
    fn what_has_no_head_is_under_the_pepper_and_a_head_that_is_not_known_is_told_apart() {
        let plain = SealedKey {
            nonce: [77; 12],
            sealed: vec![99; 80],
        };
        assert_eq!((plain.seal(), plain.kek()), (Seal::Pepper, None));
        let mut later = enveloped();
        later.sealed[7] = 2;
        let mut cut = enveloped();
        cut.sealed.truncate(40);
        for unknown in [later, cut] {
            assert_eq!((unknown.seal(), unknown.kek()), (Seal::Unknown, None));
        }
    }

    #[test]
    fn whatever_changes_changes_the_digest_and_nothing_sealed_shows() {
        let sealed = enveloped();
        let mut other = sealed.clone();
        other.nonce[0] ^= 1;
        assert_ne!(other.digest(), sealed.digest());
        other.clone_from(&sealed);
        other.sealed[30] ^= 1;
        assert_ne!(other.digest(), sealed.digest());
        assert_eq!(format!("{sealed:?}"), "SealedKey(..)");
        assert!(!format!("{:?}", sealed.seal()).contains("3, 3"));
    }

    #[test]
    fn a_keys_name_reads_back() {
        let id = KekId([0xab; 8]);
        assert_eq!(KekId::parse(&id.to_string()), Some(id));
        for bad in ["", "ab", "zz", &"ab".repeat(9)] {
            assert_eq!(KekId::parse(bad), None, "{bad}");
        }
    }
}
