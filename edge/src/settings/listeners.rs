//! Where an edge serves: `[http]`, `[https]` and `[http3]`, and whether a proxy in front says who the
//! client is.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;

use super::{SettingsError, structure};

/// The most serving threads: more than any machine we know has cores.
const WORKERS_MAX: usize = 1024;

/// The port that `https` means where a URL names none (RFC 9110, section 4.2.2).
const HTTPS_PORT: u16 = 443;

/// `[http]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// The address for requests.
    pub listen: SocketAddr,
    /// How many threads serve; 0 is one for each core.
    #[serde(default)]
    pub workers: usize,
    /// Whether connections begin with who they come from.
    #[serde(default)]
    pub proxy_protocol: ProxyProtocol,
    /// Whom to believe it.
    #[serde(default, deserialize_with = "structure")]
    pub proxy_protocol_from: Vec<IpNet>,
}

/// `[https]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpsSettings {
    /// The address for requests over TLS.
    pub listen: SocketAddr,
    /// The certificate chain for hosts whose route names no certificate, and for clients that name
    /// no host.
    pub cert_file: Option<PathBuf>,
    /// Its private key; nobody else may read the file.
    pub key_file: Option<PathBuf>,
    /// The port that redirects from `http` lead to: what clients see, whatever `listen` is.
    #[serde(default = "https_port")]
    pub public_port: u16,
    /// Whether connections begin with who they come from.
    #[serde(default)]
    pub proxy_protocol: ProxyProtocol,
    /// Whom to believe it.
    #[serde(default, deserialize_with = "structure")]
    pub proxy_protocol_from: Vec<IpNet>,
}

/// `[http3]`. Without it an edge speaks no HTTP/3.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http3Settings {
    /// The UDP address for requests over QUIC.
    pub listen: SocketAddr,
    /// The UDP port that clients of `https` are told of: what they see, whatever `listen` is.
    #[serde(default = "https_port")]
    pub public_port: u16,
}

/// Whether connections begin with a header of the PROXY protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyProtocol {
    /// None does; the client is whom the socket is connected to.
    #[default]
    Off,
    /// Each does, from one of the trusted ranges, or it is ended.
    Required,
}

/// Whose word on where a connection comes from is taken.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    ranges: &'a [IpNet],
}

impl Trust<'_> {
    /// Whether this peer's word is.
    #[must_use]
    pub fn covers(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.ranges.iter().any(|range| range.contains(&peer))
    }
}

fn https_port() -> u16 {
    HTTPS_PORT
}

fn trust(proxy_protocol: ProxyProtocol, ranges: &[IpNet]) -> Option<Trust<'_>> {
    (proxy_protocol == ProxyProtocol::Required).then_some(Trust { ranges })
}

impl HttpSettings {
    /// Whose PROXY header each connection must begin with, if any.
    #[must_use]
    pub fn trust(&self) -> Option<Trust<'_>> {
        trust(self.proxy_protocol, &self.proxy_protocol_from)
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if self.workers > WORKERS_MAX {
            return Err(SettingsError::field(
                "http.workers",
                format!("more than {WORKERS_MAX}"),
            ));
        }
        check_trust("http.proxy_protocol_from", self.trust())
    }
}

impl HttpsSettings {
    /// Whose PROXY header each connection must begin with, if any.
    #[must_use]
    pub fn trust(&self) -> Option<Trust<'_>> {
        trust(self.proxy_protocol, &self.proxy_protocol_from)
    }

    /// Where clients find a host's `https`, as far as it must be said behind the host.
    #[must_use]
    pub fn port_suffix(&self) -> String {
        match self.public_port {
            HTTPS_PORT => String::new(),
            port => format!(":{port}"),
        }
    }

    pub(super) fn check(&self, http: SocketAddr) -> Result<(), SettingsError> {
        if self.listen == http && http.port() != 0 {
            return Err(SettingsError::field(
                "https.listen",
                "it is the address of `http.listen`",
            ));
        }
        if self.public_port == 0 {
            return Err(SettingsError::field("https.public_port", "0 is no port"));
        }
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => Err(SettingsError::field(
                "https.key_file",
                "`https.cert_file` needs its private key",
            )),
            (None, Some(_)) => Err(SettingsError::field(
                "https.cert_file",
                "`https.key_file` needs its certificate",
            )),
            _ => check_trust("https.proxy_protocol_from", self.trust()),
        }
    }
}

impl Http3Settings {
    /// What clients of `https` are told (RFC 7838, section 3). They believe it for a day, which is
    /// what they would if nothing were said, and find another way where it is no longer so.
    #[must_use]
    pub fn alt_svc(&self) -> String {
        format!("h3=\":{}\"; ma=86400", self.public_port)
    }

    pub(super) fn check(&self, https: Option<&HttpsSettings>) -> Result<(), SettingsError> {
        if https.is_none() {
            return Err(SettingsError::field(
                "http3.listen",
                "HTTP/3 needs `[https]`, whose certificates it shows",
            ));
        }
        if self.public_port == 0 {
            return Err(SettingsError::field("http3.public_port", "0 is no port"));
        }
        Ok(())
    }
}

/// To believe everybody is to let every client say who it is.
fn check_trust(field: &'static str, trust: Option<Trust<'_>>) -> Result<(), SettingsError> {
    match trust {
        Some(trust) if trust.ranges.is_empty() => Err(SettingsError::field(
            field,
            "a required PROXY header needs the ranges of those who are believed",
        )),
        _ => Ok(()),
    }
}
