//! Certificates as clients see them: never their keys.

use domain::model::Certificate;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::openapi::shape;
use super::super::render::{Seconds, seconds};

/// A certificate that edges show.
#[derive(Serialize, ToSchema)]
#[schema(as = Certificate)]
pub(crate) struct CertificateObject<'a> {
    #[schema(value_type = shape::CertificateId)]
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::Name)]
    name: &'a str,
    /// The chain, the certificate itself first.
    chain: &'a str,
    /// The hosts that it is for.
    dns_names: &'a [String],
    /// What it is known by: the hash of its DER form.
    #[schema(value_type = shape::Hash)]
    fingerprint: String,
    not_before: Seconds,
    /// Until when it holds.
    expires_at: Seconds,
    /// Counts what was shown under this identifier.
    version: u32,
    #[schema(value_type = shape::ApiKeyId)]
    created_by: &'a str,
    created_at: Seconds,
    updated_at: Option<u64>,
}

impl<'a> CertificateObject<'a> {
    /// Shows a certificate; `environment` is the name of the environment it lives in.
    pub(crate) fn new(certificate: &'a Certificate, environment: &'a str) -> Self {
        let material = &certificate.material;
        Self {
            id: certificate.id.as_str(),
            object: "certificate",
            environment,
            name: &certificate.name,
            chain: &material.chain,
            dns_names: &material.names,
            fingerprint: format!("sha256:{}", material.fingerprint),
            not_before: Seconds(material.not_before),
            expires_at: Seconds(material.not_after),
            version: certificate.version,
            created_by: certificate.created_by.as_str(),
            created_at: Seconds(certificate.created_at),
            updated_at: seconds(certificate.updated_at),
        }
    }
}
