//! Certificates: kept as the proposer has read and sealed them. One that a route names, in its draft
//! or live, must be for the route's hostname and cannot go.

use super::{Context, Judgement, check, id_taken, not_found, nothing};
use crate::command::{Actor, CreateCertificate, DeleteCertificate, UpdateCertificate};
use crate::content::{TlsConfig, hostname};
use crate::event::Event;
use crate::id::{CertificateId, EnvironmentId};
use crate::machine::Decision;
use crate::model::{Certificate, CertificateMaterial};
use crate::outcome::Outcome;
use crate::query;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::CERTIFICATES;

/// The most certificates of an environment: each edge may hold all of them in memory.
pub const CERTIFICATES_MAX: usize = 200;

/// The longest chain, in bytes of PEM: four large certificates have ten thousand.
pub const CHAIN_BYTES_MAX: usize = 64 * 1024;

/// The most names of a certificate: what public authorities allow.
pub const CERTIFICATE_NAMES_MAX: usize = 100;

/// The longest sealed key: RSA with 8192 bits in PEM has 6400 bytes.
const KEY_BYTES_MAX: usize = 16 * 1024;

pub(super) fn create<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &CreateCertificate,
) -> Judgement {
    check::name("name", &command.name)?;
    check_material(context, &command.material)?;
    let environment = &actor.environment_id;
    if CERTIFICATES.has(context.view, (environment, &command.id)) {
        return Err(id_taken(&command.id));
    }
    if query::certificates(context.view, environment).len() >= CERTIFICATES_MAX {
        return Err(Rejection::LimitExceeded {
            param: "chain".to_owned(),
            message: format!("An environment may have {CERTIFICATES_MAX} certificates."),
        });
    }
    let certificate = Certificate {
        id: command.id.clone(),
        workspace_id: actor.workspace_id.clone(),
        environment_id: environment.clone(),
        name: command.name.clone(),
        material: command.material.clone(),
        version: 1,
        created_by: actor.api_key_id.clone(),
        created_at: context.at,
        updated_at: None,
        revision: context.revision,
    };
    Ok(Decision {
        events: vec![Event::CertificateCreated(certificate.clone())],
        outcome: Outcome::Certificate(certificate),
    })
}

pub(super) fn update<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &UpdateCertificate,
) -> Judgement {
    let before = find(context, &actor.environment_id, &command.id, None)?;
    let mut after = before.clone();
    if let Some(name) = &command.name {
        check::name("name", name)?;
        after.name.clone_from(name);
    }
    if let Some(material) = &command.material {
        check_material(context, material)?;
        let users = query::certificate_uses(context.view, &actor.environment_id, &command.id);
        let uncovered = users.iter().find(|user| !material.covers(&user.hostname));
        if let Some(user) = uncovered {
            return Err(Rejection::InvalidConfig {
                param: "chain".to_owned(),
                message: format!(
                    "The certificate is not for {}, and {} shows it there.",
                    user.hostname, user.route_id
                ),
            });
        }
        after.material = material.clone();
        after.version += 1;
    }
    if after == before {
        return nothing(Outcome::Certificate(before));
    }
    after.updated_at = Some(context.at);
    after.revision = context.revision;
    Ok(Decision {
        events: vec![Event::CertificateChanged(after.clone())],
        outcome: Outcome::Certificate(after),
    })
}

pub(super) fn delete<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &DeleteCertificate,
) -> Judgement {
    let certificate = find(context, &actor.environment_id, &command.id, None)?;
    let users = query::certificate_uses(context.view, &actor.environment_id, &command.id);
    if let Some(user) = users.into_iter().next() {
        return Err(Rejection::CertificateInUse {
            used_by: user.route_id.to_string(),
        });
    }
    Ok(Decision {
        events: vec![Event::CertificateDeleted {
            certificate,
            revision: context.revision,
        }],
        outcome: Outcome::CertificateDeleted {
            id: command.id.clone(),
            at: context.at,
        },
    })
}

/// A route may name a certificate that is there and is for its hostname.
pub(super) fn check_route<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    tls: &TlsConfig,
    host: &str,
) -> Result<(), Rejection> {
    const PARAM: &str = "config.tls.certificate_id";
    let Some(id) = &tls.certificate_id else {
        return Ok(());
    };
    let certificate = find(context, environment, id, Some(PARAM))?;
    if certificate.covers(host) {
        return Ok(());
    }
    Err(Rejection::InvalidConfig {
        param: PARAM.to_owned(),
        message: format!("The certificate {id} is not for {host}."),
    })
}

fn find<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    id: &CertificateId,
    param: Option<&str>,
) -> Result<Certificate, Rejection> {
    CERTIFICATES
        .get(context.view, (environment, id))
        .ok_or_else(|| not_found("certificate", id, param))
}

fn check_material<V: ?Sized>(
    context: &Context<'_, V>,
    material: &CertificateMaterial,
) -> Result<(), Rejection> {
    let refuse = |message: String| {
        Err(Rejection::InvalidParameter {
            param: "chain".to_owned(),
            message,
        })
    };
    if material.chain.is_empty() || material.chain.len() > CHAIN_BYTES_MAX {
        return refuse(format!("A chain has up to {CHAIN_BYTES_MAX} bytes."));
    }
    if material.names.is_empty() || material.names.len() > CERTIFICATE_NAMES_MAX {
        return refuse(format!(
            "A certificate must name 1 to {CERTIFICATE_NAMES_MAX} hosts."
        ));
    }
    let is_normal = |name: &String| hostname(name).is_ok_and(|normal| normal == *name);
    if !material.names.iter().all(is_normal) {
        return refuse("The certificate names what is no host.".to_owned());
    }
    if material.not_after <= context.at {
        return refuse("The certificate has expired.".to_owned());
    }
    if material.key.sealed.is_empty() || material.key.sealed.len() > KEY_BYTES_MAX {
        return Err(Rejection::InvalidParameter {
            param: "private_key".to_owned(),
            message: format!("A private key has up to {KEY_BYTES_MAX} bytes."),
        });
    }
    Ok(())
}
