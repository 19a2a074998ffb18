//! Webhook endpoints: list, create, get, patch, delete, rotate the secret, enable, disable. What is
//! delivered to them is in [`super::deliveries`].
//!
//! Requests that show a secret are bound to the caller's key, so that nobody else's retry gets it.

use std::sync::Arc;

use domain::command::{
    Actor, Command, CreateWebhookEndpoint, DeleteWebhookEndpoint, IssueWebhookSecret,
    RotateWebhookSecret, SecretIssue, UpdateWebhookEndpoint,
};
use domain::id::WebhookEndpointId;
use domain::model::{NoticeKind, SealedKey, SecretGeneration, WebhookEndpoint};
use domain::outcome::{Applied, Outcome};
use domain::query;
use domain::rows::View;
use http::StatusCode;
use serde_json::Value;

use super::answer::{self, Answer, Answered};
use super::auth::Caller;
use super::cursor::Position;
use super::error::ApiError;
use super::fields::Fields;
use super::listing;
use super::object::{Deleted, WebhookEndpointObject};
use super::pipeline::{Call, Presence};
use super::{Api, render, version};
use crate::keys::{KeyRing, Secret};
use crate::sealing::{self, WebhookSlot};

/// For how long an old secret signs beside the new one, unless the client says: a day.
pub(crate) const GRACE_S_DEFAULT: u64 = 24 * 60 * 60;

/// The longest such time: a week.
pub(crate) const GRACE_S_MAX: u64 = 7 * GRACE_S_DEFAULT;

/// What an endpoint is made of, and what of it can be changed.
pub(crate) const FIELDS: [&str; 4] = ["url", "enabled_events", "description", "api_version"];

/// What rotating its secret takes.
pub(crate) const ROTATE_FIELDS: [&str; 1] = ["grace_seconds"];

pub(crate) async fn create(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let body = call.object(Presence::Required).await?;
    call.bind(&caller);
    let mut fields = Fields::new(body, &FIELDS)?;
    let url = url(&api, &mut fields)?;
    let endpoint = CreateWebhookEndpoint {
        id: WebhookEndpointId::new(api.seed()),
        url: fields.required("url", url)?,
        events: events(&mut fields)?.unwrap_or_default(),
        description: fields.text("description")?,
        api_version: version::take(&mut fields, api.clock.now())?,
    };
    let id = endpoint.id.clone();
    let secret = new_secret(&api, &caller, &id)?;
    let applied = api
        .propose(&caller, &call, |actor| match secret {
            None => Command::CreateWebhookEndpoint(actor, endpoint),
            Some(secret) => issue(actor, SecretIssue::Create(endpoint), secret),
        })
        .await?;
    answer_with_secret(&api, applied, StatusCode::CREATED, (&caller, call.dry_run))
}

pub(crate) async fn update(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("webhook endpoint", WebhookEndpointId::parse)?;
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &FIELDS)?;
    let endpoint = UpdateWebhookEndpoint {
        id,
        url: url(&api, &mut fields)?,
        events: events(&mut fields)?,
        description: match fields.value("description") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(Value::String(text)) => Some(Some(text)),
            Some(_) => {
                let message = "Must be a string or null.";
                return Err(ApiError::invalid("description", message).into());
            }
        },
        api_version: version::take(&mut fields, api.clock.now())?,
        enabled: None,
    };
    change(api, caller, call, endpoint).await
}

pub(crate) async fn enable(api: Arc<Api>, caller: Caller, call: Call) -> Answered {
    switch(api, caller, call, true).await
}

pub(crate) async fn disable(api: Arc<Api>, caller: Caller, call: Call) -> Answered {
    switch(api, caller, call, false).await
}

async fn switch(api: Arc<Api>, caller: Caller, mut call: Call, enabled: bool) -> Answered {
    let id = call.id("webhook endpoint", WebhookEndpointId::parse)?;
    call.object(Presence::None).await?;
    let endpoint = UpdateWebhookEndpoint {
        id,
        url: None,
        events: None,
        description: None,
        api_version: None,
        enabled: Some(enabled),
    };
    change(api, caller, call, endpoint).await
}

async fn change(
    api: Arc<Api>,
    caller: Caller,
    call: Call,
    endpoint: UpdateWebhookEndpoint,
) -> Answered {
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::UpdateWebhookEndpoint(actor, endpoint)
        })
        .await?;
    answer(applied, StatusCode::OK, |endpoint| {
        render::to_bytes(&WebhookEndpointObject::new(endpoint, &caller.environment))
    })
}

pub(crate) async fn rotate_secret(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("webhook endpoint", WebhookEndpointId::parse)?;
    let body = call.object(Presence::Optional).await?;
    call.bind(&caller);
    let mut fields = Fields::new(body, &ROTATE_FIELDS)?;
    let grace = fields.integer("grace_seconds", 0, GRACE_S_MAX)?;
    let rotate = RotateWebhookSecret {
        id,
        grace_ms: grace.unwrap_or(GRACE_S_DEFAULT) * 1000,
    };
    let secret = new_secret(&api, &caller, &rotate.id)?;
    let applied = api
        .propose(&caller, &call, |actor| match secret {
            None => Command::RotateWebhookSecret(actor, rotate),
            Some(secret) => issue(actor, SecretIssue::Rotate(rotate), secret),
        })
        .await?;
    answer_with_secret(&api, applied, StatusCode::OK, (&caller, call.dry_run))
}

pub(crate) async fn delete(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("webhook endpoint", WebhookEndpointId::parse)?;
    call.object(Presence::None).await?;
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::DeleteWebhookEndpoint(actor, DeleteWebhookEndpoint { id })
        })
        .await?;
    answer::applied(applied, StatusCode::OK, |outcome| match outcome {
        Outcome::WebhookEndpointDeleted { id, at } => Some(render::to_bytes(&Deleted::new(
            "webhook_endpoint",
            id.as_str(),
            *at,
        ))),
        _ => None,
    })
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("webhook endpoint", WebhookEndpointId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    let seen = api
        .read(call.consistency, |view| {
            query::webhook_endpoint(view, &caller.environment_id, &id)
        })
        .await?;
    let endpoint = seen
        .value
        .ok_or_else(|| ApiError::not_found("webhook endpoint"))?;
    let object = WebhookEndpointObject::new(&endpoint, &caller.environment);
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, call: Call) -> Answered {
    let all = |view: &dyn View| query::webhook_endpoints(view, &caller.environment_id);
    let show = |bytes: &mut Vec<u8>, endpoint: &_| {
        render::append(
            bytes,
            &WebhookEndpointObject::new(endpoint, &caller.environment),
        )
    };
    let request = (&*api, &caller, call);
    listing::few("webhook_endpoints", request, all, position, show).await
}

fn position(endpoint: &WebhookEndpoint) -> Position {
    Position {
        id: endpoint.id.to_string(),
        key: endpoint.created_at.0,
    }
}

fn answer(
    applied: Applied,
    status: StatusCode,
    show: impl FnOnce(&WebhookEndpoint) -> Vec<u8>,
) -> Answered {
    answer::applied(applied, status, |outcome| match outcome {
        Outcome::WebhookEndpoint(endpoint) => Some(show(endpoint)),
        _ => None,
    })
}

/// Draws a secret for an endpoint and seals it, where the cluster has a key for that. Where it has none, secrets are
/// derived of the pepper.
fn new_secret(
    api: &Api,
    caller: &Caller,
    endpoint: &WebhookEndpointId,
) -> Result<Option<SealedKey>, ApiError> {
    let (active, _) = api.control.read_local(|view| sealing::active(view))?;
    let Some(under) = active else {
        return Ok(None);
    };
    let slot = WebhookSlot {
        workspace: &caller.workspace_id,
        environment: &caller.environment_id,
        endpoint,
    };
    let secret = KeyRing::draw_webhook_secret(&*api.entropy);
    let sealed = api
        .keys
        .seal_webhook_secret(under, slot, &secret, &*api.entropy);
    let sealed = sealed.map_err(|error| {
        tracing::error!(%error, "a webhook secret cannot be sealed");
        ApiError::internal()
    })?;
    Ok(Some(sealed))
}

fn issue(actor: Actor, to: SecretIssue, secret: SealedKey) -> Command {
    Command::IssueWebhookSecret(actor, IssueWebhookSecret { to, secret })
}

/// Shows an endpoint with the secret that it has got. One of a rotation which is only judged never comes to be, or would
/// be the one that the next rotation gives: it is not shown. Where the secret cannot be had, the whole answer is withheld:
/// the request repeated under its idempotency key shows it, and whoever took an answer without it would have lost it.
fn answer_with_secret(
    api: &Api,
    applied: Applied,
    status: StatusCode,
    (caller, dry_run): (&Caller, bool),
) -> Answered {
    let shown = match &applied.reply {
        Ok(Outcome::WebhookEndpoint(endpoint)) if !dry_run => secret(api, endpoint)?,
        _ => None,
    };
    answer(applied, status, |endpoint| {
        let object = WebhookEndpointObject::new(endpoint, &caller.environment);
        let shown = shown.map(|secret| secret.reveal().to_owned());
        render::to_bytes(&object.with_secret(shown))
    })
}

/// The newest secret of an endpoint as it was; nothing, to a late retry, if that signs no more and is not kept.
fn secret(api: &Api, endpoint: &WebhookEndpoint) -> Result<Option<Secret>, ApiError> {
    let generation = SecretGeneration(endpoint.secret_generation);
    let read = api.control.read_local(|view| {
        let now = query::webhook_endpoint(view, &endpoint.environment_id, &endpoint.id);
        let signs = now
            .is_some_and(|now| query::signing_generations(&now).any(|signs| signs == generation));
        let is_derived = sealing::active(view).is_none();
        (signs || is_derived).then(|| api.keys.webhook_secret(view, endpoint, generation))
    });
    // A node that ends can still have taken the command.
    let (secret, _) = read.map_err(|_| ApiError::outcome_unknown())?;
    secret.transpose().map_err(|error| {
        tracing::error!(endpoint = %endpoint.id, %error, "a webhook secret cannot be shown");
        ApiError::outcome_unknown()
    })
}

/// Where events go. Which addresses that may be is the operator's word; names are resolved, and
/// checked again, when something is sent.
fn url(api: &Api, fields: &mut Fields) -> Result<Option<String>, ApiError> {
    let Some(url) = fields.text("url")? else {
        return Ok(None);
    };
    match (api.receivers)(&url) {
        Ok(()) => Ok(Some(url)),
        Err(reason) => {
            let message = format!("The URL cannot receive webhooks: {reason}.");
            Err(ApiError::invalid("url", message))
        }
    }
}

/// The types of events; `*` is all of them, and so is none.
fn events(fields: &mut Fields) -> Result<Option<Vec<NoticeKind>>, ApiError> {
    let Some(items) = fields.array("enabled_events")? else {
        return Ok(None);
    };
    if items == [Value::String("*".to_owned())] {
        return Ok(Some(Vec::new()));
    }
    let kind = |(index, item): (usize, Value)| {
        let name = item.as_str().unwrap_or_default();
        let known = NoticeKind::NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, kind)| *kind).ok_or_else(|| {
            let names: Vec<_> = NoticeKind::NAMES.iter().map(|(name, _)| *name).collect();
            let message = format!("Must be one of: {}; or [\"*\"].", names.join(", "));
            ApiError::invalid(format!("enabled_events[{index}]"), message)
        })
    };
    items
        .into_iter()
        .enumerate()
        .map(kind)
        .collect::<Result<_, _>>()
        .map(Some)
}
