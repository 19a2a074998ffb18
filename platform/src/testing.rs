//! A certificate authority for tests and the simulation: Ed25519 keys, serials and dates that
//! depend on names alone, so that the same names give the same bytes in every run. The keys are
//! as good as public; nothing outside tests may trust them.

pub mod collector;

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};

use crate::authority::key_of;
use crate::tls::{Identity, NODE_SERVER_NAME};

/// A certificate authority whose key follows from its name.
#[derive(Debug)]
pub struct TestAuthority {
    name: String,
    params: CertificateParams,
    pem: String,
}

/// A certificate chain, its key and the authority's certificate, as PEM texts.
#[derive(Clone, Debug)]
pub struct Pems {
    /// The authority's certificate.
    pub ca: String,
    /// The certificate.
    pub cert: String,
    /// Its private key.
    pub key: String,
}

/// Where [`Pems::write`] put them.
#[derive(Clone, Debug)]
pub struct PemFiles {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key, mode 600.
    pub key: PathBuf,
}

impl Default for TestAuthority {
    fn default() -> Self {
        Self::new("vectorgate test authority")
    }
}

impl TestAuthority {
    /// The authority of that name.
    ///
    /// # Panics
    /// When the certificate cannot be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params
            .self_signed(&key(name))
            .expect("a test authority can be made")
            .pem();
        Self {
            name: name.to_owned(),
            params,
            pem,
        }
    }

    /// A node's material.
    #[must_use]
    pub fn node(&self, id: u64) -> Pems {
        self.issue(
            &format!("node-{id}"),
            vec![uri(&format!("vg://node/{id}")), dns(NODE_SERVER_NAME)],
        )
    }

    /// The material of an edge of the environment `production`.
    #[must_use]
    pub fn edge(&self, id: &str) -> Pems {
        self.edge_of(id, "production")
    }

    /// The material of an edge.
    #[must_use]
    pub fn edge_of(&self, id: &str, environment: &str) -> Pems {
        let names = [
            format!("vg://edge/{id}"),
            format!("vg://environment/{environment}"),
        ];
        self.issue(id, names.map(|name| uri(&name)).to_vec())
    }

    /// Material with any names, for tests of what must be refused.
    #[must_use]
    pub fn issue(&self, name: &str, names: Vec<SanType>) -> Pems {
        self.signed(name, params(name), names)
    }

    /// A node's material that holds in these years alone, from the first day of the one to that of the
    /// other.
    #[must_use]
    pub fn node_between(&self, id: u64, (from, until): (i32, i32)) -> Pems {
        let mut params = params(&format!("node-{id} of {from}"));
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let names = vec![uri(&format!("vg://node/{id}")), dns(NODE_SERVER_NAME)];
        self.signed(&format!("node-{id} of {from}"), params, names)
    }

    fn signed(&self, name: &str, mut params: CertificateParams, names: Vec<SanType>) -> Pems {
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let issuer = Issuer::from_params(&self.params, key(&self.name));
        let key = key(name);
        let cert = params
            .signed_by(&key, &issuer)
            .expect("a test certificate can be made")
            .pem();
        Pems {
            ca: self.pem.clone(),
            cert,
            key: key.serialize_pem(),
        }
    }
}

impl Pems {
    /// The material as a process uses it.
    ///
    /// # Panics
    /// Never: the texts were made here.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::from_pem(
            self.ca.as_bytes(),
            self.cert.as_bytes(),
            self.key.as_bytes(),
        )
        .expect("test material can be read")
    }

    /// Writes `ca.pem`, `NAME.pem` and `NAME.key` into `dir`.
    ///
    /// # Errors
    /// When that fails.
    pub fn write(&self, dir: &Path, name: &str) -> std::io::Result<PemFiles> {
        let files = PemFiles {
            ca: dir.join("ca.pem"),
            cert: dir.join(format!("{name}.pem")),
            key: dir.join(format!("{name}.key")),
        };
        fs::write(&files.ca, &self.ca)?;
        fs::write(&files.cert, &self.cert)?;
        fs::write(&files.key, &self.key)?;
        restrict(&files.key)?;
        Ok(files)
    }
}

/// A SAN URI.
///
/// # Panics
/// When it is not ASCII.
#[must_use]
pub fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("a test name is ASCII"))
}

/// A SAN DNS name.
///
/// # Panics
/// When it is not ASCII.
#[must_use]
pub fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().expect("a test name is ASCII"))
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    let serial: Vec<u8> = name.bytes().take(16).collect();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

/// The key that follows from a name.
fn key(name: &str) -> KeyPair {
    let mut secret = [0; 32];
    for ((index, byte), place) in (0..32_u8).zip(name.bytes().cycle()).zip(&mut secret) {
        *place = byte ^ index.wrapping_mul(37);
    }
    key_of(&secret).expect("any 32 bytes are an Ed25519 key")
}

#[cfg(unix)]
fn restrict(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn restrict(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Holds the metrics of an exposition against `deploy/observability/metrics/NAME.txt`, which dashboards and alerts
/// go by: a line for each, with its kind and what it says, in the order of their names. With
/// `VECTORGATE_BLESS=1` the file is written anew.
///
/// # Panics
/// When they differ, or the file cannot be used.
pub fn assert_metrics_are_documented(name: &str, exposition: &str) {
    let documented = |line: &str| -> Option<String> {
        let (name, help) = line.strip_prefix("# HELP ")?.split_once(' ')?;
        let kind = exposition
            .lines()
            .find_map(|line| line.strip_prefix(&format!("# TYPE {name} ")))?;
        // A counter is read by this name.
        let name = match kind {
            "counter" => format!("{name}_total"),
            _ => name.to_owned(),
        };
        Some(format!("{name} {kind} {help}\n"))
    };
    let mut lines: Vec<String> = exposition.lines().filter_map(documented).collect();
    lines.sort();
    lines.dedup();
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/observability/metrics")
        .join(format!("{name}.txt"));
    let found = lines.concat();
    if std::env::var_os("VECTORGATE_BLESS").is_some() {
        std::fs::write(&file, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap();
    assert_eq!(expected, found, "{}", file.display());
}
