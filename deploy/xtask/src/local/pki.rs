//! The development CA: Ed25519 keys, a certificate for each node and edge. What is there is used
//! again, so that a cluster can grow; a missing certificate is issued by the CA that is there.
//!
//! | who          | names in the certificate                          | purpose           |
//! |--------------|---------------------------------------------------|-------------------|
//! | `node-N`     | URI `vg://node/N`, DNS `vectorgate-node`          | server and client |
//! | `edge-N`     | URIs `vg://edge/edge-N`, `vg://environment/production` | server and client |
//!
//! For development: its key lies beside the certificates.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType,
};

use super::files;
use super::topology::{Kind, Name};

/// The DNS name that edges and nodes ask for when they connect to a node.
const NODE_SERVER_NAME: &str = "vectorgate-node";

/// Long enough that nobody meets the end of it, short enough to be no default for production.
const VALIDITY: Duration = Duration::from_secs(825 * 24 * 60 * 60);

/// Clocks of machines that share a folder differ.
const BACKDATING: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate authority and where it keeps its files.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// Where the certificate of a process is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The CA's certificate.
    pub ca_file: PathBuf,
    /// The certificate.
    pub cert_file: PathBuf,
    /// The key.
    pub key_file: PathBuf,
}

impl Authority {
    /// The CA in `folder`, made if there is none.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub fn open(folder: &Path) -> Result<Self> {
        files::make_folder(folder)?;
        let key_file = folder.join("ca.key");
        let key = match files::read_if_there(&key_file)? {
            Some(pem) => KeyPair::from_pem(&pem)
                .with_context(|| format!("{} holds no key", key_file.display()))?,
            None => KeyPair::generate_for(&PKCS_ED25519).context("no key could be generated")?,
        };
        let certificate_file = folder.join("ca.pem");
        if !key_file.is_file() || !certificate_file.is_file() {
            let certificate = authority_params()?
                .self_signed(&key)
                .context("the CA cannot sign")?;
            files::write(&certificate_file, certificate.pem())?;
            files::write_secret(&key_file, key.serialize_pem())?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            issuer: Issuer::new(authority_params()?, key),
        })
    }

    /// The certificate of a process, issued if there is none.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn identity(&self, name: Name) -> Result<Identity> {
        let names = match name.kind {
            Kind::Node => node_names(u64::from(name.number))?,
            Kind::Edge | Kind::Origin => edge_names(&name.to_string())?,
        };
        self.issue(&name.to_string(), names)
    }

    /// The certificate of an edge with any id, issued if there is none.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn edge(&self, id: &str) -> Result<Identity> {
        self.issue(id, edge_names(id)?)
    }

    fn issue(&self, stem: &str, names: Vec<SanType>) -> Result<Identity> {
        let identity = Identity {
            ca_file: self.folder.join("ca.pem"),
            cert_file: self.folder.join(format!("{stem}.pem")),
            key_file: self.folder.join(format!("{stem}.key")),
        };
        // The text before a certificate says what it is for: one with other names is of no use.
        let head = format!("{names:?}\n");
        let there = files::read_if_there(&identity.cert_file)?;
        if there.is_some_and(|pem| pem.starts_with(&head)) && identity.key_file.is_file() {
            return Ok(identity);
        }
        let key = KeyPair::generate_for(&PKCS_ED25519).context("no key could be generated")?;
        let mut params = dated(stem);
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .context("the CA cannot sign")?;
        files::write_secret(&identity.key_file, key.serialize_pem())?;
        files::write(&identity.cert_file, head + &certificate.pem())?;
        Ok(identity)
    }
}

fn authority_params() -> Result<CertificateParams> {
    let mut params = dated("VectorGate development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn dated(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let now = rcgen::date_time_ymd(1970, 1, 1) + since_epoch;
    params.not_before = now - BACKDATING;
    params.not_after = now + VALIDITY;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

fn node_names(id: u64) -> Result<Vec<SanType>> {
    Ok(vec![
        uri(&format!("vg://node/{id}"))?,
        SanType::DnsName(NODE_SERVER_NAME.try_into().context("not ASCII")?),
    ])
}

fn edge_names(id: &str) -> Result<Vec<SanType>> {
    Ok(vec![
        uri(&format!("vg://edge/{id}"))?,
        uri("vg://environment/production")?,
    ])
}

fn uri(text: &str) -> Result<SanType> {
    Ok(SanType::URI(
        text.try_into()
            .context("the name in a certificate must be ASCII")?,
    ))
}

#[cfg(test)]
mod tests {
    use platform::tls::{self, Peer};
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;

    use super::*;

    fn peer(identity: &Identity) -> Option<Peer> {
        let pem = std::fs::read(&identity.cert_file).expect("a certificate");
        Peer::of(&CertificateDer::from_pem_slice(&pem).expect("PEM"))
    }

    #[test]
    fn nodes_and_edges_read_each_other_in_what_is_issued() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::open(folder.path()).expect("a CA");
        let node = authority.identity(Name::node(2)).expect("issued");
        let edge = authority.identity(Name::edge(1)).expect("issued");
        assert_eq!(peer(&node), Some(Peer::Node(2)));
        assert_eq!(peer(&edge), Some(Peer::Edge("edge-1".to_owned())));
        for identity in [&node, &edge] {
            let loaded =
                tls::Identity::load(&identity.ca_file, &identity.cert_file, &identity.key_file);
            let loaded = loaded.expect("the product loads it");
            loaded.server(tls::ALPN_H2).expect("it fits a server");
            loaded.client(tls::ALPN_H2).expect("it fits a client");
        }
    }

    #[test]
    fn opening_again_keeps_the_authority_and_what_it_issued() {
        let folder = tempfile::tempdir().expect("a folder");
        let read = |identity: &Identity| {
            [&identity.ca_file, &identity.cert_file, &identity.key_file]
                .map(|path| std::fs::read(path).expect("a file"))
        };
        let first = read(
            &Authority::open(folder.path())
                .expect("a CA")
                .identity(Name::node(1))
                .expect("issued"),
        );
        let second = read(
            &Authority::open(folder.path())
                .expect("a CA")
                .identity(Name::node(1))
                .expect("issued"),
        );
        assert_eq!(first, second);
    }
}
