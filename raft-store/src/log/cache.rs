//! The most recent entries, in memory, so that replicating and applying them does not read the
//! database.

use std::collections::VecDeque;
use std::ops::Range;

use crate::types::Entry;

/// Enough for what followers and the state machine lag behind in normal operation; one that lags
/// further reads the database.
const ENTRIES_MAX: usize = 8192;

/// Encoded bytes; in memory an entry takes about two to three times its encoded size.
const BYTES_MAX: usize = 8 << 20;

/// A gapless run of entries that ends with the last one of the log, or nothing.
#[derive(Default)]
pub(super) struct Cache {
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
}

impl Cache {
    /// The index of the first entry held.
    pub(super) fn first(&self) -> Option<u64> {
        self.entries.front().map(|(entry, _)| entry.log_id.index)
    }

    /// Adds the entry that follows the last one.
    pub(super) fn push(&mut self, entry: Entry, encoded: usize) {
        debug_assert!(
            self.entries
                .back()
                .is_none_or(|(last, _)| last.log_id.index + 1 == entry.log_id.index)
        );
        self.entries.push_back((entry, encoded));
        self.bytes += encoded;
        while self.entries.len() > ENTRIES_MAX || (self.bytes > BYTES_MAX && self.entries.len() > 1)
        {
            self.drop_first();
        }
    }

    /// Forgets the entries from `index` on.
    pub(super) fn truncate(&mut self, index: u64) {
        while let Some((_, encoded)) = self
            .entries
            .pop_back_if(|(entry, _)| entry.log_id.index >= index)
        {
            self.bytes -= encoded;
        }
    }

    /// Forgets the entries up to `index`, inclusive.
    pub(super) fn purge(&mut self, index: u64) {
        while self.first().is_some_and(|first| first <= index) {
            self.drop_first();
        }
    }

    /// The entries with indexes in `range`, as far as they are held, with their encoded sizes.
    pub(super) fn range(&self, range: &Range<u64>) -> impl Iterator<Item = &(Entry, usize)> {
        let first = self.first().unwrap_or(u64::MAX);
        let position = |index: u64| {
            usize::try_from(index.saturating_sub(first))
                .unwrap_or(usize::MAX)
                .min(self.entries.len())
        };
        let (start, end) = (position(range.start), position(range.end));
        self.entries.range(start..end.max(start))
    }

    fn drop_first(&mut self) {
        if let Some((_, encoded)) = self.entries.pop_front() {
            self.bytes -= encoded;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{LeaderId, LogId, Payload};

    fn entry(index: u64) -> Entry {
        Entry {
            log_id: LogId::new(
                LeaderId {
                    term: 1,
                    node_id: 1,
                },
                index,
            ),
            payload: Payload::Blank,
        }
    }

    fn held(cache: &Cache, range: Range<u64>) -> Vec<u64> {
        cache
            .range(&range)
            .map(|(entry, _)| entry.log_id.index)
            .collect()
    }

    #[test]
    fn what_is_asked_for_is_answered_as_far_as_it_is_held() {
        let mut cache = Cache::default();
        assert_eq!(held(&cache, 0..9), [0_u64; 0]);
        (5..10).for_each(|index| cache.push(entry(index), 10));
        assert_eq!(held(&cache, 0..7), [5, 6]);
        assert_eq!(held(&cache, 8..99), [8, 9]);
        assert_eq!(held(&cache, 0..5), [0_u64; 0]);
        cache.truncate(8);
        cache.purge(5);
        assert_eq!(held(&cache, 0..99), [6, 7]);
        cache.push(entry(8), 10);
        assert_eq!(held(&cache, 7..99), [7, 8]);
    }

    #[test]
    fn the_oldest_entries_make_room() {
        let mut cache = Cache::default();
        (0..ENTRIES_MAX as u64 + 3).for_each(|index| cache.push(entry(index), 1));
        assert_eq!(cache.first(), Some(3));
        cache.push(entry(ENTRIES_MAX as u64 + 3), BYTES_MAX);
        assert_eq!(cache.entries.len(), 1);
        assert_eq!(cache.bytes, BYTES_MAX);
    }
}
