//! Inputs that are kept: small files in a folder for each target. They are the beginning of every
//! campaign, and whatever once failed is among them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest, Sha256};

/// The folder that holds one folder for each target.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// An input and the name of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The name.
    pub name: String,
    /// The input.
    pub input: Vec<u8>,
}

/// The inputs for a target, in the order of their names.
///
/// # Errors
/// When there are none, or the folder cannot be read.
pub fn of(target: &str) -> Result<Vec<Kept>> {
    let folder = folder().join(target);
    let listed =
        fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut inputs = Vec::new();
    for entry in listed {
        let path = entry?.path();
        let input =
            fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let name = path.file_name().unwrap_or_default();
        inputs.push(Kept {
            name: name.to_string_lossy().into_owned(),
            input,
        });
    }
    ensure!(!inputs.is_empty(), "{} holds no input", folder.display());
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(inputs)
}

/// Writes an input into a folder, under a name made of its bytes, and says where.
///
/// # Errors
/// When it cannot be written.
pub fn write(folder: &Path, input: &[u8]) -> Result<PathBuf> {
    let name = hex::encode(&Sha256::digest(input)[..8]);
    let path = folder.join(name);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, input))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}
