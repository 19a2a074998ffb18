//! What a request must be before it is routed, and the one form it has from then on: one `Host`
//! field, the authority that was meant; a target in origin form.
//!
//! Where a request could mean two things to two readers, it is refused: several `Host` fields, an
//! `:authority` beside another `Host`, a path with two readings ([`check_path`]). What is refused
//! where heads are read (a length that is none, `Transfer-Encoding` that does not end in `chunked`, folded
//! lines) never comes here. Of a `Content-Length` beside `Transfer-Encoding: chunked` only the latter does, as
//! RFC 9112 section 6.3 wants, and the connection ends after the answer.

use std::borrow::Cow;

use domain::matching::{Headers, check_path, normalise_host};
use http::header::{EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};

use super::error::{Code, Refusal};
use super::headers::{coding_is_known, was_here};
use super::websocket;

/// The longest path and query that is taken: twice what RFC 9110, section 4.1, asks for, and more
/// than what most servers take.
const TARGET_BYTES_MAX: usize = 16 * 1024;

/// Header fields, as rules look at them.
pub(super) struct Fields<'a>(pub(super) &'a HeaderMap);

impl Headers for Fields<'_> {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0
            .get_all(name)
            .iter()
            .any(|value| test(value.as_bytes()))
    }

    fn each(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in self.0 {
            visit(name.as_str(), value.as_bytes());
        }
    }
}

/// Brings a request into its one form.
pub(super) fn settle<B>(request: &mut Request<B>, edge: &str) -> Result<(), Refusal> {
    match *request.method() {
        // It would show the origin's view, credentials included, to scripts.
        Method::TRACE => return Err(Code::MethodNotAllowed.into()),
        // It is for forward proxies, but for what HTTP/2 extends it to.
        Method::CONNECT => websocket::from_connect(request)?,
        _ => {}
    }
    check_length(request.uri())?;
    settle_host(request)?;
    check_path(request.uri().path())?;
    settle_target(request)?;
    let headers = request.headers();
    if headers
        .get(EXPECT)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(Code::ExpectationFailed.into());
    }
    if !coding_is_known(headers) {
        return Err(Code::UnsupportedTransferCoding.into());
    }
    if was_here(headers, edge) {
        return Err(Code::LoopDetected.into());
    }
    Ok(())
}

/// Counts what the target consists of: the limit before is that of the whole head.
fn check_length(uri: &Uri) -> Result<(), Code> {
    let target = uri.path_and_query().map_or("", PathAndQuery::as_str);
    if target.len() > TARGET_BYTES_MAX {
        return Err(Code::UriTooLong);
    }
    Ok(())
}

/// The host that a settled request names, in normal form.
pub(super) fn host(headers: &HeaderMap) -> Result<Cow<'_, str>, Refusal> {
    let text = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .ok_or(Code::InvalidHost)?;
    Ok(normalise_host(text)?)
}

/// The target's own authority goes before the `Host` field (RFC 9112, section 3.2.2), and must not
/// contradict it in HTTP/2 and HTTP/3.
fn settle_host<B>(request: &mut Request<B>) -> Result<(), Refusal> {
    let mut given = request.headers().get_all(HOST).iter();
    let (first, second) = (given.next(), given.next());
    if second.is_some() {
        return Err(Code::InvalidHost.into());
    }
    let Some(authority) = request.uri().authority() else {
        return first.map(drop).ok_or_else(|| Code::InvalidHost.into());
    };
    if matches!(request.version(), Version::HTTP_2 | Version::HTTP_3) {
        let host = first
            .map(|host| host.to_str().map_err(|_| Code::InvalidHost))
            .transpose()?;
        if host.is_some_and(|host| !host.eq_ignore_ascii_case(authority.as_str())) {
            return Err(Code::InvalidHost.into());
        }
    } else if first.is_none() && request.version() == Version::HTTP_11 {
        return Err(Code::InvalidHost.into());
    }
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Code::InvalidHost)?;
    request.headers_mut().insert(HOST, host);
    Ok(())
}

/// Leaves of the target what an origin is sent.
fn settle_target<B>(request: &mut Request<B>) -> Result<(), Refusal> {
    let uri = request.uri();
    if uri
        .scheme_str()
        .is_some_and(|scheme| !matches!(scheme, "http" | "https"))
    {
        return Err(Code::InvalidPath.into());
    }
    if uri.authority().is_none() {
        return Ok(());
    }
    // An authority alone is for CONNECT (RFC 9112, section 3.2.3).
    if uri.scheme().is_none() {
        return Err(Code::InvalidPath.into());
    }
    let target = uri
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    let target = if target.as_str().starts_with('/') {
        target
    } else {
        PathAndQuery::try_from(format!("/{}", target.as_str())).map_err(|_| Code::InvalidPath)?
    };
    *request.uri_mut() = Uri::from(target);
    Ok(())
}

/// Counts an `OPTIONS` request's `Max-Forwards` down (RFC 9110, section 7.6.2). False when it must
/// not be forwarded any further.
pub(super) fn may_be_forwarded<B>(request: &mut Request<B>) -> bool {
    if request.method() != Method::OPTIONS {
        return true;
    }
    let Some(left) = number(request.headers(), &MAX_FORWARDS) else {
        return true;
    };
    let Some(less) = left.checked_sub(1) else {
        return false;
    };
    request
        .headers_mut()
        .insert(MAX_FORWARDS, HeaderValue::from(less));
    true
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(
        version: Version,
        method: &str,
        target: &str,
        fields: &[(&'static str, &'static str)],
    ) -> Request<()> {
        let mut request = Request::builder()
            .version(version)
            .method(method)
            .uri(target)
            .body(())
            .unwrap();
        for (name, value) in fields {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        request
    }

    #[track_caller]
    fn check(mut request: Request<()>, expect: Result<(&str, &str, &str), Code>) {
        let outcome = settle(&mut request, "edge-1").map_err(|refusal| refusal.code);
        let settled = outcome.and_then(|()| {
            let name = host(request.headers())
                .map_err(|refusal| refusal.code)?
                .into_owned();
            Ok((
                name,
                request.headers()[HOST].to_str().unwrap().to_owned(),
                request.uri().to_string(),
            ))
        });
        assert_eq!(
            settled,
            expect.map(|(name, host, uri)| (name.to_owned(), host.to_owned(), uri.to_owned()))
        );
    }

    #[test]
    fn every_form_of_target_becomes_origin_form_with_one_host() {
        let host = [("host", "Api.Example.net:8080")];
        check(
            request(Version::HTTP_11, "GET", "/a?b=c", &host),
            Ok(("api.example.net", "Api.Example.net:8080", "/a?b=c")),
        );
        check(
            request(Version::HTTP_11, "GET", "http://other:1/a?b", &host),
            Ok(("other", "other:1", "/a?b")),
        );
        check(
            request(Version::HTTP_11, "GET", "http://other", &host),
            Ok(("other", "other", "/")),
        );
        check(
            request(Version::HTTP_11, "GET", "http://other?q", &host),
            Ok(("other", "other", "/?q")),
        );
        check(
            request(Version::HTTP_2, "GET", "http://other/a", &[]),
            Ok(("other", "other", "/a")),
        );
        check(
            request(
                Version::HTTP_2,
                "GET",
                "http://other/a",
                &[("host", "Other")],
            ),
            Ok(("other", "other", "/a")),
        );
        check(
            request(Version::HTTP_2, "GET", "/a", &[("host", "other")]),
            Ok(("other", "other", "/a")),
        );
        check(
            request(Version::HTTP_10, "GET", "/a", &[("host", "other")]),
            Ok(("other", "other", "/a")),
        );
    }

    #[test]
    fn a_request_that_names_no_host_or_two_is_refused() {
        for fields in [
            &[][..],
            &[("host", "a"), ("host", "a")],
            &[("host", "a"), ("host", "b")],
            &[("host", "")],
            &[("host", "a@b")],
            &[("host", "a b")],
            &[("host", "\u{e4}")],
        ] {
            check(
                request(Version::HTTP_11, "GET", "/", fields),
                Err(Code::InvalidHost),
            );
        }
        check(
            request(Version::HTTP_11, "GET", "http://a/", &[]),
            Err(Code::InvalidHost),
        );
        check(
            request(Version::HTTP_11, "GET", "http://u@a/", &[("host", "a")]),
            Err(Code::InvalidHost),
        );
        for version in [Version::HTTP_2, Version::HTTP_3] {
            check(
                request(version, "GET", "http://a/", &[("host", "b")]),
                Err(Code::InvalidHost),
            );
        }
        check(
            request(
                Version::HTTP_2,
                "GET",
                "http://a/",
                &[("host", "a"), ("host", "a")],
            ),
            Err(Code::InvalidHost),
        );
    }

    #[test]
    fn what_is_not_served_is_refused() {
        let host = [("host", "a")];
        check(
            request(Version::HTTP_11, "CONNECT", "a:443", &host),
            Err(Code::MethodNotAllowed),
        );
        check(
            request(Version::HTTP_11, "TRACE", "/", &host),
            Err(Code::MethodNotAllowed),
        );
        for target in ["a", "a:80"] {
            check(
                request(Version::HTTP_11, "GET", target, &host),
                Err(Code::InvalidPath),
            );
        }
        check(
            request(
                Version::HTTP_11,
                "GET",
                &format!("/{}", "a".repeat(TARGET_BYTES_MAX)),
                &host,
            ),
            Err(Code::UriTooLong),
        );
        check(
            request(Version::HTTP_11, "OPTIONS", "*", &host),
            Err(Code::InvalidPath),
        );
        check(
            request(Version::HTTP_11, "GET", "/a/../b", &host),
            Err(Code::InvalidPath),
        );
        check(
            request(Version::HTTP_11, "GET", "/%00", &host),
            Err(Code::InvalidPath),
        );
        check(
            request(Version::HTTP_11, "GET", "ftp://a/", &host),
            Err(Code::InvalidPath),
        );
        check(
            request(
                Version::HTTP_11,
                "PUT",
                "/",
                &[("host", "a"), ("expect", "tea")],
            ),
            Err(Code::ExpectationFailed),
        );
        check(
            request(
                Version::HTTP_11,
                "PUT",
                "/",
                &[("host", "a"), ("expect", "100-Continue")],
            ),
            Ok(("a", "a", "/")),
        );
        check(
            request(
                Version::HTTP_11,
                "GET",
                "/",
                &[("host", "a"), ("via", "1.1 edge-1")],
            ),
            Err(Code::LoopDetected),
        );
    }

    #[test]
    fn options_are_counted_down() {
        for (method, sent, expect) in [
            ("OPTIONS", "3", Some("2")),
            ("OPTIONS", "0", None),
            ("OPTIONS", "x", Some("x")),
            ("GET", "0", Some("0")),
        ] {
            let mut request = request(Version::HTTP_11, method, "/", &[]);
            request
                .headers_mut()
                .insert(MAX_FORWARDS, HeaderValue::from_static(sent));
            let forwarded = may_be_forwarded(&mut request);
            let left = forwarded.then(|| request.headers()[MAX_FORWARDS].to_str().unwrap());
            assert_eq!(left, expect);
        }
    }
}
