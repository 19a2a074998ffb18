//! The keys of the log database.

use std::ops::Range;

/// The format version.
pub(super) const FORMAT: [u8; 2] = [0, b'f'];
/// The last purged log id.
pub(super) const PURGED: [u8; 2] = [0, b'p'];
/// The vote.
pub(super) const VOTE: [u8; 2] = [0, b'v'];

const ENTRY: u8 = 1;

/// The key of the entry with `index`.
pub(super) fn entry(index: u64) -> [u8; 9] {
    let mut key = [ENTRY; 9];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}

/// The keys of the entries with indexes in `range`.
pub(super) fn entries(range: &Range<u64>) -> ([u8; 9], [u8; 9]) {
    (entry(range.start), entry(range.end))
}

/// Past the last entry that there can be.
pub(super) const AFTER_ENTRIES: [u8; 1] = [ENTRY + 1];

/// The index in an entry's key.
pub(super) fn index(key: &[u8]) -> Option<u64> {
    let (&ENTRY, index) = key.split_first()? else {
        return None;
    };
    Some(u64::from_be_bytes(index.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_keys_sort_like_their_indexes_and_behind_all_other_rows() {
        let keys = [entry(0), entry(1), entry(255), entry(256), entry(u64::MAX)];
        assert!(keys.is_sorted());
        assert!(
            keys.iter()
                .all(|key| key[..] > FORMAT[..] && key[..] > PURGED[..] && key[..] > VOTE[..])
        );
        assert!(keys.iter().all(|key| key[..] < AFTER_ENTRIES[..]));
        assert_eq!(index(&entry(256)), Some(256));
        assert_eq!(index(&VOTE), None);
    }
}
