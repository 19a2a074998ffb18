//! API keys: their text, their checksum, and the keyed hash that is all the cluster stores.
//!
//! `vg_live_sk_v2_`, `vg_test_sk_v2_` or `vg_rk_v2_`, 32 base-62 characters (190 random bits),
//! 6 base-62 characters of CRC-32 over everything before them. The checksum lets a mistyped key be
//! refused without a look-up; it is no secret and proves nothing else. What a key may do is
//! decided by whoever finds its hash.
//!
//! The two keys of bootstrap are drawn ([`KeyRing::mint`]). All others are made of the pepper, the
//! key's identifier and a random salt ([`KeyRing::secret`]), so that a retry of the request that
//! made one is answered with the same key although nobody has stored it. The salt is in the
//! cluster's state and the pepper is not: neither alone gives a key away.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::id::ApiKeyId;
use domain::model::{KeyHash, KeyKind, KeySalt};
use hmac::{Hmac, KeyInit, Mac};
use platform::Entropy;
use platform::secret_file::{self, SecretFileError};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::sealing::KekRing;

const LIVE: &str = "vg_live_sk_v2_";
const TEST: &str = "vg_test_sk_v2_";
const RESTRICTED: &str = "vg_rk_v2_";
const KINDS: [KeyKind; 3] = [KeyKind::Live, KeyKind::Test, KeyKind::Restricted];
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LEN: usize = 32;
const CHECKSUM_LEN: usize = 6;

/// Shorter peppers are refused: 256 bits, as the hash has.
pub const PEPPER_BYTES_MIN: usize = 32;

/// Longer pepper files are refused: nothing sensible is bigger, and the file is read whole.
pub const PEPPER_BYTES_MAX: usize = 1024;

/// What the MAC is for that keys are made with.
const SECRET_PURPOSE: &str = "vectorgate api key v1";

/// What [`KeyRing::pepper_check`] hashes. No API key starts like this.
const PEPPER_CHECK_TEXT: &[u8] = b"vectorgate pepper check v1";

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

/// Why there is no pepper.
#[derive(Debug, thiserror::Error)]
pub enum PepperError {
    /// The file cannot be read, or others may read it.
    #[error("the pepper file cannot be used")]
    File(#[from] SecretFileError),
    /// It holds something else.
    #[error("the pepper must be {PEPPER_BYTES_MIN} to {PEPPER_BYTES_MAX} bytes in hexadecimal")]
    Malformed,
}

/// The cluster's pepper and what is made with it, and the key-encryption keys that this node has. Cloning shares
/// these.
#[derive(Clone)]
pub struct KeyRing {
    keyed: Hmac<Sha256>,
    keks: Arc<KekRing>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(..)")
    }
}

impl KeyRing {
    /// Reads the pepper from a file that only its owner may read.
    ///
    /// # Errors
    /// When it cannot be read, is exposed or malformed.
    pub fn load(path: &Path) -> Result<Self, PepperError> {
        let text = Zeroizing::new(secret_file::read(path)?);
        Self::from_hex(&text)
    }

    /// Takes the pepper as hexadecimal text; space around it is ignored.
    ///
    /// # Errors
    /// When it is malformed, too short or too long.
    pub fn from_hex(text: &str) -> Result<Self, PepperError> {
        let mut pepper = hex::decode(text.trim()).map_err(|_| PepperError::Malformed)?;
        let ring = Self::new(&pepper);
        pepper.zeroize();
        ring
    }

    /// Takes the pepper's bytes.
    ///
    /// # Errors
    /// When it is too short or too long.
    pub fn new(pepper: &[u8]) -> Result<Self, PepperError> {
        if !(PEPPER_BYTES_MIN..=PEPPER_BYTES_MAX).contains(&pepper.len()) {
            return Err(PepperError::Malformed);
        }
        let keyed = Hmac::new_from_slice(pepper).map_err(|_| PepperError::Malformed)?;
        Ok(Self {
            keyed,
            keks: Arc::default(),
        })
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

    /// The hash by which the cluster knows a key.
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

    /// The secret that signs what a webhook endpoint is sent, where the cluster has no key-encryption key: it is derived and
    /// never stored, and a retried request shows it again. [`KeyRing::webhook_secret`] is the one that signs.
    #[must_use]
    pub fn derived_webhook_secret(&self, endpoint_id: &str, generation: u32) -> Secret {
        let mut keyed = self.derived("vectorgate webhook secret v1");
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

    /// Recognises the pepper without telling it: stored at bootstrap, compared at every start.
    #[must_use]
    pub fn pepper_check(&self) -> KeyHash {
        self.hash_bytes(PEPPER_CHECK_TEXT)
    }

    /// Whether `check` was made with this pepper.
    #[must_use]
    pub fn matches(&self, check: &KeyHash) -> bool {
        self.pepper_check().0.ct_eq(&check.0).into()
    }

    fn hash_bytes(&self, bytes: &[u8]) -> KeyHash {
        let mut keyed = self.keyed.clone();
        keyed.update(bytes);
        KeyHash(keyed.finalize().into_bytes().into())
    }
}

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
mod tests {
    use platform::SystemEntropy;

    use super::*;

    fn ring() -> KeyRing {
        KeyRing::new(&[7; 32]).unwrap()
    }

    /// Bytes that count up, so that the rejected range comes up as well.
    struct Counting(std::sync::atomic::AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            for byte in buffer {
                *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    /// Contract.
    #[test]
    fn a_minted_key_parses_as_its_kind_and_hashes_as_stored() {
        for kind in KINDS {
            let (secret, hash) = ring().mint(kind, &SystemEntropy);
            let presented = PresentedKey::parse(secret.reveal()).unwrap();
            assert_eq!(presented.kind(), kind);
            assert_eq!(ring().hash(presented), hash);
            assert_ne!(KeyRing::new(&[8; 32]).unwrap().hash(presented), hash);
        }
    }

    #[test]
    fn a_key_can_be_made_again_from_its_identifier_and_salt_with_the_pepper_alone() {
        let id = |text| ApiKeyId::parse(text).unwrap();
        let salt = KeySalt([1; 16]);
        let of = |ring: KeyRing, text, salt: &KeySalt| {
            let (secret, hash) = ring.secret(KeyKind::Restricted, &id(text), salt);
            let presented = PresentedKey::parse(secret.reveal()).unwrap();
            assert_eq!(presented.kind(), KeyKind::Restricted);
            assert_eq!(ring.hash(presented), hash);
            secret.reveal().to_owned()
        };
        let first = of(ring(), "key_00000001", &salt);
        assert_eq!(of(ring(), "key_00000001", &salt), first);
        let others = [
            of(ring(), "key_00000002", &salt),
            of(ring(), "key_00000001", &KeySalt([2; 16])),
            of(KeyRing::new(&[8; 32]).unwrap(), "key_00000001", &salt),
        ];
        assert!(others.iter().all(|other| other[9..] != first[9..]));
    }

    /// Contract: D-11.
    #[test]
    fn every_single_character_change_is_noticed() {
        let (secret, _) = ring().mint(KeyKind::Live, &SystemEntropy);
        let text = secret.reveal();
        for position in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(
                PresentedKey::parse(&changed).is_none(),
                "position {position}"
            );
        }
    }

    #[test]
    fn malformed_keys_are_refused_without_a_look_up() {
        let (secret, _) = ring().mint(KeyKind::Live, &SystemEntropy);
        let text = secret.reveal();
        let longer = format!("{text}0");
        let shorter = &text[..text.len() - 1];
        let other_kind = text.replacen("live", "test", 1);
        let spaced = format!(" {text}");
        let non_ascii = format!("{}ü{}", &text[..20], &text[22..]);
        for bad in [
            "",
            "vg_live_sk_v2_",
            "sk_live_1",
            &longer,
            shorter,
            &other_kind,
            &spaced,
            &non_ascii,
        ] {
            assert!(PresentedKey::parse(bad).is_none(), "{bad:?}");
        }
    }

    /// Contract: R-13.
    #[test]
    fn the_text_of_a_key_is_fixed_for_fixed_entropy() {
        let (secret, _) = ring().mint(KeyKind::Live, &Counting(240.into()));
        // 240..=247 are kept (54 to 61), 248..=255 drawn again, then 0, 1, 2, …
        assert_eq!(
            &secret.reveal()[..46],
            "vg_live_sk_v2_stuvwxyz0123456789ABCDEFGHIJKLMN"
        );
        assert_eq!(secret.reveal().len(), 52);
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let (secret, hash) = ring().mint(KeyKind::Live, &SystemEntropy);
        let presented = PresentedKey::parse(secret.reveal()).unwrap();
        let shown = format!("{secret:?} {presented:?} {hash:?} {:?}", ring());
        assert!(!shown.contains(&secret.reveal()[14..]), "{shown}");
        assert!(
            !shown.contains("07, 07") && !shown.contains("7, 7"),
            "{shown}"
        );
    }

    #[test]
    fn a_pepper_is_recognised_by_its_check_alone() {
        let check = ring().pepper_check();
        assert!(ring().matches(&check));
        assert!(!KeyRing::new(&[8; 32]).unwrap().matches(&check));
    }

    #[test]
    fn bad_peppers_are_refused() {
        for bad in [
            "",
            "00",
            "zz",
            &"0".repeat(63),
            &"0".repeat(62),
            &"00".repeat(1025),
        ] {
            assert!(
                matches!(KeyRing::from_hex(bad), Err(PepperError::Malformed)),
                "{bad}"
            );
        }
        assert!(KeyRing::from_hex(&format!("  {}\n", "ab".repeat(32))).is_ok());
    }
}
