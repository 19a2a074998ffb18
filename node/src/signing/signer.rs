//! The key that signs, opened once, and the last signature of each environment's manifest.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use domain::id::EnvironmentId;
use domain::model::Signing;
use domain::query;
use domain::rows::View;
use edge_protocol::signing::{BadKey, KeyPair, Offer, Signature, SignedManifest, TrustSet};
use edge_protocol::{ManifestRef, SignedTrust};
use parking_lot::Mutex;

use crate::keys::KeyRing;
use crate::sealing::Unopened;

/// Why nothing is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The cluster has no key yet: it is made when the first workspace is, or by the leader soon after.
    #[error("the cluster has no signing key yet")]
    NoKey,
    /// The key does not open: it was sealed under another pepper, or under a key that this node lacks.
    #[error(transparent)]
    Sealed(#[from] Unopened),
    /// What was sealed is no key.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// What was opened is not the private half of the key that is to sign.
    #[error("the signing key is not the one that its name says")]
    OtherKey,
}

/// Signs. Cloning shares what is kept.
#[derive(Clone)]
pub struct Signer {
    keys: KeyRing,
    kept: Arc<Mutex<Option<Kept>>>,
}

/// What is made once for each change of keys.
struct Kept {
    signing: Signing,
    key: Arc<KeyPair>,
    trust: SignedTrust,
    /// One for each environment that somebody asked for: few, as environments are.
    manifests: BTreeMap<EnvironmentId, SignedManifest>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

impl Signer {
    /// Signs with keys that open with these.
    #[must_use]
    pub fn new(keys: KeyRing) -> Self {
        Self {
            keys,
            kept: Arc::default(),
        }
    }

    /// Whom an environment's edges are to trust, and what to follow, as this view has it.
    ///
    /// # Errors
    /// When there is no key, or it does not open.
    pub fn offer(
        &self,
        view: &dyn View,
        environment: &EnvironmentId,
    ) -> Result<Offer, SigningError> {
        let signing = query::signing(view).ok_or(SigningError::NoKey)?;
        let manifest = query::manifest(view, environment);
        let mut kept = self.kept.lock();
        let kept = self.current(&mut kept, view, signing)?;
        let known = kept.manifests.get(environment).filter(|signed| {
            signed.manifest == ManifestRef::from(&manifest)
                && signed.proof.previous == manifest.previous
                && signed.proof.at == manifest.updated_at
        });
        let signed = match known {
            Some(known) => known.clone(),
            None => {
                let cluster_id = &kept.signing.cluster_id;
                let signed = SignedManifest::sign(cluster_id, &manifest, &kept.key);
                kept.manifests.insert(environment.clone(), signed.clone());
                signed
            }
        };
        Ok(Offer {
            trust: kept.trust.clone(),
            manifest: signed,
        })
    }

    /// Whom an edge of this cluster is to trust.
    ///
    /// # Errors
    /// When there is no key, or it does not open.
    pub fn trust(&self, view: &dyn View) -> Result<SignedTrust, SigningError> {
        let signing = query::signing(view).ok_or(SigningError::NoKey)?;
        let mut kept = self.kept.lock();
        Ok(self.current(&mut kept, view, signing)?.trust.clone())
    }

    /// Signs something else; with it the public half of the key.
    ///
    /// # Errors
    /// When there is no key, or it does not open.
    pub fn sign(
        &self,
        view: &dyn View,
        bytes: impl FnOnce(&Signing) -> Vec<u8>,
    ) -> Result<(Signature, Arc<KeyPair>), SigningError> {
        let signing = query::signing(view).ok_or(SigningError::NoKey)?;
        let key = {
            let mut kept = self.kept.lock();
            Arc::clone(&self.current(&mut kept, view, signing.clone())?.key)
        };
        Ok((key.sign(&bytes(&signing)), key))
    }

    /// What was made of this state of the keys, made now if it is another one.
    fn current<'a>(
        &self,
        kept: &'a mut Option<Kept>,
        view: &dyn View,
        signing: Signing,
    ) -> Result<&'a mut Kept, SigningError> {
        let stale = kept.take_if(|kept| kept.signing != signing);
        if kept.is_none() {
            *kept = Some(self.made(stale, view, signing)?);
        }
        kept.as_mut().ok_or(SigningError::NoKey)
    }

    fn made(
        &self,
        stale: Option<Kept>,
        view: &dyn View,
        signing: Signing,
    ) -> Result<Kept, SigningError> {
        // A manifest keeps the signature of a key that still is trusted and still signs.
        let manifests = stale
            .filter(|stale| stale.signing.active == signing.active)
            .map(|stale| stale.manifests);
        let key = open(&self.keys, &signing)?;
        let set = TrustSet::of(&signing, &query::signing_keys(view));
        Ok(Kept {
            trust: SignedTrust::sign(set, &key),
            key: Arc::new(key),
            signing,
            manifests: manifests.unwrap_or_default(),
        })
    }
}

/// The key that signs.
pub(crate) fn open(keys: &KeyRing, signing: &Signing) -> Result<KeyPair, SigningError> {
    let key = KeyPair::new(&keys.open_signing_key(signing)?)?;
    if key.id() != signing.active {
        return Err(SigningError::OtherKey);
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use domain::command::{Command, Origin, Stamped};
    use domain::id::{RequestId, Seed};
    use domain::machine::step;
    use domain::rows::MemoryRows;
    use domain::time::{Revision, Timestamp};
    use edge_protocol::signing::{Followed, Trust};
    use platform::SystemEntropy;

    use super::*;
    use crate::signing::{founding, next_key, retirement};

    struct World {
        rows: MemoryRows,
        revision: u64,
    }

    impl World {
        fn new() -> Self {
            let mut world = Self {
                rows: MemoryRows::default(),
                revision: 0,
            };
            let founding = founding((&keys(), None), Timestamp(1), &SystemEntropy).unwrap();
            world.apply(founding);
            world
        }

        fn apply(&mut self, command: Command) {
            self.revision += 1;
            let stamped = Stamped {
                at: Timestamp(self.revision),
                request_id: RequestId::new(seed(self.revision)),
                idempotency: None,
                command,
                origin: Origin::default(),
                precondition: None,
            };
            let applied = step(&mut self.rows, Revision(self.revision), &stamped);
            assert!(applied.reply.is_ok(), "{:?}", applied.reply);
        }

        fn rotate(&mut self) {
            let signing = query::signing(&self.rows).unwrap();
            let (_, command) = next_key((&keys(), None), &signing, &SystemEntropy).unwrap();
            self.apply(command);
        }
    }

    fn keys() -> KeyRing {
        KeyRing::new(&[7; 32]).unwrap()
    }

    fn seed(random: u64) -> Seed {
        Seed { unix_ms: 1, random }
    }

    fn environment() -> EnvironmentId {
        EnvironmentId::new(seed(5))
    }

    #[test]
    fn every_node_signs_alike_and_edges_believe_it() {
        let world = World::new();
        let [one, other] = [keys(), keys()].map(|keys| {
            Signer::new(keys)
                .offer(&world.rows, &environment())
                .unwrap()
        });
        assert_eq!(one, other);
        let trust = Trust::first(&one.trust).unwrap();
        let believed = trust.verify(&environment(), None, &one.manifest);
        assert_eq!(believed, Ok(()));
    }

    #[test]
    fn edges_follow_each_key_to_the_next() {
        let mut world = World::new();
        let signer = Signer::new(keys());
        let first = signer.offer(&world.rows, &environment()).unwrap();
        let mut trust = Trust::first(&first.trust).unwrap();
        for _ in 0..3 {
            world.rotate();
        }
        let later = signer.offer(&world.rows, &environment()).unwrap();
        assert_ne!(
            later.manifest.proof.signature.key,
            first.manifest.proof.signature.key
        );
        let whole = || Followed::Anew {
            without: Vec::new(),
        };
        assert_eq!(trust.follow(&later.trust), Ok(whole()));
        assert_eq!(trust.verify(&environment(), None, &later.manifest), Ok(()));
        assert_eq!(trust.verify(&environment(), None, &first.manifest), Ok(()));
        world.apply(retirement(first.manifest.proof.signature.key));
        let last = signer.offer(&world.rows, &environment()).unwrap();
        assert_eq!(last.manifest, later.manifest);
        assert_eq!(trust.follow(&last.trust), Ok(whole()));
        let refused = trust.verify(&environment(), None, &first.manifest);
        assert_eq!(refused.unwrap_err().word(), "retired_key");
    }

    #[test]
    fn without_a_key_or_with_another_pepper_nothing_is_signed() {
        let none = Signer::new(keys()).offer(&MemoryRows::default(), &environment());
        assert_eq!(none, Err(SigningError::NoKey));
        let stranger = Signer::new(KeyRing::new(&[8; 32]).unwrap());
        let none = stranger.offer(&World::new().rows, &environment());
        assert_eq!(none, Err(SigningError::Sealed(Unopened::Refused)));
    }
}
