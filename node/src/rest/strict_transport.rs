//! What every response over TLS says besides: that its client should not come without TLS again
//! (RFC 6797). Over plain HTTP it is left out, because clients must ignore it there.

use axum::Router;
use axum::middleware::map_response;
use axum::response::Response;
use http::header::{self, HeaderValue};

/// A year, as is usual. Other hosts below this one are left to themselves.
const POLICY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// A router for connections that are encrypted.
pub fn over_tls(router: Router) -> Router {
    router.layer(map_response(say))
}

async fn say(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::STRICT_TRANSPORT_SECURITY, POLICY);
    response
}
