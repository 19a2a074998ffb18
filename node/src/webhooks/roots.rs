//! The authorities that vouch for receivers: those of the operating system, and those that the
//! operator names beside them. Our own processes trust each other by other certificates, which
//! vouch for no receiver.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Why the operator's authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootsError {
    /// The file cannot be read.
    #[error("setting webhooks.ca_file: cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds no certificates that can be used.
    #[error("setting webhooks.ca_file: {path} holds no usable certificate: {reason}")]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// All authorities. A machine that has none of its own is no fault: it may deliver nothing, or to
/// receivers of the operator's authority alone. It is logged, though.
///
/// # Errors
/// When `ca_file` is given and cannot be used.
pub(crate) fn load(ca_file: Option<&Path>) -> Result<RootCertStore, RootsError> {
    let mut roots = system();
    if let Some(path) = ca_file {
        let text = fs::read(path).map_err(|source| RootsError::Read {
            path: path.to_owned(),
            source,
        })?;
        add_pem(&mut roots, &text).map_err(|reason| RootsError::Pem {
            path: path.to_owned(),
            reason,
        })?;
    }
    Ok(roots)
}

fn system() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "an authority of the operating system cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(added, ignored, "authorities of the operating system");
    if roots.is_empty() {
        tracing::warn!(
            "the operating system trusts no authority; webhooks will not be delivered to public receivers"
        );
    }
    roots
}

/// Adds each certificate of a PEM text, of which there must be one at least.
pub(super) fn add_pem(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), String> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("it holds none at all".to_owned());
    }
    for certificate in certificates {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(())
}
