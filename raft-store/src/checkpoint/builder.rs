//! Making a checkpoint of the state.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use injection::Point;
use openraft::storage::RaftSnapshotBuilder;
use sha2::{Digest, Sha256};

use super::manifest::{CheckpointFile, CheckpointManifest};
use super::shelf::write_manifest;
use super::{CHUNK_BYTES_MAX, Checkpoint, DATA_DIR, directory};
use crate::engine::Disk;
use crate::fault::StorageFault;
use crate::state::StateShared;
use crate::types::{Snapshot, SnapshotMeta, TypeConfig};

/// Makes one checkpoint.
pub struct CheckpointBuilder {
    shared: Arc<StateShared>,
}

impl CheckpointBuilder {
    pub(crate) fn new(shared: Arc<StateShared>) -> Self {
        Self { shared }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for CheckpointBuilder {
    type SnapshotData = Checkpoint;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let breaker = Arc::clone(&self.shared.breaker);
        breaker.pass(Point::BeforeCheckpointBuild).await?;
        let checkpoint = build(&self.shared).await?;
        breaker.pass(Point::AfterCheckpointBuild).await?;
        Ok(Snapshot {
            meta: checkpoint.meta(),
            snapshot: checkpoint,
        })
    }
}

/// Makes a checkpoint of the state as it is. Applying waits only while the files are linked; what
/// that would have to flush is flushed before, and the files are hashed after. On return the state
/// itself is durable up to the checkpoint, so that the log may be purged up to it.
async fn build(shared: &Arc<StateShared>) -> Result<Checkpoint, StorageFault> {
    shared
        .blocking(|shared| shared.generation().database().prepare_export())
        .await?;
    let position = shared.freeze().await;
    if let Some(current) = shared
        .shelf
        .current()
        .filter(|current| current.meta() == position.meta())
    {
        return Ok(current);
    }
    let building = directory(&format!("building-{}", shared.shelf.number()));
    shared
        .blocking(move |shared| {
            let generation = shared.generation();
            shared.disk.remove(&building)?;
            shared.disk.create_dir(&building)?;
            generation.database().export(&building.join(DATA_DIR))?;
            let meta = position.meta();
            drop(position);
            complete(shared, building, generation.number, meta)
        })
        .await
}

/// Describes the exported files and gives the checkpoint its place.
fn complete(
    shared: &StateShared,
    building: PathBuf,
    generation: u64,
    meta: SnapshotMeta,
) -> Result<Checkpoint, StorageFault> {
    let disk = &*shared.disk;
    let files = hash_files(shared, generation, &building.join(DATA_DIR))?;
    let manifest = CheckpointManifest::new(meta, files)
        .map_err(|error| StorageFault::corrupt("describe", disk.locate(&building), error))?;
    write_manifest(disk, &building, generation, &manifest)?;
    let breaker = Arc::clone(&shared.breaker);
    let checkpoint = Checkpoint::new(
        Arc::clone(&shared.disk),
        breaker,
        building,
        generation,
        manifest,
    );
    shared.shelf.keep(&checkpoint)?;
    shared.shelf.replace(&checkpoint);
    Ok(checkpoint)
}

/// Tables that an earlier checkpoint had are not read again: the cost follows the change.
fn hash_files(
    shared: &StateShared,
    generation: u64,
    data: &Path,
) -> Result<Vec<CheckpointFile>, StorageFault> {
    let known = shared.shelf.known_hashes(generation);
    let mut files = Vec::new();
    for name in shared.disk.list(data)? {
        let path = data.join(&name);
        let len = shared.disk.open_file(&path, false)?.len()?;
        let sha256 = match known.get(&(name.clone(), len)) {
            Some(sha256) => *sha256,
            None => hash_file(&*shared.disk, &path)?,
        };
        files.push(CheckpointFile { name, len, sha256 });
    }
    Ok(files)
}

fn hash_file(disk: &dyn Disk, path: &Path) -> Result<[u8; 32], StorageFault> {
    let file = disk.open_file(path, false)?;
    let mut hasher = Sha256::new();
    let mut offset = 0;
    loop {
        let chunk = file.read_at(offset, CHUNK_BYTES_MAX)?;
        if chunk.is_empty() {
            return Ok(hasher.finalize().into());
        }
        offset += chunk.len() as u64;
        hasher.update(&chunk);
    }
}
