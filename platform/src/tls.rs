//! TLS. Between our own processes it is mutual: certificates of the cluster's own authorities, one for
//! each node and edge, TLS 1.3 alone, no early data, no resumed sessions. Who a peer is stands in its
//! certificate's SAN URI (`vg://node/1`, `vg://edge/edge-1`), and what an edge may have in another
//! (`vg://environment/production`); a cluster is told from another by its authorities, which sign for nobody else. Which role gets in is checked in the handshake; what a peer may do
//! is decided by whoever asks.

mod current;
mod identity;
mod peer;
mod public;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub use current::Admits;
pub use identity::Identity;
pub use peer::{EdgeCertificate, Peer};
pub use public::PublicCertificate;

/// The DNS name in every node's certificate, and in no edge's: what a client asks for when it
/// connects to a node, wherever that node's address leads.
pub const NODE_SERVER_NAME: &str = "vectorgate-node";

/// ALPN of the protocol between nodes and edges.
pub const ALPN_EDGE: &[u8] = b"vg-edge/2";

/// ALPN of the conversation by which an edge comes by a certificate.
pub const ALPN_ENROL: &[u8] = b"vg-enrol/1";

/// ALPN of gRPC.
pub const ALPN_H2: &[u8] = b"h2";

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
    /// Other material names another process, or another environment.
    #[error(
        "the certificate names somebody else, or another environment, than the one that it is to replace"
    )]
    SomebodyElse,
    /// Others would not believe it now.
    #[error(
        "the certificate does not lead to one of the authorities beside it, or does not hold now"
    )]
    Unbelievable(#[source] rustls::Error),
}

/// For clients of any kind, which show no certificate of their own: HTTP/1.1 and HTTP/2 over TLS
/// 1.2 or 1.3, with a chain and key in PEM.
///
/// # Errors
/// When one of the texts holds something else, or they do not fit.
pub fn public_server(cert: &[u8], key: &[u8]) -> Result<ServerConfig, TlsError> {
    PublicCertificate::from_pem(cert, key)?.server()
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
