//! The node's half: keys that sign. A private key is 32 bytes from which all else follows; whoever draws and
//! keeps them takes care of them.

use std::fmt;

use domain::id::ClusterId;
use domain::model::{SignatureBytes, SigningKeyId, SigningPublicKey, Voucher};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::Signature;
use super::statement::join;

const VOUCHER_PURPOSE: &[u8] = b"vectorgate signing key";

/// Bytes that no key can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signing key has 32 bytes")]
pub struct BadKey;

/// A key that signs.
pub struct KeyPair {
    pair: Ed25519KeyPair,
    public: SigningPublicKey,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl KeyPair {
    /// The key whose private half these bytes are.
    ///
    /// # Errors
    /// When they are not 32.
    pub fn new(seed: &[u8]) -> Result<Self, BadKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| BadKey)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| BadKey)?;
        Ok(Self {
            pair,
            public: SigningPublicKey(public),
        })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> SigningPublicKey {
        self.public
    }

    /// The key's name.
    #[must_use]
    pub fn id(&self) -> SigningKeyId {
        self.public.id()
    }

    /// Signs; the same bytes always alike.
    ///
    /// # Panics
    /// Never: an Ed25519 signature has 64 bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        let signature = self.pair.sign(bytes);
        Signature {
            key: self.id(),
            bytes: SignatureBytes::read(signature.as_ref())
                .expect("an Ed25519 signature has 64 bytes"),
        }
    }

    /// Says that a key is one of the cluster's, too.
    #[must_use]
    pub fn vouch(&self, cluster_id: &ClusterId, other: &SigningPublicKey) -> Voucher {
        let signature = self.sign(&voucher_bytes(cluster_id, &self.id(), other));
        Voucher {
            by: signature.key,
            signature: signature.bytes,
        }
    }
}

/// What is signed of a key that comes after.
pub(super) fn voucher_bytes(
    cluster_id: &ClusterId,
    by: &SigningKeyId,
    other: &SigningPublicKey,
) -> Vec<u8> {
    join([
        VOUCHER_PURPOSE,
        cluster_id.as_str().as_bytes(),
        &by.0[..],
        &other.0[..],
    ])
}
