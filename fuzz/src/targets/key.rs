//! API keys: their form, which is checked before anything is looked up.

use domain::id::{ApiKeyId, Seed};
use domain::model::{KeyKind, KeySalt};
use node::keys::{KeyRing, PresentedKey};

use crate::Seen;
use crate::choices::Choices;

const KINDS: [KeyKind; 3] = [KeyKind::Live, KeyKind::Test, KeyKind::Restricted];

/// The first byte says whether the rest is a key, or what becomes of a good one.
pub(super) fn run(input: &[u8]) -> Seen {
    let mut choices = Choices::of(input);
    let ring = KeyRing::new(&[7; 32]).expect("a pepper of 32 bytes");
    if choices.byte().is_multiple_of(2) {
        let text = String::from_utf8_lossy(choices.rest()).into_owned();
        return told(&ring, &text);
    }
    let kind = choices.one(&KINDS);
    let mut salt = [0; 16];
    salt.fill_with(|| choices.byte());
    let id = ApiKeyId::new(Seed {
        unix_ms: u64::from(choices.byte()),
        random: u64::from(choices.byte()),
    });
    let (secret, hash) = ring.active().secret(kind, &id, &KeySalt(salt));
    let good = secret.reveal();
    let presented = PresentedKey::parse(good).expect("a key that was made is well-formed");
    assert_eq!((presented.kind(), ring.hash(presented)), (kind, hash));
    assert!(!format!("{presented:?} {secret:?}").contains(&good[14..]));
    // A CRC of 32 bits notices every burst of changes within so many.
    let mut bytes = good.as_bytes().to_vec();
    let at = choices.below(bytes.len());
    for place in at..bytes.len().min(at + 4) {
        bytes[place] = choices.byte() & 0x7f;
    }
    let changed = String::from_utf8(bytes).expect("ASCII");
    let taken = PresentedKey::parse(&changed).is_some();
    assert_eq!(
        taken,
        changed == good,
        "a changed key is taken for a good one"
    );
    told(&ring, &changed)
}

fn told(ring: &KeyRing, text: &str) -> Seen {
    let Some(presented) = PresentedKey::parse(text) else {
        let prefix = KINDS.len() - usize::from(text.starts_with("vg_"));
        return Seen::of(("refused", prefix, text.len() == 52, text.is_ascii()));
    };
    let prefix = match presented.kind() {
        KeyKind::Live => "vg_live_sk_v2_",
        KeyKind::Test => "vg_test_sk_v2_",
        KeyKind::Restricted => "vg_rk_v2_",
    };
    let body = text
        .strip_prefix(prefix)
        .expect("its kind is that of its prefix");
    assert_eq!(body.len(), 38);
    assert!(body.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let other = KeyRing::new(&[8; 32]).expect("a pepper of 32 bytes");
    assert_ne!(ring.hash(presented), other.hash(presented));
    Seen::of(("taken", prefix))
}
