//! Writes a backup: what a node tells becomes objects of one size, each sealed and on the disk before the
//! next one is begun, and at the end a manifest.

use std::path::Path;

use platform::Entropy;
use sha2::{Digest, Sha256};

use super::BackupError;
use super::folder::Folder;
use super::manifest::{Manifest, Object, object_name};
use super::rows::{Count, Rows};
use super::seal::{BackupKey, Encryption, Place, Sealer};
use super::statement::SignedStatement;

/// How many bytes of rows go into an object: enough that a million rules are a few hundred objects, few
/// enough to be held in memory twice.
const OBJECT_BYTES: usize = 8 << 20;

/// How a backup is protected.
#[derive(Clone, Debug)]
pub enum Protection {
    /// Encrypted under a data key that this one wraps.
    Key(BackupKey),
    /// Not at all: whoever reads it sees configuration, names and hashes of keys; private keys in it stay
    /// sealed under the pepper.
    Plain,
}

/// A backup that is being written.
pub(super) struct Writer {
    folder: Folder,
    /// How many bytes of rows go into an object.
    object_bytes: usize,
    backup_id: String,
    sealer: Option<(Sealer, Encryption)>,
    pending: Vec<u8>,
    objects: Vec<Object>,
    rows: Rows,
    count: Count,
}

impl Writer {
    /// Begins in a folder that is empty or not there.
    pub(super) fn begin(
        path: &Path,
        protection: &Protection,
        entropy: &dyn Entropy,
    ) -> Result<Self, BackupError> {
        Self::sized(OBJECT_BYTES, path, protection, entropy)
    }

    /// Likewise, with objects of that many bytes of rows.
    pub(super) fn sized(
        object_bytes: usize,
        path: &Path,
        protection: &Protection,
        entropy: &dyn Entropy,
    ) -> Result<Self, BackupError> {
        let folder = Folder::make(path)?;
        let mut id = [0; 16];
        entropy.fill(&mut id);
        let backup_id = hex::encode(id);
        let sealer = match protection {
            Protection::Key(key) => Some(Sealer::draw(key, &backup_id, entropy)),
            Protection::Plain => None,
        };
        Ok(Self {
            folder,
            object_bytes,
            backup_id,
            sealer,
            pending: Vec::with_capacity(object_bytes),
            objects: Vec::new(),
            rows: Rows::default(),
            count: Count::default(),
        })
    }

    /// Writes what comes next.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), BackupError> {
        let rows = self.rows.push(bytes);
        let rows = rows.map_err(|error| BackupError::BrokenOff(error.to_string()))?;
        self.count.rows += rows.len() as u64;
        self.count.bytes(bytes);
        while !bytes.is_empty() {
            if self.pending.len() == self.object_bytes {
                self.write_object(false)?;
            }
            let (now, later) =
                bytes.split_at(bytes.len().min(self.object_bytes - self.pending.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// How many bytes of rows have come.
    pub(super) fn so_far(&self) -> u64 {
        self.objects.len() as u64 * self.object_bytes as u64 + self.pending.len() as u64
    }

    /// Ends with what the node said of all that it told, which has to be what came. Where it is not, what was
    /// written is removed.
    pub(super) fn finish(mut self, signed: SignedStatement) -> Result<Manifest, BackupError> {
        match self.complete(signed) {
            Ok(manifest) => Ok(manifest),
            Err(error) => {
                self.discard();
                Err(error)
            }
        }
    }

    fn complete(&mut self, signed: SignedStatement) -> Result<Manifest, BackupError> {
        self.write_object(true)?;
        let broken = |what: &str| Err(BackupError::BrokenOff(what.to_owned()));
        if self.rows.end().is_err() {
            return broken("the last row did not come whole");
        }
        let told = std::mem::take(&mut self.count).told();
        let statement = &signed.statement;
        let came = (told.rows, told.bytes, hex::encode(told.state));
        let said = (
            statement.rows,
            statement.bytes,
            statement.state_sha256.clone(),
        );
        if came != said {
            return broken("what came is not what the node says that it told");
        }
        if signed.signer().is_none() {
            return broken("what the node says of it is not signed by the key that it names");
        }
        let encryption = self.sealer.as_ref();
        let manifest = Manifest::new(
            self.backup_id.clone(),
            signed,
            encryption.map(|(_, encryption)| encryption.clone()),
            std::mem::take(&mut self.objects),
        );
        let completed = self.folder.complete(&manifest.encode());
        if let Err(error) = completed {
            self.objects = manifest.objects;
            return Err(error);
        }
        Ok(manifest)
    }

    /// Removes what was written.
    pub(super) fn discard(self) {
        let names = self.objects.iter().map(|object| object.name.as_str());
        self.folder.discard(names);
    }

    fn write_object(&mut self, last: bool) -> Result<(), BackupError> {
        let index = self.objects.len();
        let name = object_name(index);
        let place = Place {
            backup: &self.backup_id,
            index,
            last,
        };
        let sealed = self
            .sealer
            .as_ref()
            .map(|(sealer, _)| sealer.seal(place, &self.pending));
        let bytes = sealed.as_deref().unwrap_or(&self.pending);
        self.folder.write(&name, bytes)?;
        self.objects.push(Object {
            name,
            bytes: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(bytes)),
        });
        self.pending.clear();
        Ok(())
    }
}
