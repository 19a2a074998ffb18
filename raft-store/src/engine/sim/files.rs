//! The content of simulated files.

use std::path::{Path, PathBuf};

use rand::Rng;

use super::Life;
use super::names::pick;
use crate::engine::DiskFile;
use crate::fault::StorageFault;

/// A file as it is now, and as it was last synced.
#[derive(Default)]
pub(super) struct FileBody {
    current: Vec<u8>,
    durable: Vec<u8>,
}

impl FileBody {
    pub(super) fn read(&self, offset: u64, max: usize) -> Vec<u8> {
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.current.len());
        self.current[start..self.current.len().min(start.saturating_add(max))].to_vec()
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let start = usize::try_from(offset).expect("a simulated file fits into memory");
        let end = start + bytes.len();
        if self.current.len() < end {
            self.current.resize(end, 0);
        }
        self.current[start..end].copy_from_slice(bytes);
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.current);
    }

    pub(super) fn len(&self) -> u64 {
        self.current.len() as u64
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.current
    }

    /// Each block of `block_bytes`, which a disk writes or does not write as one, is the old one or
    /// the new one, and so is the length. Answers whether anything had not been synced.
    pub(super) fn crash(&mut self, rng: &mut impl Rng, block_bytes: usize) -> bool {
        if self.current == self.durable {
            return false;
        }
        let len = if pick(rng, 1) == 0 {
            self.durable.len()
        } else {
            self.current.len()
        };
        let mut torn = self.durable.clone();
        torn.resize(len, 0);
        for (number, block) in torn.chunks_mut(block_bytes).enumerate() {
            if pick(rng, 1) == 0 {
                continue;
            }
            let start = number * block_bytes;
            for (index, byte) in block.iter_mut().enumerate() {
                *byte = self.current.get(start + index).copied().unwrap_or(0);
            }
        }
        self.durable = torn;
        self.current.clone_from(&self.durable);
        true
    }

    pub(super) fn flip(&mut self, offset: usize, mask: u8) -> bool {
        if let Some(byte) = self.durable.get_mut(offset) {
            *byte ^= mask;
        }
        let byte = self.current.get_mut(offset);
        byte.map(|byte| *byte ^= mask).is_some()
    }
}

/// An open file.
pub(super) struct SimFile {
    pub(super) life: Life,
    pub(super) path: PathBuf,
    pub(super) id: u64,
}

impl SimFile {
    fn path(&self) -> &Path {
        &self.path
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, max: usize) -> Result<Vec<u8>, StorageFault> {
        self.life.with("read", self.path(), |world| {
            world.faults.on_read(&self.path)?;
            Ok(world.file(self.id).read(offset, max))
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageFault> {
        self.life.with("write", self.path(), |world| {
            world.writing("write", &self.path)?;
            world.file(self.id).write(offset, bytes);
            Ok(())
        })
    }

    fn sync(&self) -> Result<(), StorageFault> {
        self.life.with("sync", self.path(), |world| {
            world.syncing(&self.path)?;
            world.file(self.id).sync();
            Ok(())
        })
    }

    fn len(&self) -> Result<u64, StorageFault> {
        self.life.with("measure", self.path(), |world| {
            Ok(world.file(self.id).len())
        })
    }
}
