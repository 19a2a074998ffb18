//! Who is at the other end of an accepted connection, in the forms in which origins are told.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use http::HeaderValue;

use super::headers;

/// How a client's requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS that ends here.
    Https,
}

impl Scheme {
    /// Its name, for `X-Forwarded-Proto`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A client, by its address.
#[derive(Debug)]
pub(super) struct Client {
    ip: IpAddr,
    address: HeaderValue,
    scheme: HeaderValue,
    /// `for=…` of `Forwarded`.
    node: String,
    /// What ends an element of `Forwarded`.
    proto: String,
    /// The last host that was asked for, and the `Forwarded` element for it: clients mostly ask
    /// for the same host again.
    forwarded: RefCell<Option<(HeaderValue, HeaderValue)>>,
    /// The same, and the edge's own name in `Via`, for all that an origin is told.
    lines: RefCell<Option<Lines>>,
}

/// What an origin is told of requests for a host.
#[derive(Debug)]
struct Lines {
    host: HeaderValue,
    via: HeaderValue,
    lines: Rc<[u8]>,
}

impl Client {
    pub(super) fn new(peer: SocketAddr, scheme: Scheme) -> Self {
        let ip = peer.ip().to_canonical();
        let node = match ip {
            IpAddr::V4(ip) => format!("for={ip}"),
            IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
        };
        Self {
            ip,
            address: value(&ip.to_string()),
            scheme: HeaderValue::from_static(scheme.as_str()),
            node,
            proto: format!("proto={}", scheme.as_str()),
            forwarded: RefCell::new(None),
            lines: RefCell::new(None),
        }
    }

    /// The address.
    pub(super) fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The address alone, for `X-Forwarded-For`.
    pub(super) fn address(&self) -> &HeaderValue {
        &self.address
    }

    /// How it came, for `X-Forwarded-Proto`.
    pub(super) fn scheme(&self) -> &HeaderValue {
        &self.scheme
    }

    /// The lines by which an origin is told of a request to `host`.
    pub(super) fn lines(&self, host: &HeaderValue, via: &HeaderValue) -> Rc<[u8]> {
        if let Some(known) = &*self.lines.borrow()
            && known.host == host
            && known.via == via
        {
            return Rc::clone(&known.lines);
        }
        let lines = headers::lines(self, host, via);
        self.lines.replace(Some(Lines {
            host: host.clone(),
            via: via.clone(),
            lines: Rc::clone(&lines),
        }));
        lines
    }

    /// The element of `Forwarded` for a request to `host`.
    pub(super) fn forwarded(&self, host: &HeaderValue) -> HeaderValue {
        if let Some((_, forwarded)) = self
            .forwarded
            .borrow()
            .as_ref()
            .filter(|(known, _)| known == host)
        {
            return forwarded.clone();
        }
        // A host was checked to consist of letters that need no escape between quotes.
        let host_text = host.to_str().unwrap_or_default();
        let forwarded = value(&format!(
            "{};host=\"{host_text}\";{}",
            self.node, self.proto
        ));
        self.forwarded
            .replace(Some((host.clone(), forwarded.clone())));
        forwarded
    }
}

/// Addresses and hosts are visible ASCII, so this never takes the default.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
