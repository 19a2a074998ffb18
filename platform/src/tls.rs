//! Mutual TLS between our own processes: one certificate authority, a certificate for each node
//! and edge, TLS 1.3 alone, no early data. Who a peer is stands in its certificate's SAN URI
//! (`vg://node/1`, `vg://edge/edge-1`); what it may do is decided by whoever asks.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::certificate;

/// The DNS name in every node's certificate, and in no edge's: what a client asks for when it
/// connects to a node, wherever that node's address leads.
pub const NODE_SERVER_NAME: &str = "vectorgate-node";

/// ALPN of the protocol between nodes and edges.
pub const ALPN_EDGE: &[u8] = b"vg-edge/1";

/// ALPN of gRPC.
pub const ALPN_H2: &[u8] = b"h2";

/// A process's certificate chain and key, and the authority that it trusts.
pub struct Identity {
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("chain", &self.chain.len())
            .finish_non_exhaustive()
    }
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// PEM text holds no certificate or key that can be read.
    #[error("{what} is not PEM of the expected kind: {reason}")]
    Pem {
        /// Which input.
        what: String,
        /// Why.
        reason: String,
    },
    /// Rustls refuses the material.
    #[error("the TLS material does not fit together")]
    Rustls(#[from] rustls::Error),
    /// The verifier could not be built.
    #[error("the TLS verifier cannot be built: {0}")]
    Verifier(String),
}

impl Identity {
    /// Reads PEM files.
    ///
    /// # Errors
    /// When a file cannot be read or holds something else.
    pub fn load(ca_file: &Path, cert_file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|source| TlsError::Read {
                path: path.to_owned(),
                source,
            })
        };
        Self::from_pem(&read(ca_file)?, &read(cert_file)?, &read(key_file)?)
    }

    /// Takes PEM texts.
    ///
    /// # Errors
    /// When one of them holds something else.
    pub fn from_pem(ca: &[u8], cert: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("the CA certificate", ca)? {
            roots.add(certificate)?;
        }
        let chain = certificates("the certificate", cert)?;
        let key = private_key(key)?;
        Ok(Self {
            roots: Arc::new(roots),
            chain,
            key,
        })
    }

    /// Who the certificate says that this process is.
    #[must_use]
    pub fn peer(&self) -> Option<Peer> {
        self.chain.first().and_then(Peer::of)
    }

    /// Until when the certificate holds, in seconds since the Unix epoch.
    #[must_use]
    pub fn not_after_s(&self) -> Option<u64> {
        certificate::not_after_s(self.chain.first()?)
    }

    /// For accepting connections from peers that our authority vouches for.
    ///
    /// # Errors
    /// When key and certificate do not fit.
    pub fn server(&self, alpn: &[u8]) -> Result<ServerConfig, TlsError> {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), provider())
                .build()
                .map_err(|error| TlsError::Verifier(error.to_string()))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![alpn.to_vec()];
        config.max_early_data_size = 0;
        Ok(config)
    }

    /// For connecting to nodes, by [`NODE_SERVER_NAME`].
    ///
    /// # Errors
    /// When key and certificate do not fit.
    pub fn client(&self, alpn: &[u8]) -> Result<ClientConfig, TlsError> {
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), provider())
                .build()
                .map_err(|error| TlsError::Verifier(error.to_string()))?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_webpki_verifier(verifier)
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![alpn.to_vec()];
        Ok(config)
    }
}

/// For clients of any kind, which show no certificate of their own: HTTP/1.1 and HTTP/2 over TLS
/// 1.2 or 1.3, with a chain and key in PEM.
///
/// # Errors
/// When one of the texts holds something else, or they do not fit.
pub fn public_server(cert: &[u8], key: &[u8]) -> Result<ServerConfig, TlsError> {
    let chain = certificates("the certificate", cert)?;
    let key = private_key(key)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN_H2.to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A chain and its key in PEM, to be shown to clients by whoever chooses between several.
///
/// # Errors
/// When one of the texts holds something else, or they do not fit.
pub fn certified_key(cert: &[u8], key: &[u8]) -> Result<CertifiedKey, TlsError> {
    let chain = certificates("the certificate", cert)?;
    let key = private_key(key)?;
    Ok(CertifiedKey::from_der(chain, key, &provider())?)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| TlsError::Pem {
        what: "the private key".to_owned(),
        reason: error.to_string(),
    })
}

fn certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fail = |reason: String| TlsError::Pem {
        what: what.to_owned(),
        reason,
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| fail(error.to_string()))?;
    if chain.is_empty() {
        return Err(fail("it holds no certificate".to_owned()));
    }
    Ok(chain)
}

/// The one crypto provider that everything uses.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Who a peer is, by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A node, by member id.
    Node(u64),
    /// An edge, by its id.
    Edge(String),
}

impl Peer {
    /// Reads the SAN URI of a peer's end-entity certificate, whose chain was verified already.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok()??;
        names
            .value
            .general_names
            .iter()
            .find_map(|name| match name {
                x509_parser::extensions::GeneralName::URI(uri) => Self::parse(uri),
                _ => None,
            })
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
