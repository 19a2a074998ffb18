//! The key that an edge's disk is sealed with: a file of 64 hexadecimal digits, which only the edge's user may
//! read. It is made at the first start. Kept on another disk (`edge.data_key_file`), what is taken with the
//! first one tells nothing.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use platform::Entropy;
use platform::secret_file::{self, SecretFileError};
use zeroize::Zeroizing;

use super::UNFINISHED;

const KEY_BYTES: usize = 32;

/// A key for directories. It is wiped when it goes.
#[derive(Clone)]
pub struct StoreKey(Zeroizing<[u8; KEY_BYTES]>);

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(..)")
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum StoreKeyError {
    /// The file cannot be read, or others may read it.
    #[error("the key's file cannot be used")]
    File(#[from] SecretFileError),
    /// It holds something else.
    #[error("the key must be 64 hexadecimal digits")]
    Malformed,
    /// A key cannot be written.
    #[error("a new key cannot be written")]
    Write(#[source] io::Error),
}

impl StoreKey {
    /// From its bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads the file; where there is none, a key is drawn and written to it first.
    ///
    /// # Errors
    /// When the file cannot be read or written, others may read it, or it holds something else.
    pub fn load_or_make(path: &Path, entropy: &dyn Entropy) -> Result<Self, StoreKeyError> {
        if !path.try_exists().map_err(StoreKeyError::Write)? {
            make(path, entropy).map_err(StoreKeyError::Write)?;
        }
        let text = Zeroizing::new(secret_file::read(path)?);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(text.trim(), &mut *key).map_err(|_| StoreKeyError::Malformed)?;
        Ok(Self(key))
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

/// Writes a new key beside its place and renames it: it is there whole, or not at all.
fn make(path: &Path, entropy: &dyn Entropy) -> io::Result<()> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    entropy.fill(&mut *key);
    let mut text = Zeroizing::new(hex::encode(key.as_slice()));
    text.push('\n');
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use platform::SystemEntropy;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let first = StoreKey::load_or_make(&path, &SystemEntropy).unwrap();
        let again = StoreKey::load_or_make(&path, &SystemEntropy).unwrap();
        assert_eq!(first.bytes(), again.bytes());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let other = folder.path().join("other");
        let other = StoreKey::load_or_make(&other, &SystemEntropy).unwrap();
        assert_ne!(first.bytes(), other.bytes());
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        StoreKey::load_or_make(&path, &SystemEntropy).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let exposed = StoreKey::load_or_make(&path, &SystemEntropy);
        assert!(matches!(exposed, Err(StoreKeyError::File(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bad in ["", "00", "something else"] {
            fs::write(&path, bad).unwrap();
            let malformed = StoreKey::load_or_make(&path, &SystemEntropy);
            assert!(matches!(malformed, Err(StoreKeyError::Malformed)), "{bad}");
        }
    }
}
