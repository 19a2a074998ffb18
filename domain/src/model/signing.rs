//! Signing keys: what edges know the cluster's configuration by. Of each key the public half stays; the
//! private half is here for the one that signs, as whoever proposed it has sealed it. What is signed, and how, is not the state machine's matter.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::ClusterId;
use crate::model::{Epoch, SealedKey};
use crate::time::Timestamp;

/// A signing key's name: the first bytes of the SHA-256 of its public half.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SigningKeyId(pub [u8; 16]);

impl SigningKeyId {
    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for SigningKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for SigningKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeyId({self})")
    }
}

/// The public half of an Ed25519 key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SigningPublicKey(pub [u8; 32]);

impl SigningPublicKey {
    /// The key's name.
    #[must_use]
    pub fn id(&self) -> SigningKeyId {
        let digest: [u8; 32] = Sha256::digest(self.0).into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        SigningKeyId(id)
    }
}

impl fmt::Debug for SigningPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningPublicKey({})", hex::encode(self.0))
    }
}

/// An Ed25519 signature, in its two halves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SignatureBytes {
    r: [u8; 32],
    s: [u8; 32],
}

impl SignatureBytes {
    /// The 64 bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.r);
        bytes[32..].copy_from_slice(&self.s);
        bytes
    }

    /// From bytes, if they are 64.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (r, s) = bytes.split_at_checked(32)?;
        Some(Self {
            r: r.try_into().ok()?,
            s: s.try_into().ok()?,
        })
    }
}

impl fmt::Debug for SignatureBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignatureBytes({})", hex::encode(self.bytes()))
    }
}

/// What one key says of another: trust that one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voucher {
    /// The key that signed.
    pub by: SigningKeyId,
    /// Its signature of the other one.
    pub signature: SignatureBytes,
}

/// The public part of a signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The public half.
    pub public: SigningPublicKey,
    /// The key before says so; nothing of the first one.
    pub voucher: Option<Voucher>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when nothing is believed that it signed.
    pub retired_at: Option<Timestamp>,
}

/// How the cluster signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// The cluster, which edges tell from all others by this.
    pub cluster_id: ClusterId,
    /// The epoch of what is published: raised when the cluster is restored.
    pub epoch: Epoch,
    /// Counts the changes of keys, from 1: of two sets of keys the one with the higher number holds.
    pub serial: u64,
    /// The key that signs.
    pub active: SigningKeyId,
    /// Its private half.
    pub private: SealedKey,
}

/// How many signing keys are remembered. An edge that was away follows them one after another; one
/// that has missed more than these has to be reset.
pub const SIGNING_KEYS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_after_its_public_half() {
        let id = SigningPublicKey([7; 32]).id();
        let text = id.to_string();
        assert_eq!(text, "4bb06f8e4e3a7715d201d573d0aa4237");
        assert_eq!(SigningKeyId::parse(&text), Some(id));
        for bad in ["", "ab", &text[1..], &format!("{text}0"), "zz"] {
            assert_eq!(SigningKeyId::parse(bad), None, "{bad}");
        }
        assert_ne!(SigningPublicKey([8; 32]).id(), id);
    }

    #[test]
    fn a_signature_has_64_bytes() {
        let bytes: Vec<u8> = (0..64).collect();
        let read = SignatureBytes::read(&bytes).map(|signature| signature.bytes().to_vec());
        assert_eq!(read, Some(bytes.clone()));
        for length in [0, 31, 32, 63, 65] {
            let other: Vec<u8> = bytes.iter().copied().cycle().take(length).collect();
            assert_eq!(SignatureBytes::read(&other), None, "{length} bytes");
        }
    }
}
