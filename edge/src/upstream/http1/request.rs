//! The head of a request, and what frames the pieces of its body: values to bytes.

use std::io::Write as _;

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    HOST, HeaderMap, HeaderName, MAX_FORWARDS, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http::{Method, Uri};
use http_body::Body;

use crate::upstream::RequestBody;

/// How a body is told from what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Nothing,
    /// By its length.
    Length(u64),
    /// By chunks (RFC 9112, section 7.1).
    Chunked,
}

/// Fields that mean the message as a whole, and so nothing behind its body (RFC 9110, section 6.5.1).
const NO_TRAILERS: [HeaderName; 12] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    HOST,
    MAX_FORWARDS,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
];

impl Framing {
    /// How this body is framed.
    pub(super) fn of(body: &RequestBody) -> Self {
        if body.is_end_stream() {
            return Self::Nothing;
        }
        body.size_hint().exact().map_or(Self::Chunked, Self::Length)
    }
}

/// Appends a head. What frames the body is said by `framing`, whatever the fields say.
pub(super) fn write_head(
    out: &mut Vec<u8>,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    framing: Framing,
) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let mut says_length = false;
    for (name, value) in headers {
        if *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING {
            says_length |= *name == CONTENT_LENGTH;
            continue;
        }
        write_field(out, name, value.as_bytes());
    }
    match framing {
        // A client that said that it sends nothing is believed to have had a reason.
        Framing::Nothing if says_length => out.extend_from_slice(b"content-length: 0\r\n"),
        Framing::Nothing => {}
        Framing::Length(length) => {
            // A vector takes whatever it is given.
            let _ = write!(out, "content-length: {length}\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the trailers that the head has announced, after the last chunk.
pub(super) fn write_trailers(out: &mut Vec<u8>, trailers: &HeaderMap, announced: &[HeaderName]) {
    for (name, value) in trailers {
        if announced.contains(name) {
            write_field(out, name, value.as_bytes());
        }
    }
}

/// What a head announces as trailers.
pub(super) fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(TRAILER).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !NO_TRAILERS.contains(name))
        .collect()
}

fn write_field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[track_caller]
    fn check(
        method: &str,
        target: &str,
        fields: &[(&'static str, &'static str)],
        framing: Framing,
        expect: &str,
    ) {
        let mut out = Vec::new();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let uri = target.parse().unwrap();
        write_head(&mut out, &method, &uri, &headers(fields), framing);
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }

    #[test]
    fn a_head_says_what_it_was_given_and_how_the_body_is_framed() {
        let host = ("host", "a");
        check(
            "GET",
            "/a?b",
            &[host],
            Framing::Nothing,
            "GET /a?b HTTP/1.1\r\nhost: a\r\n\r\n",
        );
        check(
            "POST",
            "/",
            &[("content-length", "0"), host],
            Framing::Nothing,
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
        );
        check(
            "PUT",
            "/",
            &[host, ("content-length", "7"), ("x", "1"), ("x", "2")],
            Framing::Length(7),
            "PUT / HTTP/1.1\r\nhost: a\r\nx: 1\r\nx: 2\r\ncontent-length: 7\r\n\r\n",
        );
        check(
            "PUT",
            "/",
            &[host, ("content-length", "7"), ("transfer-encoding", "gzip")],
            Framing::Chunked,
            "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        );
    }

    #[test]
    fn only_announced_trailers_that_may_be_are_written() {
        let announced = announced(&headers(&[
            ("trailer", "x-sum , Content-Length,\u{22}bad\u{22}"),
            ("trailer", "x-more"),
        ]));
        let mut out = Vec::new();
        let trailers = headers(&[
            ("x-sum", "7"),
            ("content-length", "9"),
            ("x-secret", "1"),
            ("x-more", "2"),
        ]);
        write_trailers(&mut out, &trailers, &announced);
        assert_eq!(out, b"x-sum: 7\r\nx-more: 2\r\n");
    }
}
