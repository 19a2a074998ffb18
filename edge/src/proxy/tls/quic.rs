//! TLS within QUIC. It is always of version 1.3, so that one way to speak it serves all hosts, and
//! which certificate a client is shown is looked up when it greets. There is no connection that could
//! be handed on unopened: a client whose host ends TLS itself is turned away and comes over TCP.

use std::fmt;
use std::sync::Arc;

use domain::content::{TlsPolicy, TlsVersion};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Tls, normal_form};
use crate::active::Active;
use crate::certificates::Certificates;
use crate::configuration::Configuration;

/// What QUIC agrees on about HTTP.
const ALPN: &[u8] = b"h3";

/// Shows the certificate of the host that a client names.
struct ByHost {
    active: Arc<Active>,
    certificates: Arc<dyn Certificates>,
}

impl fmt::Debug for ByHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByHost")
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ByHost {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name().and_then(normal_form);
        shown(&*self.certificates, &self.active.current(), host.as_deref())
    }
}

/// The certificate for a host, as over TCP; none where its route has TLS end elsewhere or nowhere.
fn shown(
    certificates: &dyn Certificates,
    configuration: &Configuration,
    host: Option<&str>,
) -> Option<Arc<CertifiedKey>> {
    let Some(served) = host.and_then(|host| configuration.find(host)) else {
        return certificates.own();
    };
    match (&served.tls.policy, &served.tls.certificate_id) {
        (TlsPolicy::Off | TlsPolicy::Passthrough, _) => None,
        (TlsPolicy::Strict | TlsPolicy::Flexible, None) => certificates.own(),
        (TlsPolicy::Strict | TlsPolicy::Flexible, Some(id)) => {
            let found = certificates.find(id);
            if found.is_none() {
                tracing::warn!(certificate = %id, "a client was turned away: the certificate is not here");
            }
            found
        }
    }
}

impl Tls {
    /// How TLS is spoken within QUIC, by what is in use at each handshake. No early data is taken.
    ///
    /// # Errors
    /// When TLS cannot be spoken at all.
    pub(in crate::proxy) fn within_quic(
        &self,
        active: Arc<Active>,
    ) -> Result<ServerConfig, rustls::Error> {
        let by_host = Arc::new(ByHost {
            active,
            certificates: Arc::clone(&self.certificates),
        });
        let mut config = Arc::unwrap_or_clone(self.config(TlsVersion::Tls13, by_host)?);
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }
}
