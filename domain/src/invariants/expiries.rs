//! Source: of each end it is told once that it comes. What was told goes with a certificate, so that one
//! that is made anew is told of anew.

use super::ensure;
use super::state::State;
use crate::id::CertificateId;
use crate::schema::{CERTIFICATES, EXPIRY_NOTICES};

pub(super) fn check(state: &State) -> Result<(), String> {
    let told = EXPIRY_NOTICES.walk(&state.rows, EXPIRY_NOTICES.all());
    for ((environment, id), _) in told {
        let Ok(certificate) = CertificateId::parse(&id) else {
            continue;
        };
        let there = CERTIFICATES.has(&state.rows, (&environment, &certificate));
        ensure(there, || format!("{id} is gone and was told to expire"))?;
    }
    Ok(())
}
