//! What a checkpoint covers, and the files it consists of.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::types::SnapshotMeta;

/// Files of one checkpoint. A state of a million rules has a few dozen; the bound keeps a
/// manifest, which is one message, small.
const FILES_MAX: usize = 16_384;

/// Bytes of a file's name; RocksDB's are about ten.
const NAME_BYTES_MAX: usize = 64;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointFile {
    /// Its name: letters, digits, `.`, `-` and `_`.
    pub name: String,
    /// How long it is.
    pub len: u64,
    /// The SHA-256 of its content.
    pub sha256: [u8; 32],
}

/// What a checkpoint covers, and its files in ascending order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointManifest {
    meta: SnapshotMeta,
    files: Vec<CheckpointFile>,
}

/// Why something is not a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It does not decode.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// It says what cannot be.
    #[error("the manifest is not valid: {0}")]
    Invalid(String),
}

#[derive(Serialize, Deserialize)]
struct ManifestRecord {
    last_log_id: Vec<u8>,
    membership: Vec<u8>,
    files: Vec<CheckpointFile>,
}

impl CheckpointManifest {
    pub(super) fn new(
        meta: SnapshotMeta,
        mut files: Vec<CheckpointFile>,
    ) -> Result<Self, ManifestError> {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let manifest = Self { meta, files };
        manifest.check()?;
        Ok(manifest)
    }

    /// The files; their positions here are their numbers.
    #[must_use]
    pub fn files(&self) -> &[CheckpointFile] {
        &self.files
    }

    /// How long all files are together.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }

    /// What it covers.
    #[must_use]
    pub fn meta(&self) -> SnapshotMeta {
        self.meta.clone()
    }

    /// Writes it down.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&ManifestRecord {
            last_log_id: codec::encode_log_id(self.meta.last_log_id),
            membership: codec::encode_membership(&self.meta.last_membership),
            files: self.files.clone(),
        })
    }

    /// Reads one.
    ///
    /// # Errors
    /// When the bytes are not one, or name files in a way that no checkpoint does.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let record: ManifestRecord = codec::decode(bytes)?;
        let meta = SnapshotMeta {
            last_log_id: codec::decode_log_id(&record.last_log_id)?,
            last_membership: codec::decode_membership(&record.membership)?,
        };
        let manifest = Self {
            meta,
            files: record.files,
        };
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let invalid = |reason: String| Err(ManifestError::Invalid(reason));
        if self.files.len() > FILES_MAX {
            return invalid(format!(
                "{} files are more than {FILES_MAX}",
                self.files.len()
            ));
        }
        let mut names = BTreeSet::new();
        for file in &self.files {
            if !is_plain(&file.name) {
                return invalid(format!("a file is called {:?}", file.name));
            }
            if names.last().is_some_and(|last| *last >= &file.name) {
                return invalid(format!("{:?} is out of order", file.name));
            }
            names.insert(&file.name);
        }
        if self
            .files
            .iter()
            .try_fold(0_u64, |total, file| total.checked_add(file.len))
            .is_none()
        {
            return invalid("the lengths of its files add up to more than there can be".to_owned());
        }
        Ok(())
    }
}

/// A name comes from another process and becomes a path, so nothing is allowed that could lead
/// out of the directory.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{LeaderId, LogId, StoredMembership};

    fn file(name: &str) -> CheckpointFile {
        CheckpointFile {
            name: name.to_owned(),
            len: 3,
            sha256: [7; 32],
        }
    }

    fn meta() -> SnapshotMeta {
        let last_log_id = Some(LogId::new(
            LeaderId {
                term: 2,
                node_id: 1,
            },
            9,
        ));
        SnapshotMeta {
            last_log_id,
            last_membership: StoredMembership::default(),
        }
    }

    #[test]
    fn a_manifest_survives() {
        let manifest =
            CheckpointManifest::new(meta(), vec![file("b.sst"), file("CURRENT")]).unwrap();
        assert_eq!(manifest.files()[0].name, "CURRENT");
        assert_eq!(manifest.total_bytes(), 6);
        assert_eq!(CheckpointManifest::decode(&manifest.encode()), Ok(manifest));
    }

    #[test]
    fn names_that_could_lead_elsewhere_are_refused() {
        let long = "x".repeat(65);
        for name in [
            "", ".", "..", "../x", "a/b", "/etc", "a\\b", "ü", ".hidden", "a b", &long,
        ] {
            assert!(
                CheckpointManifest::new(meta(), vec![file(name)]).is_err(),
                "{name:?}"
            );
        }
        assert!(CheckpointManifest::new(meta(), vec![file("a"), file("a")]).is_err());
        let disordered = CheckpointManifest {
            meta: meta(),
            files: vec![file("b"), file("a")],
        };
        assert!(CheckpointManifest::decode(&disordered.encode()).is_err());
    }
}
