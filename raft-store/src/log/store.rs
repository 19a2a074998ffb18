//! The log as consensus writes it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use injection::{Mutant, Point, mutant};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use parking_lot::Mutex;

use super::cache::Cache;
use super::recovery::RecoveredLog;
use super::syncer::{Committed, Request, Syncer, Worker};
use super::{LogReader, Mark, keys};
use crate::codec;
use crate::engine::{Batch, Database, Disk};
use crate::fault::{Breaker, StorageFault};
use crate::types::{Entry, LogId, TypeConfig, Vote};

/// Up to so many entries are removed one by one: many small range tombstones make reads slow.
const POINT_DELETES_MAX: u64 = 256;

/// The log's writer. There is one.
pub struct LogStore {
    shared: Arc<LogShared>,
}

/// What the writer and the readers of a log share.
pub(crate) struct LogShared {
    pub(super) path: PathBuf,
    pub(super) database: Arc<dyn Database>,
    pub(super) breaker: Arc<Breaker>,
    pub(super) tail: Mutex<Tail>,
    committed: Committed,
    syncer: Syncer,
}

/// What is known of the log without reading it. It is locked while the database is written, so
/// that whoever holds the lock sees both agree.
pub(super) struct Tail {
    /// The index of the first entry that is there, or of the next one if there is none.
    pub(super) first: u64,
    pub(super) purged: Option<LogId>,
    pub(super) last: Option<LogId>,
    pub(super) vote: Option<Vote>,
    pub(super) cache: Cache,
}

impl LogShared {
    pub(crate) fn new(
        disk: &dyn Disk,
        recovered: RecoveredLog,
        mark: Mark,
        breaker: Arc<Breaker>,
    ) -> Result<Arc<Self>, StorageFault> {
        // What was committed is never ahead of what is there, even if a power cut took the end of
        // the log and left the mark.
        let committed = mark.record().committed.min(recovered.last);
        let committed: Committed = Arc::new(Mutex::new(committed));
        let worker = Worker {
            database: Arc::clone(&recovered.database),
            mark,
            breaker: Arc::clone(&breaker),
            committed: Arc::clone(&committed),
        };
        Ok(Arc::new(Self {
            path: recovered.path,
            database: recovered.database,
            breaker,
            tail: Mutex::new(Tail {
                first: recovered.first,
                purged: recovered.purged,
                last: recovered.last,
                vote: recovered.vote,
                cache: Cache::default(),
            }),
            committed,
            syncer: Syncer::start(worker, disk.inline())?,
        }))
    }

    /// Makes everything durable, the mark included, and ends the thread that syncs. Blocks.
    pub(crate) fn close(&self) -> Result<(), StorageFault> {
        self.syncer.close()
    }

    /// How often the log was written and synced.
    pub(crate) fn statistics(&self) -> crate::engine::Statistics {
        self.database.statistics()
    }

    pub(crate) fn standing(&self) -> crate::engine::Standing {
        self.database.standing()
    }

    /// Writes a batch and, if that went well, changes what is known of the log.
    fn write(
        &self,
        batch: Batch,
        tail: &mut Tail,
        change: impl FnOnce(&mut Tail),
    ) -> Result<(), StorageFault> {
        self.breaker.run(|| self.database.write(batch))?;
        change(tail);
        Ok(())
    }

    fn append(&self, entries: Vec<Entry>) -> Result<(), StorageFault> {
        let mut tail = self.tail.lock();
        let mut batch = Batch::default();
        let mut next = tail.last.map(|last| last.index + 1);
        let mut written = Vec::with_capacity(entries.len());
        for entry in entries {
            let index = entry.log_id.index;
            if next.is_some_and(|next| next != index) {
                let reason = format!("index {index} was to follow {:?}", tail.last);
                return self.breaker.watch(Err(StorageFault::corrupt(
                    "append a gapless entry to",
                    &self.path,
                    reason,
                )));
            }
            next = Some(index + 1);
            let bytes = codec::encode_entry(&entry);
            written.push((entry, bytes.len()));
            batch.put(keys::entry(index), bytes);
        }
        self.write(batch, &mut tail, |tail| {
            for (entry, encoded) in written {
                if tail.last.is_none() {
                    tail.first = entry.log_id.index;
                }
                tail.last = Some(entry.log_id);
                tail.cache.push(entry, encoded);
            }
        })
    }

    /// Removes the entries after `after`.
    fn truncate(&self, after: Option<LogId>) -> Result<(), StorageFault> {
        let mut tail = self.tail.lock();
        let (Some(last), from) = (tail.last, next_index(after)) else {
            return Ok(());
        };
        let from = from.max(next_index(tail.purged));
        let mut batch = Batch::default();
        delete_entries(&mut batch, from, last.index + 1);
        self.write(batch, &mut tail, |tail| {
            tail.last = after.max(tail.purged);
            tail.cache.truncate(from);
            if tail.last.is_none() {
                tail.first = 0;
            }
        })
    }

    /// Removes the entries up to `upto`.
    fn purge(&self, upto: LogId) -> Result<(), StorageFault> {
        let mut tail = self.tail.lock();
        if tail.purged.is_some_and(|purged| purged.index >= upto.index) {
            return Ok(());
        }
        let mut batch = Batch::default();
        batch.put(keys::PURGED, codec::encode_log_id(Some(upto)));
        let end = tail
            .last
            .map_or(upto.index, |last| last.index.min(upto.index))
            + 1;
        delete_entries(&mut batch, tail.first, end);
        self.write(batch, &mut tail, |tail| {
            tail.purged = Some(upto);
            tail.first = upto.index + 1;
            tail.cache.purge(upto.index);
            if tail.last.is_none_or(|last| last.index < upto.index) {
                tail.last = Some(upto);
            }
        })
    }
}

/// The index after that of `log_id`.
pub(super) fn next_index(log_id: Option<LogId>) -> u64 {
    log_id.map_or(0, |log_id| log_id.index + 1)
}

fn delete_entries(batch: &mut Batch, from: u64, until: u64) {
    if from >= until {
        return;
    }
    if until - from <= POINT_DELETES_MAX {
        (from..until).for_each(|index| batch.delete(keys::entry(index)));
    } else {
        let (from, until) = keys::entries(&(from..until));
        batch.delete_range(from, until);
    }
}

impl LogStore {
    pub(crate) fn new(shared: Arc<LogShared>) -> Self {
        Self { shared }
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        self.shared.breaker.check()?;
        let tail = self.shared.tail.lock();
        Ok(LogState {
            last_purged_log_id: tail.purged,
            last_log_id: tail.last,
        })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        LogReader::new(Arc::clone(&self.shared))
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.shared.breaker.pass(Point::BeforeVoteSave).await?;
        {
            let mut batch = Batch::default();
            batch.put(keys::VOTE, codec::encode_vote(vote));
            let mut tail = self.shared.tail.lock();
            self.shared
                .write(batch, &mut tail, |tail| tail.vote = Some(*vote))?;
        }
        if mutant::active(Mutant::VoteNotSynced) {
            return Ok(self.shared.breaker.pass(Point::AfterVoteSave).await?);
        }
        self.shared
            .syncer
            .submit_and_wait(|done| Request::Vote(*vote, done))
            .await?;
        Ok(self.shared.breaker.pass(Point::AfterVoteSave).await?)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.shared.breaker.check()?;
        self.shared.breaker.hit(Point::BeforeCommittedSave)?;
        *self.shared.committed.lock() = committed;
        self.shared.syncer.committed();
        Ok(self.shared.breaker.hit(Point::AfterCommittedSave)?)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        self.shared.breaker.check()?;
        Ok(*self.shared.committed.lock())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let Some(last) = entries.last().map(|entry| entry.log_id) else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        let appended = match self.shared.breaker.pass(Point::BeforeWalAppend).await {
            Ok(()) => self.shared.append(entries),
            Err(fault) => Err(fault),
        };
        let appended = match appended {
            Ok(()) => self.shared.breaker.pass(Point::AfterWalAppend).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = appended {
            callback.io_completed(Err(fault.clone().into()));
            return Err(fault.into());
        }
        if mutant::active(Mutant::AckBeforeSync) {
            callback.io_completed(Ok(()));
            return Ok(());
        }
        self.shared.syncer.submit(Request::Appended(last, callback));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        {
            let tail = self.shared.tail.lock();
            if tail
                .last
                .is_none_or(|last| last.index < next_index(last_log_id))
            {
                return Ok(());
            }
        }
        let syncer = &self.shared.syncer;
        syncer
            .submit_and_wait(|done| Request::Lower(last_log_id, done))
            .await?;
        self.shared.truncate(last_log_id)?;
        Ok(syncer.submit_and_wait(Request::Sync).await?)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        self.shared.breaker.pass(Point::BeforePurge).await?;
        self.shared.purge(log_id)?;
        Ok(self.shared.breaker.pass(Point::AfterPurge).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sim::SimDisk;
    use crate::open::{Options, Storage, open};
    use crate::types::{LeaderId, Payload};

    fn log_id(index: u64) -> LogId {
        LogId::new(
            LeaderId {
                term: 1,
                node_id: 1,
            },
            index,
        )
    }

    /// A follower may hear that an entry is committed before it has synced it; a power cut can
    /// then take the entry and leave what was noted.
    #[tokio::test]
    async fn what_was_committed_is_never_ahead_of_what_is_there() {
        let disk = SimDisk::new();
        let storage = Storage::Sim(disk.clone());
        let options = Options {
            fatal: Arc::new(|_| ()),
        };
        let opened = open(storage.clone(), options.clone()).unwrap();
        let entries = (0..3).map(|index| Entry {
            log_id: log_id(index),
            payload: Payload::Blank,
        });
        opened.log.shared.append(entries.collect()).unwrap();
        opened.closer.close().unwrap();
        drop(opened);
        let mount = disk.mount();
        let mut mark = Mark::load(&mount).unwrap().unwrap();
        let record = super::super::mark::MarkRecord {
            committed: Some(log_id(5)),
            ..*mark.record()
        };
        mark.write(record).unwrap();
        let mut opened = open(storage, options).unwrap();
        assert_eq!(opened.log.read_committed().await.unwrap(), Some(log_id(2)));
    }
}
