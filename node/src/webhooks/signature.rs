//! The headers by which a receiver knows that a webhook is ours, in the two forms that receivers
//! check. Keeping, rotating and making secrets are others' matters.
//!
//! | header | text | key |
//! |---|---|---|
//! | `VectorGate-Signature` | `<ts>,<hex>` over `<ts>.<body>` | the newest secret's whole text |
//! | `VectorGate-Signature-Previous` | the same | the older secret's whole text, if there are two |
//! | `webhook-id` | the event's id, the same on each attempt | |
//! | `webhook-timestamp` | `<ts>` | |
//! | `webhook-signature` | `v1,<base64>` for each secret over `<id>.<ts>.<body>` | what is base64 after `whsec_` |
//!
//! The last three are the Standard Webhooks form. Both forms come from the same secret, so that a
//! receiver takes whichever it has code for.

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

/// What every secret begins with.
pub(crate) const SECRET_PREFIX: &str = "whsec_";

const SIGNATURE: HeaderName = HeaderName::from_static("vectorgate-signature");
const SIGNATURE_PREVIOUS: HeaderName = HeaderName::from_static("vectorgate-signature-previous");
const STANDARD_ID: HeaderName = HeaderName::from_static("webhook-id");
const STANDARD_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const STANDARD_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Reads secrets with and without padding: libraries that make them differ.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The headers of one attempt at `unix_s` to deliver `body`. `secrets` has the newest first and at
/// most two. A secret that is not `whsec_` and base64 signs in the first form alone.
pub(crate) fn headers(event_id: &str, secrets: &[String], unix_s: u64, body: &[u8]) -> HeaderMap {
    let timestamp = unix_s.to_string();
    let mut headers = HeaderMap::new();
    for (name, secret) in [SIGNATURE, SIGNATURE_PREVIOUS].into_iter().zip(secrets) {
        headers.insert(name, value(&plain(secret, &timestamp, body)));
    }
    let standard: Vec<String> = secrets
        .iter()
        .filter_map(|secret| standard(secret, event_id, &timestamp, body))
        .collect();
    if !standard.is_empty() {
        headers.insert(STANDARD_SIGNATURE, value(&standard.join(" ")));
    }
    headers.insert(STANDARD_ID, value(event_id));
    headers.insert(STANDARD_TIMESTAMP, value(&timestamp));
    headers
}

/// `<ts>,<hex>`.
fn plain(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let digest = digest(secret.as_bytes(), &[timestamp.as_bytes(), b".", body]);
    format!("{timestamp},{}", hex::encode(digest))
}

/// `v1,<base64>`.
fn standard(secret: &str, event_id: &str, timestamp: &str, body: &[u8]) -> Option<String> {
    let key = LENIENT.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()?;
    let signed = [event_id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    Some(format!("v1,{}", STANDARD.encode(digest(&key, &signed))))
}

fn digest(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut keyed = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        keyed.update(part);
    }
    keyed.finalize().into_bytes().into()
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("times, digests and identifiers are visible ASCII")
}
