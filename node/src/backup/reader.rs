//! Reads a backup, and believes nothing of it: each object's hash, its seal, the rows' order, the hash of
//! all of them, and that the state says of itself what the manifest says of it. An error names the file.

use std::path::{Path, PathBuf};

use domain::model::{Signing, SigningPublicKey};
use domain::query;
use domain::rows::{MemoryRows, Row, Rows as _};
use domain::schema::{BOOTSTRAP, PEPPERING, RETIRED_MEMBERS, SEALING, SIGNING, SIGNING_KEYS};
use edge_protocol::signing::TrustDocument;
use sha2::{Digest, Sha256};

use super::BackupError;
use super::folder::Folder;
use super::manifest::{MANIFEST_FILE, Manifest, Object};
use super::rows::{Count, Rows, Told};
use super::seal::{BackupKey, Place, Sealer};

/// A backup whose manifest was read.
pub struct Backup {
    folder: Folder,
    manifest: Manifest,
    sealer: Option<Sealer>,
}

/// The few rows by which a state says whose it is.
#[derive(Clone, Debug, Default)]
pub struct Essence(MemoryRows);

impl Essence {
    fn look(&mut self, row: &Row) {
        let tags = [
            BOOTSTRAP.tag(),
            SIGNING.tag(),
            SIGNING_KEYS.tag(),
            RETIRED_MEMBERS.tag(),
            SEALING.tag(),
            PEPPERING.tag(),
        ];
        if row.0.first().is_some_and(|tag| tags.contains(tag)) {
            self.0.put(row.0.clone(), row.1.clone());
        }
    }

    /// How the cluster signs.
    #[must_use]
    pub fn signing(&self) -> Option<Signing> {
        query::signing(&self.0)
    }

    /// The public half of the key that signs.
    fn signer(&self) -> Option<SigningPublicKey> {
        let active = self.signing()?.active;
        let keys = query::signing_keys(&self.0).into_iter();
        keys.map(|key| key.public).find(|key| key.id() == active)
    }

    /// The rows themselves.
    #[must_use]
    pub fn rows(&self) -> &MemoryRows {
        &self.0
    }
}

impl Backup {
    /// Reads a backup's manifest, and opens its data key.
    ///
    /// # Errors
    /// When there is no manifest, it is damaged, or the key is another one.
    pub fn open(path: &Path, key: Option<&BackupKey>) -> Result<Self, BackupError> {
        let folder = Folder::at(path);
        let manifest = Manifest::decode(&folder.path(MANIFEST_FILE), &folder.manifest()?)?;
        let sealer = match (&manifest.encryption, key) {
            (None, None) => None,
            (None, Some(_)) => return Err(BackupError::NotEncrypted),
            (Some(_), None) => return Err(BackupError::KeyMissing),
            (Some(encryption), Some(key)) => {
                Some(Sealer::open(key, &manifest.backup_id, encryption)?)
            }
        };
        Ok(Self {
            folder,
            manifest,
            sealer,
        })
    }

    /// What it is of.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether a key signed it that the operator's document trusts. Without that, a backup is vouched for by the
    /// state in it alone: enough for one that is encrypted, which only whoever has its key can have made.
    ///
    /// # Errors
    /// When it is of another cluster, or of a key that is not there or retired.
    pub fn believe(&self, trusted: &TrustDocument) -> Result<(), BackupError> {
        let signed = &self.manifest.signed;
        let known = trusted.keys.iter().any(|key| {
            key.key_id == signed.key_id
                && key.public_key == signed.public_key
                && key.state != "retired"
        });
        if known && trusted.cluster_id == signed.statement.cluster_id {
            return Ok(());
        }
        Err(BackupError::Untrusted {
            cluster: signed.statement.cluster_id.clone(),
            key: signed.key_id.clone(),
        })
    }

    /// Reads all rows and shows them in their order, a few at a time. Only when this returns has all been
    /// verified.
    ///
    /// # Errors
    /// When anything is not what was written, or `show` fails.
    pub fn read(
        &self,
        mut show: impl FnMut(&[Row]) -> Result<(), BackupError>,
    ) -> Result<Essence, BackupError> {
        let mut rows = Rows::default();
        let mut count = Count::default();
        let mut essence = Essence::default();
        for (index, object) in self.manifest.objects.iter().enumerate() {
            let path = self.folder.path(&object.name);
            let bytes = self.object(index, object)?;
            count.bytes(&bytes);
            let whole = rows.push(&bytes);
            let whole = whole.map_err(|error| BackupError::damaged(&path, error.to_string()))?;
            count.rows += whole.len() as u64;
            whole.iter().for_each(|row| essence.look(row));
            show(&whole)?;
        }
        let last = self.manifest.objects.last();
        let last = last.map_or_else(
            || self.manifest_path(),
            |object| self.folder.path(&object.name),
        );
        rows.end()
            .map_err(|error| BackupError::damaged(&last, error.to_string()))?;
        self.compare(count.told())?;
        self.check_essence(&essence)?;
        Ok(essence)
    }

    /// Reads and verifies all of it.
    ///
    /// # Errors
    /// When anything is not what was written.
    pub fn verify(&self) -> Result<Essence, BackupError> {
        self.read(|_| Ok(()))
    }

    fn manifest_path(&self) -> PathBuf {
        self.folder.path(MANIFEST_FILE)
    }

    fn object(&self, index: usize, object: &Object) -> Result<Vec<u8>, BackupError> {
        let path = self.folder.path(&object.name);
        let bytes = self.folder.object(&object.name, object.bytes)?;
        if hex::encode(Sha256::digest(&bytes)) != object.sha256 {
            return Err(BackupError::damaged(
                &path,
                "its hash is another one than the manifest says",
            ));
        }
        let Some(sealer) = &self.sealer else {
            return Ok(bytes);
        };
        let place = Place {
            backup: &self.manifest.backup_id,
            index,
            last: index + 1 == self.manifest.objects.len(),
        };
        sealer.unseal(place, &bytes).ok_or_else(|| {
            BackupError::damaged(
                &path,
                "it does not open: it was sealed for another place or another backup",
            )
        })
    }

    /// The rows are those that the node told.
    fn compare(&self, told: Told) -> Result<(), BackupError> {
        let said = &self.manifest.signed.statement;
        let found = (told.rows, told.bytes, hex::encode(told.state));
        if found == (said.rows, said.bytes, said.state_sha256.clone()) {
            return Ok(());
        }
        let what = format!(
            "the objects are {} rows with the hash {}, and it says {} rows with the hash {}",
            found.0, found.2, said.rows, said.state_sha256
        );
        Err(BackupError::damaged(&self.manifest_path(), what))
    }

    /// The state says of itself what the manifest says of it, and its own key has signed that.
    fn check_essence(&self, essence: &Essence) -> Result<(), BackupError> {
        let said = &self.manifest.signed;
        let signing = essence.signing();
        let is = signing.map(|signing| (signing.cluster_id.to_string(), signing.epoch.0));
        let same = is == Some((said.statement.cluster_id.clone(), said.statement.epoch));
        if same && essence.signer() == said.signer() {
            return Ok(());
        }
        Err(BackupError::damaged(
            &self.manifest_path(),
            "it is not signed by the key that signs in this state, or of another cluster or epoch",
        ))
    }
}
