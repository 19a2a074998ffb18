//! The folder of a local cluster: where its files are, and how they are written so that a reader
//! never meets half of one.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::topology::{Kind, Name};

/// Readable and writable by the owner alone.
const SECRET: u32 = 0o600;

/// Readable by all.
const PUBLIC: u32 = 0o644;

/// The folder of a local cluster.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at `root`, which may not exist yet. `root` is absolute: processes get these
    /// paths in their settings.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How many of what.
    #[must_use]
    pub fn topology(&self) -> PathBuf {
        self.root.join("topology.json")
    }

    /// Settings of a process.
    #[must_use]
    pub fn settings(&self, name: Name) -> PathBuf {
        self.root.join(format!("{name}.toml"))
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self, name: Name) -> PathBuf {
        self.root.join(format!("{name}.pid"))
    }

    /// What a process said.
    #[must_use]
    pub fn log(&self, name: Name) -> PathBuf {
        self.root.join(format!("{name}.log"))
    }

    /// Data of a process.
    #[must_use]
    pub fn data(&self, name: Name) -> PathBuf {
        self.root.join("data").join(name.to_string())
    }

    /// The binary that a kind runs.
    #[must_use]
    pub fn binary(&self, kind: Kind) -> PathBuf {
        self.root.join("bin").join(kind.binary())
    }

    /// Certificates and keys.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// The key that API keys are hashed with.
    #[must_use]
    pub fn pepper(&self) -> PathBuf {
        self.root.join("pepper")
    }

    /// What bootstrap printed.
    #[must_use]
    pub fn bootstrap(&self) -> PathBuf {
        self.root.join("bootstrap.json")
    }

    /// The demonstration's idempotency keys.
    #[must_use]
    pub fn demonstration(&self) -> PathBuf {
        self.root.join("demonstration.json")
    }

    /// The shell file.
    #[must_use]
    pub fn env(&self) -> PathBuf {
        self.root.join("env")
    }
}

/// Makes a folder and its parents.
///
/// # Errors
/// When it cannot.
pub fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("{} cannot be made", path.display()))
}

/// Writes a file that others may read.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    write_with_mode(path, contents.as_ref(), PUBLIC)
}

/// Writes a file that only its owner may read.
///
/// # Errors
/// When it cannot be written.
pub fn write_secret(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    write_with_mode(path, contents.as_ref(), SECRET)
}

/// A new, empty file that only its owner may read.
///
/// # Errors
/// When it cannot be made.
pub fn create_secret(path: &Path) -> Result<File> {
    create(path, SECRET)
}

fn write_with_mode(path: &Path, contents: &[u8], mode: u32) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let beside = path.with_file_name(name);
    create(&beside, mode)?
        .write_all(contents)
        .with_context(|| format!("{} cannot be written", beside.display()))?;
    fs::rename(&beside, path)
        .with_context(|| format!("{} cannot be put in its place", path.display()))
}

fn create(path: &Path, mode: u32) -> Result<File> {
    // The mode applies to a file that is made; one that is there keeps the mode it has.
    drop(fs::remove_file(path));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .with_context(|| format!("{} cannot be made", path.display()))
}

/// The contents of a file, or `None` when there is none.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// Reads a JSON file, if there is one.
///
/// # Errors
/// When it is there and cannot be read or holds something else.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(text) = read_if_there(path)? else {
        return Ok(None);
    };
    serde_json::from_str(&text)
        .map(Some)
        .with_context(|| format!("{} does not hold what it should", path.display()))
}

/// Random bytes from the operating system.
///
/// # Errors
/// When it gives none.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the operating system gives no randomness")?;
    Ok(bytes)
}

/// A random UUID (version 4).
///
/// # Errors
/// When the operating system gives no randomness.
pub fn uuid() -> Result<String> {
    let mut bytes = random::<16>()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    Ok(format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_its_owners_alone_even_where_an_open_file_was_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("env");
        write(&path, "old").expect("written");
        write_secret(&path, "new").expect("written");
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert_eq!(read_if_there(&path).expect("read").as_deref(), Some("new"));
    }

    #[test]
    fn an_absent_file_is_no_error() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(
            read_if_there(&folder.path().join("absent"))
                .expect("no error")
                .is_none()
        );
    }

    #[test]
    fn uuids_are_of_version_4() {
        let uuid = uuid().expect("random");
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&uuid.as_bytes()[19]));
    }
}
