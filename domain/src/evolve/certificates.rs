//! Certificates, and when one of an environment last changed. What was told of the end of one goes with
//! it.

use crate::model::Certificate;
use crate::rows::Rows;
use crate::schema::{CERTIFICATE_CHANGES, CERTIFICATES, EXPIRY_NOTICES};
use crate::time::Revision;

pub(super) fn written(rows: &mut impl Rows, certificate: &Certificate) {
    let environment = &certificate.environment_id;
    CERTIFICATES.put(rows, (environment, &certificate.id), certificate);
    CERTIFICATE_CHANGES.put(rows, (environment,), &certificate.revision);
}

pub(super) fn deleted(rows: &mut impl Rows, certificate: &Certificate, revision: Revision) {
    let environment = &certificate.environment_id;
    CERTIFICATES.delete(rows, (environment, &certificate.id));
    EXPIRY_NOTICES.delete(rows, (environment, &certificate.id.to_string()));
    CERTIFICATE_CHANGES.put(rows, (environment,), &revision);
}
