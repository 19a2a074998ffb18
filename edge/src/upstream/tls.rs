//! TLS towards targets: whom the edge trusts to vouch for them. Certificates are always verified,
//! by the operating system's authorities or by the upstream's own; a client certificate is never
//! shown.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use domain::model::{Protocol, UpstreamTls};
use domain::tree::Hash;
use parking_lot::Mutex;
use platform::tls::{ALPN_H2, provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

/// How TLS is spoken to one target.
#[derive(Clone)]
pub struct TargetTls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    key: Arc<str>,
}

/// Whom the edge trusts. Configurations are shared by all upstreams that ask for the same, so that
/// sessions are resumed across publishes.
#[derive(Default)]
pub struct Trust {
    system: OnceLock<Arc<RootCertStore>>,
    configs: Mutex<BTreeMap<Key, Weak<ClientConfig>>>,
}

/// The authorities by their hash, none for the operating system's, and what is spoken.
type Key = (Option<Hash>, bool);

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

impl fmt::Debug for TargetTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetTls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl TargetTls {
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    pub(crate) fn name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    /// Connections with the same key are as good as each other.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

impl Trust {
    /// TLS to a target of an upstream with these settings.
    ///
    /// # Errors
    /// When the authorities are none, or the target has no name that a certificate could bear.
    pub(crate) fn target(
        &self,
        tls: &UpstreamTls,
        protocol: Protocol,
        address: &str,
    ) -> Result<TargetTls, String> {
        let name = tls.server_name.as_deref().unwrap_or(address);
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let server_name = ServerName::try_from(bare.to_owned())
            .map_err(|_| format!("`{name}` is no name that a certificate could bear"))?;
        let is_h2 = protocol == Protocol::H2;
        let ca = tls.ca.as_deref();
        let hash = ca.map(|ca| Hash::of(ca.as_bytes()));
        Ok(TargetTls {
            config: self.config((hash, is_h2), ca)?,
            name: server_name,
            key: match hash {
                Some(hash) => format!("tls:{name}:{hash}").into(),
                None => format!("tls:{name}").into(),
            },
        })
    }

    fn config(&self, key: Key, ca: Option<&str>) -> Result<Arc<ClientConfig>, String> {
        let mut configs = self.configs.lock();
        if let Some(config) = configs.get(&key).and_then(Weak::upgrade) {
            return Ok(config);
        }
        let roots = match ca {
            Some(ca) => Arc::new(authorities(ca)?),
            None => Arc::clone(self.system.get_or_init(system)),
        };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (_, is_h2) = key;
        let alpn = if is_h2 { ALPN_H2 } else { b"http/1.1" };
        config.alpn_protocols = vec![alpn.to_vec()];
        let config = Arc::new(config);
        configs.retain(|_, config| config.strong_count() > 0);
        configs.insert(key, Arc::downgrade(&config));
        Ok(config)
    }
}

fn authorities(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("tls.ca: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("tls.ca: {error}"))?;
    }
    if roots.is_empty() {
        return Err("tls.ca holds no certificate".to_owned());
    }
    Ok(roots)
}

/// The authorities that the operating system trusts. Where it has none, every target that needs
/// them is refused, which is said once.
fn system() -> Arc<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::error!(
            errors = ?found.errors,
            "the operating system trusts no authority; no target's certificate can be verified by it"
        );
    }
    Arc::new(roots)
}
