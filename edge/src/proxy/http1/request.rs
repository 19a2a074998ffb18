//! The head of a request: bytes to values, of which target and header values are parts of what was received.
//!
//! How long the body is follows RFC 9112, section 6.3, and where two readers could see different lengths, the
//! request is refused: lengths are digits and agree, `chunked` is the last coding, HTTP/1.0 has none. Of a
//! length beside a coding only the coding stays, and the connection ends after the answer.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes};
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
};
use http::{Method, StatusCode, Uri, Version};
use httparse::{ParserConfig, Status};

use crate::http1::{
    BUFFER_BYTES_MAX, Decoder, FIELDS_MAX, digits, ends_chunked, has_token, read_field, version,
};

/// The longest target that a `Uri` has room for. Which are served is decided later.
const TARGET_BYTES_MAX: usize = u16::MAX as usize - 1;

/// The head of a request.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// What its body is read by.
    pub(super) body: Decoder,
    /// Whether the client waits to be told that it may send the body.
    pub(super) awaits_go_ahead: bool,
    pub(super) asked: Asked,
}

/// What of a request its answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) version: Version,
    /// Whether the connection stays, as far as the client is concerned.
    pub(super) keeps: bool,
    /// Whether an answer has no body, whatever it says.
    pub(super) for_head: bool,
    /// Whether the client takes trailers.
    pub(super) takes_trailers: bool,
}

impl Asked {
    /// By what was no request.
    pub(super) const NOTHING: Self = Self {
        version: Version::HTTP_11,
        keeps: false,
        for_head: false,
        takes_trailers: false,
    };
}

/// Why what a client sent is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::proxy) enum Malformed {
    /// It is no head of HTTP/1.
    #[error("the head of the request is not HTTP/1: {0}")]
    Head(#[source] httparse::Error),
    /// Its target is none.
    #[error("the request's target is none")]
    Target,
    /// Its target is too long.
    #[error("the request's target is too long")]
    TargetTooLong,
    /// It is too long.
    #[error("the head of the request is too long")]
    TooLong,
    /// The length of its body has no or more than one reading.
    #[error("the request's length is ambiguous")]
    Length,
    /// Its body does not end with a coding that frames it.
    #[error("the request's transfer coding frames nothing")]
    Coding,
}

impl Malformed {
    /// With what it is answered.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::TooLong | Self::Head(httparse::Error::TooManyHeaders) => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::Head(_) | Self::Target | Self::Length | Self::Coding => StatusCode::BAD_REQUEST,
        }
    }
}

/// Reads heads off the front of what comes.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// How much of what is there was looked through for a head's end, in vain. A client that sends a head
    /// letter by letter has it parsed once all the same.
    searched: usize,
}

impl Reader {
    /// Reads a head, and its fields into `headers`, which is empty. `None` while it is not whole; then
    /// `input` is left as it is, but for empty lines in front.
    pub(super) fn read(
        &mut self,
        input: &mut Bytes,
        headers: &mut HeaderMap,
    ) -> Result<Option<Head>, Malformed> {
        if self.searched > 0 && !self.finds_end(input) {
            return Ok(None);
        }
        let head = read_head(input, headers)?;
        if head.is_some() {
            self.searched = 0;
            return Ok(head);
        }
        // Some clients end a body with a line that nobody asked for (RFC 9112, section 2.2).
        while input.starts_with(b"\r\n") {
            input.advance(2);
        }
        self.searched = input.len();
        if input.len() >= BUFFER_BYTES_MAX {
            return Err(Malformed::TooLong);
        }
        Ok(None)
    }

    /// Whether an empty line is in what came since the last time, or what is there is as much as may be.
    fn finds_end(&mut self, input: &[u8]) -> bool {
        let from = self.searched.saturating_sub(3).min(input.len());
        self.searched = input.len();
        let lines = &input[from..];
        let ends = |at: usize| {
            let rest = &lines[at + 1..];
            rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
        };
        let mut newlines = lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        newlines.any(|(at, _)| ends(at)) || input.len() >= BUFFER_BYTES_MAX
    }
}

fn read_head(input: &mut Bytes, headers: &mut HeaderMap) -> Result<Option<Head>, Malformed> {
    let mut fields = [MaybeUninit::uninit(); FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    let status = ParserConfig::default()
        .parse_request_with_uninit_headers(&mut parsed, input, &mut fields)
        .map_err(Malformed::Head)?;
    let Status::Complete(length) = status else {
        return Ok(None);
    };
    let version = version(parsed.version);
    let method = parsed.method.unwrap_or_default().as_bytes();
    let method = Method::from_bytes(method).map_err(|_| Malformed::Head(httparse::Error::Token))?;
    let target = parsed.path.unwrap_or_default().as_bytes();
    if target.len() > TARGET_BYTES_MAX {
        return Err(Malformed::TargetTooLong);
    }
    if length > BUFFER_BYTES_MAX {
        return Err(Malformed::TooLong);
    }
    let uri = Uri::from_maybe_shared(input.slice_ref(target)).map_err(|_| Malformed::Target)?;
    let mut framed = Framed::new(version);
    for field in &*parsed.headers {
        let (name, value) =
            read_field(input, field).ok_or(Malformed::Head(httparse::Error::HeaderName))?;
        if framed.note(&name, &value, headers)? {
            headers.append(name, value);
        }
    }
    let head = Head {
        body: framed.decoder()?,
        awaits_go_ahead: framed.expects && version == Version::HTTP_11,
        asked: Asked {
            version,
            keeps: framed.keeps && !(framed.is_coded && framed.has_length),
            for_head: method == Method::HEAD,
            takes_trailers: framed.takes_trailers,
        },
        method,
        uri,
    };
    let _ = input.split_to(length);
    Ok(Some(head))
}

/// What a head's fields say of the connection and of the body.
struct Framed {
    version: Version,
    has_length: bool,
    length: Option<u64>,
    is_coded: bool,
    is_chunked: bool,
    keeps: bool,
    closes: bool,
    expects: bool,
    takes_trailers: bool,
}

impl Framed {
    fn new(version: Version) -> Self {
        Self {
            version,
            has_length: false,
            length: None,
            is_coded: false,
            is_chunked: false,
            keeps: version == Version::HTTP_11,
            closes: false,
            expects: false,
            takes_trailers: false,
        }
    }

    /// Notes a field that comes next, and says whether it stays.
    fn note(
        &mut self,
        name: &HeaderName,
        value: &HeaderValue,
        before: &mut HeaderMap,
    ) -> Result<bool, Malformed> {
        match *name {
            TRANSFER_ENCODING => {
                if self.version == Version::HTTP_10 {
                    return Err(Malformed::Coding);
                }
                self.is_coded = true;
                if self.length.take().is_some() {
                    before.remove(CONTENT_LENGTH);
                }
                self.is_chunked = ends_chunked(value.as_bytes());
            }
            CONTENT_LENGTH => return self.note_length(value),
            CONNECTION => {
                self.closes |= has_token(value.as_bytes(), b"close");
                let goes_on = self.keeps || has_token(value.as_bytes(), b"keep-alive");
                self.keeps = goes_on && !self.closes;
            }
            EXPECT => self.expects = value.as_bytes().eq_ignore_ascii_case(b"100-continue"),
            TE => {
                let tokens = value.as_bytes().split(|byte| *byte == b',');
                let names = tokens.map(|token| token.split(|byte| *byte == b';').next());
                self.takes_trailers |= names
                    .flatten()
                    .any(|name| name.trim_ascii().eq_ignore_ascii_case(b"trailers"));
            }
            _ => {}
        }
        Ok(true)
    }

    fn note_length(&mut self, value: &HeaderValue) -> Result<bool, Malformed> {
        self.has_length = true;
        if self.is_coded {
            return Ok(false);
        }
        let length = digits(value.as_bytes()).ok_or(Malformed::Length)?;
        match self.length.replace(length) {
            None => Ok(true),
            Some(before) if before == length => Ok(false),
            Some(_) => Err(Malformed::Length),
        }
    }

    fn decoder(&self) -> Result<Decoder, Malformed> {
        if self.is_coded {
            return if self.is_chunked {
                Ok(Decoder::chunked())
            } else {
                Err(Malformed::Coding)
            };
        }
        Ok(self.length.map_or_else(Decoder::ended, Decoder::length))
    }
}

#[cfg(test)]
mod tests;
