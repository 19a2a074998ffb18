//! The journal of starts on disk: one [record](super::record) beside the manifests, of `breaker::Starts`.
//!
//! A journal that is damaged or missing is an empty one: the edge then serves by the newest
//! manifest, as if it had never crashed.

use super::{Directory, Store, StoreError, record};
use crate::breaker::Starts;

const FORMAT: u8 = 1;
const NAME: &str = "starts";

/// No journal is nearly as long: a few runs and refusals of some hundred bytes each.
const BYTES_MAX: usize = 16 * 1024;

/// The journal, if there is one that was written whole.
pub(super) fn read(directory: &dyn Directory) -> Option<Starts> {
    record::read(directory, NAME, FORMAT, BYTES_MAX)
}

impl Store {
    /// What is remembered of starts.
    #[must_use]
    pub fn starts(&self) -> &Starts {
        &self.starts
    }

    /// Changes what is remembered of starts. It is durable on return, unless an error is given
    /// beside the outcome: then it is forgotten with the process.
    pub fn note_starts<T>(
        &mut self,
        change: impl FnOnce(&mut Starts) -> T,
    ) -> (T, Option<StoreError>) {
        let before = self.starts.clone();
        let outcome = change(&mut self.starts);
        let written = if self.starts == before {
            Ok(())
        } else {
            self.write_starts()
        };
        (outcome, written.err())
    }

    fn write_starts(&self) -> Result<(), StoreError> {
        self.replace(NAME, &record::encode(FORMAT, &self.starts)?)
    }
}

#[cfg(test)]
mod tests {
    use domain::model::{Epoch, ManifestVersion};
    use domain::time::Timestamp;
    use domain::tree::Hash;
    use edge_protocol::ManifestRef;

    use super::*;
    use crate::store::MemoryDirectory;
    use crate::store::record::CHECK_BYTES;

    fn encode(starts: &Starts) -> Result<Vec<u8>, postcard::Error> {
        record::encode(FORMAT, starts)
    }

    fn decode(bytes: &[u8]) -> Option<Starts> {
        record::decode(FORMAT, bytes)
    }

    fn manifest() -> ManifestRef {
        ManifestRef {
            epoch: Epoch(1),
            version: ManifestVersion(300),
            root: Hash([0xab; 32]),
        }
    }

    fn starts() -> Starts {
        let mut starts = Starts::default();
        for second in 0..4 {
            let _ = starts.begin(Some(manifest()), Timestamp(second));
        }
        let _ = starts.begin(None, Timestamp(5));
        starts.settle();
        starts
    }

    #[test]
    fn journals_keep_their_bytes() {
        let starts = starts();
        let bytes = encode(&starts).unwrap();
        let (body, check) = bytes.split_at(bytes.len() - CHECK_BYTES);
        let root = "ab".repeat(32);
        let reason = &starts.refused()[0].reason;
        let expect = format!(
            "01 01 00 05 01 01 01 ac02 {root} {:02x} {}",
            reason.len(),
            hex::encode(reason)
        );
        assert_eq!(hex::encode(body), expect.replace(' ', ""));
        assert_eq!(check, Hash::of(body).0);
        assert_eq!(decode(&bytes), Some(starts));
    }

    #[test]
    fn a_journal_that_was_cut_or_changed_is_none() {
        let bytes = encode(&starts()).unwrap();
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "{length} bytes");
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            assert_eq!(decode(&changed), None, "byte {place}");
        }
    }

    #[test]
    fn what_is_noted_is_there_after_the_power_failed_and_a_full_disk_is_told_of() {
        let directory = MemoryDirectory::default();
        let open = || {
            Store::open(Box::new(directory.clone()), "production")
                .unwrap()
                .store
        };
        let mut store = open();
        let (outcome, error) = store.note_starts(|starts| starts.begin(None, Timestamp(7)));
        assert!(outcome.is_ok() && error.is_none());
        directory.crash(u64::MAX);
        assert_eq!(open().starts(), store.starts());
        assert_ne!(open().starts(), &Starts::default());
        let writes = directory.writes();
        assert!(store.note_starts(|_| ()).1.is_none());
        assert_eq!(directory.writes(), writes, "nothing changed");
        directory.set_bytes_max(Some(0));
        assert!(store.note_starts(Starts::end).1.is_some());
        directory.set_bytes_max(None);
        assert_ne!(
            open().starts(),
            store.starts(),
            "the old one is still there"
        );
    }
}
