//! What clients of any kind are shown, who show no certificate of their own: HTTP over TLS 1.2 or 1.3,
//! with a chain and key that can be replaced while connections come.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use super::{ALPN_H2, TlsError, certified_key, provider};
use crate::certificate::{self, Term};

/// A certificate for clients. Clones share it: what [replaces](Self::replace) it is what every handshake
/// after that shows.
#[derive(Clone)]
pub struct PublicCertificate {
    current: Arc<watch::Sender<Arc<CertifiedKey>>>,
}

impl fmt::Debug for PublicCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicCertificate").finish_non_exhaustive()
    }
}

impl From<CertifiedKey> for PublicCertificate {
    fn from(certified: CertifiedKey) -> Self {
        Self {
            current: Arc::new(watch::Sender::new(Arc::new(certified))),
        }
    }
}

impl PublicCertificate {
    /// Takes a chain and key in PEM.
    ///
    /// # Errors
    /// When one of the texts holds something else, or they do not fit.
    pub fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Ok(certified_key(cert, key)?.into())
    }

    /// What is shown now.
    #[must_use]
    pub fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.current.borrow())
    }

    /// For how long it holds.
    #[must_use]
    pub fn term(&self) -> Option<Term> {
        certificate::term(self.current().cert.first()?)
    }

    /// Shows what `other` shows, from now on. Connections that are open stay so.
    pub fn replace(&self, other: &Self) {
        self.current.send_replace(other.current());
    }

    /// For accepting connections.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn server(&self) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![ALPN_H2.to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for PublicCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}
