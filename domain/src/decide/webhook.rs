//! Webhook endpoints, and what becomes of deliveries to them.
//!
//! | attempt | delivery | endpoint |
//! |---|---|---|
//! | 2xx | succeeded | no longer failing |
//! | 410 | failed | disabled: gone |
//! | anything else | pending again after the next delay, failed after the last | disabled when nothing has succeeded for five days |

use super::{Context, Judgement, check, id_taken, not_found, nothing};
use crate::command::{
    Actor, CreateWebhookEndpoint, DeleteWebhookEndpoint, RecordDeliveries, RecordedAttempt,
    ReplayEvent, RetryDelivery, RotateWebhookSecret, UpdateWebhookEndpoint,
};
use crate::event::Event;
use crate::id::{EnvironmentId, EventId, WebhookDeliveryId, WebhookEndpointId};
use crate::machine::Decision;
use crate::model::{
    DeliveryState, EndpointStatus, FAILING_MAX_MS, JournalPlace, NoticeKind, RETRY_DELAYS_MS,
    RETRY_JITTER_MAX, WebhookDelivery, WebhookEndpoint,
};
use crate::outcome::Outcome;
use crate::query;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{DELIVERIES_DUE, WEBHOOK_DELIVERIES, WEBHOOK_ENDPOINTS};
use crate::time::Timestamp;

/// What the state machine answers for 410.
const GONE: u16 = 410;

/// The most endpoints of an environment: each costs a look at the journal with every change.
pub(crate) const ENDPOINTS_MAX: usize = 50;

/// The longest URL, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// The longest overlap of two secrets: a week, in milliseconds.
const GRACE_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;

pub(super) fn create<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &CreateWebhookEndpoint,
) -> Judgement {
    check_url(&command.url)?;
    check_description(command.description.as_deref())?;
    let environment = &actor.environment_id;
    if WEBHOOK_ENDPOINTS.has(context.view, (environment, &command.id)) {
        return Err(id_taken(&command.id));
    }
    if query::webhook_endpoints(context.view, environment).len() >= ENDPOINTS_MAX {
        return Err(Rejection::LimitExceeded {
            param: "url".to_owned(),
            message: format!("An environment may have {ENDPOINTS_MAX} webhook endpoints."),
        });
    }
    let endpoint = WebhookEndpoint {
        id: command.id.clone(),
        workspace_id: actor.workspace_id.clone(),
        environment_id: environment.clone(),
        url: command.url.clone(),
        events: sorted(&command.events),
        description: command.description.clone(),
        status: EndpointStatus::Enabled,
        secret_generation: 1,
        previous_secret_until: None,
        failing_since: None,
        delivered: here(context),
        created_by: actor.api_key_id.clone(),
        created_at: context.at,
        updated_at: None,
        revision: context.revision,
    };
    Ok(Decision {
        events: vec![Event::WebhookEndpointCreated(endpoint.clone())],
        outcome: Outcome::WebhookEndpoint(endpoint),
    })
}

/// This very entry: what it does itself is not delivered to an endpoint that it makes.
fn here<V: ?Sized>(context: &Context<'_, V>) -> JournalPlace {
    JournalPlace {
        at: context.at,
        revision: context.revision,
    }
}

fn sorted(kinds: &[NoticeKind]) -> Vec<NoticeKind> {
    let mut kinds = kinds.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn check_url(url: &str) -> Result<(), Rejection> {
    let well_formed = url.len() <= URL_BYTES_MAX
        && (url.starts_with("https://") || url.starts_with("http://"))
        && !url
            .chars()
            .any(|letter| letter.is_control() || letter == ' ');
    if well_formed {
        return Ok(());
    }
    Err(Rejection::InvalidParameter {
        param: "url".to_owned(),
        message: format!("Must be an https URL of up to {URL_BYTES_MAX} bytes."),
    })
}

fn check_description(description: Option<&str>) -> Result<(), Rejection> {
    description.map_or(Ok(()), |text| check::name("description", text))
}

pub(super) fn update<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &UpdateWebhookEndpoint,
) -> Judgement {
    let before = find(context, &actor.environment_id, &command.id)?;
    let mut endpoint = before.clone();
    if let Some(url) = &command.url {
        check_url(url)?;
        endpoint.url = url.clone();
    }
    if let Some(events) = &command.events {
        endpoint.events = sorted(events);
    }
    if let Some(description) = &command.description {
        check_description(description.as_deref())?;
        endpoint.description.clone_from(description);
    }
    match command.enabled {
        Some(true) if before.status != EndpointStatus::Enabled => {
            endpoint.status = EndpointStatus::Enabled;
            endpoint.failing_since = None;
            endpoint.delivered = here(context);
        }
        Some(false) if before.status == EndpointStatus::Enabled => {
            endpoint.status = EndpointStatus::Disabled;
        }
        _ => {}
    }
    if endpoint == before {
        return nothing(Outcome::WebhookEndpoint(before));
    }
    changed(context, endpoint)
}

fn changed<V: ?Sized>(context: &Context<'_, V>, endpoint: WebhookEndpoint) -> Judgement {
    let endpoint = WebhookEndpoint {
        updated_at: Some(context.at),
        revision: context.revision,
        ..endpoint
    };
    Ok(Decision {
        events: vec![Event::WebhookEndpointChanged(endpoint.clone())],
        outcome: Outcome::WebhookEndpoint(endpoint),
    })
}

/// Pending deliveries go with their endpoint; what was delivered stays to be read.
pub(super) fn delete<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &DeleteWebhookEndpoint,
) -> Judgement {
    let environment = &actor.environment_id;
    let endpoint = find(context, environment, &command.id)?;
    let due = DELIVERIES_DUE.under((environment, &command.id));
    let mut events: Vec<_> = DELIVERIES_DUE
        .walk(context.view, due)
        .filter_map(|((_, _, _, id), ())| query::webhook_delivery(context.view, environment, &id))
        .map(|delivery| {
            let failed = DeliveryState::Failed { at: context.at };
            delivery_changed(environment, delivery, failed)
        })
        .collect();
    events.push(Event::WebhookEndpointDeleted(endpoint));
    Ok(Decision {
        events,
        outcome: Outcome::WebhookEndpointDeleted {
            id: command.id.clone(),
            at: context.at,
        },
    })
}

pub(super) fn rotate_secret<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &RotateWebhookSecret,
) -> Judgement {
    if command.grace_ms > GRACE_MS_MAX {
        return Err(Rejection::InvalidParameter {
            param: "grace_seconds".to_owned(),
            message: format!("Must be 0 to {}.", GRACE_MS_MAX / 1000),
        });
    }
    let endpoint = find(context, &actor.environment_id, &command.id)?;
    let rotated = WebhookEndpoint {
        secret_generation: endpoint.secret_generation + 1,
        previous_secret_until: Some(context.at.plus_ms(command.grace_ms)),
        ..endpoint
    };
    changed(context, rotated)
}

pub(super) fn retry<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &RetryDelivery,
) -> Judgement {
    let environment = &actor.environment_id;
    let delivery = query::webhook_delivery(context.view, environment, &command.id)
        .ok_or_else(|| not_found("webhook_delivery", &command.id, None))?;
    enabled(context, environment, &delivery.endpoint_id, None)?;
    let state = DeliveryState::Pending {
        next_at: context.at,
    };
    check_deliverable(context, &delivery, state)?;
    let after = WebhookDelivery {
        retries_used: 0,
        state,
        ..delivery.clone()
    };
    Ok(Decision {
        events: vec![Event::DeliveryChanged {
            environment_id: environment.clone(),
            before: Some(delivery.state),
            after: after.clone(),
        }],
        outcome: Outcome::Deliveries(vec![after]),
    })
}

pub(super) fn replay<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &ReplayEvent,
) -> Judgement {
    let environment = &actor.environment_id;
    let event = query::event(context.view, environment, &command.event_id)
        .ok_or_else(|| not_found("event", &command.event_id, None))?;
    let mut deliveries = Vec::new();
    for (endpoint_id, id) in &command.to {
        enabled(context, environment, endpoint_id, Some("endpoint_ids"))?;
        if WEBHOOK_DELIVERIES.has(context.view, (environment, id)) {
            return Err(id_taken(id));
        }
        let state = DeliveryState::Pending {
            next_at: context.at,
        };
        let first = (event.id.clone(), event.notice.kind);
        let delivery = new_delivery(context.at, endpoint_id, id, first, state);
        check_deliverable(context, &delivery, state)?;
        deliveries.push(delivery);
    }
    let made = |after: &WebhookDelivery| Event::DeliveryChanged {
        environment_id: environment.clone(),
        before: None,
        after: after.clone(),
    };
    Ok(Decision {
        events: deliveries.iter().map(made).collect(),
        outcome: Outcome::Deliveries(deliveries),
    })
}

/// The event must be there for as long as attempts are made.
fn check_deliverable<V: ?Sized>(
    context: &Context<'_, V>,
    delivery: &WebhookDelivery,
    state: DeliveryState,
) -> Result<(), Rejection> {
    if context.at < delivery.ends_at(state) {
        return Ok(());
    }
    Err(not_found("event", &delivery.event_id, None))
}

fn new_delivery(
    at: Timestamp,
    endpoint_id: &WebhookEndpointId,
    id: &WebhookDeliveryId,
    (event_id, kind): (EventId, NoticeKind),
    state: DeliveryState,
) -> WebhookDelivery {
    WebhookDelivery {
        id: id.clone(),
        endpoint_id: endpoint_id.clone(),
        event_id,
        kind,
        state,
        attempts_made: 0,
        retries_used: 0,
        attempts: Vec::new(),
        created_at: at,
    }
}

fn find<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    id: &WebhookEndpointId,
) -> Result<WebhookEndpoint, Rejection> {
    query::webhook_endpoint(context.view, environment, id)
        .ok_or_else(|| not_found("webhook_endpoint", id, None))
}

/// An endpoint that something can be sent to.
fn enabled<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    id: &WebhookEndpointId,
    param: Option<&str>,
) -> Result<(), Rejection> {
    let endpoint = query::webhook_endpoint(context.view, environment, id)
        .ok_or_else(|| not_found("webhook_endpoint", id, param))?;
    if endpoint.status == EndpointStatus::Enabled {
        return Ok(());
    }
    Err(Rejection::EndpointDisabled { id: id.to_string() })
}

/// An endpoint that was removed meanwhile takes what was recorded for it with it.
pub(super) fn record<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &RecordDeliveries,
) -> Judgement {
    let environment = &command.environment_id;
    let Some(before) = query::webhook_endpoint(context.view, environment, &command.endpoint_id)
    else {
        return nothing(Outcome::Recorded);
    };
    let mut endpoint = before.clone();
    endpoint.delivered = endpoint.delivered.max(command.delivered);
    let mut events = Vec::new();
    for recorded in &command.attempts {
        let known = query::webhook_delivery(context.view, environment, &recorded.delivery_id);
        events.push(attempted(
            context.at,
            environment,
            &mut endpoint,
            recorded,
            known,
        ));
    }
    if endpoint.status != before.status {
        endpoint.updated_at = Some(context.at);
        endpoint.revision = context.revision;
    }
    if endpoint != before {
        events.push(Event::WebhookEndpointChanged(endpoint));
    }
    Ok(Decision {
        events,
        outcome: Outcome::Recorded,
    })
}

fn attempted(
    at: Timestamp,
    environment: &EnvironmentId,
    endpoint: &mut WebhookEndpoint,
    recorded: &RecordedAttempt,
    known: Option<WebhookDelivery>,
) -> Event {
    let before = known.as_ref().map(|delivery| delivery.state);
    let mut delivery = known.unwrap_or_else(|| {
        let first = (recorded.event_id.clone(), recorded.kind);
        let (endpoint, id) = (&endpoint.id, &recorded.delivery_id);
        new_delivery(at, endpoint, id, first, DeliveryState::Failed { at })
    });
    delivery.attempts_made = delivery.attempts_made.saturating_add(1);
    delivery.attempts.push(recorded.attempt.clone());
    let surplus = delivery
        .attempts
        .len()
        .saturating_sub(WebhookDelivery::ATTEMPTS_KEPT);
    delivery.attempts.drain(..surplus);
    delivery.state = if recorded.attempt.succeeded() {
        endpoint.failing_since = None;
        DeliveryState::Succeeded { at }
    } else if let Some(succeeded @ DeliveryState::Succeeded { .. }) = before {
        // Two who led one after the other made the same attempt, and one of them got through.
        succeeded
    } else {
        failed(at, endpoint, recorded, &mut delivery)
    };
    Event::DeliveryChanged {
        environment_id: environment.clone(),
        before,
        after: delivery,
    }
}

fn failed(
    at: Timestamp,
    endpoint: &mut WebhookEndpoint,
    recorded: &RecordedAttempt,
    delivery: &mut WebhookDelivery,
) -> DeliveryState {
    let since = *endpoint.failing_since.get_or_insert(at);
    if recorded.attempt.status == Some(GONE) {
        endpoint.status = EndpointStatus::Gone;
        return DeliveryState::Failed { at };
    }
    if endpoint.status == EndpointStatus::Enabled && at >= since.plus_ms(FAILING_MAX_MS) {
        endpoint.status = EndpointStatus::Failing;
    }
    let used = usize::try_from(delivery.retries_used).unwrap_or(usize::MAX);
    let Some(delay) = RETRY_DELAYS_MS.get(used) else {
        return DeliveryState::Failed { at };
    };
    delivery.retries_used += 1;
    let jitter = u64::from(recorded.jitter.min(RETRY_JITTER_MAX));
    DeliveryState::Pending {
        next_at: at.plus_ms(delay + delay * jitter / 1000),
    }
}

fn delivery_changed(
    environment: &EnvironmentId,
    delivery: WebhookDelivery,
    state: DeliveryState,
) -> Event {
    Event::DeliveryChanged {
        environment_id: environment.clone(),
        before: Some(delivery.state),
        after: WebhookDelivery { state, ..delivery },
    }
}
