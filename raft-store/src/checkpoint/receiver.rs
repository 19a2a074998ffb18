//! Receiving a checkpoint: staged in a directory of its own, every file checked against the
//! manifest, everything synced before it counts as one.
//!
//! How chunks travel is the caller's matter. What a sender does wrong is told apart from what the
//! disk does wrong: the first is the sender's problem, the second ends this node.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use injection::Point;
use sha2::{Digest, Sha256};

use super::manifest::{CheckpointFile, CheckpointManifest};
use super::shelf::write_manifest;
use super::{CHECKPOINTS_DIR, CHUNK_BYTES_MAX, Checkpoint, DATA_DIR, Shelf, directory};
use crate::engine::{Disk, DiskFile, blocking};
use crate::fault::{Breaker, StorageFault};

/// Why a checkpoint was not received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// What was sent is not what was announced.
    #[error("the checkpoint was not received: {0}")]
    Protocol(String),
    /// The disk refused; the process is being told.
    #[error(transparent)]
    Storage(#[from] StorageFault),
}

impl From<ReceiveError> for std::io::Error {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Protocol(_) => Self::new(std::io::ErrorKind::InvalidData, error),
            ReceiveError::Storage(fault) => fault.into(),
        }
    }
}

/// Receives checkpoints.
#[derive(Clone)]
pub struct Checkpoints {
    disk: Arc<dyn Disk>,
    breaker: Arc<Breaker>,
    shelf: Arc<Shelf>,
}

impl Checkpoints {
    pub(crate) fn new(disk: Arc<dyn Disk>, breaker: Arc<Breaker>, shelf: Arc<Shelf>) -> Self {
        Self {
            disk,
            breaker,
            shelf,
        }
    }

    /// Gets ready for the files of a manifest.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn begin(&self, manifest: CheckpointManifest) -> Result<CheckpointReceiver, ReceiveError> {
        let path = directory(&format!("receiving-{}", self.shelf.number()));
        self.breaker.run(|| {
            self.disk.remove(&path)?;
            self.disk.create_dir(&path)?;
            self.disk.create_dir(&path.join(DATA_DIR))
        })?;
        let stage = Stage {
            disk: Arc::clone(&self.disk),
            path,
            complete: false,
        };
        Ok(CheckpointReceiver {
            breaker: Arc::clone(&self.breaker),
            stage,
            manifest,
            done: 0,
            current: None,
        })
    }

    /// The checkpoint on this disk: itself, or a copy if it lies on another one.
    pub(crate) async fn localise(
        &self,
        checkpoint: Checkpoint,
    ) -> Result<Checkpoint, ReceiveError> {
        if checkpoint.is_on(&self.disk) {
            return Ok(checkpoint);
        }
        let mut receiver = self.begin(checkpoint.manifest().clone())?;
        for (number, file) in checkpoint.manifest().files().iter().enumerate() {
            let mut offset = 0;
            while offset < file.len {
                let chunk = checkpoint.read_chunk(number, offset, CHUNK_BYTES_MAX)?;
                if chunk.is_empty() {
                    return Err(ReceiveError::Protocol(format!(
                        "{} ends at {offset}",
                        file.name
                    )));
                }
                receiver.write_chunk(number, offset, &chunk)?;
                offset += chunk.len() as u64;
            }
        }
        receiver.finish().await
    }
}

/// Receives one checkpoint. Dropped before it is finished, it removes what it received.
pub struct CheckpointReceiver {
    breaker: Arc<Breaker>,
    stage: Stage,
    manifest: CheckpointManifest,
    /// So many files are complete.
    done: usize,
    current: Option<Incoming>,
}

/// The directory in which a checkpoint is put together.
struct Stage {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    complete: bool,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.complete
            && let Err(fault) = self.disk.remove(&self.path)
        {
            tracing::debug!(%fault, "a checkpoint that was not received stays until the next start");
        }
    }
}

/// The file that is being received.
struct Incoming {
    file: Box<dyn DiskFile>,
    received: u64,
    hasher: Sha256,
}

impl CheckpointReceiver {
    /// The next bytes of a file: files come in the manifest's order, each from its beginning to
    /// its end.
    ///
    /// # Errors
    /// When they are out of order, too many, or end in a file with another hash than announced;
    /// or when the disk refuses.
    pub fn write_chunk(
        &mut self,
        file: usize,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), ReceiveError> {
        self.complete_empty_files()?;
        let Some(expected) = self.manifest.files().get(self.done).cloned() else {
            return Err(ReceiveError::Protocol(format!(
                "file {file} comes after the last one"
            )));
        };
        let received = self
            .current
            .as_ref()
            .map_or(0, |incoming| incoming.received);
        if file != self.done || offset != received {
            let reason = format!(
                "byte {offset} of file {file} came instead of byte {received} of file {}",
                self.done
            );
            return Err(ReceiveError::Protocol(reason));
        }
        if bytes.len() > CHUNK_BYTES_MAX || received + bytes.len() as u64 > expected.len {
            return Err(ReceiveError::Protocol(format!(
                "{} bytes are too many for {}",
                bytes.len(),
                expected.name
            )));
        }
        let breaker = Arc::clone(&self.breaker);
        breaker.hit(Point::BeforeCheckpointChunk)?;
        breaker.run(|| self.store(&expected, bytes))?;
        self.complete_if_full(&expected)?;
        Ok(breaker.hit(Point::AfterCheckpointChunk)?)
    }

    /// Checks that everything came, and makes it durable.
    ///
    /// # Errors
    /// When something is missing; or when the disk refuses.
    pub async fn finish(mut self) -> Result<Checkpoint, ReceiveError> {
        self.complete_empty_files()?;
        if self.done < self.manifest.files().len() {
            let (came, all) = (self.done, self.manifest.files().len());
            return Err(ReceiveError::Protocol(format!(
                "{came} of {all} files came"
            )));
        }
        let inline = self.stage.disk.inline();
        Ok(blocking(inline, move || {
            Arc::clone(&self.breaker).run(|| self.seal())
        })
        .await?)
    }

    fn open(&self, file: &CheckpointFile) -> Result<Incoming, StorageFault> {
        let path = self.stage.path.join(DATA_DIR).join(&file.name);
        Ok(Incoming {
            file: self.stage.disk.open_file(&path, true)?,
            received: 0,
            hasher: Sha256::new(),
        })
    }

    fn store(&mut self, file: &CheckpointFile, bytes: &[u8]) -> Result<(), StorageFault> {
        if self.current.is_none() {
            self.current = Some(self.open(file)?);
        }
        if let Some(incoming) = &mut self.current {
            incoming.file.write_at(incoming.received, bytes)?;
            incoming.received += bytes.len() as u64;
            incoming.hasher.update(bytes);
        }
        Ok(())
    }

    fn complete_if_full(&mut self, file: &CheckpointFile) -> Result<(), ReceiveError> {
        let Some(incoming) = self
            .current
            .take_if(|incoming| incoming.received == file.len)
        else {
            return Ok(());
        };
        let hash: [u8; 32] = incoming.hasher.finalize().into();
        if hash != file.sha256 {
            return Err(ReceiveError::Protocol(format!(
                "{} has another hash than announced",
                file.name
            )));
        }
        self.breaker.run(|| incoming.file.sync())?;
        self.done += 1;
        Ok(())
    }

    /// Nothing comes for an empty file, so it is complete when its turn comes.
    fn complete_empty_files(&mut self) -> Result<(), ReceiveError> {
        while let Some(file) = self
            .manifest
            .files()
            .get(self.done)
            .filter(|file| file.len == 0)
            .cloned()
        {
            let breaker = Arc::clone(&self.breaker);
            breaker.run(|| self.store(&file, &[]))?;
            self.complete_if_full(&file)?;
        }
        Ok(())
    }

    fn seal(mut self) -> Result<Checkpoint, StorageFault> {
        let (disk, path) = (Arc::clone(&self.stage.disk), self.stage.path.clone());
        disk.sync_dir(&path.join(DATA_DIR))?;
        write_manifest(&*disk, &path, 0, &self.manifest)?;
        disk.sync_dir(Path::new(CHECKPOINTS_DIR))?;
        self.stage.complete = true;
        let checkpoint = Checkpoint::new(
            disk,
            Arc::clone(&self.breaker),
            path,
            0,
            self.manifest.clone(),
        );
        // Until it is installed nothing depends on it.
        checkpoint.retire();
        Ok(checkpoint)
    }
}
