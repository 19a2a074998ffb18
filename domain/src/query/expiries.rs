//! What expires soon. Nothing lists objects by their ends, which are days away when they matter: who
//! wants to know reads on from where it was, a page at a time, and begins anew behind the last.

use crate::id::{ApiKeyId, CertificateId, EnvironmentId};
use crate::model::{Expiring, ExpiryNotice};
use crate::rows::View;
use crate::schema::{API_KEYS, CERTIFICATES, EXPIRY_NOTICES};
use crate::table::{Key, Span, Table, after};
use crate::time::Timestamp;

/// How many certificates are looked at a time: each may have a chain of 64 KiB.
const CERTIFICATES_PAGE: usize = 16;

/// How many API keys are.
const API_KEYS_PAGE: usize = 256;

/// The last objects that were looked at; none to begin with, and behind the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpiryPlace {
    certificate: Option<(EnvironmentId, CertificateId)>,
    api_key: Option<(ApiKeyId,)>,
}

/// What is to be told of the end of one object at this time, if anything is.
pub fn expiry_due(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    of: &Expiring,
    at: Timestamp,
) -> Option<ExpiryNotice> {
    let expires_at = match of {
        Expiring::Certificate(id) => {
            let certificate = CERTIFICATES.get(view, (environment, id))?;
            certificate.material.not_after
        }
        Expiring::ApiKey(id) => {
            let key = API_KEYS.get(view, (id,))?;
            let works = key.revoked_at.is_none() && key.environment_id == *environment;
            key.expires_at.filter(|_| works)?
        }
    };
    let told = EXPIRY_NOTICES.get(view, (environment, &of.id().to_owned()));
    ExpiryNotice::due(expires_at, at, told)
}

/// Of the next certificates and API keys behind a place, in whatever environments, those of whose ends
/// something is to be told at this time; and the place behind them.
pub fn expiring(
    view: &(impl View + ?Sized),
    place: ExpiryPlace,
    at: Timestamp,
) -> (Vec<(EnvironmentId, Expiring)>, ExpiryPlace) {
    let ExpiryPlace {
        certificate,
        api_key,
    } = place;
    let from = certificate
        .as_ref()
        .map(|(environment, id)| (environment, id));
    let from = from.map(|key| CERTIFICATES.key(key));
    let certificates = page(view, &CERTIFICATES, from, CERTIFICATES_PAGE);
    let from = api_key.as_ref().map(|(id,)| API_KEYS.key((id,)));
    let api_keys = page(view, &API_KEYS, from, API_KEYS_PAGE);
    let next = ExpiryPlace {
        certificate: last(&certificates, CERTIFICATES_PAGE),
        api_key: last(&api_keys, API_KEYS_PAGE),
    };
    let certificates = certificates.into_iter();
    let certificates =
        certificates.map(|((environment, id), _)| (environment, Expiring::Certificate(id)));
    let api_keys = api_keys.into_iter();
    let api_keys = api_keys.map(|((id,), key)| (key.environment_id, Expiring::ApiKey(id)));
    let due = certificates
        .chain(api_keys)
        .filter(|(environment, of)| expiry_due(view, environment, of, at).is_some());
    (due.collect(), next)
}

/// The rows behind a key.
fn page<K: Key, V: serde::Serialize + serde::de::DeserializeOwned>(
    view: &(impl View + ?Sized),
    table: &Table<K, V>,
    behind: Option<Vec<u8>>,
    limit: usize,
) -> Vec<(K, V)> {
    let Span { from, until } = table.all();
    let from = behind.map_or(from, |key| after(&key));
    table.scan(view, &Span { from, until }, limit)
}

/// The last key of a page that others may follow.
fn last<K: Clone, V>(rows: &[(K, V)], limit: usize) -> Option<K> {
    let (key, _) = rows.last().filter(|_| rows.len() == limit)?;
    Some(key.clone())
}
