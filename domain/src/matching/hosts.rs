//! From the host that a request names to what serves it: exact hostnames first, then wildcards.
//! A wildcard's one leading `*.` label stands for exactly one label, as in certificates:
//! `*.example.net` takes `a.example.net`, not `example.net` and not `a.b.example.net`. So at most
//! one wildcard can fit, and the answer does not depend on an order.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::FixedState;

/// The longest host: a DNS name has at most 253 characters.
const HOST_BYTES_MAX: usize = 253;

/// Why a request's host is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostRefusal {
    /// There is none.
    #[error("The request names no host.")]
    Empty,
    /// It is longer than any name.
    #[error("The request's host is too long.")]
    TooLong,
    /// It holds what no host name holds.
    #[error("The request's host is not a host name.")]
    Malformed,
}

/// The name in a `Host` field or `:authority`: without the port and one trailing dot, in lower
/// case. It allocates only where upper case was sent.
///
/// # Errors
/// When it is not a host with an optional port.
pub fn normalise_host(authority: &str) -> Result<Cow<'_, str>, HostRefusal> {
    // Most are in normal form.
    let bytes = authority.as_bytes();
    let is_normal = bytes
        .iter()
        .fold(true, |all, byte| all & is_normal_byte(*byte));
    if is_normal && (1..=HOST_BYTES_MAX).contains(&bytes.len()) && !bytes.ends_with(b".") {
        return Ok(Cow::Borrowed(authority));
    }
    let host = without_port(authority)?;
    let host = if host.starts_with('[') {
        host
    } else {
        host.strip_suffix('.').unwrap_or(host)
    };
    if host.is_empty() {
        return Err(HostRefusal::Empty);
    }
    if host.len() > HOST_BYTES_MAX {
        return Err(HostRefusal::TooLong);
    }
    // One dot says that a name is whole. A second one would be taken off by the next who looks.
    if host.ends_with('.') {
        return Err(HostRefusal::Malformed);
    }
    if !host.bytes().all(is_host_byte) && !is_ip_literal(host) {
        return Err(HostRefusal::Malformed);
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(host.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(host))
}

fn is_normal_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_')
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

fn is_ip_literal(host: &str) -> bool {
    let Some(inner) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    else {
        return false;
    };
    !inner.is_empty()
        && inner
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
}

fn without_port(authority: &str) -> Result<&str, HostRefusal> {
    let host_end = if authority.starts_with('[') {
        authority.find(']').map_or(0, |at| at + 1)
    } else {
        0
    };
    let Some(colon) = authority[host_end..].find(':') else {
        return Ok(authority);
    };
    let (host, port) = authority.split_at(host_end + colon);
    let port = &port[1..];
    if port.len() > 5 || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HostRefusal::Malformed);
    }
    Ok(host)
}

/// Names and what goes with them. The hash has no secret: what is in the table was published, and requests only
/// ask.
type Table<T> = HashMap<Box<str>, T, FixedState>;

/// Hostnames and what serves them.
#[derive(Clone, Debug)]
pub struct Hosts<T> {
    exact: Table<T>,
    /// By what follows the `*.`.
    wildcard: Table<T>,
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self {
            exact: Table::default(),
            wildcard: Table::default(),
        }
    }
}

impl<T> Hosts<T> {
    /// Adds a hostname in normal form, perhaps with one leading `*.` label, and returns what it
    /// displaced.
    pub fn insert(&mut self, hostname: &str, serves: T) -> Option<T> {
        match hostname.strip_prefix("*.") {
            Some(suffix) => self.wildcard.insert(suffix.into(), serves),
            None => self.exact.insert(hostname.into(), serves),
        }
    }

    /// What serves a host in normal form.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<&T> {
        if let Some(found) = self.exact.get(host) {
            return Some(found);
        }
        if self.wildcard.is_empty() {
            return None;
        }
        let (label, suffix) = host.split_once('.')?;
        if label.is_empty() {
            None
        } else {
            self.wildcard.get(suffix)
        }
    }

    /// How many hostnames there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len() + self.wildcard.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_loses_port_case_and_trailing_dot() {
        for (sent, host) in [
            ("api.example.net", "api.example.net"),
            ("API.Example.NET", "api.example.net"),
            ("api.example.net:8080", "api.example.net"),
            ("api.example.net:", "api.example.net"),
            ("api.example.net.", "api.example.net"),
            ("Api.Example.Net.:443", "api.example.net"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("my_host", "my_host"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[2001:DB8::1]:443", "[2001:db8::1]"),
        ] {
            assert_eq!(normalise_host(sent).as_deref(), Ok(host), "{sent}");
        }
        assert!(matches!(
            normalise_host("api.example.net:80"),
            Ok(Cow::Borrowed(_))
        ));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        use HostRefusal::*;
        let long = "a".repeat(254);
        for (sent, refusal) in [
            ("", Empty),
            (".", Empty),
            (":80", Empty),
            (long.as_str(), TooLong),
            ("user@example.net", Malformed),
            ("example.net/path", Malformed),
            ("example.net:port", Malformed),
            ("example.net:123456", Malformed),
            ("a:80:80", Malformed),
            ("a b", Malformed),
            ("a,b", Malformed),
            ("b\u{fc}cher.example", Malformed),
            ("[::1", Malformed),
            ("[]", Malformed),
            ("[::1]x", Malformed),
            ("*.example.net", Malformed),
            ("..", Malformed),
            ("example.net..", Malformed),
            ("example.net..:80", Malformed),
        ] {
            assert_eq!(normalise_host(sent), Err(refusal), "{sent}");
        }
    }

    #[test]
    fn exact_names_come_before_wildcards_and_a_wildcard_is_one_label() {
        let mut hosts = Hosts::default();
        for name in [
            "api.example.net",
            "*.example.net",
            "*.b.example.net",
            "*.net",
        ] {
            assert_eq!(hosts.insert(name, name), None);
        }
        assert_eq!(hosts.insert("*.net", "*.net"), Some("*.net"));
        assert_eq!(hosts.len(), 4);
        for (host, found) in [
            ("api.example.net", Some("api.example.net")),
            ("other.example.net", Some("*.example.net")),
            ("a.b.example.net", Some("*.b.example.net")),
            ("b.example.net", Some("*.example.net")),
            ("example.net", Some("*.net")),
            ("a.b.c.example.net", None),
            (".example.net", None),
            ("net", None),
            ("example.org", None),
        ] {
            assert_eq!(hosts.find(host).copied(), found, "{host}");
        }
    }
}
