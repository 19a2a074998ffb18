//! The folder of a backup. What is written is on the disk when it is said to be, and nobody but its owner
//! can read it; a manifest appears whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::BackupError;
use super::manifest::{MANIFEST_BYTES_MAX, MANIFEST_FILE};

/// A folder.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes an empty folder, or takes one that is empty.
    pub(super) fn make(path: &Path) -> Result<Self, BackupError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(BackupError::file(path))?;
        let mut names = fs::read_dir(path).map_err(BackupError::file(path))?;
        if names.next().is_some() {
            return Err(BackupError::Refused(format!(
                "{} is not empty: a backup is written into a folder of its own",
                path.display()
            )));
        }
        if let Some(parent) = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            sync(parent)?;
        }
        Ok(Self(path.to_owned()))
    }

    /// A folder that is there.
    pub(super) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file that is not there yet.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(BackupError::file(&path))?;
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(BackupError::file(&path))
    }

    /// Writes the manifest, once all else is on the disk.
    pub(super) fn complete(&self, manifest: &[u8]) -> Result<(), BackupError> {
        let beside = format!("{MANIFEST_FILE}.new");
        self.write(&beside, manifest)?;
        sync(&self.0)?;
        let path = self.path(MANIFEST_FILE);
        fs::rename(self.path(&beside), &path).map_err(BackupError::file(&path))?;
        sync(&self.0)
    }

    /// Removes files, and the folder if nothing is left in it.
    pub(super) fn discard<'a>(&self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            if let Err(error) = fs::remove_file(self.path(name)) {
                tracing::warn!(%error, name, "a part of a backup that broke off stays");
            }
        }
        // It is there only if a disk refused at the very end.
        let _ = fs::remove_file(self.path(&format!("{MANIFEST_FILE}.new")));
        // What is not empty stays.
        let _ = fs::remove_dir(&self.0);
    }

    /// The manifest's bytes.
    pub(super) fn manifest(&self) -> Result<Vec<u8>, BackupError> {
        let path = self.path(MANIFEST_FILE);
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(BackupError::damaged(
                    &path,
                    "it is missing, so this is no backup, or one that was never finished",
                ));
            }
            opened => opened.map_err(BackupError::file(&path))?,
        };
        read(file, &path, MANIFEST_BYTES_MAX)
    }

    /// An object that is `length` bytes long.
    pub(super) fn object(&self, name: &str, length: u64) -> Result<Vec<u8>, BackupError> {
        let path = self.path(name);
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(BackupError::damaged(&path, "it is missing"));
            }
            opened => opened.map_err(BackupError::file(&path))?,
        };
        let bytes = read(file, &path, length)?;
        if bytes.len() as u64 != length {
            let what = format!("it has {} bytes instead of {length}", bytes.len());
            return Err(BackupError::damaged(&path, what));
        }
        Ok(bytes)
    }
}

/// All of a file, if it is not longer than that.
fn read(file: File, path: &Path, max: u64) -> Result<Vec<u8>, BackupError> {
    let mut bytes = Vec::new();
    let mut bounded = file.take(max + 1);
    bounded
        .read_to_end(&mut bytes)
        .map_err(BackupError::file(path))?;
    if bytes.len() as u64 > max {
        let what = format!("it has more than {max} bytes");
        return Err(BackupError::damaged(path, what));
    }
    Ok(bytes)
}

/// Makes the names in a folder durable.
fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(BackupError::file(path))
}
