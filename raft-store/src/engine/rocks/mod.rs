//! The production engine: RocksDB databases and ordinary files under one directory.
//!
//! Which RocksDB options make it keep the port's promises, and bound its memory, stands in
//! [`tuning`]; this file is the directory around the databases.

mod database;
mod files;
mod tuning;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::database::RocksDatabase;
use self::files::RealFile;
use self::tuning::Tuning;
use super::{Database, DatabaseKind, Disk, DiskFile};
use crate::fault::{FaultKind, StorageFault};

/// Files that RocksDB never changes once they are complete, and never gives the name of another
/// one; they may be shared by hard links.
const IMMUTABLE_EXTENSIONS: [&str; 2] = ["sst", "blob"];

/// A directory of the operating system.
pub(crate) struct RocksDisk {
    root: PathBuf,
    tuning: Tuning,
}

impl RocksDisk {
    /// A disk rooted at `root`, which is made if it is absent.
    pub(crate) fn new(root: PathBuf) -> Result<Self, StorageFault> {
        // What is in it is nobody else's business: keys are there as hashes, addresses in clear.
        let created = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&root);
        created.map_err(|error| StorageFault::io("create", &root, &error))?;
        Ok(Self {
            root,
            tuning: Tuning::new(),
        })
    }
}

/// Opens a directory, in order to sync it.
fn sync_directory(path: &Path) -> Result<(), StorageFault> {
    let fail = |error: io::Error| StorageFault::io("sync", path, &error);
    fs::File::open(path).map_err(fail)?.sync_all().map_err(fail)
}

impl Disk for RocksDisk {
    fn locate(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    fn inline(&self) -> bool {
        false
    }

    fn create_dir(&self, path: &Path) -> Result<(), StorageFault> {
        let path = self.locate(path);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other.map_err(|error| StorageFault::io("create", &path, &error)),
        }
    }

    fn list(&self, path: &Path) -> Result<Vec<String>, StorageFault> {
        let path = self.locate(path);
        let fail = |error: io::Error| StorageFault::io("list", &path, &error);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(fail)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(
                entry
                    .map_err(fail)?
                    .file_name()
                    .to_string_lossy()
                    .into_owned(),
            );
        }
        names.sort();
        Ok(names)
    }

    fn remove(&self, path: &Path) -> Result<(), StorageFault> {
        let path = self.locate(path);
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(|error| StorageFault::io("remove", &path, &error)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageFault> {
        let from = self.locate(from);
        fs::rename(&from, self.locate(to))
            .map_err(|error| StorageFault::io("rename", &from, &error))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), StorageFault> {
        sync_directory(&self.locate(path))
    }

    fn open_file(&self, path: &Path, create: bool) -> Result<Box<dyn DiskFile>, StorageFault> {
        Ok(Box::new(RealFile::open(self.locate(path), create)?))
    }

    fn open_database(
        &self,
        path: &Path,
        kind: DatabaseKind,
        create: bool,
    ) -> Result<Arc<dyn Database>, StorageFault> {
        let path = self.locate(path);
        let current = path.join("CURRENT");
        if !create && !current.exists() {
            let reason = "the database is not there";
            return Err(StorageFault::new(
                FaultKind::Missing,
                "open",
                &current,
                reason,
            ));
        }
        Ok(Arc::new(RocksDatabase::open(
            self.root.clone(),
            path,
            kind,
            &self.tuning.options(kind),
        )?))
    }

    fn shares(&self, name: &str) -> bool {
        let extension = Path::new(name).extension();
        extension.is_some_and(|extension| {
            IMMUTABLE_EXTENSIONS
                .iter()
                .any(|immutable| extension == *immutable)
        })
    }

    fn adopt(&self, from: &Path, into: &Path) -> Result<(), StorageFault> {
        let (source, target) = (self.locate(from), self.locate(into));
        fs::create_dir(&target).map_err(|error| StorageFault::io("create", &target, &error))?;
        for name in self.list(from)? {
            let (source, target) = (source.join(&name), target.join(&name));
            if self.shares(&name) {
                fs::hard_link(&source, &target)
                    .map_err(|error| StorageFault::io("link", &source, &error))?;
            } else {
                fs::copy(&source, &target)
                    .map_err(|error| StorageFault::io("copy", &source, &error))?;
                RealFile::open(target, false)?.sync()?;
            }
        }
        sync_directory(&target)
    }
}
