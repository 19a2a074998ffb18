//! API keys: their text, their checksum, and the keyed hash that is all the cluster stores.
//!
//! `vg_live_sk_v2_`, `vg_test_sk_v2_` or `vg_rk_v2_`, 32 base-62 characters (190 random bits),
//! 6 base-62 characters of CRC-32 over everything before them. The checksum lets a mistyped key be
//! refused without a look-up; it is no secret and proves nothing else. What a key may do is
//! decided by whoever finds its hash.
//!
//! The two keys of bootstrap are drawn ([`Pepper::mint`]). All others are made of a pepper, the
//! key's identifier and a random salt ([`Pepper::secret`]), so that a retry of the request that
//! made one is answered with the same key although nobody has stored it. The salt is in the
//! cluster's state and the pepper is not: neither alone gives a key away. What is made of a pepper is
//! [`Pepper`]'s matter.

mod peppers;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::id::ApiKeyId;
use domain::model::{KeyHash, KeyKind, KeySalt, PepperId};
use domain::query;
use domain::rows::View;
use hmac::{Hmac, Mac};
use platform::Entropy;
use platform::secret_file;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use peppers::{PEPPER_BYTES_MAX, PEPPER_BYTES_MIN, PEPPERS_MAX, Pepper, PepperError};

use crate::sealing::KekRing;
use peppers::Peppers;

const LIVE: &str = "vg_live_sk_v2_";
const TEST: &str = "vg_test_sk_v2_";
const RESTRICTED: &str = "vg_rk_v2_";
const KINDS: [KeyKind; 3] = [KeyKind::Live, KeyKind::Test, KeyKind::Restricted];
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LEN: usize = 32;
const CHECKSUM_LEN: usize = 6;

/// An API key's whole text. It is shown once, by [`Secret::reveal`], and never by `Debug`.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Of its text.
    pub(crate) fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The text, for the one place that hands it to its owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A key text that is well-formed: known prefix, right length and alphabet, right checksum.
#[derive(Clone, Copy)]
pub struct PresentedKey<'a> {
    text: &'a str,
    kind: KeyKind,
}

impl<'a> PresentedKey<'a> {
    /// Checks the form alone; nothing is looked up.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let kind = KINDS
            .into_iter()
            .find(|kind| text.starts_with(prefix(*kind)))?;
        let prefix = prefix(kind);
        let body = text.strip_prefix(prefix)?.as_bytes();
        if body.len() != RANDOM_LEN + CHECKSUM_LEN || !body.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let (signed, checksum) = text.split_at(prefix.len() + RANDOM_LEN);
        let expected = checksum_of(signed);
        bool::from(expected.ct_eq(checksum.as_bytes())).then_some(Self { text, kind })
    }

    /// Which kind its prefix names.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }
}

impl fmt::Debug for PresentedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedKey")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// The cluster's peppers and what is made with them, and the key-encryption keys that this node has. Cloning shares
/// these.
#[derive(Clone)]
pub struct KeyRing {
    peppers: Arc<Peppers>,
    keks: Arc<KekRing>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(..)")
    }
}

impl KeyRing {
    /// Reads the peppers from a file that only its owner may read.
    ///
    /// # Errors
    /// When it cannot be read, is exposed or malformed.
    pub fn load(path: &Path) -> Result<Self, PepperError> {
        let text = Zeroizing::new(secret_file::read(path)?);
        Self::parse(&text)
    }

    /// Reads the peppers from text: hexadecimal, one a line, the wanted one first. Empty lines, and those that begin with
    /// `#`, are left out.
    ///
    /// # Errors
    /// When a line is no pepper, a pepper stands there twice, or there are none or too many.
    pub fn parse(text: &str) -> Result<Self, PepperError> {
        Ok(Self::of(Peppers::parse(text)?))
    }

    /// Takes the bytes of one pepper.
    ///
    /// # Errors
    /// When it is too short or too long.
    pub fn new(pepper: &[u8]) -> Result<Self, PepperError> {
        Ok(Self::of(Peppers::one(pepper)?))
    }

    fn of(peppers: Peppers) -> Self {
        Self {
            peppers: Arc::new(peppers),
            keks: Arc::default(),
        }
    }

    /// The same with key-encryption keys.
    #[must_use]
    pub fn with_keks(self, keks: KekRing) -> Self {
        Self {
            keks: Arc::new(keks),
            ..self
        }
    }

    /// The key-encryption keys.
    #[must_use]
    pub fn keks(&self) -> &KekRing {
        &self.keks
    }

    /// The pepper that new keys are hashed under: the one that the state names, as this node has applied it; the wanted one
    /// before there is a workspace.
    #[must_use]
    pub fn active(&self) -> &Pepper {
        self.peppers.active()
    }

    /// The pepper that the operator wants keys to be hashed under.
    #[must_use]
    pub fn wanted(&self) -> PepperId {
        self.peppers.wanted().id()
    }

    /// All peppers, the wanted one first.
    pub fn peppers(&self) -> impl Iterator<Item = &Pepper> {
        self.peppers.all().iter()
    }

    /// The peppers but for the [`active`](Self::active) one; most of the time there are none.
    pub fn other_peppers(&self) -> impl Iterator<Item = &Pepper> {
        self.peppers.others()
    }

    /// Whether it has a pepper.
    #[must_use]
    pub fn has_pepper(&self, id: PepperId) -> bool {
        self.peppers().any(|pepper| pepper.id() == id)
    }

    /// Hashes under the pepper that the state names from now on, if it names one.
    ///
    /// # Errors
    /// When this node lacks it.
    pub fn follow(&self, view: &(impl View + ?Sized)) -> Result<Option<PepperId>, LacksPepper> {
        let Some(active) = query::active_pepper(view) else {
            return Ok(None);
        };
        if self.peppers.activate(active) {
            Ok(Some(active))
        } else {
            Err(LacksPepper(active))
        }
    }

    /// The hash by which the cluster knows a key that was made or used since the active pepper is the active one.
    #[must_use]
    pub fn hash(&self, key: PresentedKey<'_>) -> KeyHash {
        self.active().hash(key)
    }

    /// Draws a new key; the hash is stored, the secret shown once.
    #[must_use]
    pub fn mint(&self, kind: KeyKind, entropy: &dyn Entropy) -> (Secret, KeyHash) {
        self.active().mint(kind, entropy)
    }

    /// The key that belongs to an identifier and a salt and was given this hash when it was made; nothing, if that was under a
    /// pepper that this node has no more.
    #[must_use]
    pub fn secret(
        &self,
        kind: KeyKind,
        (id, salt): (&ApiKeyId, &KeySalt),
        hash: &KeyHash,
    ) -> Option<Secret> {
        let mut made = self.peppers().map(|pepper| pepper.secret(kind, id, salt));
        made.find_map(|(secret, made)| bool::from(made.0.ct_eq(&hash.0)).then_some(secret))
    }

    /// What is derived for a purpose of each pepper.
    #[must_use]
    pub fn purposed(&self, purpose: &str) -> Purposed {
        let each = self.peppers().map(|pepper| pepper.derived(purpose));
        Purposed {
            each: each.collect(),
            peppers: Arc::clone(&self.peppers),
        }
    }

    /// The secret that signs what a webhook endpoint is sent, where the cluster has no key-encryption key: it is derived and
    /// never stored, and a retried request shows it again. [`KeyRing::webhook_secret`] is the one that signs.
    #[must_use]
    pub fn derived_webhook_secret(&self, endpoint_id: &str, generation: u32) -> Secret {
        // Before there is a key-encryption key the pepper is never another one.
        let mut keyed = self.active().derived("vectorgate webhook secret v1");
        keyed.update(endpoint_id.as_bytes());
        keyed.update(&generation.to_be_bytes());
        let bytes = Zeroizing::new(<[u8; 32]>::from(keyed.finalize().into_bytes()));
        Secret(Zeroizing::new(format!("whsec_{}", STANDARD.encode(*bytes))))
    }

    /// Draws a secret for a webhook endpoint, where the cluster keeps it sealed.
    #[must_use]
    pub fn draw_webhook_secret(entropy: &dyn Entropy) -> Secret {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        entropy.fill(&mut *bytes);
        Secret(Zeroizing::new(format!("whsec_{}", STANDARD.encode(*bytes))))
    }

    /// Recognises the pepper that new keys are hashed under without telling it.
    #[must_use]
    pub fn pepper_check(&self) -> KeyHash {
        self.active().check()
    }
}

/// Keys of one purpose, one of each pepper. Cloning shares them.
#[derive(Clone)]
pub struct Purposed {
    /// In the order of the peppers.
    each: Arc<[Hmac<Sha256>]>,
    peppers: Arc<Peppers>,
}

impl Purposed {
    /// That of the active pepper.
    #[must_use]
    pub fn active(&self) -> &Hmac<Sha256> {
        &self.each[self.peppers.place()]
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Hmac<Sha256>> {
        self.each.iter()
    }
}

impl fmt::Debug for Purposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Purposed(..)")
    }
}

/// This node lacks the pepper that the cluster's keys are hashed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LacksPepper(pub PepperId);

fn prefix(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Live => LIVE,
        KeyKind::Test => TEST,
        KeyKind::Restricted => RESTRICTED,
    }
}

/// Appends [`RANDOM_LEN`] characters, each equally likely: bytes from 248 on, which would favour
/// the first characters, are drawn again.
fn push_random(text: &mut String, mut fill: impl FnMut(&mut [u8; RANDOM_LEN])) {
    let mut left = RANDOM_LEN;
    let mut bytes = Zeroizing::new([0_u8; RANDOM_LEN]);
    while left > 0 {
        fill(&mut bytes);
        for byte in bytes.iter().filter(|byte| **byte < 248).take(left) {
            text.push(char::from(ALPHABET[usize::from(byte % 62)]));
            left -= 1;
        }
    }
}

/// CRC-32 of `text` in six base-62 digits, most significant first.
fn checksum_of(text: &str) -> [u8; CHECKSUM_LEN] {
    let mut value = crc32fast::hash(text.as_bytes());
    let mut digits = [0; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(value % 62) as usize];
        value /= 62;
    }
    digits
}

#[cfg(test)]
mod tests;
