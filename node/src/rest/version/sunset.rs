//! v1, which ended on 2026-09-15: every path below it answers 410 and says where to go. Nothing
//! of v1 itself is here.

use std::sync::Arc;

use axum::extract::Request;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::rest::Api;
use crate::rest::answer::Answered;
use crate::rest::error::{ApiError, Code};
use crate::rest::pipeline::Call;

/// When v1 ended (RFC 8594).
const SUNSET: (HeaderName, HeaderValue) = (
    HeaderName::from_static("sunset"),
    HeaderValue::from_static("Tue, 15 Sep 2026 00:00:00 GMT"),
);

/// Since when it was deprecated: 2026-01-14, the release of v2.4 (RFC 9745).
const DEPRECATION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("deprecation"),
    HeaderValue::from_static("@1768348800"),
);

/// What took its place (RFC 5829).
const SUCCESSOR: (HeaderName, HeaderValue) = (
    header::LINK,
    HeaderValue::from_static("</v2>; rel=\"successor-version\""),
);

/// A request that is refused as it is, without what cannot matter any more: its query, its body, and all headers but
/// the one that every response repeats. So nothing in them can lead to another answer.
pub(crate) fn reduced(request: Request) -> Request {
    let mut reduced = Request::default();
    *reduced.method_mut() = request.method().clone();
    for value in request.headers().get_all(super::HEADER) {
        reduced.headers_mut().append(super::HEADER, value.clone());
    }
    reduced
}

/// The answer to whatever is asked of v1.
pub(crate) async fn v1(_: Arc<Api>, _: Call) -> Answered {
    let message = "API v1 was shut down on 2026-09-15. Use /v2.";
    Err(ApiError::new(Code::ApiVersionSunset, message).into())
}

/// The headers of that answer.
pub(crate) fn announce(headers: &mut HeaderMap) {
    for (name, value) in [SUNSET, DEPRECATION, SUCCESSOR] {
        headers.insert(name, value);
    }
}
