//! Names asked of the name servers that the operating system's settings name, with the time for which
//! an answer holds. Hosts files count; other sources of names that an operating system may have do
//! not, and connections by name go by its own functions still.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;

/// The addresses behind `host:port`, and for how long they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The addresses, at least one.
    pub addresses: Vec<SocketAddr>,
    /// For how long they hold.
    pub ttl: Duration,
}

/// Asks the name servers. The settings are read each time: who asks does so seldom, and so a change
/// of them needs no restart.
pub(crate) async fn lookup(name: &str) -> io::Result<Lookup> {
    let (host, port) = split(name)?;
    let resolver = TokioResolver::builder_tokio()
        .and_then(|builder| builder.build())
        .map_err(io::Error::other)?;
    let found = resolver.lookup_ip(host).await.map_err(io::Error::other)?;
    let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(ip, port)).collect();
    if addresses.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        ));
    }
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the adapter to a library that tells when an answer ends by this clock"
    )]
    let now = std::time::Instant::now();
    let ttl = found.valid_until().saturating_duration_since(now);
    Ok(Lookup { addresses, ttl })
}

fn split(name: &str) -> io::Result<(&str, u16)> {
    let split = name.rsplit_once(':').and_then(|(host, port)| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some((host, port.parse().ok()?))
    });
    split.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "expected `host:port`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_host_and_a_port() {
        assert_eq!(split("a.example:80").unwrap(), ("a.example", 80));
        assert_eq!(split("[2001:db8::1]:8080").unwrap(), ("2001:db8::1", 8080));
        for bad in ["a.example", "a.example:", "a.example:x", "a.example:70000"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
