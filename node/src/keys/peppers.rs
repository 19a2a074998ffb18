//! Peppers: the secrets under which API keys and join tokens are hashed, and of which the text of most is made. A node may have
//! several, as operators give them one a line, the wanted one first. Which one new keys are hashed under, the replicated state
//! says; the others still recognise what was hashed under them.

use std::sync::atomic::{AtomicUsize, Ordering};

use domain::id::ApiKeyId;
use domain::model::{KeyHash, KeyKind, KeySalt, PepperId};
use hmac::{Hmac, KeyInit, Mac};
use platform::Entropy;
use platform::secret_file::SecretFileError;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{
    CHECKSUM_LEN, PresentedKey, RANDOM_LEN, Secret, TEST, checksum_of, prefix, push_random,
};
use crate::key_text::{KeyText, KeyTextError};

/// Shorter peppers are refused: 256 bits, as the hash has.
pub const PEPPER_BYTES_MIN: usize = 32;

/// Longer peppers are refused: nothing sensible is bigger.
pub const PEPPER_BYTES_MAX: usize = 1024;

/// How many peppers a node holds at once: the one to come, the present one, and two that some keys still need. A key that none
/// recognises is hashed under each.
pub const PEPPERS_MAX: usize = 4;

/// The most text that peppers are read from: the longest, and a comment for each.
const PEPPER_TEXT_BYTES_MAX: usize = PEPPERS_MAX * (2 * PEPPER_BYTES_MAX + 512);

/// What the MAC is for that keys are made with.
const SECRET_PURPOSE: &str = "vectorgate api key v1";

/// What [`Pepper::check`] hashes. No API key starts like this.
const CHECK_TEXT: &[u8] = b"vectorgate pepper check v1";

/// Why there is no pepper.
#[derive(Debug, thiserror::Error)]
pub enum PepperError {
    /// The file cannot be read, or others may read it.
    #[error("the pepper file cannot be used")]
    File(#[from] SecretFileError),
    /// A line holds something else.
    #[error(
        "line {line} is no pepper: {PEPPER_BYTES_MIN} to {PEPPER_BYTES_MAX} bytes in hexadecimal, one pepper a line"
    )]
    Malformed {
        /// Which, from 1.
        line: usize,
    },
    /// There are none, or more than may be.
    #[error(
        "there must be 1 to {PEPPERS_MAX} peppers, each once, in {PEPPER_TEXT_BYTES_MAX} bytes"
    )]
    Count,
}

impl From<KeyTextError> for PepperError {
    fn from(error: KeyTextError) -> Self {
        match error {
            KeyTextError::Malformed { line } => Self::Malformed { line },
            KeyTextError::Count => Self::Count,
        }
    }
}

/// One pepper, and its name.
pub struct Pepper {
    id: PepperId,
    keyed: Hmac<Sha256>,
}

impl std::fmt::Debug for Pepper {
    /// The name alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pepper").field(&self.id).finish()
    }
}

impl Pepper {
    fn new(pepper: &[u8]) -> Result<Self, PepperError> {
        let malformed = || PepperError::Malformed { line: 1 };
        if !(PEPPER_BYTES_MIN..=PEPPER_BYTES_MAX).contains(&pepper.len()) {
            return Err(malformed());
        }
        let keyed = Hmac::new_from_slice(pepper).map_err(|_| malformed())?;
        let check = hashed(&keyed, CHECK_TEXT);
        let id = PepperId::of(&check);
        Ok(Self { id, keyed })
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> PepperId {
        self.id
    }

    /// Recognises it without telling it: stored at bootstrap, compared at every start.
    #[must_use]
    pub fn check(&self) -> KeyHash {
        self.hash_bytes(CHECK_TEXT)
    }

    /// The hash by which the cluster knows a key, if it was hashed under this pepper.
    #[must_use]
    pub fn hash(&self, key: PresentedKey<'_>) -> KeyHash {
        self.hash_bytes(key.text.as_bytes())
    }

    /// Draws a new key; the hash is stored, the secret shown once.
    #[must_use]
    pub fn mint(&self, kind: KeyKind, entropy: &dyn Entropy) -> (Secret, KeyHash) {
        self.made_of(kind, |bytes| entropy.fill(bytes))
    }

    /// The key that belongs to an identifier and a salt; always the same one.
    #[must_use]
    pub fn secret(&self, kind: KeyKind, id: &ApiKeyId, salt: &KeySalt) -> (Secret, KeyHash) {
        let mut keyed = self.derived(SECRET_PURPOSE);
        keyed.update(&salt.0);
        keyed.update(id.as_str().as_bytes());
        let mut round = 0_u32;
        self.made_of(kind, |bytes| {
            let mut block = keyed.clone();
            block.update(&round.to_be_bytes());
            round += 1;
            bytes.copy_from_slice(&block.finalize().into_bytes());
        })
    }

    fn made_of(&self, kind: KeyKind, fill: impl FnMut(&mut [u8; RANDOM_LEN])) -> (Secret, KeyHash) {
        let mut text = String::with_capacity(TEST.len() + RANDOM_LEN + CHECKSUM_LEN);
        text.push_str(prefix(kind));
        push_random(&mut text, fill);
        let checksum = checksum_of(&text);
        text.extend(checksum.map(char::from));
        let hash = self.hash_bytes(text.as_bytes());
        (Secret(Zeroizing::new(text)), hash)
    }

    /// A MAC of its own for another purpose, so that nothing made for one can pass for the other.
    #[must_use]
    pub fn derived(&self, purpose: &str) -> Hmac<Sha256> {
        let key = self.hash_bytes(purpose.as_bytes());
        Hmac::new_from_slice(&key.0).unwrap_or_else(|_| self.keyed.clone())
    }

    fn hash_bytes(&self, bytes: &[u8]) -> KeyHash {
        hashed(&self.keyed, bytes)
    }
}

fn hashed(keyed: &Hmac<Sha256>, bytes: &[u8]) -> KeyHash {
    let mut keyed = keyed.clone();
    keyed.update(bytes);
    KeyHash(keyed.finalize().into_bytes().into())
}

/// The peppers of a node, the wanted one first, and which of them the state names.
#[derive(Debug)]
pub(super) struct Peppers {
    all: Vec<Pepper>,
    /// Its place among them.
    active: AtomicUsize,
}

impl Peppers {
    /// Reads them from text.
    pub(super) fn parse(text: &str) -> Result<Self, PepperError> {
        let form = KeyText {
            bytes: PEPPER_BYTES_MIN..=PEPPER_BYTES_MAX,
            keys_max: PEPPERS_MAX,
            text_max: PEPPER_TEXT_BYTES_MAX,
        };
        let peppers = form.read(text)?;
        let all: Result<_, _> = peppers.iter().map(|pepper| Pepper::new(pepper)).collect();
        Ok(Self {
            all: all?,
            active: AtomicUsize::new(0),
        })
    }

    /// The one with these bytes, alone.
    pub(super) fn one(pepper: &[u8]) -> Result<Self, PepperError> {
        Ok(Self {
            all: vec![Pepper::new(pepper)?],
            active: AtomicUsize::new(0),
        })
    }

    pub(super) fn all(&self) -> &[Pepper] {
        &self.all
    }

    /// The first; there is one.
    pub(super) fn wanted(&self) -> &Pepper {
        &self.all[0]
    }

    /// The one that new keys are hashed under: the wanted one, as long as no other was named.
    pub(super) fn active(&self) -> &Pepper {
        &self.all[self.place()]
    }

    /// All but the active one.
    pub(super) fn others(&self) -> impl Iterator<Item = &Pepper> {
        let active = self.place();
        let all = self.all.iter().enumerate();
        all.filter_map(move |(place, pepper)| (place != active).then_some(pepper))
    }

    /// The place of the active one.
    pub(super) fn place(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Takes that one for the active one from now on, and says whether it is there.
    pub(super) fn activate(&self, id: PepperId) -> bool {
        let place = self.all.iter().position(|pepper| pepper.id == id);
        if let Some(place) = place {
            self.active.store(place, Ordering::Relaxed);
        }
        place.is_some()
    }
}
