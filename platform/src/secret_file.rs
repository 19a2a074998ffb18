//! Files that hold secrets: private keys, the pepper. They are refused when others than their
//! owner may read or write them; what is in them is the reader's matter.

use std::fs;
use std::path::{Path, PathBuf};

/// Why a secret file is not used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It cannot be looked at.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Group or others may read or write it.
    #[error("{path} must not be accessible to group or others (its mode is {mode:o}; use 600)")]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Fails for a file that group or others may read or write.
///
/// # Errors
/// When they may, or the file cannot be looked at.
pub fn refuse_exposed(path: &Path) -> Result<(), SecretFileError> {
    let metadata = fs::metadata(path).map_err(|source| SecretFileError::Read {
        path: path.to_owned(),
        source,
    })?;
    match exposed_mode(&metadata) {
        Some(mode) => Err(SecretFileError::Exposed {
            path: path.to_owned(),
            mode,
        }),
        None => Ok(()),
    }
}

/// Reads a secret text file, unless it is exposed.
///
/// # Errors
/// When it is exposed or cannot be read.
pub fn read(path: &Path) -> Result<String, SecretFileError> {
    refuse_exposed(path)?;
    fs::read_to_string(path).map_err(|source| SecretFileError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(unix)]
fn exposed_mode(metadata: &fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

/// Elsewhere permissions are not what unix means by them.
#[cfg(not(unix))]
fn exposed_mode(_metadata: &fs::Metadata) -> Option<u32> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_others_may_touch_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "text").unwrap();
        for (mode, good) in [
            (0o600, true),
            (0o400, true),
            (0o640, false),
            (0o604, false),
            (0o620, false),
            (0o610, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path).is_ok(), good, "{mode:o}");
        }
        assert!(matches!(
            read(&dir.path().join("none")),
            Err(SecretFileError::Read { .. })
        ));
    }
}
