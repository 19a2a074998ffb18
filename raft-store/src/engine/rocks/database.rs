//! One RocksDB database behind the port.
//!
//! The log database writes to its write-ahead log without a sync; [`Database::sync`] is one
//! `flush_wal(true)` for all of them. RocksDB applies and recovers that log in order, which is
//! what makes a batch survive only together with all before it.
//!
//! The state database has no write-ahead log: the Raft log is one already, and writing every row
//! into a second one would cost more than it saves at a restart. Its batches become durable when
//! the write buffer that they are in is flushed, again in order and whole; [`Database::sync`] is
//! such a flush.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    DB, ErrorKind, Options, ReadOptions, Snapshot, WriteBatch, WriteOptions, properties,
};
use tokio::time::Instant;

use super::sync_directory;
use crate::engine::{
    Batch, Database, DatabaseKind, DatabaseView, Direction, Operation, SYNC_BOUNDS_US, Standing,
    Statistics, Visitor,
};
use crate::fault::{FaultKind, StorageFault};

/// A RocksDB database.
pub(super) struct RocksDatabase {
    root: PathBuf,
    path: PathBuf,
    kind: DatabaseKind,
    database: DB,
    writes: AtomicU64,
    syncs: AtomicU64,
    sync_times: SyncTimes,
}

/// How long syncs took.
#[derive(Default)]
struct SyncTimes {
    counts: [AtomicU64; SYNC_BOUNDS_US.len() + 1],
    micros: AtomicU64,
}

impl SyncTimes {
    fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let place = SYNC_BOUNDS_US.partition_point(|bound| *bound < micros);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

impl RocksDatabase {
    pub(super) fn open(
        root: PathBuf,
        path: PathBuf,
        kind: DatabaseKind,
        options: &Options,
    ) -> Result<Self, StorageFault> {
        let database = DB::open(options, &path).map_err(|error| open_fault(&path, &error))?;
        Ok(Self {
            root,
            path,
            kind,
            database,
            writes: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            sync_times: SyncTimes::default(),
        })
    }

    fn fault(&self, operation: &'static str) -> impl Fn(rocksdb::Error) -> StorageFault {
        move |error| StorageFault::new(fault_kind(&error), operation, &self.path, error)
    }
}

fn fault_kind(error: &rocksdb::Error) -> FaultKind {
    let full = error.to_string().contains("No space left");
    match error.kind() {
        ErrorKind::Corruption => FaultKind::Corrupt,
        ErrorKind::NotFound => FaultKind::Missing,
        _ if full => FaultKind::Io(std::io::ErrorKind::StorageFull),
        _ => FaultKind::Io(std::io::ErrorKind::Other),
    }
}

/// RocksDB does not always say which file is damaged, so the write-ahead logs, which are the usual
/// suspects, are named too.
fn open_fault(path: &Path, error: &rocksdb::Error) -> StorageFault {
    let mut logs: Vec<_> = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "log")
        })
        .collect();
    logs.sort();
    let reason = format!("{error} (write-ahead logs there: {})", logs.join(", "));
    StorageFault::new(fault_kind(error), "open", path, reason)
}

impl Database for RocksDatabase {
    fn write(&self, batch: Batch) -> Result<(), StorageFault> {
        let mut writes = WriteBatch::default();
        for operation in batch.operations {
            match operation {
                Operation::Put(key, value) => writes.put(key, value),
                Operation::Delete(key) => writes.delete(key),
                Operation::DeleteRange(from, until) if from < until => {
                    writes.delete_range(from, until);
                }
                // RocksDB refuses the whole batch for it.
                Operation::DeleteRange(..) => {}
            }
        }
        self.writes.fetch_add(1, Ordering::Relaxed);
        let mut options = WriteOptions::default();
        options.disable_wal(self.kind == DatabaseKind::State);
        self.database
            .write_opt(writes, &options)
            .map_err(self.fault("write to"))
    }

    fn sync(&self) -> Result<(), StorageFault> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let synced = match self.kind {
            DatabaseKind::Log => self.database.flush_wal(true),
            DatabaseKind::State => self.database.flush(),
        };
        self.sync_times.took(began.elapsed());
        synced.map_err(self.fault("sync"))
    }

    fn view(&self) -> Box<dyn DatabaseView + '_> {
        Box::new(RocksView {
            owner: self,
            snapshot: self.database.snapshot(),
        })
    }

    fn prepare_export(&self) -> Result<(), StorageFault> {
        self.database.flush().map_err(self.fault("flush"))
    }

    fn export(&self, into: &Path) -> Result<(), StorageFault> {
        self.sync()?;
        let into = self.root.join(into);
        let checkpoint = Checkpoint::new(&self.database).map_err(self.fault("export"))?;
        checkpoint
            .create_checkpoint(&into)
            .map_err(self.fault("export"))?;
        sync_directory(&into)
    }

    fn statistics(&self) -> Statistics {
        Statistics {
            writes: self.writes.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
        }
    }

    fn standing(&self) -> Standing {
        // None of these names is unknown; a property that cannot be had says nothing.
        let read = |name: &properties::PropName| {
            let value = self.database.property_int_value(name).ok().flatten();
            value.unwrap_or(0)
        };
        let level0 = properties::num_files_at_level(0);
        // A text, for it is counted for each level.
        let level0_files = self.database.property_value(&level0).ok().flatten();
        Standing {
            table_bytes: read(properties::LIVE_SST_FILES_SIZE),
            write_buffer_bytes: read(properties::CUR_SIZE_ALL_MEM_TABLES),
            block_cache_bytes: read(properties::BLOCK_CACHE_USAGE),
            rows: read(properties::ESTIMATE_NUM_KEYS),
            compaction_pending_bytes: read(properties::ESTIMATE_PENDING_COMPACTION_BYTES),
            background_jobs: read(properties::NUM_RUNNING_COMPACTIONS)
                + read(properties::NUM_RUNNING_FLUSHES),
            level0_files: level0_files
                .and_then(|files| files.parse().ok())
                .unwrap_or(0),
            writes_stopped: read(properties::IS_WRITE_STOPPED) != 0,
            background_errors: read(properties::BACKGROUND_ERRORS),
            sync_times: self
                .sync_times
                .counts
                .each_ref()
                .map(|count| count.load(Ordering::Relaxed)),
            sync_micros: self.sync_times.micros.load(Ordering::Relaxed),
        }
    }
}

impl Drop for RocksDatabase {
    fn drop(&mut self) {
        self.database.cancel_all_background_work(true);
    }
}

struct RocksView<'a> {
    owner: &'a RocksDatabase,
    snapshot: Snapshot<'a>,
}

/// How much a sweep reads ahead: one request of the disk for many blocks.
const SWEEP_READAHEAD_BYTES: usize = 1 << 20;

impl RocksView<'_> {
    fn walk(
        &self,
        (from, until): (&[u8], &[u8]),
        mut options: ReadOptions,
        direction: Direction,
        visitor: Visitor<'_>,
    ) -> Result<(), StorageFault> {
        if from >= until {
            return Ok(());
        }
        options.set_iterate_lower_bound(from);
        options.set_iterate_upper_bound(until);
        let mut rows = self.snapshot.raw_iterator_opt(options);
        match direction {
            Direction::Ascending => rows.seek_to_first(),
            Direction::Descending => rows.seek_to_last(),
        }
        while let Some((key, value)) = rows.item() {
            if visitor(key, value) == ControlFlow::Break(()) {
                return Ok(());
            }
            match direction {
                Direction::Ascending => rows.next(),
                Direction::Descending => rows.prev(),
            }
        }
        rows.status().map_err(self.owner.fault("scan"))
    }
}

impl DatabaseView for RocksView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        self.snapshot.get(key).map_err(self.owner.fault("read"))
    }

    fn visit(
        &self,
        from: &[u8],
        until: &[u8],
        direction: Direction,
        visitor: Visitor<'_>,
    ) -> Result<(), StorageFault> {
        self.walk((from, until), ReadOptions::default(), direction, visitor)
    }

    fn sweep(&self, from: &[u8], until: &[u8], visitor: Visitor<'_>) -> Result<(), StorageFault> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_readahead_size(SWEEP_READAHEAD_BYTES);
        self.walk((from, until), options, Direction::Ascending, visitor)
    }
}
