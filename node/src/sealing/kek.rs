//! Key-encryption keys, as the operator gives them: 32 random bytes each, in hexadecimal, one a line. The first is the
//! one that the operator wants secrets to be sealed under; the others still open what was sealed before. A
//! key's name is made of the key, so that two nodes that name the same one have the same one.
//!
//! Which of them is sealed under is the cluster's matter: see [`crate::consensus`].

use std::fmt;
use std::path::Path;

use aes_gcm_siv::{Aes256GcmSiv, Key};
use domain::model::KekId;
use hmac::{Hmac, KeyInit, Mac};
use platform::secret_file::{self, SecretFileError};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::program::{self, ProgramError};
use crate::key_text::{KeyText, KeyTextError};

/// How many bytes a key has.
pub const KEK_BYTES: usize = 32;

/// How many keys a node holds at once: the one to come, the present one, and a few that backups need.
pub const KEKS_MAX: usize = 8;

/// The most text that keys are read from: the keys, and a comment for each.
pub const KEK_TEXT_BYTES_MAX: usize = 4 * 1024;

const ID_PURPOSE: &[u8] = b"vectorgate key-encryption key id v1";
const SEAL_PURPOSE: &[u8] = b"vectorgate key-encryption key seal v1";

/// Why there are no key-encryption keys.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// The file cannot be read, or others may read it.
    #[error("the file with key-encryption keys cannot be used")]
    File(#[from] SecretFileError),
    /// The program gave none.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A line holds something else.
    #[error(
        "line {line} is no key-encryption key: {KEK_BYTES} bytes in hexadecimal, one key a line"
    )]
    Malformed {
        /// Which, from 1.
        line: usize,
    },
    /// There are none, or more than may be.
    #[error(
        "there must be 1 to {KEKS_MAX} key-encryption keys, each once, in {KEK_TEXT_BYTES_MAX} bytes"
    )]
    Count,
}

impl From<KeyTextError> for KekError {
    fn from(error: KeyTextError) -> Self {
        match error {
            KeyTextError::Malformed { line } => Self::Malformed { line },
            KeyTextError::Count => Self::Count,
        }
    }
}

impl KekError {
    /// Whether trying again later may help: the service that the program asks was away.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Program(ProgramError::Slow { .. } | ProgramError::Failed { .. })
        )
    }
}

/// One key, and its name.
pub(super) struct Kek {
    id: KekId,
    seal: Zeroizing<[u8; 32]>,
}

impl Kek {
    fn new(key: &[u8]) -> Self {
        let named = made_of(key, ID_PURPOSE);
        let mut id = [0; 8];
        id.copy_from_slice(&named[..8]);
        Self {
            id: KekId(id),
            seal: made_of(key, SEAL_PURPOSE),
        }
    }

    pub(super) fn id(&self) -> KekId {
        self.id
    }

    pub(super) fn cipher(&self) -> Aes256GcmSiv {
        Aes256GcmSiv::new(&Key::<Aes256GcmSiv>::from(*self.seal))
    }
}

/// Another key for each purpose, so that a name tells nothing of what seals.
fn made_of(key: &[u8], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    // HMAC fills a key up to a block with zeros.
    let mut block = Zeroizing::new([0; 64]);
    block[..key.len()].copy_from_slice(key);
    let mut keyed = <Hmac<Sha256> as KeyInit>::new(&(*block).into());
    keyed.update(purpose);
    Zeroizing::new(keyed.finalize().into_bytes().into())
}

/// The key-encryption keys of a node, the wanted one first; perhaps none.
#[derive(Default)]
pub struct KekRing(Vec<Kek>);

impl fmt::Debug for KekRing {
    /// The names alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl KekRing {
    /// Reads the keys from a file that only its owner may read.
    ///
    /// # Errors
    /// When it cannot be read, is exposed or malformed.
    pub fn load(path: &Path) -> Result<Self, KekError> {
        let text = Zeroizing::new(secret_file::read(path)?);
        Self::parse(&text)
    }

    /// Takes the keys from what a program writes to its standard output.
    ///
    /// # Errors
    /// When it cannot be run, fails, takes too long, or writes something else.
    pub async fn ask(program: &[String]) -> Result<Self, KekError> {
        let text = program::output(program, KEK_TEXT_BYTES_MAX).await?;
        Self::parse(&text)
    }

    /// Reads the keys from text. Empty lines, and those that begin with `#`, are left out.
    ///
    /// # Errors
    /// When a line is no key, a key stands there twice, or there are none or too many.
    pub fn parse(text: &str) -> Result<Self, KekError> {
        let form = KeyText {
            bytes: KEK_BYTES..=KEK_BYTES,
            keys_max: KEKS_MAX,
            text_max: KEK_TEXT_BYTES_MAX,
        };
        let keys = form.read(text)?;
        Ok(Self(keys.iter().map(|key| Kek::new(key)).collect()))
    }

    /// The key that secrets are to be sealed under.
    #[must_use]
    pub fn wanted(&self) -> Option<KekId> {
        self.0.first().map(Kek::id)
    }

    /// The names of all keys, the wanted one first.
    pub fn ids(&self) -> impl Iterator<Item = KekId> + '_ {
        self.0.iter().map(Kek::id)
    }

    /// Whether it has a key.
    #[must_use]
    pub fn has(&self, id: KekId) -> bool {
        self.get(id).is_some()
    }

    pub(super) fn get(&self, id: KekId) -> Option<&Kek> {
        self.0.iter().find(|key| key.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_order_and_named_after_themselves() {
        let (one, other) = ("01".repeat(32), "02".repeat(32));
        let text = format!("# since November\n  {one}\n\n{other}\n");
        let ring = KekRing::parse(&text).unwrap();
        let ids: Vec<_> = ring.ids().collect();
        assert_eq!(ids.len(), 2);
        assert_eq!(ring.wanted(), Some(ids[0]));
        assert!(ring.has(ids[1]) && !ring.has(KekId([0; 8])));
        let alone = KekRing::parse(&other).unwrap();
        assert_eq!(alone.wanted(), Some(ids[1]));
        // What members agree by does not change from release to release.
        let names: Vec<_> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["8bab75fc4c1e38ac", "7dddef541b9224ed"]);
    }

    #[test]
    fn what_is_no_key_is_named_by_its_line_and_never_shown() {
        let good = "01".repeat(32);
        for (text, line) in [
            ("zz".to_owned(), 1),
            (format!("{good}\n{}", "02".repeat(31)), 2),
            (format!("# one\n{good} # two"), 2),
        ] {
            let error = KekRing::parse(&text).unwrap_err();
            assert!(
                matches!(error, KekError::Malformed { line: found } if found == line),
                "{error:?}"
            );
            assert!(!format!("{error} {error:?}").contains("0101"), "{error}");
        }
        let many: String = (0..9)
            .map(|key| format!("{key:02}").repeat(32) + "\n")
            .collect();
        let long = format!("{good}\n#{}", " ".repeat(KEK_TEXT_BYTES_MAX));
        for text in ["", "# none\n", &format!("{good}\n{good}"), &many, &long] {
            assert!(
                matches!(KekRing::parse(text), Err(KekError::Count)),
                "{text}"
            );
        }
    }

    #[test]
    fn keys_do_not_show_in_debug_output() {
        let ring = KekRing::parse(&"07".repeat(32)).unwrap();
        let shown = format!("{ring:?}");
        assert!(
            !shown.contains("0707") && !shown.contains("7, 7"),
            "{shown}"
        );
    }
}
