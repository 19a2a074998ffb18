//! What an edge shows of its decisions to those who have its debug key.
//!
//! The edge knows but the key's SHA-256, so its settings give nothing away, and it needs no node
//! to judge a key. A key should have 128 random bits or more: a hash does not protect a word.
//!
//! The request's header never passes the edge, whether the key in it is right or not: it is taken
//! out before anything else looks at the request.

use domain::id::RequestId;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Trace;
use super::slot::Slot;
use crate::proxy::REQUEST_ID;

/// Carries the key.
pub(super) const DEBUG: HeaderName = HeaderName::from_static("vectorgate-debug");

const RULE: HeaderName = HeaderName::from_static("x-vectorgate-rule");
const SNAPSHOT: HeaderName = HeaderName::from_static("x-vectorgate-snapshot");
const CACHE: HeaderName = HeaderName::from_static("x-vectorgate-cache");

/// The SHA-256 of the debug key.
#[derive(Clone, Copy, Debug)]
pub struct DebugKey([u8; 32]);

impl DebugKey {
    /// From the 64 hexadecimal digits in the settings.
    #[must_use]
    pub fn parse(digits: &str) -> Option<Self> {
        let bytes = hex::decode(digits).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// Hashes are compared without saying by the time how far they agree.
    fn is_of(&self, key: &HeaderValue) -> bool {
        let hash = Sha256::digest(key.as_bytes());
        bool::from(hash.as_slice().ct_eq(&self.0))
    }
}

/// Takes the header out, and says whether it shows the key. Two of them show nothing.
pub(super) fn take(key: Option<&DebugKey>, headers: &mut HeaderMap) -> bool {
    if !headers.contains_key(DEBUG) {
        return false;
    }
    let alone = headers.get_all(DEBUG).iter().nth(1).is_none();
    let shown = headers.remove(DEBUG);
    match (key, shown) {
        (Some(key), Some(shown)) if alone => key.is_of(&shown),
        _ => false,
    }
}

/// Adds what was decided to an answer; what an origin said under these names gives way.
pub(super) fn show(trace: &Trace, slot: &Slot, id: &RequestId, headers: &mut HeaderMap) {
    let labels = slot.labels.as_ref();
    let rule = labels.and_then(|labels| labels.rule.as_ref());
    put(headers, RULE, rule.map_or("none", |rule| rule.as_str()));
    let snapshot =
        labels.map(|labels| format!("{}; version={}", labels.snapshot, labels.version.0));
    put(headers, SNAPSHOT, snapshot.as_deref().unwrap_or("none"));
    let cache = trace.cache().map(|report| report.to_string());
    put(headers, CACHE, cache.as_deref().unwrap_or("none"));
    put(headers, REQUEST_ID, id.as_str());
}

/// Identifiers and the words of this module are visible ASCII.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_known_by_its_hash_and_the_header_always_goes() {
        let digits = hex::encode(Sha256::digest(b"open sesame"));
        let key = DebugKey::parse(&digits).unwrap();
        for (key, values, shown) in [
            (Some(&key), &["open sesame"][..], true),
            (Some(&key), &["open sesam"], false),
            (Some(&key), &[digits.as_str()], false),
            (Some(&key), &["open sesame", "open sesame"], false),
            (Some(&key), &[""], false),
            (Some(&key), &[], false),
            (None, &["open sesame"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(DEBUG, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(take(key, &mut headers), shown, "{values:?}");
            assert!(headers.is_empty(), "{values:?}");
        }
    }

    #[test]
    fn what_is_no_hash_is_no_key() {
        let long = "0".repeat(66);
        for digits in ["", "open sesame", &long[..62], &long[..63], &long] {
            assert!(DebugKey::parse(digits).is_none(), "{digits}");
        }
        assert!(DebugKey::parse(&long[..64]).is_some());
    }
}
