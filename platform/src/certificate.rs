//! Certificates for clients, as somebody hands them in: what their text says, whether the parts belong
//! together. Whether anybody trusts them is the clients' matter.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::tls::{TlsError, certified_key};

/// What a chain and its key say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The DNS names that it is for, as they are written in it.
    pub names: Vec<String>,
    /// From when on it holds, in seconds since the Unix epoch.
    pub not_before_s: u64,
    /// Until when.
    pub not_after_s: u64,
    /// The certificate itself, in DER.
    pub der: Vec<u8>,
}

/// What is wrong with a chain or a key.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The chain cannot be read.
    #[error("The chain is not understood: {0}.")]
    Chain(String),
    /// The certificates of the chain do not follow one another.
    #[error("Certificate {0} of the chain was not issued by the next one.")]
    Order(usize),
    /// The key cannot be read, or is another certificate's.
    #[error("The private key is not understood, or is not that of the chain's first certificate.")]
    Key,
}

/// Reads a chain in PEM, the certificate itself first, and its key.
///
/// # Errors
/// When one cannot be read, or they do not belong together. What the key holds is in no message.
pub fn read(chain: &str, key: &str) -> Result<Facts, FactsError> {
    let certified =
        certified_key(chain.as_bytes(), key.as_bytes()).map_err(|error| match error {
            TlsError::Pem { what, reason } if what == "the certificate" => {
                FactsError::Chain(reason)
            }
            _ => FactsError::Key,
        })?;
    // A kind of key whose public part is not told by it cannot be compared.
    certified.keys_match().map_err(|_| FactsError::Key)?;
    let parsed = certified
        .cert
        .iter()
        .map(parse)
        .collect::<Result<Vec<_>, _>>()?;
    check_order(&parsed)?;
    let first = parsed
        .first()
        .ok_or_else(|| FactsError::Chain("it is empty".to_owned()))?;
    let seconds = |stamp: i64| u64::try_from(stamp).unwrap_or(0);
    Ok(Facts {
        names: names(first),
        not_before_s: seconds(first.validity().not_before.timestamp()),
        not_after_s: seconds(first.validity().not_after.timestamp()),
        der: certified.cert[0].as_ref().to_vec(),
    })
}

/// From when and until when a certificate holds, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// From when on.
    pub since_s: u64,
    /// Until when.
    pub until_s: u64,
}

/// For how long a certificate holds; nothing where it cannot be read.
#[must_use]
pub fn term(der: &CertificateDer<'_>) -> Option<Term> {
    let parsed = parse(der).ok()?;
    let validity = parsed.validity();
    Some(Term {
        since_s: u64::try_from(validity.not_before.timestamp()).unwrap_or(0),
        until_s: u64::try_from(validity.not_after.timestamp()).ok()?,
    })
}

/// A certificate's public key with its kind (`SubjectPublicKeyInfo`), in DER; nothing where it cannot be
/// read.
#[must_use]
pub fn spki(der: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let parsed = parse(der).ok()?;
    Some(parsed.public_key().raw.to_vec())
}

/// A certificate as PEM text.
#[must_use]
pub fn pem(der: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // Base 64 is ASCII.
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// For how long the first certificate of a PEM text holds; nothing where there is none that can be read.
#[must_use]
pub fn pem_term(pem: &[u8]) -> Option<Term> {
    term(&CertificateDer::from_pem_slice(pem).ok()?)
}

/// Whether two bundles in PEM have an authority in common: a certificate with the same key. What cannot be read has none.
#[must_use]
pub fn share_authority(one: &[u8], other: &[u8]) -> bool {
    let keys = |bundle| {
        let certificates = CertificateDer::pem_slice_iter(bundle).filter_map(Result::ok);
        certificates
            .filter_map(|certificate| spki(&certificate))
            .collect::<Vec<_>>()
    };
    let known = keys(one);
    keys(other).iter().any(|key| known.contains(key))
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, FactsError> {
    x509_parser::parse_x509_certificate(der)
        .map(|(_, parsed)| parsed)
        .map_err(|error| FactsError::Chain(error.to_string()))
}

fn check_order(chain: &[X509Certificate<'_>]) -> Result<(), FactsError> {
    let mut pairs = chain.iter().zip(chain.iter().skip(1));
    match pairs.position(|(one, next)| one.issuer().as_raw() != next.subject().as_raw()) {
        Some(place) => Err(FactsError::Order(place + 1)),
        None => Ok(()),
    }
}

/// Subject alternative names alone: what stands in a common name no client looks at any more.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = names.value.general_names.iter();
    let dns = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    dns.collect()
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::{TestAuthority, dns};

    #[test]
    fn a_chain_says_whom_it_is_for() {
        let authority = TestAuthority::default();
        let pems = authority.issue("mine", vec![dns("api.example.net"), dns("*.example.net")]);
        let facts = read(&pems.cert, &pems.key).unwrap();
        assert_eq!(facts.names, ["api.example.net", "*.example.net"]);
        assert!(facts.not_before_s < facts.not_after_s);
        let whole = format!("{}{}", pems.cert, pems.ca);
        assert_eq!(read(&whole, &pems.key).unwrap(), facts);
        let term = pem_term(pems.cert.as_bytes()).unwrap();
        assert_eq!(term.since_s, facts.not_before_s);
        assert_eq!(term.until_s, facts.not_after_s);
        assert_eq!(pem_term(b"nothing"), None);
        let der = CertificateDer::from(facts.der);
        let again = CertificateDer::from_pem_slice(pem(&der).as_bytes());
        assert_eq!(again.unwrap(), der);
    }

    #[test]
    fn bundles_with_an_authority_in_common_are_told() {
        let bundle = |names: &[&str]| {
            let cas = names.iter().map(|name| TestAuthority::new(name).node(1).ca);
            cas.collect::<String>().into_bytes()
        };
        assert!(share_authority(&bundle(&["a", "b"]), &bundle(&["c", "b"])));
        assert!(!share_authority(&bundle(&["a", "b"]), &bundle(&["c"])));
        assert!(!share_authority(b"", b"nothing"));
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let authority = TestAuthority::default();
        let pems = authority.issue("mine", vec![dns("api.example.net")]);
        let other = authority.issue("other", vec![dns("api.example.net")]);
        assert!(matches!(read(&pems.cert, &other.key), Err(FactsError::Key)));
        assert!(matches!(read(&pems.cert, "key"), Err(FactsError::Key)));
        assert!(matches!(read("", &pems.key), Err(FactsError::Chain(_))));
        assert!(matches!(
            read(&pems.key, &pems.key),
            Err(FactsError::Chain(_))
        ));
        let mixed = format!("{}{}", pems.cert, other.cert);
        assert!(matches!(read(&mixed, &pems.key), Err(FactsError::Order(1))));
        let error = read(&pems.cert, &other.key).unwrap_err().to_string();
        assert!(!error.contains(&other.key[40..60]));
    }
}
