//! A target of an upstream, with all that connecting to it needs.

use std::sync::Arc;

use domain::content::TargetContent;
use domain::id::{TargetId, UpstreamId};
use domain::model::Protocol;

use crate::health::{Identity, TargetHealth};
use crate::names::Addresses;
use crate::upstream::TargetTls;

/// A target of an upstream.
#[derive(Clone, Debug)]
pub struct Target {
    /// The target.
    pub id: TargetId,
    /// The upstream that it belongs to.
    pub upstream: UpstreamId,
    /// `host:port`, to connect to.
    pub authority: String,
    /// What is spoken to it.
    pub protocol: Protocol,
    /// The addresses behind its name; nothing where it has an address.
    pub addresses: Option<Arc<Addresses>>,
    /// TLS towards it, if any.
    pub tls: Option<TargetTls>,
    /// Connections that have this in common may be used for any target that has it.
    pub pool_key: Arc<str>,
    /// Whether it is fit to take requests.
    pub health: Arc<TargetHealth>,
}

impl Target {
    /// The scheme of a request to it.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Which target it is.
    pub(super) fn identity(upstream: &UpstreamId, target: &TargetContent) -> Identity {
        Identity {
            upstream: upstream.clone(),
            target: target.id.clone(),
            authority: authority(&target.address, target.port),
        }
    }

    /// A target that is spoken to in this way.
    pub(super) fn new(
        health: Arc<TargetHealth>,
        addresses: Option<Arc<Addresses>>,
        protocol: Protocol,
        tls: Option<TargetTls>,
    ) -> Self {
        let Identity {
            upstream,
            target,
            authority,
        } = health.identity.clone();
        let pool_key = match &tls {
            None if protocol == Protocol::Http1 => authority.clone(),
            None => format!("{} {authority}", protocol.as_str()),
            Some(tls) => format!("{} {} {authority}", protocol.as_str(), tls.key()),
        };
        Self {
            id: target,
            upstream,
            authority,
            addresses,
            protocol,
            tls,
            pool_key: pool_key.into(),
            health,
        }
    }
}

#[cfg(test)]
impl Target {
    /// A target in clear text, for tests of what does not connect to it.
    pub(crate) fn plain(health: Arc<TargetHealth>) -> Self {
        Self::new(health, None, Protocol::Http1, None)
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub(super) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
