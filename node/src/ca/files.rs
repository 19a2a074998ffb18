//! Files of an authority: written whole or not at all, with the mode that they have to have from their
//! first byte on.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::CaError;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// Its owner alone.
    Secret,
    /// Everybody.
    Public,
}

fn fails(path: &Path) -> impl FnOnce(io::Error) -> CaError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::AlreadyExists => CaError::Exists(path),
        _ => CaError::File { path, source },
    }
}

/// Makes a folder that its owner alone may look into, unless it is there.
pub(super) fn make_folder(path: &Path) -> Result<(), CaError> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(fails(path))
}

pub(super) fn read(path: &Path) -> Result<String, CaError> {
    fs::read_to_string(path).map_err(fails(path))
}

/// Writes a file that is not there yet.
pub(super) fn write(path: &Path, bytes: &[u8], who: Write) -> Result<(), CaError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(
        &mut options,
        if who == Write::Secret { 0o600 } else { 0o644 },
    );
    let mut file = options.open(path).map_err(fails(path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(fails(path))
}

/// Writes a file in the place of the one that is there, if one is.
pub(super) fn replace(path: &Path, bytes: &[u8], who: Write) -> Result<(), CaError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // What an interrupted attempt left is of no use.
    if beside.exists() {
        remove(&beside)?;
    }
    write(&beside, bytes, who)?;
    rename(&beside, path)
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), CaError> {
    fs::rename(from, to).map_err(fails(to))
}

pub(super) fn remove(path: &Path) -> Result<(), CaError> {
    fs::remove_file(path).map_err(fails(path))
}
