//! What came back, and what every answer has to have.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// What every response has.
pub(super) fn check_common(headers: &HeaderMap) {
    let value = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    };
    assert!(
        value("vectorgate-request-id").starts_with("req_"),
        "{headers:?}"
    );
    assert!(
        value("vectorgate-revision").parse::<u64>().is_ok(),
        "{headers:?}"
    );
    assert!(super::versions::is_release(value("vectorgate-version")));
    // What belongs to somebody is not kept; what everybody may see is asked for anew.
    let caching = value("cache-control");
    assert!(
        caching == "no-store" || caching == "public, no-cache",
        "{headers:?}"
    );
    assert_eq!(value("x-content-type-options"), "nosniff");
}

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Bytes,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.bytes.to_vec()).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn revision(&self) -> u64 {
        self.header("vectorgate-revision").unwrap().parse().unwrap()
    }

    /// Checks the error object, all of it.
    pub(super) fn is_error(&self, status: u16, code: &str, param: Option<&str>, what: &str) {
        let text = self.text();
        assert_eq!(self.status.as_u16(), status, "{what}: {text}");
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{what}"
        );
        let body = self.json();
        let error = body["error"].as_object().unwrap();
        assert_eq!(
            (error["code"].as_str(), error["param"].as_str()),
            (Some(code), param),
            "{what}: {text}"
        );
        assert!(!error["message"].as_str().unwrap().is_empty(), "{what}");
        assert_eq!(
            error["request_id"].as_str(),
            self.header("vectorgate-request-id"),
            "{what}"
        );
        let known = ["code", "message", "param", "request_id", "details"];
        assert!(
            error.keys().all(|key| known.contains(&key.as_str()))
                && body.as_object().unwrap().len() == 1,
            "{what}: {text}"
        );
        assert_eq!(
            self.header("retry-after").is_some(),
            matches!(status, 429 | 503 | 507) || code == "idempotency_in_progress",
            "{what}"
        );
    }
}
