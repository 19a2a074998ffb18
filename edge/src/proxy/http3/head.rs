//! The head of a request that came by HTTP/3: what no request of HTTP/1.1 could be made of is
//! malformed (RFC 9114, sections 4.1.2 and 4.2), and never comes further than this. What is left is
//! judged as in every other version, by `request`.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Request};

/// Fields that mean a connection of HTTP/1.1.
const CONNECTION_BOUND: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A request that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Checks a head, and says how long its body says that it is.
///
/// # Errors
/// When it is malformed.
pub(super) fn check<B>(request: &Request<B>) -> Result<Option<u64>, Malformed> {
    let headers = request.headers();
    let is_bound = CONNECTION_BOUND
        .iter()
        .any(|name| headers.contains_key(name));
    let takes_codings = headers
        .get_all(TE)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    if is_bound || takes_codings {
        return Err(Malformed);
    }
    length(headers)
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let (first, second) = (lines.next(), lines.next());
    let Some(only) = first else { return Ok(None) };
    let digits = only.to_str().map_err(|_| Malformed)?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if second.is_some() || !is_number {
        return Err(Malformed);
    }
    digits.parse().map(Some).map_err(|_| Malformed)
}

/// Whether a request most likely has no body, so that it is worth knowing before it is passed on: the
/// end of its stream may come behind its head, and one that is known to have none can be answered by
/// the cache and be sent twice.
pub(super) fn is_likely_bodiless<B>(request: &Request<B>, length: Option<u64>) -> bool {
    match length {
        Some(length) => length == 0,
        None => request.method().is_safe() || matches!(*request.method(), Method::DELETE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, fields: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::builder().method(method);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn what_http1_could_not_say_is_malformed() {
        for (fields, expect) in [
            (&[][..], Ok(None)),
            (&[("content-length", "0")], Ok(Some(0))),
            (
                &[("content-length", "42"), ("te", "Trailers")],
                Ok(Some(42)),
            ),
            (&[("content-length", "4, 4")], Err(Malformed)),
            (&[("content-length", "+4")], Err(Malformed)),
            (&[("content-length", "")], Err(Malformed)),
            (
                &[("content-length", "99999999999999999999")],
                Err(Malformed),
            ),
            (
                &[("content-length", "4"), ("content-length", "4")],
                Err(Malformed),
            ),
            (&[("te", "gzip")], Err(Malformed)),
            (&[("te", "trailers"), ("te", "gzip")], Err(Malformed)),
            (&[("connection", "close")], Err(Malformed)),
            (&[("keep-alive", "timeout=5")], Err(Malformed)),
            (&[("proxy-connection", "close")], Err(Malformed)),
            (&[("transfer-encoding", "chunked")], Err(Malformed)),
            (&[("upgrade", "websocket")], Err(Malformed)),
        ] {
            assert_eq!(check(&request("POST", fields)), expect, "{fields:?}");
        }
    }

    #[test]
    fn what_most_likely_has_no_body_is_known_by_its_method_and_length() {
        for (method, length, expect) in [
            ("GET", None, true),
            ("HEAD", None, true),
            ("OPTIONS", None, true),
            ("DELETE", None, true),
            ("POST", None, false),
            ("PURGE", None, false),
            ("GET", Some(1), false),
            ("POST", Some(0), true),
        ] {
            let request = request(method, &[]);
            assert_eq!(is_likely_bodiless(&request, length), expect, "{method}");
        }
    }
}
