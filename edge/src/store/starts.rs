//! The journal of starts on disk: one small file beside the manifests, replaced as a whole.
//!
//! ```text
//! version  1 byte: FORMAT
//! record   postcard: breaker::Starts
//! check    32 bytes: SHA-256 of all before it
//! ```
//!
//! A journal that is damaged or missing is an empty one: the edge then serves by the newest
//! manifest, as if it had never crashed.

use domain::tree::Hash;

use super::{Directory, Store, StoreError, UNFINISHED};
use crate::breaker::Starts;

const FORMAT: u8 = 1;
const CHECK_BYTES: usize = 32;
const NAME: &str = "starts";

/// No journal is nearly as long: a few runs and refusals of some hundred bytes each.
const BYTES_MAX: usize = 16 * 1024;

/// The journal, if there is one that was written whole.
pub(super) fn read(directory: &dyn Directory) -> Option<Starts> {
    decode(&directory.read(NAME, 0, BYTES_MAX).ok()?)
}

fn encode(starts: &Starts) -> Result<Vec<u8>, postcard::Error> {
    let mut bytes = postcard::to_extend(starts, vec![FORMAT])?;
    let check = Hash::of(&bytes);
    bytes.extend_from_slice(&check.0);
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Option<Starts> {
    let (body, check) = bytes.split_at_checked(bytes.len().checked_sub(CHECK_BYTES)?)?;
    let (&format, record) = body.split_first()?;
    if Hash::of(body).0 != check || format != FORMAT {
        return None;
    }
    let (starts, rest) = postcard::take_from_bytes(record).ok()?;
    rest.is_empty().then_some(starts)
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
        let unfinished = format!("{NAME}{UNFINISHED}");
        self.write(&unfinished, &encode(&self.starts)?)?;
        let renamed = self
            .directory
            .rename(&unfinished, NAME)
            .and_then(|()| self.directory.sync());
        renamed.map_err(|source| StoreError::Write {
            name: NAME.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::model::{Epoch, ManifestVersion};
    use domain::time::Timestamp;
    use edge_protocol::ManifestRef;

    use super::*;
    use crate::store::MemoryDirectory;

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
