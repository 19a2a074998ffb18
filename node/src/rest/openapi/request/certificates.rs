//! Certificates.

use utoipa::ToSchema;

use super::super::shape;

/// A new certificate.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateCreate {
    name: shape::Name,
    chain: shape::CertificateChain,
    private_key: shape::PrivateKey,
}

/// A change of a certificate: the fields that are there. A chain comes with its key.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateUpdate {
    name: Option<shape::Name>,
    chain: Option<shape::CertificateChain>,
    private_key: Option<shape::PrivateKey>,
}
