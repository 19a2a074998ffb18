//! The envelope: a secret is sealed under a data key that is drawn for it alone, and that under a key-encryption key, both
//! with AES-256-GCM-SIV (RFC 8452). Sealing the data key under another key-encryption key leaves the secret's own
//! ciphertext as it is and needs no look at the secret.
//!
//! Both are bound to where the secret belongs, so that one that is moved to another place does not open; the data
//! key also to the key-encryption key's name. The bytes are [`domain::model::SealedKey`]'s.

use aes_gcm_siv::aead::{Aead, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Key, KeyInit, Nonce};
use domain::model::{Envelope, KekId, SEALED_DATA_KEY_BYTES, SealedKey};
use platform::Entropy;
use zeroize::Zeroizing;

use super::Unopened;
use super::kek::Kek;

/// What is authenticated with a data key, and with a secret; each is one format's.
const DATA_KEY_PURPOSE: &[u8] = b"vectorgate sealed data key v1";
const SECRET_PURPOSE: &[u8] = b"vectorgate sealed secret v1";

/// A data key seals one secret, once, so that its nonce never comes twice.
const SECRET_NONCE: [u8; 12] = [0; 12];

/// Seals a secret that belongs there.
pub(super) fn seal(
    kek: &Kek,
    bound: &[u8],
    secret: &[u8],
    entropy: &dyn Entropy,
) -> Result<SealedKey, Unopened> {
    let mut data_key = Zeroizing::new([0; 32]);
    entropy.fill(&mut *data_key);
    let secret = cipher(&data_key)
        .encrypt(
            &Nonce::from(SECRET_NONCE),
            payload(secret, &secret_aad(bound)),
        )
        .map_err(|_| Unopened::Refused)?;
    enclose(kek, bound, &data_key, &secret, entropy)
}

/// Opens a secret that belongs there.
pub(super) fn open(
    kek: &Kek,
    bound: &[u8],
    nonce: [u8; 12],
    envelope: Envelope<'_>,
) -> Result<Zeroizing<Vec<u8>>, Unopened> {
    let data_key = data_key(kek, bound, nonce, envelope)?;
    let opened = cipher(&data_key).decrypt(
        &Nonce::from(SECRET_NONCE),
        payload(envelope.secret, &secret_aad(bound)),
    );
    opened.map(Zeroizing::new).map_err(|_| Unopened::Refused)
}

/// The same secret under another key-encryption key. What would not open is not sealed again.
pub(super) fn rewrap(
    (from, to): (&Kek, &Kek),
    bound: &[u8],
    nonce: [u8; 12],
    envelope: Envelope<'_>,
    entropy: &dyn Entropy,
) -> Result<SealedKey, Unopened> {
    drop(open(from, bound, nonce, envelope)?);
    let data_key = data_key(from, bound, nonce, envelope)?;
    enclose(to, bound, &data_key, envelope.secret, entropy)
}

fn enclose(
    kek: &Kek,
    bound: &[u8],
    data_key: &[u8; 32],
    secret: &[u8],
    entropy: &dyn Entropy,
) -> Result<SealedKey, Unopened> {
    let mut nonce = [0; 12];
    entropy.fill(&mut nonce);
    let sealed = kek.cipher().encrypt(
        &Nonce::from(nonce),
        payload(data_key, &data_key_aad(kek.id(), bound)),
    );
    let sealed = sealed.map_err(|_| Unopened::Refused)?;
    let data_key: &[u8; SEALED_DATA_KEY_BYTES] = sealed
        .as_slice()
        .try_into()
        .map_err(|_| Unopened::Refused)?;
    let envelope = Envelope {
        kek: kek.id(),
        data_key,
        secret,
    };
    Ok(SealedKey::enveloped(nonce, envelope))
}

fn data_key(
    kek: &Kek,
    bound: &[u8],
    nonce: [u8; 12],
    envelope: Envelope<'_>,
) -> Result<Zeroizing<[u8; 32]>, Unopened> {
    let opened = kek.cipher().decrypt(
        &Nonce::from(nonce),
        payload(envelope.data_key, &data_key_aad(kek.id(), bound)),
    );
    let opened = Zeroizing::new(opened.map_err(|_| Unopened::Refused)?);
    let data_key = opened.as_slice().try_into();
    data_key.map(Zeroizing::new).map_err(|_| Unopened::Refused)
}

fn cipher(key: &[u8; 32]) -> Aes256GcmSiv {
    Aes256GcmSiv::new(&Key::<Aes256GcmSiv>::from(*key))
}

fn payload<'a>(msg: &'a [u8], aad: &'a [u8]) -> Payload<'a, 'a> {
    Payload { msg, aad }
}

fn data_key_aad(kek: KekId, bound: &[u8]) -> Vec<u8> {
    [DATA_KEY_PURPOSE, &kek.0, bound].concat()
}

fn secret_aad(bound: &[u8]) -> Vec<u8> {
    [SECRET_PURPOSE, bound].concat()
}
