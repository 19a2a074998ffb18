//! That something was begun on this disk after which it is another one: a backup is being restored into it,
//! or what it holds is made a cluster of its own. Until that is finished no node may start on it.

use std::fmt;
use std::path::Path;

use crate::engine::{self, Disk};
use crate::fault::StorageFault;
use crate::open::OpenError;

/// The file's name in the data directory.
pub(crate) const FILE: &str = "unfinished";

const RESTORE: &[u8] = b"VGUF\x01restore\n";
const RECOVERY: &[u8] = b"VGUF\x01recovery\n";

/// More than either of the two.
const BYTES_MAX: usize = 64;

/// What was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undertaking {
    /// A backup is restored.
    Restore,
    /// A cluster is made of what one member had.
    Recovery,
}

impl fmt::Display for Undertaking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restore => "the restore of a backup",
            Self::Recovery => "the recovery of a cluster",
        })
    }
}

/// What was begun here and not finished.
pub(crate) fn found(disk: &dyn Disk) -> Result<Option<Undertaking>, StorageFault> {
    let path = Path::new(FILE);
    if !engine::file_exists(disk, path)? {
        return Ok(None);
    }
    match &engine::read_file(disk, path, BYTES_MAX)?[..] {
        RESTORE => Ok(Some(Undertaking::Restore)),
        RECOVERY => Ok(Some(Undertaking::Recovery)),
        other => {
            let reason = format!("it says {other:?}");
            Err(StorageFault::corrupt("read", disk.locate(path), reason))
        }
    }
}

/// Fails where something is unfinished.
pub(crate) fn refuse(disk: &dyn Disk) -> Result<(), OpenError> {
    match found(disk)? {
        None => Ok(()),
        Some(undertaking) => Err(OpenError::Unfinished {
            path: disk.locate(Path::new(FILE)),
            undertaking,
        }),
    }
}

/// Notes that something begins. It is on the disk when this returns.
pub(crate) fn begin(disk: &dyn Disk, undertaking: Undertaking) -> Result<(), StorageFault> {
    let content = match undertaking {
        Undertaking::Restore => RESTORE,
        Undertaking::Recovery => RECOVERY,
    };
    engine::replace_file(disk, Path::new(FILE), content)
}

/// Notes that it is finished, once all that it wrote is on the disk.
pub(crate) fn end(disk: &dyn Disk) -> Result<(), StorageFault> {
    disk.remove(Path::new(FILE))?;
    disk.sync_dir(Path::new(""))
}
