//! Certificates that edges show.

use super::super::super::error::Code;
use super::super::super::object::{CertificateObject, Deleted};
use super::super::super::operation::*;
use super::super::described::{Described, delete, get, patch, post, under};
use super::super::request::certificates::{CertificateCreate, CertificateUpdate};

pub(super) fn rows() -> Vec<Described> {
    under(
        "Certificates",
        vec![
            get(CERTIFICATES_LIST, "List certificates")
                .about("By creation; up to 200 in an environment.")
                .lists::<CertificateObject<'_>>(),
            post(CERTIFICATES_CREATE, "Create a certificate")
                .about("The private key is sealed, and never shown.")
                .takes::<CertificateCreate>()
                .makes::<CertificateObject<'_>>()
                .refused(&[Code::LimitExceeded])
                .leads("/v2/certificates/{id}", "$response.body#/id"),
            get(CERTIFICATES_GET, "Get a certificate").gives::<CertificateObject<'_>>(),
            patch(CERTIFICATES_UPDATE, "Change a certificate")
                .about(
                    "A new chain with its key is shown by edges within seconds, without a publish.",
                )
                .takes::<CertificateUpdate>()
                .gives::<CertificateObject<'_>>()
                .refused(&[Code::InvalidConfig]),
            delete(CERTIFICATES_DELETE, "Delete a certificate")
                .about("Refused while a route shows it, in its draft or live.")
                .gives::<Deleted<'_>>()
                .refused(&[Code::CertificateInUse]),
        ],
    )
}
