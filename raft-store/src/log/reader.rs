//! The log as replication and the state machine read it.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, ControlFlow, Range, RangeBounds};
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use openraft::storage::RaftLogReader;

use super::keys;
use super::store::LogShared;
use crate::codec;
use crate::engine::{DatabaseView, Direction};
use crate::fault::StorageFault;
use crate::types::{Entry, TypeConfig, Vote};

/// How much one read of a stream, or one message of replication, holds in memory: enough to keep
/// a disk or a link busy. The first entry counts whatever its size.
const CHUNK_ENTRIES_MAX: usize = 256;
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// A reader of the log; it sees whatever has been appended.
#[derive(Clone)]
pub struct LogReader {
    shared: Arc<LogShared>,
}

/// How much to read at most.
struct Budget {
    entries: usize,
    bytes: usize,
}

impl Budget {
    const CHUNK: Self = Self {
        entries: CHUNK_ENTRIES_MAX,
        bytes: CHUNK_BYTES_MAX,
    };
    const UNBOUNDED: Self = Self {
        entries: usize::MAX,
        bytes: usize::MAX,
    };

    /// Whether there is room for an entry of this size behind `taken` others.
    fn take(&mut self, taken: usize, bytes: usize) -> bool {
        if taken > 0 && (taken >= self.entries || bytes > self.bytes) {
            return false;
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }
}

impl LogReader {
    pub(super) fn new(shared: Arc<LogShared>) -> Self {
        Self { shared }
    }

    /// The entries with indexes in `range`, as far as the log has them and the budget goes.
    fn read(&self, range: Range<u64>, mut budget: Budget) -> Result<Vec<Entry>, StorageFault> {
        let shared = &*self.shared;
        shared.breaker.run(|| {
            let (range, view, cached) = {
                let tail = shared.tail.lock();
                let last = super::store::next_index(tail.last);
                let range = range.start.max(tail.first)..range.end.min(last);
                if range.is_empty() {
                    return Ok(Vec::new());
                }
                let held_from = tail.cache.first().unwrap_or(range.end).min(range.end);
                // The view is taken under the lock, so that it and the cache show the same log.
                let view = (range.start < held_from).then(|| shared.database.view());
                let mut cached = VecDeque::new();
                for (entry, encoded) in tail.cache.range(&range) {
                    if view.is_none() && !budget.take(cached.len(), *encoded) {
                        break;
                    }
                    cached.push_back((entry.clone(), *encoded));
                }
                (range, view, cached)
            };
            let Some(view) = view else {
                return Ok(cached.into_iter().map(|(entry, _)| entry).collect());
            };
            let held_from = cached
                .front()
                .map_or(range.end, |(entry, _)| entry.log_id.index);
            let mut entries = self.read_database(&*view, range.start..held_from, &mut budget)?;
            if entries.len() as u64 == held_from - range.start {
                for (entry, encoded) in cached {
                    if !budget.take(entries.len(), encoded) {
                        break;
                    }
                    entries.push(entry);
                }
            }
            Ok(entries)
        })
    }

    /// The entries with indexes in `range` that are in memory: each had been written, whatever became
    /// of the disk since.
    #[must_use]
    pub fn recent(&self, range: impl RangeBounds<u64>) -> Vec<Entry> {
        let range = indexes(&range);
        let tail = self.shared.tail.lock();
        let held = tail.cache.range(&range);
        held.map(|(entry, _)| entry.clone()).collect()
    }

    /// Reads a gapless run from the database: all of `range`, unless the budget ends before.
    fn read_database(
        &self,
        view: &dyn DatabaseView,
        range: Range<u64>,
        budget: &mut Budget,
    ) -> Result<Vec<Entry>, StorageFault> {
        let corrupt =
            |reason: String| StorageFault::corrupt("read entries of", &self.shared.path, reason);
        let mut entries = Vec::new();
        let mut failed = None;
        let mut exhausted = false;
        let (from, until) = keys::entries(&range);
        view.visit(&from, &until, Direction::Ascending, &mut |key, value| {
            if !budget.take(entries.len(), value.len()) {
                exhausted = true;
                return ControlFlow::Break(());
            }
            let expected = range.start + entries.len() as u64;
            match codec::decode_entry(value) {
                Ok(entry)
                    if keys::index(key) == Some(expected) && entry.log_id.index == expected =>
                {
                    entries.push(entry);
                    ControlFlow::Continue(())
                }
                Ok(entry) => {
                    failed = Some(corrupt(format!(
                        "found {} where {expected} has to be",
                        entry.log_id
                    )));
                    ControlFlow::Break(())
                }
                Err(error) => {
                    failed = Some(corrupt(format!("entry {expected}: {error}")));
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(fault) = failed {
            return Err(fault);
        }
        let found = entries.len() as u64;
        if !exhausted && found < range.end - range.start {
            return Err(corrupt(format!(
                "entry {} is not there",
                range.start + found
            )));
        }
        Ok(entries)
    }
}

fn indexes(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl RaftLogReader<TypeConfig> for LogReader {
    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + Send
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let reader = self.clone();
        stream::unfold((reader, indexes(&range)), |(reader, range)| async move {
            match reader.read(range.clone(), Budget::CHUNK) {
                Err(fault) => Some((vec![Err(fault.into())], (reader, 0..0))),
                Ok(entries) => {
                    let next = entries.last()?.log_id.index + 1;
                    Some((
                        entries.into_iter().map(Ok).collect(),
                        (reader, next..range.end),
                    ))
                }
            }
        })
        .flat_map(stream::iter)
    }

    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        Ok(self.read(indexes(&range), Budget::UNBOUNDED)?)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        let entries = self.read(start..end, Budget::CHUNK)?;
        // What begins behind a purge would be a gap to the follower that it is sent to. Nothing is
        // taken for a heartbeat, and consensus finds out that a checkpoint is wanted.
        let begins = entries
            .first()
            .is_some_and(|first| first.log_id.index == start);
        Ok(if begins { entries } else { Vec::new() })
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        self.shared.breaker.check()?;
        Ok(self.shared.tail.lock().vote)
    }
}
