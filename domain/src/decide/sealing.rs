//! How secrets are sealed: under which key from now on, and the same secrets under another key. A secret is
//! replaced only where what stands there is still what the proposer read: whatever was changed meanwhile stays, and
//! is seen again. Webhook secrets that sign no more are forgotten.

use super::cluster::write_down;
use super::{Context, Judgement, nothing, webhook};
use crate::command::{
    ActivateKek, Actor, IssueWebhookSecret, Origin, RewrapSecrets, RewrappedSecret, SecretIssue,
};
use crate::event::Event;
use crate::id::{EnvironmentId, RequestId, WebhookEndpointId};
use crate::machine::Decision;
use crate::model::{
    ClusterChange, SealedKey, Sealing, SecretGeneration, SecretPlace, Signing, WebhookEndpoint,
};
use crate::outcome::Outcome;
use crate::query;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{CERTIFICATES, CLUSTER, SEALING, SIGNING, WEBHOOK_ENDPOINTS, WEBHOOK_SECRETS};

/// The most secrets of one entry, which with the longest private keys has half a megabyte.
pub const REWRAPS_MAX: usize = 32;

/// The longest sealed webhook secret, in bytes; ours have some 140.
const SECRET_BYTES_MAX: usize = 1024;

pub(super) fn activate<V: View + ?Sized>(
    context: &Context<'_, V>,
    asked: (&RequestId, &Origin),
    command: &ActivateKek,
) -> Judgement {
    let before = SEALING.get(context.view, ()).map(|sealing| sealing.active);
    if before == Some(command.key) {
        return nothing(Outcome::Recorded);
    }
    if before != command.before {
        return Err(Rejection::PreconditionFailed {
            param: "key".to_owned(),
            message: "Secrets are sealed under another key meanwhile; ask again.".to_owned(),
        });
    }
    let mut events = vec![Event::KekActivated(Sealing {
        active: command.key,
        since: context.at,
    })];
    let change = ClusterChange::KekActivated { key: command.key };
    let settings = CLUSTER.get(context.view, ()).unwrap_or_default();
    write_down(context, asked, &change, settings, &mut events);
    Ok(Decision {
        events,
        outcome: Outcome::Recorded,
    })
}

pub(super) fn rewrap<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &RewrapSecrets,
) -> Judgement {
    if command.secrets.len() > REWRAPS_MAX {
        return Err(Rejection::LimitExceeded {
            param: "secrets".to_owned(),
            message: format!("An entry may have {REWRAPS_MAX} secrets."),
        });
    }
    let replaced = |secret| replaced(context, secret);
    Ok(Decision {
        events: command.secrets.iter().filter_map(replaced).collect(),
        outcome: Outcome::Recorded,
    })
}

/// What happens to one secret, if it is still the one that was read.
fn replaced<V: View + ?Sized>(
    context: &Context<'_, V>,
    RewrappedSecret { place, was, now }: &RewrappedSecret,
) -> Option<Event> {
    let is_same = |there: Option<&SealedKey>| there.map(SealedKey::digest) == *was;
    match place {
        SecretPlace::SigningKey => {
            let signing = SIGNING.get(context.view, ())?;
            is_same(Some(&signing.private)).then(|| {
                Event::SigningSettled(Box::new(Signing {
                    private: now.clone(),
                    ..signing
                }))
            })
        }
        SecretPlace::Certificate {
            environment_id,
            certificate_id,
        } => {
            let certificate = CERTIFICATES.get(context.view, (environment_id, certificate_id))?;
            is_same(Some(&certificate.material.key)).then(|| {
                let mut rewrapped = certificate;
                rewrapped.material.key = now.clone();
                Event::CertificateRewrapped(Box::new(rewrapped))
            })
        }
        SecretPlace::WebhookSecret {
            environment_id,
            endpoint_id,
            generation,
        } => {
            let endpoint = WEBHOOK_ENDPOINTS.get(context.view, (environment_id, endpoint_id))?;
            let there = query::webhook_secret(context.view, &endpoint, *generation);
            let signs = query::signing_generations(&endpoint).any(|signs| signs == *generation);
            (signs && is_same(there.as_ref())).then(|| kept(&endpoint, *generation, now))
        }
    }
}

/// Makes an endpoint, or rotates its secret, with a secret that was drawn for it.
pub(super) fn issue_webhook_secret<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &IssueWebhookSecret,
) -> Judgement {
    if command.secret.sealed.is_empty() || command.secret.sealed.len() > SECRET_BYTES_MAX {
        return Err(Rejection::InvalidParameter {
            param: "secret".to_owned(),
            message: format!("A sealed secret has up to {SECRET_BYTES_MAX} bytes."),
        });
    }
    let mut decision = match &command.to {
        SecretIssue::Create(create) => webhook::create(context, actor, create),
        SecretIssue::Rotate(rotate) => webhook::rotate_secret(context, actor, rotate),
    }?;
    if let Outcome::WebhookEndpoint(endpoint) = &decision.outcome {
        let generation = SecretGeneration(endpoint.secret_generation);
        let kept = kept(endpoint, generation, &command.secret);
        decision.events.push(kept);
    }
    Ok(decision)
}

fn kept(endpoint: &WebhookEndpoint, generation: SecretGeneration, secret: &SealedKey) -> Event {
    Event::WebhookSecretKept {
        environment_id: endpoint.environment_id.clone(),
        endpoint_id: endpoint.id.clone(),
        generation,
        secret: secret.clone(),
    }
}

/// Forgets the sealed secrets of an endpoint but for those from `kept_from` on.
pub(super) fn forget<V: View + ?Sized>(
    context: &Context<'_, V>,
    (environment, endpoint): (&EnvironmentId, &WebhookEndpointId),
    kept_from: u32,
) -> Vec<Event> {
    let span = WEBHOOK_SECRETS.under((environment, endpoint));
    let generations = WEBHOOK_SECRETS.walk(context.view, span);
    generations
        .map(|((.., generation), _)| generation)
        .filter(|generation| generation.0 < kept_from)
        .map(|generation| Event::WebhookSecretForgotten {
            environment_id: environment.clone(),
            endpoint_id: endpoint.clone(),
            generation,
        })
        .collect()
}
