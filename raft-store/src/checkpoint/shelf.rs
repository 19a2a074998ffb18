//! Where checkpoints are kept: the newest one that the state has reached, and what others still
//! hold.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::manifest::CheckpointManifest;
use super::{CHECKPOINTS_DIR, Checkpoint, MANIFEST_FILE, complete, directory};
use crate::codec;
use crate::engine::{self, Disk};
use crate::fault::{Breaker, StorageFault};
use crate::types::LogId;

/// A manifest names at most a few thousand files.
const MANIFEST_BYTES_MAX: usize = 4 << 20;

/// A manifest as it is kept on this disk.
#[derive(Serialize, Deserialize)]
struct KeptManifest {
    generation: u64,
    manifest: Vec<u8>,
}

/// The checkpoints of a disk.
pub(crate) struct Shelf {
    disk: Arc<dyn Disk>,
    next: AtomicU64,
    current: Mutex<Option<Checkpoint>>,
    /// What the log followed when this was opened.
    log_follows: Option<LogId>,
}

impl Shelf {
    /// Finds the newest checkpoint that the state has reached and removes all else. One that is
    /// ahead of the state was received, and its installation was interrupted. Told are what the log follows and
    /// what was applied.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        breaker: &Arc<Breaker>,
        (log_follows, applied): (Option<LogId>, Option<LogId>),
    ) -> Result<Self, StorageFault> {
        disk.create_dir(Path::new(CHECKPOINTS_DIR))?;
        let mut next = 1;
        // The newest by what it covers: one that was being made while a newer one was installed has
        // the higher number.
        let mut reached = BTreeMap::new();
        for name in disk.list(Path::new(CHECKPOINTS_DIR))? {
            let Some(number) = name.parse().ok().filter(|number| name == complete(*number)) else {
                disk.remove(&directory(&name))?;
                continue;
            };
            next = next.max(number + 1);
            let checkpoint = read(disk, breaker, &name)?;
            let last = checkpoint.meta().last_log_id;
            if last <= applied {
                reached.insert((last, number), checkpoint);
            } else {
                disk.remove(&directory(&name))?;
            }
        }
        let current = reached.pop_last().map(|(_, checkpoint)| checkpoint);
        for (_, number) in reached.keys() {
            disk.remove(&directory(&complete(*number)))?;
        }
        disk.sync_dir(Path::new(CHECKPOINTS_DIR))?;
        Ok(Self {
            disk: Arc::clone(disk),
            next: AtomicU64::new(next),
            current: Mutex::new(current),
            log_follows,
        })
    }

    /// The newest checkpoint, if the log goes on from it: whoever gets another one asks for entries that are not
    /// here. It stays until a newer one is there.
    pub(crate) fn of_use(&self) -> Option<Checkpoint> {
        let current = self.current()?;
        (current.meta().last_log_id >= self.log_follows).then_some(current)
    }

    /// The newest checkpoint that the state has reached.
    pub(crate) fn current(&self) -> Option<Checkpoint> {
        self.current.lock().clone()
    }

    /// A number that no checkpoint has.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The hashes of those files of the current checkpoint that are the same in any later one
    /// made of the same generation.
    pub(super) fn known_hashes(&self, generation: u64) -> BTreeMap<(String, u64), [u8; 32]> {
        let current = self.current();
        let files = current
            .iter()
            .filter(|current| current.inner.generation == generation);
        files
            .flat_map(|current| current.manifest().files())
            .filter(|file| self.disk.shares(&file.name))
            .map(|file| ((file.name.clone(), file.len), file.sha256))
            .collect()
    }

    /// Gives a complete checkpoint's directory the name that makes it one, durably.
    pub(crate) fn keep(&self, checkpoint: &Checkpoint) -> Result<(), StorageFault> {
        let mut path = checkpoint.inner.directory.lock();
        if path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.parse::<u64>().is_ok())
        {
            return Ok(());
        }
        let target = directory(&complete(self.number()));
        self.disk.rename(&path, &target)?;
        self.disk.sync_dir(Path::new(CHECKPOINTS_DIR))?;
        *path = target;
        // From here on the state may come to stand on it, whatever fails before it is the current
        // one: it no longer goes with its last handle.
        checkpoint.revive();
        Ok(())
    }

    /// Makes a kept checkpoint the current one, if it is newer than that.
    pub(crate) fn replace(&self, checkpoint: &Checkpoint) {
        let mut current = self.current.lock();
        match &*current {
            Some(newer) if newer.meta().last_log_id >= checkpoint.meta().last_log_id => {
                checkpoint.retire()
            }
            _ => {
                checkpoint.revive();
                if let Some(old) = current.replace(checkpoint.clone()) {
                    old.retire();
                }
            }
        }
    }
}

/// Writes a manifest into a checkpoint's directory, durably.
pub(super) fn write_manifest(
    disk: &dyn Disk,
    path: &Path,
    generation: u64,
    manifest: &CheckpointManifest,
) -> Result<(), StorageFault> {
    let mut bytes = codec::encode(&KeptManifest {
        generation,
        manifest: manifest.encode(),
    });
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    engine::replace_file(disk, &path.join(MANIFEST_FILE), &bytes)
}

fn read(
    disk: &Arc<dyn Disk>,
    breaker: &Arc<Breaker>,
    name: &str,
) -> Result<Checkpoint, StorageFault> {
    let path = directory(name);
    let file = path.join(MANIFEST_FILE);
    let corrupt = |reason: String| StorageFault::corrupt("read", disk.locate(&file), reason);
    let bytes = engine::read_file(&**disk, &file, MANIFEST_BYTES_MAX)?;
    let Some((body, checksum)) = bytes.split_last_chunk::<4>() else {
        return Err(corrupt("it is empty".to_owned()));
    };
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(corrupt("its checksum is wrong".to_owned()));
    }
    let kept: KeptManifest = codec::decode(body).map_err(|error| corrupt(error.to_string()))?;
    let manifest =
        CheckpointManifest::decode(&kept.manifest).map_err(|error| corrupt(error.to_string()))?;
    Ok(Checkpoint::new(
        Arc::clone(disk),
        Arc::clone(breaker),
        path,
        kept.generation,
        manifest,
    ))
}
