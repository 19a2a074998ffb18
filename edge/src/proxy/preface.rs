//! Which HTTP a connection speaks, by its first bytes: an HTTP/2 client by prior knowledge begins
//! with a text that no HTTP/1.1 request begins with (RFC 9113, section 3.4).

use std::io;

use tokio::io::AsyncRead;

use super::prefixed::Prefixed;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Looks until it is clear; nothing where the connection ends without a byte.
///
/// # Errors
/// When the connection breaks.
pub(super) async fn detect<S: AsyncRead + Unpin>(
    stream: &mut Prefixed<S>,
) -> io::Result<Option<Speaks>> {
    loop {
        if let Some(speaks) = judge(stream.ahead()) {
            return Ok(Some(speaks));
        }
        if stream.look().await? == 0 {
            return Ok((!stream.ahead().is_empty()).then_some(Speaks::Http1));
        }
    }
}

/// What these first bytes say, if they say anything yet.
fn judge(bytes: &[u8]) -> Option<Speaks> {
    let known = bytes.len().min(PREFACE.len());
    if bytes[..known] != PREFACE[..known] {
        return Some(Speaks::Http1);
    }
    (known == PREFACE.len()).then_some(Speaks::Http2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_preface_is_http2() {
        let after = [PREFACE, &[0; 9]].concat();
        for (bytes, expect) in [
            (&b""[..], None),
            (b"P", None),
            (b"POST / HTTP/1.1\r\n", Some(Speaks::Http1)),
            (b"GET", Some(Speaks::Http1)),
            (b"PRI * HTTP/1.1\r\n", Some(Speaks::Http1)),
            (&PREFACE[..23], None),
            (PREFACE, Some(Speaks::Http2)),
            (&after, Some(Speaks::Http2)),
        ] {
            assert_eq!(judge(bytes), expect, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_ends_says_what_it_can() {
        for (bytes, expect) in [(&b""[..], None), (b"PRI * ", Some(Speaks::Http1))] {
            let mut stream = Prefixed::new(bytes);
            assert_eq!(detect(&mut stream).await.unwrap(), expect);
            assert_eq!(stream.ahead(), bytes);
        }
    }
}
