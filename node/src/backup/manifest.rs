//! A backup's manifest: what it is of, and its objects. It is written last, so that a folder without one is
//! no backup. It says its own hash, and there is one way to write it: any other byte is noticed.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BackupError;
use super::seal::Encryption;
use super::statement::SignedStatement;

/// The manifest's name in a backup's folder.
pub const MANIFEST_FILE: &str = "manifest.json";

/// The format of manifests and objects.
const FORMAT: u32 = 1;

/// More than a manifest of a state of a terabyte has.
pub(super) const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// What a backup is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format.
    pub format: u32,
    /// The backup's own identifier, drawn when it was made.
    pub backup_id: String,
    /// The release that made it.
    pub software: String,
    /// What a node said of the state, and its signature.
    pub signed: SignedStatement,
    /// How the objects are encrypted; nothing where they are not.
    pub encryption: Option<Encryption>,
    /// The objects, in their order.
    pub objects: Vec<Object>,
    /// The SHA-256 of all this with this one empty.
    pub sha256: String,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Its name in the folder.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// The SHA-256 of it, as it is in the folder.
    pub sha256: String,
}

/// The name of an object.
pub(super) fn object_name(index: usize) -> String {
    format!("rows-{index:06}")
}

impl Manifest {
    pub(super) fn new(
        backup_id: String,
        signed: SignedStatement,
        encryption: Option<Encryption>,
        objects: Vec<Object>,
    ) -> Self {
        let mut manifest = Self {
            format: FORMAT,
            backup_id,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            signed,
            encryption,
            objects,
            sha256: String::new(),
        };
        manifest.sha256 = manifest.hash();
        manifest
    }

    /// Writes it down.
    pub(super) fn encode(&self) -> Vec<u8> {
        // Text, numbers and lists always have a JSON form.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads one; `file` is where it is from.
    pub(super) fn decode(file: &Path, bytes: &[u8]) -> Result<Self, BackupError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let damaged = |what: String| BackupError::damaged(file, what);
        let manifest: Self = match serde_json::from_slice(bytes) {
            Ok(manifest) => manifest,
            Err(error) => {
                return match serde_json::from_slice(bytes) {
                    Ok(Version { format }) if format != FORMAT => Err(BackupError::Format {
                        file: file.to_owned(),
                        found: format,
                    }),
                    _ => Err(damaged(error.to_string())),
                };
            }
        };
        if manifest.encode() != bytes {
            return Err(damaged("it is not written as manifests are".to_owned()));
        }
        if manifest.hash() != manifest.sha256 {
            return Err(damaged("its hash is another one than it says".to_owned()));
        }
        if manifest.format != FORMAT {
            return Err(BackupError::Format {
                file: file.to_owned(),
                found: manifest.format,
            });
        }
        let names = manifest.objects.iter().enumerate();
        let mut other = names.filter(|(index, object)| object.name != object_name(*index));
        if let Some((_, object)) = other.next() {
            return Err(damaged(format!("an object is called {:?}", object.name)));
        }
        if manifest.signed.signer().is_none() {
            return Err(damaged("its signature is of something else".to_owned()));
        }
        Ok(manifest)
    }

    fn hash(&self) -> String {
        let empty = Self {
            sha256: String::new(),
            ..self.clone()
        };
        hex::encode(Sha256::digest(empty.encode()))
    }
}
