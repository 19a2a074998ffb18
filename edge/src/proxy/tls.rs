//! TLS towards clients: the host that a client names decides, by its route, which certificate it is
//! shown, from which version on TLS is spoken, or that the connection is handed on unopened.
//!
//! What is needed for a certificate is made at its first handshake on a thread and kept until the
//! certificate is replaced. Tickets are the same on all threads and for all certificates, so a
//! client that comes back is known on whichever thread it comes to; rustls takes a ticket for the
//! host alone that it was given for.
//!
//! Over QUIC the same decides, but for what is handed on unopened: see [`quic`].

mod quic;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use domain::content::{TlsPolicy, TlsVersion};
use domain::id::CertificateId;
use domain::matching::normalise_host;
use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};

use crate::certificates::Certificates;
use crate::configuration::{Configuration, Served};
use crate::route::Route;

/// What TLS agrees on about HTTP, the better first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What all serving threads share to speak TLS.
#[derive(Clone)]
pub struct Tls {
    certificates: Arc<dyn Certificates>,
    ticketer: Arc<dyn ProducesTickets>,
}

/// What was agreed on with a client.
#[derive(Debug, Default)]
pub(super) struct Secured {
    /// The host that the client named, in normal form.
    pub(super) host: Option<Box<str>>,
}

/// What to do with a client, by its greeting.
pub(super) enum Choice {
    /// Speak TLS with it like this.
    Open(Arc<ServerConfig>, Secured),
    /// Hand it on to one of the route's own targets.
    HandOn(Arc<Route>),
}

/// How one thread speaks TLS.
pub(super) struct Terminator {
    tls: Tls,
    /// By certificate; none is the edge's own.
    ready: RefCell<BTreeMap<Option<CertificateId>, Ready>>,
    /// For clients to whom no certificate can be shown: it says so, as TLS does.
    nobody: Arc<ServerConfig>,
}

/// What is needed to show a certificate.
struct Ready {
    certificate: Arc<CertifiedKey>,
    from_12: Arc<ServerConfig>,
    from_13: Arc<ServerConfig>,
}

/// Shows nobody anything.
#[derive(Debug)]
struct Nothing;

impl ResolvesServerCert for Nothing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// TLS with these certificates.
    ///
    /// # Errors
    /// When the operating system gives no randomness for tickets.
    pub fn new(certificates: Arc<dyn Certificates>) -> Result<Self, rustls::Error> {
        Ok(Self {
            certificates,
            ticketer: rustls::crypto::ring::Ticketer::new()?,
        })
    }

    fn config(
        &self,
        oldest: TlsVersion,
        resolver: Arc<dyn ResolvesServerCert>,
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        let versions: &[_] = match oldest {
            TlsVersion::Tls12 => &[&TLS13, &TLS12],
            TlsVersion::Tls13 => &[&TLS13],
        };
        let mut config = ServerConfig::builder_with_provider(platform::tls::provider())
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
        config.ticketer = Arc::clone(&self.ticketer);
        // Tickets hold what is to be remembered; nothing is kept here for clients that may never
        // come back.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        Ok(Arc::new(config))
    }
}

impl Secured {
    /// What a client asked for by this name.
    pub(super) fn by(name: Option<&str>) -> Self {
        Self {
            host: name.and_then(normal_form),
        }
    }
}

/// A host's name as routes know it; nothing where it is none.
fn normal_form(name: &str) -> Option<Box<str>> {
    let host = normalise_host(name).ok()?;
    Some(host.into_owned().into_boxed_str())
}

impl Terminator {
    pub(super) fn new(tls: Tls) -> Result<Self, rustls::Error> {
        Ok(Self {
            nobody: tls.config(TlsVersion::Tls12, Arc::new(Nothing))?,
            ready: RefCell::default(),
            tls,
        })
    }

    /// What to do with a client that greets like this.
    pub(super) fn choose(&self, configuration: &Configuration, hello: &ClientHello<'_>) -> Choice {
        let secured = Secured::by(hello.server_name());
        let served = secured.host.as_deref();
        let served = served.and_then(|host| configuration.find(host));
        let config = match served {
            None => self.own(TlsVersion::default()),
            Some(served) => match served.tls.policy {
                TlsPolicy::Off => None,
                TlsPolicy::Passthrough if served.route.defaults().is_some() => {
                    return Choice::HandOn(Arc::clone(&served.route));
                }
                TlsPolicy::Passthrough => None,
                TlsPolicy::Strict | TlsPolicy::Flexible => match &served.tls.certificate_id {
                    Some(id) => self.named(id, served),
                    None => self.own(served.tls.min_version),
                },
            },
        };
        Choice::Open(config.unwrap_or_else(|| Arc::clone(&self.nobody)), secured)
    }

    fn named(&self, named: &CertificateId, served: &Served) -> Option<Arc<ServerConfig>> {
        let find = |id| Some((id, self.tls.certificates.find(id)?));
        let Some((id, certificate)) = served.certificates().find_map(find) else {
            tracing::warn!(certificate = %named, "a client was turned away: the certificate is not here");
            return None;
        };
        self.ready(Some(id.clone()), &certificate, served.tls.min_version)
    }

    fn own(&self, oldest: TlsVersion) -> Option<Arc<ServerConfig>> {
        let certificate = self.tls.certificates.own()?;
        self.ready(None, &certificate, oldest)
    }

    fn ready(
        &self,
        id: Option<CertificateId>,
        certificate: &Arc<CertifiedKey>,
        oldest: TlsVersion,
    ) -> Option<Arc<ServerConfig>> {
        let mut ready = self.ready.borrow_mut();
        if let Some(ready) = ready
            .get(&id)
            .filter(|ready| Arc::ptr_eq(&ready.certificate, certificate))
        {
            return Some(ready.of(oldest));
        }
        match Ready::new(&self.tls, certificate) {
            Ok(made) => {
                let config = made.of(oldest);
                let known = |id: &CertificateId| self.tls.certificates.find(id).is_some();
                ready.retain(|id, _| id.as_ref().is_none_or(known));
                ready.insert(id, made);
                Some(config)
            }
            Err(error) => {
                tracing::error!(%error, "a certificate cannot be used");
                None
            }
        }
    }
}

impl Ready {
    fn new(tls: &Tls, certificate: &Arc<CertifiedKey>) -> Result<Self, rustls::Error> {
        let show: Arc<dyn ResolvesServerCert> =
            Arc::new(SingleCertAndKey::from(Arc::clone(certificate)));
        Ok(Self {
            from_12: tls.config(TlsVersion::Tls12, Arc::clone(&show))?,
            from_13: tls.config(TlsVersion::Tls13, show)?,
            certificate: Arc::clone(certificate),
        })
    }

    fn of(&self, oldest: TlsVersion) -> Arc<ServerConfig> {
        Arc::clone(match oldest {
            TlsVersion::Tls12 => &self.from_12,
            TlsVersion::Tls13 => &self.from_13,
        })
    }
}
