//! Who a peer is, by the names in its certificate. Whether the certificate may be trusted was decided
//! before anybody asks here.

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

use crate::authority::EdgeKey;
use crate::certificate;

/// Who a peer is, by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A node, by member id.
    Node(u64),
    /// An edge, by its id.
    Edge(String),
}

impl Peer {
    /// Reads the SAN URI of a peer's end-entity certificate, whose chain was verified already. One
    /// that names several of ours is nobody: it would be who it wants to be.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let uris = uris(certificate)?;
        let mut peers = uris.iter().filter_map(|uri| Self::parse(uri));
        let peer = peers.next()?;
        peers.next().is_none().then_some(peer)
    }

    /// Whether it is a node.
    #[must_use]
    pub fn is_node(&self) -> bool {
        matches!(self, Self::Node(_))
    }

    /// Whether it is an edge.
    #[must_use]
    pub fn is_edge(&self) -> bool {
        matches!(self, Self::Edge(_))
    }

    fn parse(uri: &str) -> Option<Self> {
        let path = uri.strip_prefix("vg://")?;
        match path.split_once('/')? {
            ("node", id) => id.parse().ok().map(Self::Node),
            ("edge", id) if !id.is_empty() => Some(Self::Edge(id.to_owned())),
            _ => None,
        }
    }
}

/// What an edge's certificate says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeCertificate {
    /// Its id.
    pub id: String,
    /// The name of the environment whose configuration it may have, if one is named.
    pub environment: Option<String>,
    /// Its key, if it is one of the kind that edges make themselves.
    pub key: Option<EdgeKey>,
    /// Until when it holds, in seconds since the Unix epoch.
    pub not_after_s: u64,
}

impl EdgeCertificate {
    /// Reads the end-entity certificate of an edge, whose chain was verified already.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let Peer::Edge(id) = Peer::of(certificate)? else {
            return None;
        };
        let uris = uris(certificate)?;
        let mut environments = uris
            .iter()
            .filter_map(|uri| uri.strip_prefix("vg://environment/"));
        let environment = environments.next().map(str::to_owned);
        if environments.next().is_some() {
            return None;
        }
        Some(Self {
            id,
            environment,
            key: EdgeKey::of_spki(&certificate::spki(certificate)?),
            not_after_s: certificate::term(certificate)?.until_s,
        })
    }
}

/// The SAN URIs of a certificate.
fn uris(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let uris = names.value.general_names.iter();
    let uris = uris.filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    Some(uris.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_who_its_uri_says_and_nobody_else() {
        assert_eq!(Peer::parse("vg://node/3"), Some(Peer::Node(3)));
        assert_eq!(
            Peer::parse("vg://edge/edge-1"),
            Some(Peer::Edge("edge-1".to_owned()))
        );
        for bad in [
            "vg://node/x",
            "vg://edge/",
            "vg://other/1",
            "https://node/1",
            "",
        ] {
            assert_eq!(Peer::parse(bad), None, "{bad}");
        }
    }
}
