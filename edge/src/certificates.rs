//! The certificates that clients are shown, by identifier, with their keys. Which hostname shows
//! which is the routes' matter; how certificates come here is the subscriber's; [`Vault`] keeps them
//! for the next start.

mod vault;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use domain::id::CertificateId;
use parking_lot::RwLock;
use platform::tls::PublicCertificate;
use rustls::sign::CertifiedKey;

pub use vault::{Vault, VaultError};

/// The certificates that routes name, each with those that are shown in its place until it is here.
pub type Named = BTreeMap<CertificateId, BTreeSet<CertificateId>>;

/// Where the serving threads find certificates. It is asked once per handshake.
pub trait Certificates: fmt::Debug + Send + Sync {
    /// The certificate of that identifier, if it is here.
    fn find(&self, id: &CertificateId) -> Option<Arc<CertifiedKey>>;

    /// The certificate for hosts whose route names none, and for clients that name no host.
    fn own(&self) -> Option<Arc<CertifiedKey>>;
}

/// Certificates in memory. One that is replaced is shown from the next handshake on; connections
/// that were opened with the old one go on.
#[derive(Default)]
pub struct Keyring {
    named: RwLock<BTreeMap<CertificateId, Arc<CertifiedKey>>>,
    own: Option<PublicCertificate>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("named", &self.named.read().keys())
            .field("own", &self.own.is_some())
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// A keyring with the edge's own certificate, if it has one.
    #[must_use]
    pub fn new(own: Option<PublicCertificate>) -> Self {
        Self {
            named: RwLock::default(),
            own,
        }
    }

    /// Takes a certificate into use, instead of the one that had the identifier.
    pub fn put(&self, id: CertificateId, certificate: CertifiedKey) {
        self.named.write().insert(id, Arc::new(certificate));
    }

    /// Drops a certificate.
    pub fn remove(&self, id: &CertificateId) {
        self.named.write().remove(id);
    }
}

impl Certificates for Keyring {
    fn find(&self, id: &CertificateId) -> Option<Arc<CertifiedKey>> {
        self.named.read().get(id).cloned()
    }

    fn own(&self) -> Option<Arc<CertifiedKey>> {
        self.own.as_ref().map(PublicCertificate::current)
    }
}
