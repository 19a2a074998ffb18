//! The PROXY protocol, versions 1 and 2: a header with which a proxy in front says whom a connection
//! comes from (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>). It is read strictly:
//! what the specification does not describe is no header. Who may send one is decided elsewhere;
//! extensions (TLVs) of version 2 are skipped.
//!
//! ```text
//! 1   PROXY TCP4|TCP6 source destination source-port destination-port CRLF      up to 107 bytes
//!     PROXY UNKNOWN anything CRLF
//! 2   signature (12), 2 << 4 | command, family << 4 | transport, length (2), addresses, TLVs
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How version 1 begins.
const V1: &[u8] = b"PROXY ";

/// How version 2 begins.
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1, its end included; the specification's bound.
const V1_BYTES_MAX: usize = 107;

/// What stands before the addresses of version 2.
const V2_HEAD_BYTES: usize = 16;

/// The most that may follow them. The specification allows 64 KiB; addresses take 36 bytes and
/// the extensions in use, certificates' names among them, some hundreds.
const V2_REST_BYTES_MAX: usize = 4096;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The proxy speaks for itself, or does not know whom it speaks for.
    Own,
    /// It speaks for this client.
    Client(SocketAddr),
}

/// What a connection begins with is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection does not begin with a header of the PROXY protocol")]
pub(super) struct Malformed;

/// Reads the header at the beginning of these bytes and says how long it is; nothing while more
/// bytes must come first.
///
/// # Errors
/// When no header begins like this.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Source, usize)>, Malformed> {
    if begins(bytes, V1)? {
        return version_1(bytes);
    }
    if begins(bytes, V2)? {
        return version_2(bytes);
    }
    Ok(None)
}

/// Whether all of `start` is there. Both signatures differ in their first byte, so whatever is
/// neither's beginning is malformed.
fn begins(bytes: &[u8], start: &[u8]) -> Result<bool, Malformed> {
    let known = bytes.len().min(start.len());
    if bytes[..known] == start[..known] {
        return Ok(known == start.len());
    }
    match bytes[0] == start[0] || ![V1[0], V2[0]].contains(&bytes[0]) {
        true => Err(Malformed),
        false => Ok(false),
    }
}

fn version_1(bytes: &[u8]) -> Result<Option<(Source, usize)>, Malformed> {
    let known = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = known.windows(2).position(|pair| pair == b"\r\n") else {
        let more = bytes.len() < V1_BYTES_MAX;
        return if more { Ok(None) } else { Err(Malformed) };
    };
    let line = std::str::from_utf8(&known[V1.len()..end]).map_err(|_| Malformed)?;
    Ok(Some((line_1(line)?, end + 2)))
}

fn line_1(line: &str) -> Result<Source, Malformed> {
    let mut words = line.split(' ');
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(Source::Own);
    }
    let mut word = || words.next().ok_or(Malformed);
    let (source, destination) = match family {
        Some("TCP4") => (IpAddr::V4(ip(word()?)?), IpAddr::V4(ip(word()?)?)),
        Some("TCP6") => (IpAddr::V6(ip(word()?)?), IpAddr::V6(ip(word()?)?)),
        _ => return Err(Malformed),
    };
    let (source, _) = (
        SocketAddr::new(source, port(word()?)?),
        SocketAddr::new(destination, port(word()?)?),
    );
    match words.next() {
        None => Ok(Source::Client(source)),
        Some(_) => Err(Malformed),
    }
}

fn ip<T: std::str::FromStr>(word: &str) -> Result<T, Malformed> {
    word.parse().map_err(|_| Malformed)
}

/// A decimal number without a sign or leading zeros.
fn port(word: &str) -> Result<u16, Malformed> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (word.len() > 1 && word.starts_with('0')) {
        return Err(Malformed);
    }
    word.parse().map_err(|_| Malformed)
}

fn version_2(bytes: &[u8]) -> Result<Option<(Source, usize)>, Malformed> {
    let Some(head) = bytes.get(V2.len()..V2_HEAD_BYTES) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if length > V2_REST_BYTES_MAX {
        return Err(Malformed);
    }
    let end = V2_HEAD_BYTES + length;
    let Some(rest) = bytes.get(V2_HEAD_BYTES..end) else {
        return Ok(None);
    };
    let source = match (head[0], head[1]) {
        // LOCAL: whatever the addresses are, they are not to be used.
        (0x20, _) => Source::Own,
        // An unspecified family, or a socket of the proxy's own machine.
        (0x21, 0x00 | 0x31) => Source::Own,
        (0x21, 0x11) => Source::Client(of_v4(rest)?),
        (0x21, 0x21) => Source::Client(of_v6(rest)?),
        _ => return Err(Malformed),
    };
    Ok(Some((source, end)))
}

/// Source and destination, then both ports.
fn of_v4(rest: &[u8]) -> Result<SocketAddr, Malformed> {
    let addresses: [u8; 12] = fixed(rest)?;
    let [a, b, c, d, _, _, _, _, high, low, _, _] = addresses;
    let port = u16::from_be_bytes([high, low]);
    Ok(SocketAddr::from((Ipv4Addr::new(a, b, c, d), port)))
}

fn of_v6(rest: &[u8]) -> Result<SocketAddr, Malformed> {
    let addresses: [u8; 36] = fixed(rest)?;
    let ip: [u8; 16] = fixed(&addresses)?;
    let port = u16::from_be_bytes([addresses[32], addresses[33]]);
    Ok(SocketAddr::from((Ipv6Addr::from(ip), port)))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.first_chunk().copied().ok_or(Malformed)
}

#[cfg(test)]
mod tests;
