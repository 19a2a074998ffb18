//! A certificate authority of a cluster: made, kept as PEM texts by whoever has them, and signing for
//! nodes and edges. All keys are Ed25519; randomness and time are given by the caller. Where files are and
//! who may ask for a certificate is not decided here.

use std::fmt;
use std::time::Duration;

use domain::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SanType, SerialNumber,
    SignatureAlgorithm,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::certificate;
use crate::entropy::Entropy;
use crate::tls::NODE_SERVER_NAME;

/// What stands before the 32 secret bytes of an Ed25519 key in PKCS #8 (RFC 8410, section 7).
const ED25519_PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What stands before the 32 bytes of an Ed25519 key in a certificate (RFC 8410, section 4).
const ED25519_SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// How long before now a certificate begins to hold: clocks of machines differ.
const BACKDATING: Duration = Duration::from_secs(60 * 60);

/// Why an authority cannot do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A text holds something else.
    #[error("{what} cannot be read: {reason}")]
    Unreadable {
        /// Which.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The key is not that of the certificate.
    #[error("the key is not that of the authority's first certificate")]
    OtherKey,
    /// A name cannot stand in a certificate.
    #[error("{0:?} cannot stand in a certificate")]
    Name(String),
    /// It cannot sign.
    #[error("it cannot be signed: {0}")]
    Sign(String),
}

/// From when and until when a certificate is to hold.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// Now.
    pub now: Timestamp,
    /// For how long from now on.
    pub lasts: Duration,
}

/// For whom a certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A node, by member id, with names by which clients may ask for it besides.
    Node {
        /// Its number.
        id: u64,
        /// DNS names or IP addresses.
        names: Vec<String>,
    },
    /// An edge, and the environment whose configuration it may have.
    Edge {
        /// Its id.
        id: String,
        /// The environment's name.
        environment: String,
    },
}

/// An Ed25519 key, as a certificate has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeKey(pub [u8; 32]);

/// A key pair that was drawn, with its public part.
pub struct NewKey {
    /// The private key in PEM.
    pub pem: Zeroizing<String>,
    /// The public key.
    pub public: EdgeKey,
}

/// A certificate authority that was made.
pub struct NewAuthority {
    /// Its certificate in PEM.
    pub cert: String,
    /// Its key in PEM.
    pub key: Zeroizing<String>,
}

/// A certificate authority that signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl PublicKeyData for EdgeKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl EdgeKey {
    /// The key in a certificate's field, if it is one of this kind.
    #[must_use]
    pub fn of_spki(spki: &[u8]) -> Option<Self> {
        spki.strip_prefix(&ED25519_SPKI_PREFIX)?
            .try_into()
            .ok()
            .map(Self)
    }
}

impl NewKey {
    /// Draws a key.
    ///
    /// # Errors
    /// Never, for any 32 bytes are a key.
    pub fn draw(entropy: &dyn Entropy) -> Result<Self, AuthorityError> {
        let mut secret = Zeroizing::new([0; 32]);
        entropy.fill(&mut *secret);
        let key = key_of(&secret)?;
        Self::of(&key)
    }

    fn of(key: &KeyPair) -> Result<Self, AuthorityError> {
        let public = key.public_key_raw().try_into();
        Ok(Self {
            pem: Zeroizing::new(key.serialize_pem()),
            public: EdgeKey(public.map_err(|_| AuthorityError::OtherKey)?),
        })
    }

    /// Reads a private key in PEM.
    ///
    /// # Errors
    /// When it is none, or of another kind than those that are drawn here.
    pub fn read(pem: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(pem).map_err(|error| AuthorityError::Unreadable {
            what: "the key",
            reason: error.to_string(),
        })?;
        if !key.is_compatible(&PKCS_ED25519) {
            return Err(AuthorityError::OtherKey);
        }
        Self::of(&key)
    }
}

/// The key pair of 32 secret bytes.
pub(crate) fn key_of(secret: &[u8; 32]) -> Result<KeyPair, AuthorityError> {
    let pkcs8 = Zeroizing::new([&ED25519_PKCS8_PREFIX[..], secret].concat());
    KeyPair::from_pkcs8_der_and_sign_algo(
        &PrivatePkcs8KeyDer::from(pkcs8.as_slice()),
        &PKCS_ED25519,
    )
    .map_err(|error| AuthorityError::Unreadable {
        what: "the key",
        reason: error.to_string(),
    })
}

impl Authority {
    /// Makes an authority. Its name gets random letters behind it, so that two that are made with the
    /// same name are told apart.
    ///
    /// # Errors
    /// When the name cannot stand in a certificate.
    pub fn create(
        name: &str,
        validity: Validity,
        entropy: &dyn Entropy,
    ) -> Result<NewAuthority, AuthorityError> {
        let mut secret = Zeroizing::new([0; 32]);
        entropy.fill(&mut *secret);
        let key = key_of(&secret)?;
        let name = format!("{name} {:08x}", entropy.next_u64() >> 32);
        let mut params = params(&name, validity, entropy)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let cert = params.self_signed(&key).map_err(sign)?.pem();
        Ok(NewAuthority {
            cert,
            key: Zeroizing::new(key.serialize_pem()),
        })
    }

    /// Reads an authority: the first certificate of a bundle, and its key.
    ///
    /// # Errors
    /// When one holds something else, or they do not belong together.
    pub fn read(bundle: &str, key: &str) -> Result<Self, AuthorityError> {
        let unreadable = |what: &'static str| {
            move |error: &dyn fmt::Display| AuthorityError::Unreadable {
                what,
                reason: error.to_string(),
            }
        };
        let cert = CertificateDer::from_pem_slice(bundle.as_bytes())
            .map_err(|error| unreadable("the authority's certificate")(&error))?;
        let key =
            KeyPair::from_pem(key).map_err(|error| unreadable("the authority's key")(&error))?;
        let known = certificate::spki(&cert)
            .ok_or_else(|| unreadable("the authority's certificate")(&"it is damaged"))?;
        if known != key.subject_public_key_info() {
            return Err(AuthorityError::OtherKey);
        }
        let issuer = Issuer::from_ca_cert_der(&cert, key)
            .map_err(|error| unreadable("the authority's certificate")(&error))?;
        Ok(Self { issuer })
    }

    /// Signs a certificate for a key, in PEM.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn issue(
        &self,
        subject: &Subject,
        key: &EdgeKey,
        validity: Validity,
        entropy: &dyn Entropy,
    ) -> Result<String, AuthorityError> {
        let mut params = params(&subject.common_name(), validity, entropy)?;
        params.subject_alt_names = subject.alternative_names()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = subject.purposes();
        params.use_authority_key_identifier_extension = true;
        let signed = params.signed_by(key, &self.issuer).map_err(sign)?;
        Ok(signed.pem())
    }
}

impl Subject {
    fn common_name(&self) -> String {
        match self {
            Self::Node { id, .. } => format!("node-{id}"),
            Self::Edge { id, .. } => id.clone(),
        }
    }

    fn alternative_names(&self) -> Result<Vec<SanType>, AuthorityError> {
        match self {
            Self::Node { id, names } => {
                let mut all = vec![uri(format!("vg://node/{id}"))?, host(NODE_SERVER_NAME)?];
                for name in names {
                    all.push(host(name)?);
                }
                Ok(all)
            }
            Self::Edge { id, environment } => Ok(vec![
                uri(format!("vg://edge/{id}"))?,
                uri(format!("vg://environment/{environment}"))?,
            ]),
        }
    }

    /// Nodes call nodes, and answer; edges only call.
    fn purposes(&self) -> Vec<ExtendedKeyUsagePurpose> {
        match self {
            Self::Node { .. } => vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
            Self::Edge { .. } => vec![ExtendedKeyUsagePurpose::ClientAuth],
        }
    }
}

fn params(
    name: &str,
    validity: Validity,
    entropy: &dyn Entropy,
) -> Result<CertificateParams, AuthorityError> {
    if name.is_empty() || name.len() > 64 || name.contains(char::is_control) {
        return Err(AuthorityError::Name(name.to_owned()));
    }
    let mut params = CertificateParams::default();
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_millis(validity.now.0);
    params.not_before = now - BACKDATING;
    params.not_after = now + validity.lasts;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let mut serial = [0; 16];
    entropy.fill(&mut serial);
    // Positive, and not shorter than it is.
    serial[0] = serial[0] & 0x3f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn uri(text: String) -> Result<SanType, AuthorityError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    match text.as_str().try_into() {
        Ok(name) if text.bytes().all(plain) => Ok(SanType::URI(name)),
        _ => Err(AuthorityError::Name(text)),
    }
}

fn host(text: &str) -> Result<SanType, AuthorityError> {
    if let Ok(address) = text.parse() {
        return Ok(SanType::IpAddress(address));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte);
    match text.try_into() {
        Ok(name) if !text.is_empty() && text.bytes().all(plain) => Ok(SanType::DnsName(name)),
        _ => Err(AuthorityError::Name(text.to_owned())),
    }
}

fn sign(error: rcgen::Error) -> AuthorityError {
    AuthorityError::Sign(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;
    use crate::tls::{Identity, Peer};

    const NOW: Validity = Validity {
        now: Timestamp(1_900_000_000_000),
        lasts: Duration::from_secs(60),
    };

    fn edge(id: &str, environment: &str) -> Subject {
        Subject::Edge {
            id: id.to_owned(),
            environment: environment.to_owned(),
        }
    }

    #[test]
    fn what_it_signs_names_whom_it_is_for_and_until_when() {
        let made = Authority::create("Acme", NOW, &SystemEntropy).unwrap();
        let authority = Authority::read(&made.cert, &made.key).unwrap();
        let node = Subject::Node {
            id: 3,
            names: vec!["node-3".to_owned(), "10.0.0.3".to_owned()],
        };
        for (subject, peer) in [
            (node, Peer::Node(3)),
            (
                edge("edge-1", "production"),
                Peer::Edge("edge-1".to_owned()),
            ),
        ] {
            let key = NewKey::draw(&SystemEntropy).unwrap();
            let cert = authority.issue(&subject, &key.public, NOW, &SystemEntropy);
            let (ca, cert) = (made.cert.as_bytes(), cert.unwrap());
            let identity = Identity::from_pem(ca, cert.as_bytes(), key.pem.as_bytes()).unwrap();
            assert_eq!(identity.peer(), Some(peer));
            assert_eq!(identity.term().unwrap().until_s, 1_900_000_060);
            let spki = certificate::spki(&identity.certificate().unwrap()).unwrap();
            assert_eq!(EdgeKey::of_spki(&spki), Some(key.public));
            assert_eq!(NewKey::read(&key.pem).unwrap().public, key.public);
        }
    }

    #[test]
    fn names_that_would_mean_something_else_are_refused() {
        let made = Authority::create("Acme", NOW, &SystemEntropy).unwrap();
        let authority = Authority::read(&made.cert, &made.key).unwrap();
        let key = NewKey::draw(&SystemEntropy).unwrap().public;
        for subject in [
            edge("edge 1", "production"),
            edge("edge-1", "a\nb"),
            edge("édge", "production"),
            edge(&"e".repeat(65), "production"),
            Subject::Node {
                id: 1,
                names: vec!["no host".to_owned()],
            },
        ] {
            let outcome = authority.issue(&subject, &key, NOW, &SystemEntropy);
            assert!(
                matches!(outcome, Err(AuthorityError::Name(_))),
                "{subject:?}"
            );
        }
    }

    #[test]
    fn another_authoritys_key_is_refused() {
        let (one, two) = (
            Authority::create("Acme", NOW, &SystemEntropy).unwrap(),
            Authority::create("Acme", NOW, &SystemEntropy).unwrap(),
        );
        assert_ne!(one.cert, two.cert);
        let outcome = Authority::read(&one.cert, &two.key);
        assert!(matches!(outcome, Err(AuthorityError::OtherKey)));
        assert!(Authority::read("", &one.key).is_err());
        assert!(Authority::read(&one.cert, "").is_err());
    }
}
