//! What rustls asks in each handshake: which certificate is shown, whom is believed. All of it is
//! answered from what an [`Identity`] holds at that moment, so that renewed certificates and another
//! bundle of authorities are in use without a restart. Peers are held to their role here, before
//! a byte of theirs is read. Signatures are checked as the one crypto provider does, whoever vouches for the certificate.

use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::identity::Identity;
use super::peer::Peer;
use super::provider;

/// Whether a client of this name is let in.
pub type Admits = fn(&Peer) -> bool;

/// Shows the certificate that is current.
#[derive(Debug)]
pub(super) struct Shown(pub(super) Identity);

/// Believes clients that the current authorities vouch for, and lets in those of the right role.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) identity: Identity,
    pub(super) admits: Admits,
    /// Whether clients get in that show no certificate. What they show is verified in any case.
    pub(super) strangers: bool,
}

/// Believes nodes that authorities vouch for.
#[derive(Debug)]
pub(super) enum Servers {
    /// Those that are current.
    Of(Identity),
    /// Always the same, for somebody who has no identity yet.
    Fixed(Arc<dyn ServerCertVerifier>),
}

/// Fails unless the certificate names a peer of the right role.
fn check(certificate: &CertificateDer<'_>, admits: Admits) -> Result<(), Error> {
    match Peer::of(certificate) {
        Some(peer) if admits(&peer) => Ok(()),
        _ => Err(Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure,
        )),
    }
}

/// How signatures of handshakes are checked.
fn algorithms() -> WebPkiSupportedAlgorithms {
    provider().signature_verification_algorithms
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.material().shown))
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.material().shown))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        !self.strangers
    }

    /// Each process has one certificate to show, and needs no hint which.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let material = self.identity.material();
        let verified = material
            .clients
            .verify_client_cert(end_entity, intermediates, now)?;
        check(end_entity, self.admits)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = match self {
            Self::Of(identity) => Arc::clone(&identity.material().servers),
            Self::Fixed(verifier) => Arc::clone(verifier),
        };
        let verified = verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        check(end_entity, Peer::is_node)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}
