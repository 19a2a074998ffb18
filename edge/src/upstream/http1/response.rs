//! The head of a response: bytes to values, of which header values are parts of what was received.
//!
//! How long the body is follows RFC 9112, section 6.3, in its order. Strict where a lenient reader
//! could be led to see a body where another sees the next response: lengths are digits and agree,
//! and a coding in HTTP/1.0 is refused.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::{StatusCode, Version};
use httparse::{ParserConfig, Status};

use crate::http1::{
    Decoder, FIELDS_MAX, Unchunked, digits, ends_chunked, has_token, read_field, version,
};

/// Why what an origin sent is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::upstream) enum Malformed {
    /// It is no head of HTTP/1.
    #[error("the head of the response is not HTTP/1: {0}")]
    Head(#[source] httparse::Error),
    /// It is too long.
    #[error("the head of the response is too long")]
    TooLong,
    /// The length of its body has no or more than one reading.
    #[error("the response's length is ambiguous")]
    Length,
    /// HTTP/1.0 has no transfer codings.
    #[error("the response has a transfer coding in HTTP/1.0")]
    Coding,
    /// A chunk of its body is none.
    #[error("the response's chunks are malformed")]
    Chunk,
    /// More interim responses came than anybody has reason to send.
    #[error("the response has too many interim responses before it")]
    Interim,
}

impl From<Unchunked> for Malformed {
    fn from(_: Unchunked) -> Self {
        Self::Chunk
    }
}

/// The head of a response.
#[derive(Debug)]
pub(in crate::upstream) struct Head {
    pub(in crate::upstream) status: StatusCode,
    pub(in crate::upstream) version: Version,
    /// What its body is read by.
    pub(super) decoder: Decoder,
    /// Whether the origin keeps the connection when the body has ended.
    pub(super) keeps: bool,
}

/// Reads a head off the front of `input`, and its fields into `headers`, which is empty. `None`
/// while it is not whole; `input` is left as it is then.
pub(super) fn read_head(
    input: &mut Bytes,
    headers: &mut HeaderMap,
    answers_head: bool,
) -> Result<Option<Head>, Malformed> {
    let mut fields = [MaybeUninit::uninit(); FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let status = ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, input, &mut fields)
        .map_err(Malformed::Head)?;
    let Status::Complete(length) = status else {
        return Ok(None);
    };
    let version = version(parsed.version);
    let status = parsed
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or(Malformed::Head(httparse::Error::Status))?;
    let mut framed = Framed::default();
    for field in &*parsed.headers {
        let (name, value) =
            read_field(input, field).ok_or(Malformed::Head(httparse::Error::HeaderName))?;
        framed.note(&name, &value)?;
        headers.append(name, value);
    }
    let head = Head {
        decoder: framed.decoder(status, version, answers_head)?,
        keeps: framed.keeps(version),
        status,
        version,
    };
    let _ = input.split_to(length);
    Ok(Some(head))
}

/// What a head's fields say of the connection and of the body.
#[derive(Default)]
struct Framed {
    length: Option<u64>,
    is_coded: bool,
    is_chunked: bool,
    closes: bool,
    is_kept_alive: bool,
}

impl Framed {
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), Malformed> {
        if *name == CONTENT_LENGTH {
            for element in value.as_bytes().split(|byte| *byte == b',') {
                let length = digits(element.trim_ascii()).ok_or(Malformed::Length)?;
                if self
                    .length
                    .replace(length)
                    .is_some_and(|before| before != length)
                {
                    return Err(Malformed::Length);
                }
            }
        } else if *name == TRANSFER_ENCODING {
            self.is_coded = true;
            self.is_chunked = ends_chunked(value.as_bytes());
        } else if *name == CONNECTION {
            self.closes |= has_token(value.as_bytes(), b"close");
            self.is_kept_alive |= has_token(value.as_bytes(), b"keep-alive");
        }
        Ok(())
    }

    fn decoder(
        &self,
        status: StatusCode,
        version: Version,
        answers_head: bool,
    ) -> Result<Decoder, Malformed> {
        if self.is_coded && version == Version::HTTP_10 {
            return Err(Malformed::Coding);
        }
        let is_bodiless = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(if answers_head || is_bodiless {
            Decoder::ended()
        } else if self.is_chunked {
            Decoder::chunked()
        } else if self.is_coded {
            Decoder::until_close()
        } else {
            self.length
                .map_or_else(Decoder::until_close, Decoder::length)
        })
    }

    fn keeps(&self, version: Version) -> bool {
        match version {
            Version::HTTP_10 => self.is_kept_alive && !self.closes,
            _ => !self.closes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, answers_head: bool) -> Result<Option<(Head, HeaderMap, Bytes)>, Malformed> {
        let mut input = Bytes::copy_from_slice(text.as_bytes());
        let mut headers = HeaderMap::new();
        let head = read_head(&mut input, &mut headers, answers_head)?;
        Ok(head.map(|head| (head, headers, input)))
    }

    #[track_caller]
    fn check(fields: &str, expect: Result<(Decoder, bool), Malformed>) {
        let found = read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\nrest"), false);
        let found = found.map(|head| {
            let (head, _, rest) = head.expect("a whole head");
            assert_eq!(rest, "rest");
            (head.decoder, head.keeps)
        });
        assert_eq!(found, expect, "{fields:?}");
    }

    #[test]
    fn the_body_is_as_long_as_the_fields_say_in_one_way() {
        check("content-length: 4\r\n", Ok((Decoder::length(4), true)));
        check("content-length: 4, 4\r\n", Ok((Decoder::length(4), true)));
        check(
            "content-length: 4\r\nContent-Length: 4\r\n",
            Ok((Decoder::length(4), true)),
        );
        check("content-length: 0\r\n", Ok((Decoder::ended(), true)));
        check("x: y\r\n", Ok((Decoder::until_close(), true)));
        check(
            "transfer-encoding: Chunked\r\n",
            Ok((Decoder::chunked(), true)),
        );
        check(
            "content-length: 4\r\ntransfer-encoding: gzip, chunked\r\n",
            Ok((Decoder::chunked(), true)),
        );
        check(
            "transfer-encoding: chunked, gzip\r\ncontent-length: 4\r\n",
            Ok((Decoder::until_close(), true)),
        );
        for length in [
            "",
            "-1",
            "+1",
            "0x4",
            "4 4",
            "4,",
            "4, 5",
            "99999999999999999999",
        ] {
            check(
                &format!("content-length: {length}\r\n"),
                Err(Malformed::Length),
            );
        }
        check(
            "content-length: 4\r\ncontent-length: 5\r\n",
            Err(Malformed::Length),
        );
    }

    #[test]
    fn the_connection_is_kept_unless_somebody_says_otherwise() {
        check(
            "content-length: 4\r\nconnection: close\r\n",
            Ok((Decoder::length(4), false)),
        );
        check(
            "content-length: 4\r\nconnection: x, Close\r\n",
            Ok((Decoder::length(4), false)),
        );
        for (fields, keeps) in [
            ("", false),
            ("connection: keep-alive\r\n", true),
            ("connection: keep-alive, close\r\n", false),
        ] {
            let text = format!("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n{fields}\r\n");
            let (head, ..) = read(&text, false).unwrap().unwrap();
            assert_eq!(
                (head.version, head.keeps),
                (Version::HTTP_10, keeps),
                "{fields}"
            );
        }
    }

    #[test]
    fn some_responses_have_no_body_whatever_they_say() {
        for status in ["100 Continue", "204 No Content", "304 Not Modified"] {
            let text = format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n\r\n");
            let (head, headers, _) = read(&text, false).unwrap().unwrap();
            assert_eq!(head.decoder, Decoder::ended(), "{status}");
            assert_eq!(headers[CONTENT_LENGTH], "4");
        }
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let (head, ..) = read(text, true).unwrap().unwrap();
        assert_eq!(head.decoder, Decoder::ended());
    }

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let whole = "HTTP/1.1 404 Not Found\r\nx-a: 1\r\nX-A: \t2 \r\nx-b:\r\n\r\n";
        for end in 0..whole.len() {
            assert!(read(&whole[..end], false).unwrap().is_none(), "{end}");
        }
        let (head, headers, rest) = read(whole, false).unwrap().unwrap();
        assert_eq!(head.status, StatusCode::NOT_FOUND);
        let values: Vec<_> = headers.get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "2"]);
        assert_eq!(headers["x-b"], "");
        assert!(rest.is_empty());
    }

    #[test]
    fn what_is_no_response_is_refused() {
        for text in [
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 abc OK\r\n\r\n",
            "HTTP/1.1 99 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx-a : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx-a: b\0\r\n\r\n",
        ] {
            assert!(
                matches!(read(text, false), Err(Malformed::Head(_))),
                "{text:?}"
            );
        }
        let coded = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(matches!(read(coded, false), Err(Malformed::Coding)));
        let many: String = (0..=FIELDS_MAX)
            .map(|number| format!("x-{number}: 1\r\n"))
            .collect();
        let many = format!("HTTP/1.1 200 OK\r\n{many}\r\n");
        assert!(matches!(
            read(&many, false),
            Err(Malformed::Head(httparse::Error::TooManyHeaders))
        ));
    }
}
