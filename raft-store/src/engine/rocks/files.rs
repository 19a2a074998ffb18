//! Ordinary files, read and written at offsets.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::engine::DiskFile;
use crate::fault::StorageFault;

/// A file of the operating system.
pub(super) struct RealFile {
    path: PathBuf,
    file: File,
}

impl RealFile {
    pub(super) fn open(path: PathBuf, create: bool) -> Result<Self, StorageFault> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .open(&path);
        match opened {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(StorageFault::io("open", &path, &error)),
        }
    }

    fn fault(&self, operation: &'static str) -> impl Fn(io::Error) -> StorageFault {
        move |error| StorageFault::io(operation, &self.path, &error)
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, max: usize) -> Result<Vec<u8>, StorageFault> {
        let available = usize::try_from(self.len()?.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; max.min(available)];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(self.fault("read"))?;
        Ok(bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageFault> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(self.fault("write"))
    }

    fn sync(&self) -> Result<(), StorageFault> {
        self.file.sync_all().map_err(self.fault("sync"))
    }

    fn len(&self) -> Result<u64, StorageFault> {
        Ok(self.file.metadata().map_err(self.fault("measure"))?.len())
    }
}
