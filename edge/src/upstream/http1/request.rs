//! The head of a request, and how its body is framed: values to bytes.

use http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use http::{Method, Uri};
use http_body::Body;

use crate::http1::{write_field, write_number};
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

impl Framing {
    /// How this body is framed.
    pub(super) fn of(body: &RequestBody) -> Self {
        if body.is_end_stream() {
            return Self::Nothing;
        }
        body.size_hint().exact().map_or(Self::Chunked, Self::Length)
    }
}

/// Appends a head of these fields and lines. What frames the body is said by `framing`, whatever the fields
/// say.
pub(super) fn write_head(
    out: &mut Vec<u8>,
    method: &Method,
    uri: &Uri,
    (headers, lines): (&HeaderMap, &[u8]),
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
    out.extend_from_slice(lines);
    match framing {
        // A client that said that it sends nothing is believed to have had a reason.
        Framing::Nothing if says_length => out.extend_from_slice(b"content-length: 0\r\n"),
        Framing::Nothing => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            write_number(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
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
        let fields = headers(fields);
        write_head(&mut out, &method, &uri, (&fields, b"via: x\r\n"), framing);
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
            "GET /a?b HTTP/1.1\r\nhost: a\r\nvia: x\r\n\r\n",
        );
        check(
            "POST",
            "/",
            &[("content-length", "0"), host],
            Framing::Nothing,
            "POST / HTTP/1.1\r\nhost: a\r\nvia: x\r\ncontent-length: 0\r\n\r\n",
        );
        check(
            "PUT",
            "/",
            &[host, ("content-length", "7"), ("x", "1"), ("x", "2")],
            Framing::Length(7),
            "PUT / HTTP/1.1\r\nhost: a\r\nx: 1\r\nx: 2\r\nvia: x\r\ncontent-length: 7\r\n\r\n",
        );
        check(
            "PUT",
            "/",
            &[host, ("content-length", "7"), ("transfer-encoding", "gzip")],
            Framing::Chunked,
            "PUT / HTTP/1.1\r\nhost: a\r\nvia: x\r\ntransfer-encoding: chunked\r\n\r\n",
        );
    }
}
