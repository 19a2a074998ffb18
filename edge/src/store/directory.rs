//! The disk as the store uses it: one flat directory of small files. Production has a real one;
//! the simulation and the tests have [`MemoryDirectory`](super::MemoryDirectory), which forgets
//! at a crash what was not synced.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use platform::SystemEntropy;

use super::{SealedDirectory, StoreKey};

/// A flat directory.
pub trait Directory: Send + Sync + 'static {
    /// The names of all files, in no order that means anything.
    ///
    /// # Errors
    /// When the directory cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Up to `length` bytes from `offset`; fewer only where the file ends.
    ///
    /// # Errors
    /// When there is no such file or it cannot be read.
    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Makes or replaces a file. On return its content is durable; that the directory names it
    /// is durable only after [`Self::sync`]. After an error the file may hold anything.
    ///
    /// # Errors
    /// When there is no room, or the disk fails.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Renames a file in one step, durable after [`Self::sync`].
    ///
    /// # Errors
    /// When there is no such file or the disk fails.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; whether a crash brings it back is open until [`Self::sync`].
    ///
    /// # Errors
    /// When there is no such file or the disk fails.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes durable which names there are.
    ///
    /// # Errors
    /// When the disk fails.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of the operating system, which one process at a time may have.
#[derive(Debug)]
pub struct DiskDirectory {
    path: PathBuf,
    /// Held as long as the directory is open; the operating system gives it up with the process.
    _lock: File,
}

const LOCK: &str = "lock";

impl DiskDirectory {
    /// Opens `path`, which is made if it is not there, for this process alone.
    ///
    /// # Errors
    /// When it cannot be made or another process has it.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)?;
        let lock = private_file(&path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another process uses this directory",
            )),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DiskDirectory {
    /// Seals what is written to it from now on. What another one is for does not open in this one.
    #[must_use]
    pub fn sealed(self, key: &StoreKey, purpose: &'static str) -> SealedDirectory {
        SealedDirectory::new(Box::new(self), key, purpose, Arc::new(SystemEntropy))
    }
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

impl Directory for DiskDirectory {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names
            .filter(|name| !matches!(name, Ok(name) if name == LOCK))
            .collect()
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path.join(name))?;
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            let at = offset + u64::try_from(filled).unwrap_or(u64::MAX);
            match file.read_at(&mut bytes[filled..], at) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = private_file(&self.path.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}
