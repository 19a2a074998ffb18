//! Signed configuration: what a node signs of a manifest or a snapshot, whom an edge believes, and why it
//! does not believe.
//!
//! ```text
//! statement   what is signed: bytes that say one thing and nothing else
//! key         the node's half: draws, signs, vouches for the key that comes after
//! document    whom to trust, and what was signed, as JSON
//! trust       the edge's half: whom it believes, and how that changes
//! ```
//!
//! A statement names the cluster and the environment that it is about, so that what was signed for one
//! means nothing to another. A [`TrustSet`] is signed itself, by the key that signs now, and a key that an
//! edge does not know has to be vouched for by one that it trusts: an edge that was away for long
//! follows the keys one after another, and nobody who has only come by a node's certificate can add any.
//!
//! All is pure. Where private keys are kept is the node's matter, where the trust set is kept the edge's.

mod document;
mod key;
mod statement;
mod trust;

pub use document::{
    BadDocument, SignatureDocument, StatementDocument, TrustDocument, TrustedKeyDocument, Unproven,
};
pub use key::{BadKey, KeyPair};
pub use statement::{FORMAT, Scope, Statement};
pub use trust::{Followed, Trust, TrustSet, TrustedKey, Untrusted};

use domain::id::{ClusterId, EnvironmentId};
use domain::model::{Manifest, SignatureBytes, SigningKeyId};
use domain::time::Timestamp;
use domain::tree::Hash;
use serde::{Deserialize, Serialize};

use crate::ManifestRef;

/// A signature with the name of the key that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// By which key.
    pub key: SigningKeyId,
    /// The signature.
    pub bytes: SignatureBytes,
}

/// What proves a manifest, beside the manifest itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The cluster whose it is.
    pub cluster_id: ClusterId,
    /// The link of the manifest before.
    pub previous: Hash,
    /// When it became current, by the log's time.
    pub at: Timestamp,
    /// The signature of all of it.
    pub signature: Signature,
}

/// A manifest as nodes offer it and edges keep it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedManifest {
    /// Which.
    pub manifest: ManifestRef,
    /// The environment that it is of.
    pub environment_id: EnvironmentId,
    /// What proves it.
    pub proof: Proof,
}

impl SignedManifest {
    /// A manifest as the cluster has it, signed.
    #[must_use]
    pub fn sign(cluster_id: &ClusterId, manifest: &Manifest, key: &KeyPair) -> Self {
        let mut signed = Self {
            manifest: ManifestRef::from(manifest),
            environment_id: manifest.environment_id.clone(),
            proof: Proof {
                cluster_id: cluster_id.clone(),
                previous: manifest.previous,
                at: manifest.updated_at,
                signature: key.sign(&[]),
            },
        };
        signed.sign_again(key);
        signed
    }

    /// Signs it by another key, or because it was changed.
    pub fn sign_again(&mut self, key: &KeyPair) {
        self.proof.signature = key.sign(&self.statement().bytes());
    }

    /// What is signed.
    #[must_use]
    pub fn statement(&self) -> Statement {
        Statement {
            cluster_id: self.proof.cluster_id.clone(),
            environment_id: self.environment_id.clone(),
            scope: Scope::Environment,
            epoch: self.manifest.epoch,
            version: self.manifest.version.0,
            previous: self.proof.previous,
            root: self.manifest.root,
            at: self.proof.at,
        }
    }
}

/// The trust set as it travels, signed by the key that signs now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTrust {
    /// Whom to trust.
    pub set: TrustSet,
    /// The signature of it.
    pub signature: Signature,
}

impl SignedTrust {
    /// A trust set, signed.
    #[must_use]
    pub fn sign(set: TrustSet, key: &KeyPair) -> Self {
        let signature = key.sign(&set.bytes());
        Self { set, signature }
    }
}

/// What a node has for an edge: whom to trust, and the manifest that is current, signed by one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Whom to trust.
    pub trust: SignedTrust,
    /// What to follow.
    pub manifest: SignedManifest,
}
