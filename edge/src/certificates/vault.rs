//! The certificates that an edge was given, on its disk with their keys, so that it speaks TLS when it
//! starts without any node. Its files are the edge's alone (mode 600), one for each certificate:
//!
//! ```text
//! cert_…      format (1), then postcard of (version, chain, key)
//! cert_….new  being written; means nothing
//! ```
//!
//! What is on the disk is also in the [`Keyring`], which the serving threads read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::Arc;

use domain::id::CertificateId;
use edge_protocol::certificates::{Given, PEM_BYTES_MAX, WANTED_MAX, Wanted};
use platform::tls::{TlsError, certified_key};

use super::{Keyring, Named};
use crate::store::Directory;

/// The form of the files.
const FORMAT: u8 = 1;

/// More than a file of ours has.
const FILE_BYTES_MAX: usize = 2 * PEM_BYTES_MAX + 64;

const UNFINISHED: &str = ".new";

/// Certificates on disk and in use.
pub struct Vault {
    directory: Box<dyn Directory>,
    keyring: Arc<Keyring>,
    versions: BTreeMap<CertificateId, u32>,
}

/// Why a certificate was not taken. What was there before is still there.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The disk does not take it.
    #[error("the certificate cannot be kept")]
    Disk(#[from] io::Error),
    /// It is none.
    #[error("the certificate cannot be used")]
    Unusable(#[from] TlsError),
    /// A file is not one of ours.
    #[error("the file is damaged")]
    Damaged,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// Opens a directory and takes what is in it into use. What is damaged is fetched again.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn open(directory: Box<dyn Directory>, keyring: Arc<Keyring>) -> io::Result<Self> {
        let names = directory.list()?;
        let mut vault = Self {
            directory,
            keyring,
            versions: BTreeMap::new(),
        };
        for name in names {
            match CertificateId::parse(&name) {
                Ok(id) => {
                    if let Err(error) = vault.load(&id) {
                        tracing::warn!(certificate = %id, %error, "a certificate on disk is not used");
                    }
                }
                Err(_) if name.ends_with(UNFINISHED) => vault.directory.remove(&name)?,
                Err(_) => {}
            }
        }
        Ok(vault)
    }

    fn load(&mut self, id: &CertificateId) -> Result<(), VaultError> {
        let bytes = self.directory.read(id.as_str(), 0, FILE_BYTES_MAX)?;
        let (version, chain, key) = match bytes.split_first() {
            Some((&FORMAT, content)) => postcard::from_bytes::<(u32, String, String)>(content)
                .map_err(|_| VaultError::Damaged)?,
            _ => return Err(VaultError::Damaged),
        };
        let certificate = certified_key(chain.as_bytes(), key.as_bytes())?;
        self.keyring.put(id.clone(), certificate);
        self.versions.insert(id.clone(), version);
        Ok(())
    }

    /// What to ask a node for, to show these.
    #[must_use]
    pub fn wanted(&self, shown: &Named) -> Wanted {
        let has = |id: &CertificateId| self.versions.get(id).copied().unwrap_or(0);
        let wanted = shown.keys().take(WANTED_MAX);
        Wanted(wanted.map(|id| (id.clone(), has(id))).collect())
    }

    /// Takes what a node gives: onto the disk first, then into use.
    ///
    /// # Errors
    /// When it cannot be kept or used.
    pub fn take(&mut self, given: Given) -> Result<(), VaultError> {
        let (id, version, chain, key) = match given {
            Given::Gone(id) => return Ok(self.remove(&id)?),
            Given::Certificate {
                id,
                version,
                chain,
                key,
            } => (id, version, chain, key),
        };
        let certificate = certified_key(chain.as_bytes(), key.as_bytes())?;
        self.keep(&id, &(version, chain, key))?;
        self.keyring.put(id.clone(), certificate);
        self.versions.insert(id, version);
        Ok(())
    }

    fn keep(&self, id: &CertificateId, content: &(u32, String, String)) -> Result<(), VaultError> {
        let bytes = postcard::to_extend(content, vec![FORMAT]).map_err(|_| VaultError::Damaged)?;
        let beside = format!("{id}{UNFINISHED}");
        self.directory.write(&beside, &bytes)?;
        self.directory.rename(&beside, id.as_str())?;
        self.directory.sync()?;
        Ok(())
    }

    /// Drops what no route shows any more: a key is kept by those alone who need it. What is shown in
    /// the place of another is needed until that is here, and files that are of no use by nobody.
    ///
    /// # Errors
    /// When the disk does not forget something; everything else is dropped all the same.
    pub fn drop_others(&mut self, shown: &Named) -> io::Result<()> {
        let missing = shown
            .iter()
            .filter(|(id, _)| !self.versions.contains_key(*id));
        let needed: BTreeSet<_> = missing
            .flat_map(|(_, stand_ins)| stand_ins)
            .chain(shown.keys())
            .collect();
        let mut outcome = Ok(());
        for name in self.directory.list()? {
            let dropped = match CertificateId::parse(&name) {
                Ok(id) if needed.contains(&id) && self.versions.contains_key(&id) => continue,
                Ok(id) => self.remove(&id),
                Err(_) if name.ends_with(UNFINISHED) => self.forget(&name),
                Err(_) => continue,
            };
            outcome = outcome.and(dropped);
        }
        outcome
    }

    /// The file goes first: what is on the disk is known for as long as it is there.
    fn remove(&mut self, id: &CertificateId) -> io::Result<()> {
        self.forget(id.as_str())?;
        self.versions.remove(id);
        self.keyring.remove(id);
        Ok(())
    }

    fn forget(&self, name: &str) -> io::Result<()> {
        match self.directory.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| self.directory.sync()),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::id::Seed;
    use platform::testing::{TestAuthority, dns};

    use super::super::Certificates;
    use super::*;
    use crate::store::MemoryDirectory;

    fn id(number: u64) -> CertificateId {
        CertificateId::new(Seed {
            unix_ms: 1,
            random: number,
        })
    }

    fn given(number: u64, version: u32) -> Given {
        let name = format!("{number}.{version}");
        let pems = TestAuthority::default().issue(&name, vec![dns("api.example.net")]);
        Given::Certificate {
            id: id(number),
            version,
            chain: pems.cert,
            key: pems.key,
        }
    }

    fn open(directory: &MemoryDirectory) -> (Vault, Arc<Keyring>) {
        let keyring = Arc::<Keyring>::default();
        let vault = Vault::open(Box::new(directory.clone()), Arc::clone(&keyring)).unwrap();
        (vault, keyring)
    }

    fn shown(numbers: &[u64]) -> Named {
        let named = numbers.iter().copied().map(id);
        named.map(|id| (id, BTreeSet::new())).collect()
    }

    /// A disk that does not forget while it is told so.
    #[derive(Clone, Default)]
    struct Stubborn {
        directory: MemoryDirectory,
        keeps: Arc<std::sync::atomic::AtomicBool>,
    }

    impl Directory for Stubborn {
        fn list(&self) -> io::Result<Vec<String>> {
            self.directory.list()
        }

        fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
            self.directory.read(name, offset, length)
        }

        fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
            self.directory.write(name, bytes)
        }

        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            self.directory.rename(from, to)
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            if self.keeps.load(std::sync::atomic::Ordering::Relaxed) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            self.directory.remove(name)
        }

        fn sync(&self) -> io::Result<()> {
            self.directory.sync()
        }
    }

    #[test]
    fn what_was_given_is_there_after_a_crash() {
        for random in 0..20 {
            let directory = MemoryDirectory::default();
            let (mut vault, keyring) = open(&directory);
            vault.take(given(1, 1)).unwrap();
            vault.take(given(1, 2)).unwrap();
            vault.take(given(2, 1)).unwrap();
            let before = keyring.find(&id(1)).unwrap();
            directory.crash(random);
            let (vault, keyring) = open(&directory);
            assert_eq!(keyring.find(&id(1)).unwrap().cert, before.cert);
            let wanted = vault.wanted(&shown(&[1, 2, 3]));
            assert_eq!(wanted.0, [(id(1), 2), (id(2), 1), (id(3), 0)]);
        }
    }

    #[test]
    fn what_nobody_shows_or_is_gone_is_forgotten() {
        let directory = MemoryDirectory::default();
        let (mut vault, keyring) = open(&directory);
        for number in 1..4 {
            vault.take(given(number, 1)).unwrap();
        }
        vault.drop_others(&shown(&[1, 2])).unwrap();
        vault.take(Given::Gone(id(2))).unwrap();
        vault.take(Given::Gone(id(9))).unwrap();
        assert!(keyring.find(&id(1)).is_some());
        assert!(keyring.find(&id(2)).is_none() && keyring.find(&id(3)).is_none());
        assert_eq!(directory.list().unwrap(), [id(1).to_string()]);
    }

    #[test]
    fn what_stands_in_for_another_is_kept_until_that_is_here() {
        let directory = MemoryDirectory::default();
        let (mut vault, keyring) = open(&directory);
        vault.take(given(1, 1)).unwrap();
        vault.take(given(2, 1)).unwrap();
        let shown = Named::from([(id(3), BTreeSet::from([id(1)]))]);
        vault.drop_others(&shown).unwrap();
        assert!(keyring.find(&id(1)).is_some() && keyring.find(&id(2)).is_none());
        assert_eq!(vault.wanted(&shown).0, [(id(3), 0)]);
        vault.take(given(3, 1)).unwrap();
        vault.drop_others(&shown).unwrap();
        assert!(keyring.find(&id(1)).is_none());
        assert_eq!(directory.list().unwrap(), [id(3).to_string()]);
    }

    #[test]
    fn what_the_disk_does_not_forget_is_tried_again() {
        let disk = Stubborn::default();
        let keyring = Arc::<Keyring>::default();
        let mut vault = Vault::open(Box::new(disk.clone()), Arc::clone(&keyring)).unwrap();
        vault.take(given(1, 1)).unwrap();
        disk.keeps.store(true, std::sync::atomic::Ordering::Relaxed);
        vault.drop_others(&shown(&[])).unwrap_err();
        vault.take(Given::Gone(id(1))).unwrap_err();
        assert_eq!(vault.wanted(&shown(&[1])).0, [(id(1), 1)]);
        disk.keeps
            .store(false, std::sync::atomic::Ordering::Relaxed);
        vault.drop_others(&shown(&[])).unwrap();
        assert!(keyring.find(&id(1)).is_none());
        assert_eq!(disk.list().unwrap(), [""; 0]);
    }

    #[test]
    fn files_of_no_use_are_dropped_too() {
        let directory = MemoryDirectory::default();
        let (mut vault, _) = open(&directory);
        for number in 1..3 {
            vault.take(given(number, 1)).unwrap();
            directory.write(id(number).as_str(), b"damaged").unwrap();
        }
        let unfinished = format!("{}{UNFINISHED}", id(3));
        let (mut vault, _) = open(&directory);
        directory.write(&unfinished, b"half").unwrap();
        vault.drop_others(&shown(&[1])).unwrap();
        assert_eq!(directory.list().unwrap(), [""; 0]);
    }

    #[test]
    fn what_cannot_be_used_or_kept_changes_nothing() {
        let directory = MemoryDirectory::default();
        let (mut vault, keyring) = open(&directory);
        vault.take(given(1, 1)).unwrap();
        let before = keyring.find(&id(1)).unwrap();
        let Given::Certificate { chain, .. } = given(1, 2) else {
            unreachable!()
        };
        let Given::Certificate { key, .. } = given(1, 3) else {
            unreachable!()
        };
        let mixed = Given::Certificate {
            id: id(1),
            version: 2,
            chain,
            key,
        };
        assert!(matches!(vault.take(mixed), Err(VaultError::Unusable(_))));
        directory.set_bytes_max(Some(0));
        assert!(matches!(vault.take(given(1, 2)), Err(VaultError::Disk(_))));
        assert!(Arc::ptr_eq(&keyring.find(&id(1)).unwrap(), &before));
        assert_eq!(vault.wanted(&shown(&[1])).0, [(id(1), 1)]);
    }

    #[test]
    fn damaged_files_are_fetched_again() {
        let directory = MemoryDirectory::default();
        let (mut vault, _) = open(&directory);
        vault.take(given(1, 1)).unwrap();
        let whole = directory.read(id(1).as_str(), 0, FILE_BYTES_MAX).unwrap();
        for damaged in [&whole[..whole.len() / 2], &[2], &[]] {
            directory.write(id(1).as_str(), damaged).unwrap();
            let (vault, keyring) = open(&directory);
            assert_eq!(vault.wanted(&shown(&[1])).0, [(id(1), 0)]);
            assert!(keyring.find(&id(1)).is_none());
        }
    }
}
