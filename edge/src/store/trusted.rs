//! Whom the edge believes, on disk: one [record](super::record) beside the manifests, of `TrustSet`.
//!
//! A key that the cluster has forgotten stays in it, as one that is retired, for as long as a manifest is kept that it signed: that is
//! what the manifest is verified by at a start.
//!
//! Without it nothing that is kept can be verified, so it stands there twice. Where both are damaged there is none:
//! the edge then takes the first trust set that a node gives it, as when it was new.

use std::collections::BTreeSet;

use edge_protocol::signing::{TrustSet, TrustedKey};

use super::{Directory, Store, StoreError, record};

const FORMAT: u8 = 1;
const NAMES: [&str; 2] = ["trust", "trust-copy"];

/// A set of the most keys that there may be, with those of the kept manifests, has less.
const BYTES_MAX: usize = 16 * 1024;

/// What is found of it.
pub(super) struct Found {
    /// The newer of the two, if one is whole.
    pub(super) set: Option<TrustSet>,
    /// Whether both say that.
    pub(super) twice: bool,
    /// Those of which none could be made.
    pub(super) damaged: Vec<&'static str>,
}

pub(super) fn read(directory: &dyn Directory, names: &[String]) -> Found {
    let sets = NAMES.map(|name| record::read::<TrustSet>(directory, name, FORMAT, BYTES_MAX));
    let there = |name: &&str| names.iter().any(|found| found == name);
    let damaged = NAMES.into_iter().zip(&sets);
    let damaged = damaged.filter(|(name, set)| set.is_none() && there(name));
    Found {
        damaged: damaged.map(|(name, _)| name).collect(),
        twice: sets[0].is_some() && sets[0] == sets[1],
        // Of another cluster is what the operator put there before the power failed in between: the first was
        // written first.
        set: sets.into_iter().flatten().reduce(newer),
    }
}

fn newer(first: TrustSet, copy: TrustSet) -> TrustSet {
    let later = (copy.epoch, copy.serial) > (first.epoch, first.serial);
    if later && copy.cluster_id == first.cluster_id {
        copy
    } else {
        first
    }
}

impl Store {
    /// Whom the edge believes, if a node has ever said so.
    #[must_use]
    pub fn trusted(&self) -> Option<&TrustSet> {
        self.trusted.as_ref()
    }

    /// Believes these from now on. It is durable on return; after an error it is tried again before a manifest
    /// is kept, which would mean nothing without it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_trusted(&mut self, set: &TrustSet) -> Result<(), StoreError> {
        let set = self.with_forgotten(set);
        if self.trusted.as_ref() != Some(&set) {
            self.trusted = Some(set);
            self.trusted_is_written = false;
        }
        self.write_trusted()
    }

    /// A set with the keys of the one before that it lacks and that signed what is kept. Nothing else is believed that they
    /// sign: they are retired.
    fn with_forgotten(&self, set: &TrustSet) -> TrustSet {
        let mut set = set.clone();
        let before = self.trusted.as_ref();
        let Some(before) = before.filter(|before| before.cluster_id == set.cluster_id) else {
            return set;
        };
        let known: BTreeSet<_> = set.keys.iter().map(|key| key.public.id()).collect();
        let signers = self.kept().map(|pointer| pointer.proof.signature.key);
        let forgotten: BTreeSet<_> = signers.filter(|signer| !known.contains(signer)).collect();
        let kept = before
            .keys
            .iter()
            .filter(|key| forgotten.contains(&key.public.id()));
        let kept = kept.map(|key| TrustedKey {
            retired: true,
            ..key.clone()
        });
        set.keys.extend(kept);
        set
    }

    /// Makes durable whom the edge believes, if that is not so yet.
    pub(crate) fn write_trusted(&mut self) -> Result<(), StoreError> {
        if let Some(set) = self.trusted.as_ref().filter(|_| !self.trusted_is_written) {
            let bytes = record::encode(FORMAT, set)?;
            for name in NAMES {
                self.replace(name, &bytes)?;
            }
            self.trusted_is_written = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::id::{ClusterId, Seed};
    use domain::model::Epoch;
    use edge_protocol::signing::{KeyPair, Trust};

    use super::*;
    use crate::store::{MemoryDirectory, Opened};

    fn set() -> TrustSet {
        TrustSet {
            cluster_id: ClusterId::new(Seed {
                unix_ms: 0,
                random: 0,
            }),
            epoch: Epoch(1),
            serial: 300,
            keys: vec![TrustedKey {
                public: KeyPair::new(&[7; 32]).unwrap().public(),
                voucher: None,
                retired: false,
            }],
        }
    }

    fn open(directory: &MemoryDirectory) -> Opened {
        Store::open(Box::new(directory.clone()), "production").unwrap()
    }

    #[test]
    fn a_set_keeps_its_bytes() {
        let bytes = record::encode(FORMAT, &set()).unwrap();
        let public = hex::encode(set().keys[0].public.0);
        assert_eq!(
            hex::encode(&bytes[..bytes.len() - record::CHECK_BYTES]),
            format!("010e{}01ac0201{public}0000", "00".repeat(14))
        );
        assert_eq!(record::decode(FORMAT, &bytes), Some(set()));
    }

    #[test]
    fn whom_to_trust_is_there_after_the_power_failed_and_damage_is_told_of() {
        let directory = MemoryDirectory::default();
        let mut store = open(&directory).store;
        assert_eq!(store.trusted(), None);
        store.keep_trusted(&set()).unwrap();
        directory.crash(u64::MAX);
        let opened = open(&directory);
        assert!(opened.findings.is_empty(), "{:?}", opened.findings);
        assert_eq!(opened.store.trusted(), Some(&set()));
        let writes = directory.writes();
        store.keep_trusted(&set()).unwrap();
        assert_eq!(directory.writes(), writes, "nothing changed");
        let damage = |name| directory.corrupt(name, |bytes| bytes[20] ^= 1);
        for name in NAMES {
            damage(name);
            let mut opened = open(&directory);
            assert_eq!(opened.store.trusted(), Some(&set()));
            assert_eq!(opened.findings.len(), 1, "{:?}", opened.findings);
            opened.store.keep_trusted(&set()).unwrap();
            assert!(
                open(&directory).findings.is_empty(),
                "it stands there twice again"
            );
        }
        for name in NAMES {
            damage(name);
        }
        let opened = open(&directory);
        assert_eq!(opened.store.trusted(), None);
        assert_eq!(opened.findings.len(), 3, "{:?}", opened.findings);
    }

    #[test]
    fn of_two_sets_the_newer_counts_and_of_two_clusters_the_first() {
        let directory = MemoryDirectory::default();
        let write = |name, set: &TrustSet| {
            let bytes = record::encode(FORMAT, set).unwrap();
            directory.write(name, &bytes).unwrap();
        };
        let later = TrustSet {
            serial: 301,
            ..set()
        };
        for (first, copy) in [(set(), later.clone()), (later.clone(), set())] {
            write(NAMES[0], &first);
            write(NAMES[1], &copy);
            let store = open(&directory).store;
            assert_eq!(store.trusted(), Some(&later));
            assert!(!store.trusted_is_written);
        }
        let foreign = TrustSet {
            cluster_id: ClusterId::new(Seed {
                unix_ms: 0,
                random: 1,
            }),
            ..later
        };
        write(NAMES[1], &foreign);
        write(NAMES[0], &set());
        assert_eq!(open(&directory).store.trusted(), Some(&set()));
    }

    fn key(number: u8) -> KeyPair {
        KeyPair::new(&[number; 32]).unwrap()
    }

    /// A set that has these keys and no others.
    fn of(serial: u64, keys: &[u8]) -> TrustSet {
        let keys = keys.iter().map(|number| TrustedKey {
            public: key(*number).public(),
            voucher: None,
            retired: false,
        });
        TrustSet {
            serial,
            keys: keys.collect(),
            ..set()
        }
    }

    #[test]
    fn a_key_that_the_cluster_forgot_counts_for_what_it_signed_and_is_kept_and_goes_with_it() {
        let directory = MemoryDirectory::default();
        let mut store = open(&directory).store;
        store.keep_trusted(&of(1, &[7, 5])).unwrap();
        let manifest = crate::store::tests::publish(&mut store, 1, &[]).unwrap();
        let mut kept = crate::store::tests::signed(manifest);
        kept.proof.cluster_id = set().cluster_id;
        kept.sign_again(&key(5));
        store.keep(&kept, &Default::default()).unwrap();
        store.keep_trusted(&of(2, &[7])).unwrap();
        directory.crash(u64::MAX);
        let mut store = open(&directory).store;
        let trusted = store.trusted().unwrap().clone();
        let ids: Vec<_> = trusted.keys.iter().map(|key| key.public.id()).collect();
        assert_eq!(ids, [key(7).id(), key(5).id()]);
        assert!(trusted.keys[1].retired && !trusted.keys[0].retired);
        let trust = Trust::kept(trusted);
        let environment = kept.environment_id.clone();
        assert_eq!(trust.verify_kept(&environment, &kept), Ok(()));
        let offered = trust.verify(&environment, None, &kept).unwrap_err();
        assert_eq!(offered.word(), "retired_key");
        // The disk keeps three manifests; by then others have signed them all.
        for version in 2..6 {
            crate::store::tests::publish(&mut store, version, &[]).unwrap();
            assert!(store.tidy().is_none());
        }
        store.keep_trusted(&of(3, &[7])).unwrap();
        assert_eq!(store.trusted(), Some(&of(3, &[7])));
    }

    #[test]
    fn keys_of_another_cluster_are_not_kept() {
        let directory = MemoryDirectory::default();
        let mut store = open(&directory).store;
        store.keep_trusted(&set()).unwrap();
        crate::store::tests::publish(&mut store, 1, &[]).unwrap();
        let foreign = TrustSet {
            cluster_id: ClusterId::new(Seed {
                unix_ms: 0,
                random: 1,
            }),
            ..of(1, &[9])
        };
        store.keep_trusted(&foreign).unwrap();
        assert_eq!(store.trusted(), Some(&foreign));
    }

    #[test]
    fn no_manifest_is_kept_whose_signature_nobody_could_verify_after_a_restart() {
        let directory = MemoryDirectory::default();
        let mut store = open(&directory).store;
        directory.set_bytes_max(Some(0));
        assert!(store.keep_trusted(&set()).is_err());
        assert!(crate::store::tests::publish(&mut store, 1, &[]).is_err());
        directory.set_bytes_max(None);
        crate::store::tests::publish(&mut store, 1, &[]).unwrap();
        directory.crash(u64::MAX);
        let store = open(&directory).store;
        assert_eq!(store.trusted(), Some(&set()));
        assert_eq!(crate::store::tests::versions(&store), [1]);
    }
}
