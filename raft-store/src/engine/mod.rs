//! The storage-engine port: what the log store and the state machine ask of a disk, and what they
//! may rely on.
//!
//! Two engines stand behind it: [`rocks`] for production and [`sim`] for simulations. Everything
//! above this module is the same code on both, and one conformance suite (`conformance.rs`) runs
//! on both. All paths are relative to the disk's root.
//!
//! # What every engine guarantees
//!
//! | call | on return | after a crash |
//! |---|---|---|
//! | [`Database::write`] | the whole batch is visible to later reads, or none of it | all or nothing of the batch; if it survived, so did every earlier batch on this database |
//! | [`Database::sync`] | | every batch written before the call survives |
//! | [`Database::export`] | the files hold exactly what was visible at the call, and nothing written later | files and database survive |
//! | [`DiskFile::write_at`] | visible to later reads | any mixture of old and new 512-byte blocks |
//! | [`DiskFile::sync`] | | the content survives; the file's *name* only after [`Disk::sync_dir`] |
//! | [`Disk::rename`] | the new name has replaced what was there, atomically | either the old names or the new ones; the new ones for sure only after [`Disk::sync_dir`] |
//! | [`Disk::adopt`] | the directory can be opened as a database with the exported rows | files survive, their directory's name only after [`Disk::sync_dir`] on its parent |
//!
//! # What no engine guarantees
//!
//! A failed write or sync may or may not have taken effect, and trying again proves nothing: the
//! caller stops (see [`crate::fault`]). A database whose log was cut or deleted behind the
//! engine's back may open as if it had never been longer; the high-water mark in [`crate::log`]
//! exists for that reason.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::rows::Row;

use crate::fault::{FaultKind, StorageFault};

#[cfg(test)]
mod conformance;
pub(crate) mod rocks;
pub(crate) mod sim;

/// What a database is for; engines tune by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DatabaseKind {
    /// The Raft log: every group of writes is synced, and damage before the tail refuses to open.
    Log,
    /// The applied state: a consistent prefix is enough, since the log replays the rest.
    State,
}

/// A place for databases and files.
pub(crate) trait Disk: Send + Sync + 'static {
    /// The path as a person would look for it.
    fn locate(&self, path: &Path) -> std::path::PathBuf;

    /// Whether everything has to happen on the caller's thread, as simulations need it.
    fn inline(&self) -> bool;

    /// Makes a directory; there may be one already. The parent has to be there.
    fn create_dir(&self, path: &Path) -> Result<(), StorageFault>;

    /// The names in a directory, ascending; none if there is no directory.
    fn list(&self, path: &Path) -> Result<Vec<String>, StorageFault>;

    /// Removes a file, or a directory with all that it holds; what is absent is fine.
    fn remove(&self, path: &Path) -> Result<(), StorageFault>;

    /// Gives a file or directory a new name, replacing a file that has it.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageFault>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> Result<(), StorageFault>;

    /// Opens a file for reading and writing. Without `create`, an absent one is a fault of kind
    /// [`FaultKind::Missing`].
    fn open_file(&self, path: &Path, create: bool) -> Result<Box<dyn DiskFile>, StorageFault>;

    /// Opens a database. Without `create`, an absent one is a fault of kind
    /// [`FaultKind::Missing`]. A database is opened once at a time.
    fn open_database(
        &self,
        path: &Path,
        kind: DatabaseKind,
        create: bool,
    ) -> Result<Arc<dyn Database>, StorageFault>;

    /// Whether two files of this name and length, exported from the same database, always have the
    /// same content.
    fn shares(&self, name: &str) -> bool;

    /// Makes the new directory `into` hold a state database with the rows that were exported to
    /// `from`, without changing or depending on `from`.
    fn adopt(&self, from: &Path, into: &Path) -> Result<(), StorageFault>;
}

/// A file that is read and written at offsets.
pub(crate) trait DiskFile: Send + Sync {
    /// Up to `max` bytes from `offset`; fewer only at the end.
    fn read_at(&self, offset: u64, max: usize) -> Result<Vec<u8>, StorageFault>;

    /// Writes at `offset`, growing the file where needed.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageFault>;

    /// Makes the content durable.
    fn sync(&self) -> Result<(), StorageFault>;

    /// How long the file is.
    fn len(&self) -> Result<u64, StorageFault>;
}

/// An ordered map of byte strings.
pub(crate) trait Database: Send + Sync + 'static {
    /// Applies a batch atomically.
    fn write(&self, batch: Batch) -> Result<(), StorageFault>;

    /// Makes everything durable that was written before.
    fn sync(&self) -> Result<(), StorageFault>;

    /// The rows as they are now, whatever is written later.
    fn view(&self) -> Box<dyn DatabaseView + '_>;

    /// Does ahead what would make the next [`Database::export`] long. Changes nothing that can be
    /// seen.
    fn prepare_export(&self) -> Result<(), StorageFault>;

    /// Writes all rows as files into the new directory `into`, and makes them and this database
    /// durable.
    fn export(&self, into: &Path) -> Result<(), StorageFault>;

    /// How long a sync takes on a simulated disk that is slow. Who syncs inline waits that long
    /// before it syncs; on a real disk the sync itself takes its time.
    fn sync_takes(&self) -> Duration {
        Duration::ZERO
    }

    /// How often this database was written and synced since it was opened.
    fn statistics(&self) -> Statistics;

    /// How the engine stands, where it has something to say of itself.
    fn standing(&self) -> Standing {
        Standing::default()
    }
}

/// Which way to walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

/// What [`DatabaseView::visit`] calls for each row.
pub(crate) type Visitor<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// A consistent view of a database.
pub(crate) trait DatabaseView: Send + Sync {
    /// The value at `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault>;

    /// Shows the rows with `from <= key < until` to `visitor` until it breaks off.
    fn visit(
        &self,
        from: &[u8],
        until: &[u8],
        direction: Direction,
        visitor: Visitor<'_>,
    ) -> Result<(), StorageFault>;

    /// Shows the rows with `from <= key < until` to `visitor` in ascending order until it breaks off, as whoever reads all of
    /// them once wants it: what is read from the disk takes no other rows' place in a cache.
    fn sweep(&self, from: &[u8], until: &[u8], visitor: Visitor<'_>) -> Result<(), StorageFault> {
        self.visit(from, until, Direction::Ascending, visitor)
    }

    /// Up to `limit` rows with `from <= key < until`.
    fn scan(
        &self,
        from: &[u8],
        until: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, StorageFault> {
        let mut rows = Vec::new();
        if limit == 0 {
            return Ok(rows);
        }
        self.visit(from, until, direction, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            if rows.len() < limit {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        Ok(rows)
    }
}

/// Writes that take effect together, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) operations: Vec<Operation>,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    /// From the first key, inclusive, to the second, exclusive; nothing if they are reversed.
    DeleteRange(Vec<u8>, Vec<u8>),
}

impl Batch {
    pub(crate) fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.operations
            .push(Operation::Put(key.into(), value.into()));
    }

    pub(crate) fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.operations.push(Operation::Delete(key.into()));
    }

    pub(crate) fn delete_range(&mut self, from: impl Into<Vec<u8>>, until: impl Into<Vec<u8>>) {
        self.operations
            .push(Operation::DeleteRange(from.into(), until.into()));
    }
}

/// Upper bounds of the histogram of sync times, in microseconds: a fast disk takes a tenth of a
/// millisecond, a disk that takes a second is broken.
pub const SYNC_BOUNDS_US: [u64; 12] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000,
];

/// How a database's engine stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Bytes of table files that are in use.
    pub table_bytes: u64,
    /// Bytes in write buffers.
    pub write_buffer_bytes: u64,
    /// Bytes in the block cache, which a node's databases share.
    pub block_cache_bytes: u64,
    /// How many rows there are, as far as the engine can guess.
    pub rows: u64,
    /// Bytes that compaction has yet to rewrite.
    pub compaction_pending_bytes: u64,
    /// Compactions and flushes under way.
    pub background_jobs: u64,
    /// Files of the uppermost level, which each read may have to look into.
    pub level0_files: u64,
    /// Whether writes wait for flushes or compactions.
    pub writes_stopped: bool,
    /// Errors of flushes and compactions.
    pub background_errors: u64,
    /// How many syncs took up to each of [`SYNC_BOUNDS_US`], and beyond, each counted once.
    pub sync_times: [u64; SYNC_BOUNDS_US.len() + 1],
    /// How long all syncs took together.
    pub sync_micros: u64,
}

/// How often something was written and synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Batches or file writes.
    pub writes: u64,
    /// Syncs of databases or files.
    pub syncs: u64,
}

/// Reads a whole file that is at most `max` bytes long.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path, max: usize) -> Result<Vec<u8>, StorageFault> {
    let file = disk.open_file(path, false)?;
    let len = file.len()?;
    if len > max as u64 {
        let reason = format!("it has {len} bytes, and {max} are the most that can be");
        return Err(StorageFault::corrupt("read", disk.locate(path), reason));
    }
    file.read_at(0, max)
}

/// Replaces a file as a whole: written beside, synced, renamed, and the name synced. After a crash
/// the file is the old one or the new one.
pub(crate) fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), StorageFault> {
    let beside = path.with_extension("new");
    disk.remove(&beside)?;
    let file = disk.open_file(&beside, true)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    drop(file);
    disk.rename(&beside, path)?;
    disk.sync_dir(path.parent().unwrap_or_else(|| Path::new("")))
}

/// Whether a file is there.
pub(crate) fn file_exists(disk: &dyn Disk, path: &Path) -> Result<bool, StorageFault> {
    match disk.open_file(path, false) {
        Ok(_) => Ok(true),
        Err(fault) if fault.kind == FaultKind::Missing => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Runs `work` where it may block: on a thread for that, or right here on a disk that wants
/// everything inline.
pub(crate) async fn blocking<T: Send + 'static>(
    inline: bool,
    work: impl FnOnce() -> Result<T, StorageFault> + Send + 'static,
) -> Result<T, StorageFault> {
    if inline {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            let kind = FaultKind::Io(std::io::ErrorKind::Other);
            Err(StorageFault::new(kind, "finish work on", "the disk", error))
        }
    }
}
