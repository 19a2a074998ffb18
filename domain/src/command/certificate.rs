//! Commands about certificates.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

use serde::{Deserialize, Serialize};

use crate::id::CertificateId;
use crate::model::CertificateMaterial;

/// Makes a certificate. What is in it was read, and its key sealed, by the proposer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateCertificate {
    pub id: CertificateId,
    pub name: String,
    pub material: CertificateMaterial,
}

/// Changes the given fields of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateCertificate {
    pub id: CertificateId,
    pub name: Option<String>,
    /// Another chain with its key, as when a certificate is renewed.
    pub material: Option<CertificateMaterial>,
}

/// Removes a certificate that no route shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteCertificate {
    pub id: CertificateId,
}
