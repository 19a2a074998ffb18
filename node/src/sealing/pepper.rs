//! How secrets were sealed before there were key-encryption keys, and are where there are none: with AES-256-GCM
//! under a key that is made of the pepper: of the one that the cluster began with, since it gets another one only once
//! nothing is sealed like this any more.

use domain::model::SealedKey;
use hmac::Mac;
use platform::Entropy;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::{Zeroize, Zeroizing};

use super::Unopened;
use crate::keys::{KeyRing, Pepper};

/// Seals a secret for a purpose, with what it belongs to.
pub(super) fn seal(
    ring: &KeyRing,
    (purpose, told): (&str, &[u8]),
    secret: &[u8],
    entropy: &dyn Entropy,
) -> Result<SealedKey, Unopened> {
    let mut nonce = [0; 12];
    entropy.fill(&mut nonce);
    let mut sealed = secret.to_vec();
    let outcome = sealer(ring.active(), purpose)?.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(told),
        &mut sealed,
    );
    if outcome.is_err() {
        sealed.zeroize();
        return Err(Unopened::Refused);
    }
    Ok(SealedKey { nonce, sealed })
}

/// Opens a secret that was sealed for that purpose and belongs there.
pub(super) fn open(
    ring: &KeyRing,
    (purpose, told): (&str, &[u8]),
    SealedKey { nonce, sealed }: &SealedKey,
) -> Result<Zeroizing<Vec<u8>>, Unopened> {
    let opened = |pepper: &Pepper| {
        let mut bytes = Zeroizing::new(sealed.clone());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let sealer = sealer(pepper, purpose).ok()?;
        let opened = sealer.open_in_place(nonce, Aad::from(told), &mut bytes);
        let length = opened.ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    };
    ring.peppers().find_map(opened).ok_or(Unopened::Refused)
}

fn sealer(pepper: &Pepper, purpose: &str) -> Result<LessSafeKey, Unopened> {
    let mut key: [u8; 32] = pepper.derived(purpose).finalize().into_bytes().into();
    let sealer = UnboundKey::new(&AES_256_GCM, &key).map(LessSafeKey::new);
    key.zeroize();
    sealer.map_err(|_| Unopened::Refused)
}
