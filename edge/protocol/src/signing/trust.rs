//! The edge's half: whom it believes. The first trust set is taken as it comes, from a node that has shown
//! a certificate of the cluster's authority, or from the operator's file, which then rules. Each later one
//! has to follow from it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use domain::id::{ClusterId, EnvironmentId};
use domain::model::{
    Epoch, SIGNING_KEYS_MAX, SignatureBytes, Signing, SigningKey, SigningKeyId, SigningPublicKey,
    Voucher,
};
use injection::mutant::{self, Mutant};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::key::voucher_bytes;
use super::statement::join;
use super::{Signature, SignedManifest, SignedTrust, Statement};
use crate::ManifestRef;
use crate::manifest::Standing;

const SET_PURPOSE: &[u8] = b"vectorgate trust set";

/// Whom to trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustSet {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// What is of an earlier epoch is not followed.
    pub epoch: Epoch,
    /// Which of two sets of an epoch is the newer one.
    pub serial: u64,
    /// The keys, in the order in which they were made; at most [`SIGNING_KEYS_MAX`].
    pub keys: Vec<TrustedKey>,
}

/// A key of a trust set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedKey {
    /// Its public half.
    pub public: SigningPublicKey,
    /// What the key before says of it.
    pub voucher: Option<Voucher>,
    /// Whether nothing is believed any more that it signed.
    pub retired: bool,
}

impl TrustSet {
    /// The set as the cluster's state has it.
    #[must_use]
    pub fn of(signing: &Signing, keys: &[SigningKey]) -> Self {
        let keys = keys.iter().map(|key| TrustedKey {
            public: key.public,
            voucher: key.voucher,
            retired: key.retired_at.is_some(),
        });
        Self {
            cluster_id: signing.cluster_id.clone(),
            epoch: signing.epoch,
            serial: signing.serial,
            keys: keys.collect(),
        }
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut keys = Vec::with_capacity(self.keys.len() * 128);
        for key in &self.keys {
            keys.extend_from_slice(&key.public.0);
            keys.push(u8::from(key.retired));
            match &key.voucher {
                Some(voucher) => {
                    keys.push(1);
                    keys.extend_from_slice(&voucher.by.0);
                    keys.extend_from_slice(&voucher.signature.bytes());
                }
                None => keys.push(0),
            }
        }
        join([
            SET_PURPOSE,
            self.cluster_id.as_str().as_bytes(),
            &self.epoch.0.to_be_bytes(),
            &self.serial.to_be_bytes(),
            &keys,
        ])
    }

    fn key(&self, id: &SigningKeyId) -> Option<&TrustedKey> {
        self.keys.iter().find(|key| key.public.id() == *id)
    }
}

/// Why something that is signed is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It is of another cluster.
    #[error("it is of cluster {found}, and this edge follows cluster {followed}")]
    ForeignCluster {
        /// The one that the edge follows.
        followed: ClusterId,
        /// Whose it is.
        found: ClusterId,
    },
    /// It is of another environment.
    #[error("it is of environment {found}, and this edge follows {followed}")]
    ForeignEnvironment {
        /// The one that the edge follows.
        followed: EnvironmentId,
        /// Whose it is.
        found: EnvironmentId,
    },
    /// Nobody has vouched for the key.
    #[error("it is signed by key {0}, which this edge does not know")]
    UnknownKey(SigningKeyId),
    /// The key is not believed any more.
    #[error("it is signed by key {0}, which is retired")]
    RetiredKey(SigningKeyId),
    /// The signature is of something else, or by somebody else.
    #[error("its signature is not one that key {0} made of it")]
    BadSignature(SigningKeyId),
    /// The cluster has been restored since.
    #[error("it is of epoch {found}, and the cluster is at epoch {current}")]
    OlderEpoch {
        /// The one that holds.
        current: u64,
        /// The one that it is of.
        found: u64,
    },
    /// The edge is past it.
    #[error("it is older than {current}, which is applied")]
    OlderVersion {
        /// What the edge has.
        current: ManifestRef,
    },
    /// A trust set is signed by a key, or has one, that no trusted one has vouched for.
    #[error("no key that this edge trusts vouches for key {0}")]
    Unvouched(SigningKeyId),
    /// A trust set has more keys than there can be.
    #[error("it has {0} keys, and a cluster has no more than {SIGNING_KEYS_MAX}")]
    TooManyKeys(usize),
    /// There is no trust set yet.
    #[error("the node has not said yet whom to trust")]
    NoTrust,
}

impl Untrusted {
    /// All [words](Self::word).
    pub const WORDS: [&str; 10] = [
        "foreign_cluster",
        "foreign_environment",
        "unknown_key",
        "retired_key",
        "bad_signature",
        "older_epoch",
        "older_version",
        "unvouched_key",
        "too_many_keys",
        "no_trust_set",
    ];

    /// A word for programs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::ForeignCluster { .. } => "foreign_cluster",
            Self::ForeignEnvironment { .. } => "foreign_environment",
            Self::UnknownKey(_) => "unknown_key",
            Self::RetiredKey(_) => "retired_key",
            Self::BadSignature(_) => "bad_signature",
            Self::OlderEpoch { .. } => "older_epoch",
            Self::OlderVersion { .. } => "older_version",
            Self::Unvouched(_) => "unvouched_key",
            Self::TooManyKeys(_) => "too_many_keys",
            Self::NoTrust => "no_trust_set",
        }
    }
}

/// What came of a trust set that a node gave. Keys of it that nobody vouches for are in no case trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// Nothing: it is older than what is trusted, or the operator rules.
    Not,
    /// It is what is trusted already.
    Already {
        /// But for these keys, for which nobody vouches; in the set's order.
        without: Vec<SigningKeyId>,
    },
    /// It is what is trusted from now on.
    Anew {
        /// But for these keys, for which nobody vouches; in the set's order.
        without: Vec<SigningKeyId>,
    },
}

/// Whom an edge believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    set: TrustSet,
    /// Whether the operator said so: then nodes cannot change it.
    fixed: bool,
}

impl Trust {
    /// As the edge has kept it.
    #[must_use]
    pub fn kept(set: TrustSet) -> Self {
        Self { set, fixed: false }
    }

    /// As the operator says; nodes have no say in it.
    #[must_use]
    pub fn fixed(set: TrustSet) -> Self {
        Self { set, fixed: true }
    }

    /// The first one that a node gives. It has to be signed by a key in it, so that it is whole.
    ///
    /// # Errors
    /// When it is not.
    pub fn first(given: &SignedTrust) -> Result<Self, Untrusted> {
        check_count(&given.set)?;
        check(&given.set, given.signature, &given.set.bytes(), false)?;
        Ok(Self::kept(given.set.clone()))
    }

    /// Whom.
    #[must_use]
    pub fn set(&self) -> &TrustSet {
        &self.set
    }

    /// Follows what a node says of whom to trust. A key in it that no trusted one vouches for stays out, and keeps nothing else
    /// of the set from being followed, unless the set is signed by it.
    ///
    /// # Errors
    /// When it does not follow from what is trusted already. Nothing has changed then.
    pub fn follow(&mut self, given: &SignedTrust) -> Result<Followed, Untrusted> {
        let SignedTrust { set, signature } = given;
        self.check_cluster(&set.cluster_id)?;
        // A cluster that was restored counts on from what it had been.
        let age = |set: &TrustSet| (set.epoch, set.serial);
        if self.fixed {
            return Ok(Followed::Not);
        }
        self.check_epoch(set.epoch)?;
        match age(set).cmp(&age(&self.set)) {
            Ordering::Less => return Ok(Followed::Not),
            Ordering::Equal => {
                let ids = set.keys.iter().map(|key| key.public.id());
                let without = ids.filter(|id| self.set.key(id).is_none()).collect();
                return Ok(Followed::Already { without });
            }
            Ordering::Greater => {}
        }
        check_count(set)?;
        let (next, without) = self.joined(set);
        if without.contains(&signature.key) {
            return Err(Untrusted::Unvouched(signature.key));
        }
        check(&next, *signature, &set.bytes(), false)?;
        self.set = next;
        Ok(Followed::Anew { without })
    }

    /// The given set with those of its new keys for which one that is trusted vouches, and the names of the others. What was
    /// retired stays so.
    fn joined(&self, given: &TrustSet) -> (TrustSet, Vec<SigningKeyId>) {
        let known = self
            .set
            .keys
            .iter()
            .map(|key| (key.public.id(), key.clone()));
        let mut known: BTreeMap<SigningKeyId, TrustedKey> = known.collect();
        let mut keys = Vec::with_capacity(given.keys.len());
        let mut without = Vec::new();
        for key in &given.keys {
            let id = key.public.id();
            let retired = match known.get(&id) {
                Some(before) => before.retired || key.retired,
                None if !is_vouched(&self.set.cluster_id, key, &known) => {
                    // Nor does it vouch for those that come after it.
                    without.push(id);
                    continue;
                }
                None => key.retired,
            };
            // A key that is retired by now may have vouched before it was.
            known.entry(id).or_insert_with(|| TrustedKey {
                retired: false,
                ..key.clone()
            });
            keys.push(TrustedKey {
                retired,
                ..key.clone()
            });
        }
        let next = TrustSet {
            keys,
            ..given.clone()
        };
        (next, without)
    }

    /// Believes a manifest that a node offers, or says why not. Nothing is older than nothing.
    ///
    /// # Errors
    /// When it is not to be followed.
    pub fn verify(
        &self,
        environment: &EnvironmentId,
        applied: Option<&ManifestRef>,
        offered: &SignedManifest,
    ) -> Result<(), Untrusted> {
        self.verify_as(environment, offered, false)?;
        self.check_epoch(offered.manifest.epoch)?;
        match applied {
            Some(current) if offered.manifest.standing(applied) == Standing::Older => {
                Err(Untrusted::OlderVersion { current: *current })
            }
            _ => Ok(()),
        }
    }

    /// Believes a manifest that was believed before: what its key signed before it was retired holds as
    /// long as nothing newer is there.
    ///
    /// # Errors
    /// When it is not what was kept.
    pub fn verify_kept(
        &self,
        environment: &EnvironmentId,
        kept: &SignedManifest,
    ) -> Result<(), Untrusted> {
        self.verify_as(environment, kept, true)
    }

    /// Believes any statement of the cluster that is signed by a key that is trusted now.
    ///
    /// # Errors
    /// When it is another cluster's, or by nobody who is trusted, or something else was signed.
    pub fn verify_statement(
        &self,
        statement: &Statement,
        signature: Signature,
    ) -> Result<(), Untrusted> {
        self.check_cluster(&statement.cluster_id)?;
        check(&self.set, signature, &statement.bytes(), false)
    }

    fn verify_as(
        &self,
        environment: &EnvironmentId,
        signed: &SignedManifest,
        also_retired: bool,
    ) -> Result<(), Untrusted> {
        self.check_cluster(&signed.proof.cluster_id)?;
        if signed.environment_id != *environment {
            return Err(Untrusted::ForeignEnvironment {
                followed: environment.clone(),
                found: signed.environment_id.clone(),
            });
        }
        let bytes = signed.statement().bytes();
        check(&self.set, signed.proof.signature, &bytes, also_retired)
    }

    fn check_cluster(&self, found: &ClusterId) -> Result<(), Untrusted> {
        if *found == self.set.cluster_id {
            return Ok(());
        }
        Err(Untrusted::ForeignCluster {
            followed: self.set.cluster_id.clone(),
            found: found.clone(),
        })
    }

    fn check_epoch(&self, found: Epoch) -> Result<(), Untrusted> {
        if found >= self.set.epoch {
            return Ok(());
        }
        Err(Untrusted::OlderEpoch {
            current: self.set.epoch.0,
            found: found.0,
        })
    }
}

fn check_count(set: &TrustSet) -> Result<(), Untrusted> {
    let count = set.keys.len();
    if count > SIGNING_KEYS_MAX {
        return Err(Untrusted::TooManyKeys(count));
    }
    Ok(())
}

/// Whether a key that is trusted vouches for this one.
fn is_vouched(
    cluster_id: &ClusterId,
    key: &TrustedKey,
    known: &BTreeMap<SigningKeyId, TrustedKey>,
) -> bool {
    let by = key.voucher.as_ref();
    let found = by.and_then(|voucher| Some((voucher, known.get(&voucher.by)?)));
    found.is_some_and(|(voucher, by)| {
        let bytes = voucher_bytes(cluster_id, &voucher.by, &key.public);
        !by.retired && is_by(&by.public, &bytes, voucher.signature)
    })
}

fn check(
    set: &TrustSet,
    signature: Signature,
    bytes: &[u8],
    also_retired: bool,
) -> Result<(), Untrusted> {
    let Some(key) = set.key(&signature.key) else {
        return Err(Untrusted::UnknownKey(signature.key));
    };
    if key.retired && !also_retired {
        return Err(Untrusted::RetiredKey(signature.key));
    }
    if !is_by(&key.public, bytes, signature.bytes) && !mutant::active(Mutant::SignatureUnchecked) {
        return Err(Untrusted::BadSignature(signature.key));
    }
    Ok(())
}

/// Strict: there is one signature of some bytes by a key, and one way to write it (RFC 8032, section 5.1.7,
/// without the cofactor).
pub(super) fn is_by(public: &SigningPublicKey, bytes: &[u8], signature: SignatureBytes) -> bool {
    let key = UnparsedPublicKey::new(&ED25519, &public.0);
    key.verify(bytes, &signature.bytes()).is_ok()
}

#[cfg(test)]
mod tests;
