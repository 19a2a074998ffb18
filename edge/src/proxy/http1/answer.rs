//! The head of an answer, and how its body is framed: values to bytes. What frames the body follows from what
//! is known of it; what the fields say is taken where they can know better.

use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, TRAILER, TRANSFER_ENCODING,
};
use http::{StatusCode, Version};

use super::request::Asked;
use crate::http1::{announced, digits, has_token, write_field, write_number};

/// What is known of a body before its first piece is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// There is none.
    Nothing,
    /// So many bytes.
    Exact(u64),
    /// Whatever comes.
    Unknown,
}

/// How a body is told from what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length: so much is left.
    Length(u64),
    /// By chunks (RFC 9112, section 7.1), perhaps with such trailers.
    Chunked(Vec<HeaderName>),
    /// By the connection's end.
    Close,
}

/// A head that was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) framing: Framing,
    /// Whether the connection stays.
    pub(super) keeps: bool,
}

/// Appends a head. `keeps` says whether the connection may stay, `date` appends the date.
pub(super) fn write_head(
    out: &mut Vec<u8>,
    status: StatusCode,
    headers: &HeaderMap,
    asked: Asked,
    length: Length,
    keeps: bool,
    date: impl FnOnce(&mut Vec<u8>),
) -> Written {
    write_status(out, status, asked.version);
    let mut said = Said::default();
    for (name, value) in headers {
        match *name {
            CONTENT_LENGTH => said.length = said.length.or_else(|| digits(value.as_bytes())),
            // Codings are for one connection.
            TRANSFER_ENCODING => {}
            TRAILER => said.trailer = true,
            CONNECTION => {
                said.connection = true;
                said.closes |= has_token(value.as_bytes(), b"close");
            }
            _ => {
                said.date |= *name == DATE;
                write_field(out, name, value.as_bytes());
            }
        }
    }
    let keeps = keeps && !said.closes && status != StatusCode::SWITCHING_PROTOCOLS;
    let framing = write_framing(out, status, asked, length, said.length);
    let framing = match framing {
        Framing::Chunked(_) if said.trailer => {
            write_all(out, headers, &TRAILER);
            let trailers = asked.takes_trailers.then(|| announced(headers));
            Framing::Chunked(trailers.unwrap_or_default())
        }
        framing => framing,
    };
    let keeps = keeps && framing != Framing::Close;
    write_connection(out, headers, &said, asked.version, keeps);
    if !said.date {
        date(out);
    }
    out.extend_from_slice(b"\r\n");
    Written { framing, keeps }
}

/// What the fields of an answer say that is written last.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    trailer: bool,
    connection: bool,
    closes: bool,
    date: bool,
}

fn write_status(out: &mut Vec<u8>, status: StatusCode, version: Version) {
    if status == StatusCode::OK && version == Version::HTTP_11 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    let version: &[u8] = match version {
        Version::HTTP_10 => b"HTTP/1.0 ",
        _ => b"HTTP/1.1 ",
    };
    out.extend_from_slice(version);
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    // Some readers want a reason, whatever it says.
    let reason = status.canonical_reason().unwrap_or("<none>");
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Says how the body is framed. `said` is the length that the fields give: that of the answer to a `GET` in
/// one to a `HEAD`, and of a body of which nothing else tells the length.
fn write_framing(
    out: &mut Vec<u8>,
    status: StatusCode,
    asked: Asked,
    length: Length,
    said: Option<u64>,
) -> Framing {
    let bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if asked.for_head || bodiless {
        let told = match length {
            _ if status.is_informational() || status == StatusCode::NO_CONTENT => None,
            Length::Exact(length) if length > 0 && !bodiless => said.or(Some(length)),
            _ => said,
        };
        if let Some(length) = told {
            write_length(out, length);
        }
        return Framing::Length(0);
    }
    let known = match length {
        Length::Nothing => Some(0),
        Length::Exact(length) => Some(length),
        Length::Unknown => said,
    };
    if let Some(length) = known {
        write_length(out, length);
        return Framing::Length(length);
    }
    if asked.version == Version::HTTP_10 {
        return Framing::Close;
    }
    out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    Framing::Chunked(Vec::new())
}

fn write_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    write_number(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Says what becomes of the connection, where that is not what the version says anyway.
fn write_connection(
    out: &mut Vec<u8>,
    headers: &HeaderMap,
    said: &Said,
    version: Version,
    keeps: bool,
) {
    if said.connection {
        write_all(out, headers, &CONNECTION);
        if said.closes {
            return;
        }
    }
    match (version, keeps) {
        (Version::HTTP_10, true) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (Version::HTTP_10, false) | (_, true) => {}
        // What becomes of a connection that switches is said by what it switches to.
        (_, false) if said.connection => {}
        (_, false) => out.extend_from_slice(b"connection: close\r\n"),
    }
}

fn write_all(out: &mut Vec<u8>, headers: &HeaderMap, name: &HeaderName) {
    for value in headers.get_all(name) {
        write_field(out, name, value.as_bytes());
    }
}

#[cfg(test)]
mod tests;
