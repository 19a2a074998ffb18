//! Encryption of backups, AES-256-GCM-SIV. Each backup has a data key of its own, wrapped by the key of a
//! file that only its owner may read. An object is sealed with the backup's identifier, its own place and
//! whether it is the last: swapped, missing, cut off or of another backup, it does not open.

use std::path::Path;

use aes_gcm_siv::aead::{Aead, Payload};
use aes_gcm_siv::{Aes256GcmSiv, KeyInit, Nonce};
use platform::Entropy;
use platform::secret_file;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::BackupError;
use crate::key_text::KeyText;

const KEY_BYTES: usize = 32;

/// The most text that a key is read from: the key, and a comment.
const KEY_TEXT_BYTES_MAX: usize = 1024;

/// What the wrapping of a data key is for.
const KEY_PURPOSE: &str = "vectorgate backup key v1";

/// What the sealing of an object is for.
const OBJECT_PURPOSE: &str = "vectorgate backup object v1";

/// The name of the cipher in manifests.
const CIPHER: &str = "AES-256-GCM-SIV";

/// The key that opens backups.
#[derive(Clone)]
pub struct BackupKey(Zeroizing<[u8; KEY_BYTES]>);

impl std::fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BackupKey(..)")
    }
}

impl BackupKey {
    /// Reads it from a file that only its owner may read: 32 bytes in hexadecimal.
    ///
    /// # Errors
    /// When it cannot be read, is exposed or malformed.
    pub fn load(path: &Path) -> Result<Self, BackupError> {
        let text = Zeroizing::new(secret_file::read(path)?);
        let form = KeyText {
            bytes: KEY_BYTES..=KEY_BYTES,
            keys_max: 1,
            text_max: KEY_TEXT_BYTES_MAX,
        };
        let malformed = || BackupError::KeyMalformed(path.to_owned());
        let keys = form.read(&text).map_err(|_| malformed())?;
        let [key] = keys.as_slice() else {
            return Err(malformed());
        };
        let key = key.as_slice().try_into().map_err(|_| malformed())?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// Takes its bytes.
    #[must_use]
    pub fn new(key: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(key))
    }
}

/// How a backup is encrypted, as its manifest tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// The cipher.
    pub cipher: String,
    /// The nonce with which the data key is wrapped.
    pub nonce: String,
    /// The data key, wrapped.
    pub wrapped_key: String,
}

/// Where an object is in its backup.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) backup: &'a str,
    pub(super) index: usize,
    pub(super) last: bool,
}

impl Place<'_> {
    fn told(self) -> String {
        let last = if self.last { "last" } else { "more" };
        format!("{OBJECT_PURPOSE}\n{}\n{}\n{last}", self.backup, self.index)
    }

    /// Each place is sealed once with a data key.
    fn nonce(self) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&(self.index as u64).to_be_bytes());
        nonce
    }
}

/// Seals and opens the objects of one backup.
pub(super) struct Sealer(Aes256GcmSiv);

impl Sealer {
    /// Draws a data key for a backup, and wraps it.
    pub(super) fn draw(key: &BackupKey, backup: &str, entropy: &dyn Entropy) -> (Self, Encryption) {
        let mut data_key = Zeroizing::new([0; KEY_BYTES]);
        entropy.fill(&mut *data_key);
        let mut nonce = [0; 12];
        entropy.fill(&mut nonce);
        let told = format!("{KEY_PURPOSE}\n{backup}");
        let payload = Payload {
            msg: &data_key[..],
            aad: told.as_bytes(),
        };
        let wrapped = cipher(&key.0)
            .encrypt(&Nonce::from(nonce), payload)
            .expect("32 bytes are not too many to encrypt");
        let encryption = Encryption {
            cipher: CIPHER.to_owned(),
            nonce: hex::encode(nonce),
            wrapped_key: hex::encode(wrapped),
        };
        (Self(cipher(&data_key)), encryption)
    }

    /// Unwraps the data key of a backup.
    pub(super) fn open(
        key: &BackupKey,
        backup: &str,
        encryption: &Encryption,
    ) -> Result<Self, BackupError> {
        let mut nonce = [0; 12];
        if encryption.cipher != CIPHER
            || hex::decode_to_slice(&encryption.nonce, &mut nonce).is_err()
        {
            return Err(BackupError::WrongKey);
        }
        let wrapped = hex::decode(&encryption.wrapped_key).map_err(|_| BackupError::WrongKey)?;
        let told = format!("{KEY_PURPOSE}\n{backup}");
        let payload = Payload {
            msg: &wrapped,
            aad: told.as_bytes(),
        };
        let opened = cipher(&key.0).decrypt(&Nonce::from(nonce), payload);
        let opened = Zeroizing::new(opened.map_err(|_| BackupError::WrongKey)?);
        let data_key: &[u8; KEY_BYTES] =
            opened[..].try_into().map_err(|_| BackupError::WrongKey)?;
        Ok(Self(cipher(data_key)))
    }

    pub(super) fn seal(&self, place: Place<'_>, bytes: &[u8]) -> Vec<u8> {
        let told = place.told();
        let payload = Payload {
            msg: bytes,
            aad: told.as_bytes(),
        };
        self.0
            .encrypt(&Nonce::from(place.nonce()), payload)
            .expect("an object is not too long to encrypt")
    }

    /// Nothing where it is not what was sealed for this place.
    pub(super) fn unseal(&self, place: Place<'_>, sealed: &[u8]) -> Option<Vec<u8>> {
        let told = place.told();
        let payload = Payload {
            msg: sealed,
            aad: told.as_bytes(),
        };
        self.0.decrypt(&Nonce::from(place.nonce()), payload).ok()
    }
}

fn cipher(key: &[u8; KEY_BYTES]) -> Aes256GcmSiv {
    Aes256GcmSiv::new(&(*key).into())
}

#[cfg(test)]
mod tests {
    use platform::SystemEntropy;

    use super::*;

    fn place(index: usize, last: bool) -> Place<'static> {
        Place {
            backup: "ab",
            index,
            last,
        }
    }

    #[test]
    fn an_object_opens_in_its_own_place_alone() {
        let key = BackupKey::new([1; 32]);
        let (sealer, encryption) = Sealer::draw(&key, "ab", &SystemEntropy);
        let sealed = sealer.seal(place(3, false), b"rows");
        let opened = Sealer::open(&key, "ab", &encryption).unwrap();
        assert_eq!(opened.unseal(place(3, false), &sealed).unwrap(), b"rows");
        for other in [
            place(2, false),
            place(3, true),
            Place {
                backup: "cd",
                ..place(3, false)
            },
        ] {
            assert_eq!(opened.unseal(other, &sealed), None, "{other:?}");
        }
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(opened.unseal(place(3, false), &damaged), None);
        }
        assert_eq!(opened.unseal(place(3, false), &sealed[1..]), None);
    }

    #[test]
    fn another_key_or_another_backups_does_not_open_it() {
        let key = BackupKey::new([1; 32]);
        let (_, encryption) = Sealer::draw(&key, "ab", &SystemEntropy);
        for (key, backup) in [(BackupKey::new([2; 32]), "ab"), (key, "cd")] {
            let refused = Sealer::open(&key, backup, &encryption).err().unwrap();
            assert!(matches!(refused, BackupError::WrongKey), "{refused}");
        }
        assert!(!format!("{:?}", BackupKey::new([7; 32])).contains('7'));
    }
}
