//! Raft's own snapshots, which this project calls checkpoints: the whole state at one log id, as
//! files.
//!
//! ```text
//! checkpoints/<n>/manifest      what the checkpoint covers; its files with their SHA-256
//! checkpoints/<n>/data/         the files: for RocksDB, hard links to the state's tables
//! checkpoints/building-<n>/     one being made           } removed by the next
//! checkpoints/receiving-<n>/    one being received       } start if left over
//! ```
//!
//! A checkpoint is complete when it has its number as name; that rename is the last step of making
//! one. One is kept, the newest that the state has reached; older ones go when nobody sends them
//! any more.

mod builder;
mod manifest;
mod receiver;
mod shelf;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

pub use builder::CheckpointBuilder;
pub use manifest::{CheckpointFile, CheckpointManifest, ManifestError};
pub use receiver::{CheckpointReceiver, Checkpoints, ReceiveError};
pub(crate) use shelf::Shelf;

use crate::engine::{Disk, DiskFile};
use crate::fault::{Breaker, FaultKind, StorageFault};
use crate::types::SnapshotMeta;

/// The most that is read or received at once: large enough to be worth a message, small enough to
/// be buffered for each of a few members.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;

/// A complete checkpoint. Clones are the same one; it stays on disk while there is one.
#[derive(Clone)]
pub struct Checkpoint {
    inner: Arc<Inner>,
}

struct Inner {
    disk: Arc<dyn Disk>,
    breaker: Arc<Breaker>,
    /// It moves once: when a received one is kept.
    directory: Mutex<PathBuf>,
    /// The generation of the state that it was made of; 0 if it was received.
    generation: u64,
    manifest: CheckpointManifest,
    /// Nothing depends on it any more but these handles.
    obsolete: AtomicBool,
    /// The file that was read last, since chunks are read one after the other.
    open: Mutex<Option<(usize, Box<dyn DiskFile>)>>,
}

impl Checkpoint {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        breaker: Arc<Breaker>,
        directory: PathBuf,
        generation: u64,
        manifest: CheckpointManifest,
    ) -> Self {
        let inner = Inner {
            disk,
            breaker,
            directory: Mutex::new(directory),
            generation,
            manifest,
            obsolete: AtomicBool::new(false),
            open: Mutex::new(None),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// What it covers and which files it has.
    #[must_use]
    pub fn manifest(&self) -> &CheckpointManifest {
        &self.inner.manifest
    }

    /// What it covers, in openraft's words.
    #[must_use]
    pub fn meta(&self) -> SnapshotMeta {
        self.inner.manifest.meta()
    }

    /// Up to `max` bytes, and never more than [`CHUNK_BYTES_MAX`], of the file with this position
    /// in the manifest; nothing at its end.
    ///
    /// # Errors
    /// When the disk refuses, or there is no such file.
    pub fn read_chunk(
        &self,
        file: usize,
        offset: u64,
        max: usize,
    ) -> Result<Vec<u8>, StorageFault> {
        let inner = &*self.inner;
        inner.breaker.check()?;
        let Some(wanted) = inner.manifest.files().get(file) else {
            let reason = format!(
                "it has {} files, and number {file} was asked for",
                inner.manifest.files().len()
            );
            return Err(StorageFault::new(
                FaultKind::Missing,
                "read a file of",
                self.data_path(),
                reason,
            ));
        };
        inner.breaker.run(|| {
            let mut open = inner.open.lock();
            if open.as_ref().is_none_or(|(number, _)| *number != file) {
                *open = Some((
                    file,
                    inner
                        .disk
                        .open_file(&self.data_path().join(&wanted.name), false)?,
                ));
            }
            match &*open {
                Some((_, reader)) => reader.read_at(offset, max.min(CHUNK_BYTES_MAX)),
                None => Ok(Vec::new()),
            }
        })
    }

    pub(crate) fn data_path(&self) -> PathBuf {
        self.inner.directory.lock().join(DATA_DIR)
    }

    fn is_on(&self, disk: &Arc<dyn Disk>) -> bool {
        Arc::ptr_eq(&self.inner.disk, disk)
    }

    fn retire(&self) {
        self.inner.obsolete.store(true, Ordering::Relaxed);
    }

    fn revive(&self) {
        self.inner.obsolete.store(false, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Checkpoint")
            .field("directory", &*self.inner.directory.lock())
            .field("manifest", &self.inner.manifest)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        *self.open.lock() = None;
        if self.obsolete.load(Ordering::Relaxed)
            && let Err(fault) = self.disk.remove(&self.directory.lock())
        {
            // Nothing depends on it: the next start removes what is left over.
            tracing::debug!(%fault, "an obsolete checkpoint stays until the next start");
        }
    }
}

/// The checkpoints' directory in the data directory.
const CHECKPOINTS_DIR: &str = "checkpoints";
/// The files of a checkpoint, in its directory.
const DATA_DIR: &str = "data";
/// What a checkpoint covers, in its directory.
const MANIFEST_FILE: &str = "manifest";

fn directory(name: &str) -> PathBuf {
    Path::new(CHECKPOINTS_DIR).join(name)
}

/// The name of the complete checkpoint with a number.
fn complete(number: u64) -> String {
    format!("{number:020}")
}
