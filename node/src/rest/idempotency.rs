//! The `Idempotency-Key` header and what makes a retry a retry. Nothing is looked up here: the
//! state machine finds the record in the log entry order, so that two copies of a request that
//! reach two nodes at once cannot both take effect.

use domain::command::Idempotency;
use domain::content::canonical_json;
use domain::id::ApiKeyId;
use domain::model::{Fingerprint, IdempotencyKey};
use http::{HeaderMap, Method};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::{ApiError, Code};

const HEADER: &str = "idempotency-key";

/// The key that the client gave, if any.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let parsed = value
        .to_str()
        .ok()
        .filter(|_| values.next().is_none())
        .and_then(parse);
    parsed.map(Some).ok_or_else(|| {
        let message = "The Idempotency-Key must be a UUID of version 4, with or without quotes.";
        ApiError::new(Code::InvalidIdempotencyKey, message).at("Idempotency-Key")
    })
}

/// Reads a hyphenated UUID v4, bare or as the quoted string of the IETF draft.
fn parse(text: &str) -> Option<IdempotencyKey> {
    let bare = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text);
    if bare.len() != uuid::fmt::Hyphenated::LENGTH {
        return None;
    }
    let uuid = uuid::Uuid::try_parse(bare).ok()?;
    let is_v4 = uuid.get_version_num() == 4 && uuid.get_variant() == uuid::Variant::RFC4122;
    is_v4.then(|| IdempotencyKey(uuid.hyphenated().to_string()))
}

/// Binds a key to what was asked with it. The body counts in its canonical form, so a client that
/// writes the same object anew, with other spaces or key order, is still understood.
pub(crate) fn identify(
    key: IdempotencyKey,
    method: &Method,
    path: &str,
    body: &Value,
) -> Idempotency {
    let mut hash = Sha256::new();
    for part in [method.as_str(), path] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(canonical_json(body));
    Idempotency {
        key,
        fingerprint: Fingerprint(hash.finalize().into()),
    }
}

/// Binds a request to the caller's key as well, where the answer holds a secret: who knows another
/// caller's `Idempotency-Key` and body does not get what was answered.
pub(crate) fn bind(idempotency: Idempotency, caller: &ApiKeyId) -> Idempotency {
    let mut hash = Sha256::new();
    hash.update(idempotency.fingerprint.0);
    hash.update(caller.as_str());
    Idempotency {
        fingerprint: Fingerprint(hash.finalize().into()),
        ..idempotency
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "550e8400-e29b-41d4-a716-446655440000";

    /// Contract: D-22.
    #[test]
    fn a_key_is_a_uuid_v4_in_either_form_and_case() {
        let quoted = format!("\"{KEY}\"");
        for good in [KEY, &KEY.to_uppercase(), &quoted] {
            assert_eq!(parse(good).map(|key| key.0).as_deref(), Some(KEY), "{good}");
        }
        for bad in [
            "",
            "\"\"",
            "retry-1",
            "550e8400e29b41d4a716446655440000",
            "{550e8400-e29b-41d4-a716-446655440000}",
            "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
            "550e8400-e29b-11d4-a716-446655440000",
            "550e8400-e29b-41d4-c716-446655440000",
            "\"550e8400-e29b-41d4-a716-446655440000",
            "550e8400-e29b-41d4-a716-44665544000g",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    /// Contract: D-23.
    #[test]
    fn the_fingerprint_tells_requests_apart_but_not_spellings_of_one() {
        let of = |method: Method, path: &str, body: Value| {
            identify(IdempotencyKey(KEY.to_owned()), &method, path, &body).fingerprint
        };
        let first = of(
            Method::POST,
            "/v2/rules",
            json!({"a": 1, "b": {"c": [1, 2], "d": "x"}}),
        );
        assert_eq!(
            first,
            of(
                Method::POST,
                "/v2/rules",
                json!({"b": {"d": "x", "c": [1, 2]}, "a": 1})
            )
        );
        for other in [
            of(
                Method::PATCH,
                "/v2/rules",
                json!({"a": 1, "b": {"c": [1, 2], "d": "x"}}),
            ),
            of(
                Method::POST,
                "/v2/routes",
                json!({"a": 1, "b": {"c": [1, 2], "d": "x"}}),
            ),
            of(
                Method::POST,
                "/v2/rules",
                json!({"a": 1, "b": {"c": [2, 1], "d": "x"}}),
            ),
            of(Method::POST, "/v2/rules", json!({})),
        ] {
            assert_ne!(first, other);
        }
    }
}
