//! Certificates: list, create, get, patch (rename, renew), delete. A private key is taken and never
//! shown: it is sealed here, before anything is proposed.

use std::sync::Arc;

use domain::command::{Command, CreateCertificate, DeleteCertificate, UpdateCertificate};
use domain::content::hostname;
use domain::id::CertificateId;
use domain::model::{Certificate, CertificateMaterial};
use domain::outcome::{Applied, Outcome};
use domain::query;
use domain::rows::View;
use domain::time::Timestamp;
use http::StatusCode;
use platform::certificate::{self, FactsError};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::answer::{self, Answer, Answered};
use super::auth::Caller;
use super::cursor::Position;
use super::error::ApiError;
use super::fields::Fields;
use super::listing;
use super::object::{CertificateObject, Deleted};
use super::pipeline::{Call, Presence};
use super::{Api, render};
use crate::sealing::{self, Belongs};

/// What a certificate is made of, and what of it can be changed.
pub(crate) const FIELDS: [&str; 3] = ["name", "chain", "private_key"];

/// The longest private key that is taken, in bytes of PEM: RSA with 8192 bits has 6400.
pub(crate) const KEY_BYTES_MAX: usize = 12 * 1024;

pub(crate) async fn create(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &FIELDS)?;
    let id = CertificateId::new(api.seed());
    let name = fields.text("name")?;
    let name = fields.required("name", name)?;
    let material = material(&api, &caller, &id, &mut fields)?;
    let material = fields.required("chain", material)?;
    let certificate = CreateCertificate { id, name, material };
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::CreateCertificate(actor, certificate)
        })
        .await?;
    answer(applied, StatusCode::CREATED, &caller)
}

pub(crate) async fn update(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("certificate", CertificateId::parse)?;
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &FIELDS)?;
    let certificate = UpdateCertificate {
        name: fields.text("name")?,
        material: material(&api, &caller, &id, &mut fields)?,
        id,
    };
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::UpdateCertificate(actor, certificate)
        })
        .await?;
    answer(applied, StatusCode::OK, &caller)
}

pub(crate) async fn delete(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("certificate", CertificateId::parse)?;
    call.object(Presence::None).await?;
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::DeleteCertificate(actor, DeleteCertificate { id })
        })
        .await?;
    answer::applied(applied, StatusCode::OK, |outcome| match outcome {
        Outcome::CertificateDeleted { id, at } => Some(render::to_bytes(&Deleted::new(
            "certificate",
            id.as_str(),
            *at,
        ))),
        _ => None,
    })
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("certificate", CertificateId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    let seen = api
        .read(call.consistency, |view| {
            query::certificate(view, &caller.environment_id, &id)
        })
        .await?;
    let certificate = seen
        .value
        .ok_or_else(|| ApiError::not_found("certificate"))?;
    let object = CertificateObject::new(&certificate, &caller.environment);
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, call: Call) -> Answered {
    let all = |view: &dyn View| query::certificates(view, &caller.environment_id);
    let show = |bytes: &mut Vec<u8>, certificate: &_| {
        render::append(
            bytes,
            &CertificateObject::new(certificate, &caller.environment),
        )
    };
    let request = (&*api, &caller, call);
    listing::few("certificates", request, all, position, show).await
}

fn position(certificate: &Certificate) -> Position {
    Position {
        id: certificate.id.to_string(),
        key: certificate.created_at.0,
    }
}

fn answer(applied: Applied, status: StatusCode, caller: &Caller) -> Answered {
    answer::applied(applied, status, |outcome| match outcome {
        Outcome::Certificate(certificate) => Some(render::to_bytes(&CertificateObject::new(
            certificate,
            &caller.environment,
        ))),
        _ => None,
    })
}

/// The chain and the key of a request, which come together or not at all.
fn material(
    api: &Api,
    caller: &Caller,
    id: &CertificateId,
    fields: &mut Fields,
) -> Result<Option<CertificateMaterial>, ApiError> {
    let chain = fields.text("chain")?;
    let key = fields.text("private_key")?.map(Zeroizing::new);
    let (chain, key) = match (chain, key) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(ApiError::missing("private_key")),
        (None, Some(_)) => return Err(ApiError::missing("chain")),
        (Some(chain), Some(key)) => (chain, key),
    };
    if key.len() > KEY_BYTES_MAX {
        let message = format!("A private key has up to {KEY_BYTES_MAX} bytes.");
        return Err(ApiError::invalid("private_key", message));
    }
    let facts = certificate::read(&chain, &key).map_err(|error| {
        let param = match error {
            FactsError::Key => "private_key",
            FactsError::Chain(_) | FactsError::Order(_) => "chain",
        };
        ApiError::invalid(param, error.to_string())
    })?;
    let fingerprint = hex::encode(Sha256::digest(&facts.der));
    let belongs = Belongs {
        workspace: &caller.workspace_id,
        environment: &caller.environment_id,
        certificate: id,
        fingerprint: &fingerprint,
    };
    let (under, _) = api.control.read_local(|view| sealing::active(view))?;
    let sealed = api.keys.seal(under, belongs, &key, &*api.entropy);
    let sealed = sealed.map_err(|error| {
        tracing::error!(%error, "a private key cannot be sealed");
        ApiError::internal()
    })?;
    let stamp = |seconds: u64| Timestamp(seconds.saturating_mul(1000));
    Ok(Some(CertificateMaterial {
        chain,
        // Names that no route could have are of no use to any.
        names: facts
            .names
            .iter()
            .filter_map(|name| hostname(name).ok())
            .collect(),
        not_before: stamp(facts.not_before_s),
        not_after: stamp(facts.not_after_s),
        fingerprint,
        key: sealed,
    }))
}
