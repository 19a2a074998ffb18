//! Webhook endpoints, and what becomes of deliveries to them.
//!
//! | attempt | delivery | endpoint |
//! |---|---|---|
//! | 2xx | succeeded | no longer failing |
//! | 410 | failed | disabled: gone |
//! | anything else | pending again after the next delay, failed after the last | disabled when nothing has succeeded for five days, also not lately |

use std::collections::BTreeSet;

use super::access::workspace;
use super::sealing::forget;
use super::{Context, Judgement, check, id_taken, not_found, nothing};
use crate::command::{
    Actor, CreateWebhookEndpoint, DeleteWebhookEndpoint, RecordDeliveries, RecordedAttempt,
    ReplayEvent, RetryDelivery, RotateWebhookSecret, UpdateWebhookEndpoint,
};
use crate::event::Event;
use crate::id::{EnvironmentId, EventId, WebhookDeliveryId, WebhookEndpointId};
use crate::machine::Decision;
use crate::model::{
    DeliveryState, EndpointStatus, FAILING_MAX_MS, JournalGap, JournalPlace, NoticeKind,
    NoticePlace, RETRY_DELAYS_MS, RETRY_JITTER_MAX, WebhookDelivery, WebhookEndpoint,
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
pub const ENDPOINTS_MAX: usize = 50;

/// How many deliveries one entry fails whose endpoint was removed: no more work than recording a round of
/// attempts is.
pub(super) const ORPHANS_PER_STEP: usize = 16;

/// How far apart two failures are that show that an endpoint fails all the time: half a day, in
/// milliseconds.
const FAILURES_APART_MS: u64 = 12 * 60 * 60 * 1000;

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
    let api_version = match &command.api_version {
        Some(version) => version.clone(),
        None => workspace(context, actor)?.api_version,
    };
    let endpoint = WebhookEndpoint {
        id: command.id.clone(),
        workspace_id: actor.workspace_id.clone(),
        environment_id: environment.clone(),
        url: command.url.clone(),
        events: sorted(&command.events),
        description: command.description.clone(),
        api_version,
        status: EndpointStatus::Enabled,
        secret_generation: 1,
        previous_secret_until: None,
        failing_since: None,
        failed_at: None,
        delivered: NoticePlace::behind(here(context)),
        disabled_at: None,
        gaps: Vec::new(),
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
        if *url != before.url {
            forgive(&mut endpoint);
        }
        endpoint.url = url.clone();
    }
    if let Some(events) = &command.events {
        endpoint.events = sorted(events);
    }
    if let Some(description) = &command.description {
        check_description(description.as_deref())?;
        endpoint.description.clone_from(description);
    }
    if let Some(version) = &command.api_version {
        endpoint.api_version.clone_from(version);
    }
    match command.enabled {
        Some(true) if before.status != EndpointStatus::Enabled => enable(context, &mut endpoint),
        Some(false) if before.status == EndpointStatus::Enabled => {
            disable(context, &mut endpoint, EndpointStatus::Disabled);
        }
        _ => {}
    }
    if endpoint == before {
        return nothing(Outcome::WebhookEndpoint(before));
    }
    changed(context, endpoint)
}

/// It goes on with what happens from now on, and with what it had not been sent when it was disabled.
fn enable<V: ?Sized>(context: &Context<'_, V>, endpoint: &mut WebhookEndpoint) {
    let until = here(context);
    let from = endpoint.disabled_at.take().unwrap_or(until);
    endpoint.gaps.push(JournalGap { from, until });
    let surplus = endpoint
        .gaps
        .len()
        .saturating_sub(WebhookEndpoint::GAPS_MAX);
    endpoint.gaps.drain(..surplus);
    endpoint.status = EndpointStatus::Enabled;
    forgive(endpoint);
}

fn disable<V: ?Sized>(
    context: &Context<'_, V>,
    endpoint: &mut WebhookEndpoint,
    status: EndpointStatus,
) {
    endpoint.status = status;
    endpoint.disabled_at = Some(here(context));
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

/// Pending deliveries fail afterwards, a few with each [`record`]: there may be any number of them.
/// What was delivered stays to be read.
pub(super) fn delete<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &DeleteWebhookEndpoint,
) -> Judgement {
    let endpoint = find(context, &actor.environment_id, &command.id)?;
    let mut events = forget(context, (&endpoint.environment_id, &endpoint.id), u32::MAX);
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
    // The one that still signs is the one before.
    let kept_from = endpoint.secret_generation;
    let forgotten = forget(context, (&endpoint.environment_id, &endpoint.id), kept_from);
    let rotated = WebhookEndpoint {
        secret_generation: endpoint.secret_generation + 1,
        previous_secret_until: Some(context.at.plus_ms(command.grace_ms)),
        ..endpoint
    };
    let mut decision = changed(context, rotated)?;
    decision.events.extend(forgotten);
    Ok(decision)
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
    check_replayed_to(command)?;
    let mut deliveries = Vec::new();
    for (endpoint_id, id) in &command.to {
        enabled(context, environment, endpoint_id, Some("endpoint_ids"))?;
        if WEBHOOK_DELIVERIES.has(context.view, (environment, id)) {
            return Err(id_taken(id));
        }
        let state = DeliveryState::Pending {
            next_at: context.at,
        };
        let of = (event.id.clone(), event.at(), event.notice.kind);
        let delivery = new_delivery(context.at, endpoint_id, id, of, state);
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

/// Each endpoint gets it once: there are no more than an environment may have.
fn check_replayed_to(command: &ReplayEvent) -> Result<(), Rejection> {
    let invalid = |message: String| Rejection::InvalidParameter {
        param: "endpoint_ids".to_owned(),
        message,
    };
    if command.to.len() > ENDPOINTS_MAX {
        return Err(invalid(format!("Must be at most {ENDPOINTS_MAX}.")));
    }
    let mut named = BTreeSet::new();
    let twice = command
        .to
        .iter()
        .find(|(endpoint, _)| !named.insert(endpoint));
    twice.map_or(Ok(()), |(endpoint, _)| {
        Err(invalid(format!("{endpoint} is named twice.")))
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
    (event_id, event_at, kind): (EventId, NoticePlace, NoticeKind),
    state: DeliveryState,
) -> WebhookDelivery {
    WebhookDelivery {
        id: id.clone(),
        endpoint_id: endpoint_id.clone(),
        event_id,
        event_at,
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

/// Writes down attempts. For an endpoint that was removed nothing is, and what is pending for it fails.
pub(super) fn record<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &RecordDeliveries,
) -> Judgement {
    let environment = &command.environment_id;
    let Some(before) = query::webhook_endpoint(context.view, environment, &command.endpoint_id)
    else {
        return Ok(Decision {
            events: orphans(context, command),
            outcome: Outcome::Recorded,
        });
    };
    let mut endpoint = before.clone();
    endpoint.delivered = endpoint.delivered.max(command.delivered);
    let delivered = endpoint.delivered;
    endpoint.gaps.retain(|gap| gap.until > delivered.row);
    let mut events = Vec::new();
    let mut heard = Heard::default();
    for recorded in &command.attempts {
        let known = query::webhook_delivery(context.view, environment, &recorded.delivery_id);
        events.push(attempted(
            context.at, &endpoint, recorded, known, &mut heard,
        ));
    }
    conclude(context, &mut endpoint, heard);
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

/// What a round of attempts says about the endpoint.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    succeeded: bool,
    failed: bool,
    gone: bool,
}

fn attempted(
    at: Timestamp,
    endpoint: &WebhookEndpoint,
    recorded: &RecordedAttempt,
    known: Option<WebhookDelivery>,
    heard: &mut Heard,
) -> Event {
    let before = known.as_ref().map(|delivery| delivery.state);
    let mut delivery = known.unwrap_or_else(|| {
        let of = (recorded.event_id.clone(), recorded.event_at, recorded.kind);
        let (endpoint, id) = (&endpoint.id, &recorded.delivery_id);
        new_delivery(at, endpoint, id, of, DeliveryState::Failed { at })
    });
    delivery.attempts_made = delivery.attempts_made.saturating_add(1);
    delivery.attempts.push(recorded.attempt.clone());
    let surplus = delivery
        .attempts
        .len()
        .saturating_sub(WebhookDelivery::ATTEMPTS_KEPT);
    delivery.attempts.drain(..surplus);
    if recorded.attempt.succeeded() {
        heard.succeeded = true;
        delivery.state = DeliveryState::Succeeded { at };
    } else if is_awaited(before, &delivery, recorded) {
        heard.failed = true;
        heard.gone |= recorded.attempt.status == Some(GONE);
        delivery.state = failed(at, recorded, &mut delivery);
    }
    Event::DeliveryChanged {
        environment_id: endpoint.environment_id.clone(),
        before,
        after: delivery,
    }
}

/// Whether a failure is that of the attempt that the delivery waits for. If two who led one after the other
/// made the same attempt, it is not that of the second: what the first one recorded stands.
fn is_awaited(
    before: Option<DeliveryState>,
    delivery: &WebhookDelivery,
    recorded: &RecordedAttempt,
) -> bool {
    match before {
        None => true,
        Some(DeliveryState::Pending { .. }) => delivery.retries_used == recorded.retries_used,
        Some(DeliveryState::Succeeded { .. } | DeliveryState::Failed { .. }) => false,
    }
}

fn failed(
    at: Timestamp,
    recorded: &RecordedAttempt,
    delivery: &mut WebhookDelivery,
) -> DeliveryState {
    let used = usize::try_from(delivery.retries_used).unwrap_or(usize::MAX);
    let (false, Some(delay)) = (
        recorded.attempt.status == Some(GONE),
        RETRY_DELAYS_MS.get(used),
    ) else {
        return DeliveryState::Failed { at };
    };
    delivery.retries_used += 1;
    let jitter = u64::from(recorded.jitter.min(RETRY_JITTER_MAX));
    DeliveryState::Pending {
        next_at: at.plus_ms(delay + delay * jitter / 1000),
    }
}

/// The attempts of a round were made side by side, so that one that succeeded outweighs those that did
/// not.
fn conclude<V: ?Sized>(context: &Context<'_, V>, endpoint: &mut WebhookEndpoint, heard: Heard) {
    let mut fails_for_long = false;
    if heard.succeeded {
        forgive(endpoint);
    } else if heard.failed {
        fails_for_long = fails_again(context.at, endpoint);
    }
    if endpoint.status != EndpointStatus::Enabled {
        return;
    }
    if heard.gone {
        disable(context, endpoint, EndpointStatus::Gone);
    } else if fails_for_long {
        disable(context, endpoint, EndpointStatus::Failing);
    }
}

/// Whether nothing but failures came for five days, two of them in the last day and half a day apart: an
/// endpoint that seldom gets anything is not disabled for one bad hour.
fn fails_again(at: Timestamp, endpoint: &mut WebhookEndpoint) -> bool {
    let since = *endpoint.failing_since.get_or_insert(at);
    let earlier = *endpoint.failed_at.get_or_insert(at);
    let apart = at.0.saturating_sub(earlier.0);
    if apart < FAILURES_APART_MS {
        return false;
    }
    endpoint.failed_at = Some(at);
    apart <= 2 * FAILURES_APART_MS && at >= since.plus_ms(FAILING_MAX_MS)
}

fn forgive(endpoint: &mut WebhookEndpoint) {
    endpoint.failing_since = None;
    endpoint.failed_at = None;
}

/// The failure of up to [`ORPHANS_PER_STEP`] deliveries that wait for an endpoint that is not there.
fn orphans<V: View + ?Sized>(context: &Context<'_, V>, command: &RecordDeliveries) -> Vec<Event> {
    let environment = &command.environment_id;
    let due = DELIVERIES_DUE.under((environment, &command.endpoint_id));
    DELIVERIES_DUE
        .scan(context.view, &due, ORPHANS_PER_STEP)
        .into_iter()
        .filter_map(|((_, _, _, id), ())| query::webhook_delivery(context.view, environment, &id))
        .map(|delivery| Event::DeliveryChanged {
            environment_id: environment.clone(),
            before: Some(delivery.state),
            after: WebhookDelivery {
                state: DeliveryState::Failed { at: context.at },
                ..delivery
            },
        })
        .collect()
}
