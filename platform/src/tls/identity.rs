//! What a process has towards the others of its cluster: a certificate chain, its key, and the
//! authorities that it trusts. All three can be replaced while the process runs.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::time::Timestamp;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WantsClientCert, WebPkiServerVerifier};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::sync::watch;

use super::current::{Admits, Clients, Servers, Shown};
use super::peer::{EdgeCertificate, Peer};
use super::{NODE_SERVER_NAME, TlsError, certificates, private_key, provider};
use crate::certificate::{self, Term};

/// A process's certificate chain and key, and the authorities that it trusts. Clones share them: what
/// [replaces](Self::replace) them is what every handshake after that uses.
#[derive(Clone)]
pub struct Identity {
    current: Arc<watch::Sender<Arc<Material>>>,
}

/// What is current.
pub(super) struct Material {
    pub(super) shown: Arc<CertifiedKey>,
    pub(super) clients: Arc<dyn ClientCertVerifier>,
    pub(super) servers: Arc<dyn ServerCertVerifier>,
    authorities: Vec<CertificateDer<'static>>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("chain", &self.material().shown.cert.len())
            .finish_non_exhaustive()
    }
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

    /// Takes PEM texts. The first may hold several authorities, so that one can take the place of
    /// another.
    ///
    /// # Errors
    /// When one of them holds something else, or certificate and key do not fit.
    pub fn from_pem(ca: &[u8], cert: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let authorities = certificates("the CA certificate", ca)?;
        let roots = roots(authorities.iter().cloned())?;
        let chain = certificates("the certificate", cert)?;
        let shown = CertifiedKey::from_der(chain, private_key(key)?, &provider())?;
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .build()
            .map_err(|error| TlsError::Verifier(error.to_string()))?;
        let material = Material {
            shown: Arc::new(shown),
            clients,
            servers: servers(roots)?,
            authorities,
        };
        Ok(Self {
            current: Arc::new(watch::Sender::new(Arc::new(material))),
        })
    }

    pub(super) fn material(&self) -> Arc<Material> {
        Arc::clone(&self.current.borrow())
    }

    /// Takes what `other` has into use, for all handshakes from now on. Connections that are open stay
    /// so.
    ///
    /// # Errors
    /// When it names somebody else, or another environment; nothing changes then.
    pub fn replace(&self, other: &Self) -> Result<(), TlsError> {
        if self.peer() != other.peer() || self.environment() != other.environment() {
            return Err(TlsError::SomebodyElse);
        }
        self.current.send_replace(other.material());
        Ok(())
    }

    /// Whether `other` has the same certificates. Keys belong to those.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let (own, other) = (self.material(), other.material());
        own.shown.cert == other.shown.cert && own.authorities == other.authorities
    }

    /// Fails unless others that trust the same authorities would believe the certificate at that time.
    ///
    /// # Errors
    /// When it does not lead to one of them, does not hold, or names nobody of ours.
    pub fn verify(&self, at: Timestamp) -> Result<(), TlsError> {
        let material = self.material();
        let Some((first, rest)) = material.shown.cert.split_first() else {
            return Err(TlsError::SomebodyElse);
        };
        let now = UnixTime::since_unix_epoch(Duration::from_millis(at.0));
        let clients = &material.clients;
        let as_client = clients.verify_client_cert(first, rest, now).map(drop);
        let outcome = match Peer::of(first) {
            Some(Peer::Edge(_)) => as_client,
            Some(Peer::Node(_)) => as_client.and_then(|()| {
                let name = ServerName::try_from(NODE_SERVER_NAME)
                    .map_err(|error| rustls::Error::General(error.to_string()))?;
                let servers = &material.servers;
                let verified = servers.verify_server_cert(first, rest, &name, &[], now);
                verified.map(drop)
            }),
            None => return Err(TlsError::SomebodyElse),
        };
        outcome.map_err(TlsError::Unbelievable)
    }

    /// Who the certificate says that this process is.
    #[must_use]
    pub fn peer(&self) -> Option<Peer> {
        self.certificate().and_then(|first| Peer::of(&first))
    }

    /// The environment that an edge's certificate names.
    #[must_use]
    pub fn environment(&self) -> Option<String> {
        EdgeCertificate::of(&self.certificate()?)?.environment
    }

    /// For how long the certificate holds.
    #[must_use]
    pub fn term(&self) -> Option<Term> {
        certificate::term(&self.certificate()?)
    }

    /// The certificate itself.
    #[must_use]
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.material().shown.cert.first().cloned()
    }

    /// The authorities that are trusted.
    #[must_use]
    pub fn authorities(&self) -> Vec<CertificateDer<'static>> {
        self.material().authorities.clone()
    }

    /// For accepting connections from nodes and edges that our authorities vouch for.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn server(&self, alpn: &[u8]) -> Result<ServerConfig, TlsError> {
        self.server_for(alpn, |_| true)
    }

    /// For accepting connections from those of ours that `admits` lets in.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn server_for(&self, alpn: &[u8], admits: Admits) -> Result<ServerConfig, TlsError> {
        let clients = Clients {
            identity: self.clone(),
            admits,
            strangers: false,
        };
        self.server_with(&[alpn], clients)
    }

    /// The same, where clients get in that show no certificate, too: what they may do there is for
    /// whoever asks to say.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn server_for_strangers(
        &self,
        alpn: &[&[u8]],
        admits: Admits,
    ) -> Result<ServerConfig, TlsError> {
        let clients = Clients {
            identity: self.clone(),
            admits,
            strangers: true,
        };
        self.server_with(alpn, clients)
    }

    fn server_with(&self, alpn: &[&[u8]], clients: Clients) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(clients))
            .with_cert_resolver(Arc::new(Shown(self.clone())));
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config.max_early_data_size = 0;
        // A session that is resumed shows no certificate: one that has expired would go on.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// For connecting to nodes without a certificate, by [`super::NODE_SERVER_NAME`], where these
    /// authorities (in DER) vouch for them. Who answers must show a node's certificate all the same.
    ///
    /// # Errors
    /// When an authority's certificate cannot be read.
    pub fn stranger(authorities: &[Vec<u8>], alpn: &[u8]) -> Result<ClientConfig, TlsError> {
        let authorities = authorities.iter().cloned().map(CertificateDer::from);
        let verifier = servers(roots(authorities)?)?;
        let builder = nodes_only(Servers::Fixed(verifier))?;
        Ok(towards_nodes(builder.with_no_client_auth(), alpn))
    }

    /// For connecting to nodes, by [`super::NODE_SERVER_NAME`].
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn client(&self, alpn: &[u8]) -> Result<ClientConfig, TlsError> {
        let builder = nodes_only(Servers::Of(self.clone()))?;
        let config = builder.with_client_cert_resolver(Arc::new(Shown(self.clone())));
        Ok(towards_nodes(config, alpn))
    }
}

fn roots(
    authorities: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority)?;
    }
    Ok(Arc::new(roots))
}

fn servers(roots: Arc<RootCertStore>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let built = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
    let verifier = built.map_err(|error| TlsError::Verifier(error.to_string()))?;
    Ok(verifier)
}

/// TLS as a client that believes nodes alone.
fn nodes_only(verifier: Servers) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        // It judges as rustls' own verifier does, which it asks, and is stricter.
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(builder)
}

fn towards_nodes(mut config: ClientConfig, alpn: &[u8]) -> ClientConfig {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    config
}
