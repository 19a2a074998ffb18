//! Whom the edge believes, on disk: one [record](super::record) beside the manifests, of `TrustSet`.
//!
//! Without it nothing that is kept can be verified, so it stands there twice. Where both are damaged there is none:
//! the edge then takes the first trust set that a node gives it, as when it was new.

use edge_protocol::signing::TrustSet;

use super::{Directory, Store, StoreError, record};

const FORMAT: u8 = 1;
const NAMES: [&str; 2] = ["trust", "trust-copy"];

/// A set of the most keys that there may be has less.
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
        if self.trusted.as_ref() != Some(set) {
            self.trusted = Some(set.clone());
            self.trusted_is_written = false;
        }
        self.write_trusted()
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
    use edge_protocol::signing::{KeyPair, TrustedKey};

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
