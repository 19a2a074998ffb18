//! Deliveries to webhook endpoints: list, get, retry; and the replay of an event.

use std::sync::Arc;

use domain::command::{Command, ReplayEvent, RetryDelivery};
use domain::id::{EventId, WebhookDeliveryId, WebhookEndpointId};
use domain::limits::ENDPOINTS_MAX;
use domain::model::{EndpointStatus, WebhookDelivery};
use domain::outcome::Outcome;
use domain::query;
use domain::rows::View;
use http::StatusCode;

use super::answer::{self, Answer, Answered};
use super::auth::Caller;
use super::cursor::Position;
use super::error::ApiError;
use super::events;
use super::fields::Fields;
use super::listing::Listing;
use super::object::WebhookDeliveryObject;
use super::page::{self, Paging, Scanned};
use super::pipeline::{Call, Presence};
use super::query::Query;
use super::{Api, render};
use crate::control_plane::Consistency;

pub(crate) const STATES: [(&str, &str); 3] = [
    ("pending", "pending"),
    ("succeeded", "succeeded"),
    ("failed", "failed"),
];

/// What the replay of an event takes.
pub(crate) const REPLAY_FIELDS: [&str; 1] = ["endpoint_ids"];

/// Which deliveries are wanted.
struct Filter {
    endpoint_id: Option<WebhookEndpointId>,
    event_id: Option<EventId>,
    status: Option<&'static str>,
}

impl Filter {
    fn take(query: &mut Query) -> Result<Self, ApiError> {
        let endpoint = WebhookEndpointId::parse;
        Ok(Self {
            endpoint_id: query.id("endpoint_id", "webhook endpoint", endpoint)?,
            event_id: query.id("event_id", "event", EventId::parse)?,
            status: query.choice("status", &STATES)?,
        })
    }

    fn keeps(&self, delivery: &WebhookDelivery) -> bool {
        let endpoint = self.endpoint_id.as_ref();
        endpoint.is_none_or(|id| delivery.endpoint_id == *id)
            && self
                .event_id
                .as_ref()
                .is_none_or(|id| delivery.event_id == *id)
            && self
                .status
                .is_none_or(|status| delivery.state.as_str() == status)
    }

    fn canonical(&self) -> String {
        let parts = (
            self.endpoint_id.as_ref().map(WebhookEndpointId::as_str),
            self.event_id.as_ref().map(EventId::as_str),
            self.status,
        );
        String::from_utf8_lossy(&render::to_bytes(&parts)).into_owned()
    }
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let (paging, filter) = (Paging::take(&mut query)?, Filter::take(&mut query)?);
    query.finish()?;
    let listing = Listing {
        name: "webhook_deliveries",
        filter: filter.canonical(),
        paging,
    };
    let find = |view: &dyn View, after, limit| Ok(find(view, &caller, &filter, after, limit));
    let show = |bytes: &mut Vec<u8>, delivery: &_| {
        render::append(
            bytes,
            &WebhookDeliveryObject::new(delivery, &caller.environment),
        )
    };
    listing
        .answer(&api, &caller, call.consistency, find, position, show)
        .await
}

fn find(
    view: &dyn View,
    caller: &Caller,
    filter: &Filter,
    after: Option<Position>,
    limit: usize,
) -> Scanned<WebhookDelivery> {
    let fetch = |after: Option<&Position>, limit| {
        let before = after.and_then(|after| WebhookDeliveryId::parse(&after.id).ok());
        query::webhook_deliveries_page(view, &caller.environment_id, before.as_ref(), limit)
    };
    page::filtered(limit, after, position, fetch, |delivery| {
        filter.keeps(delivery) && sees(view, caller, delivery)
    })
}

/// A key that is confined to routes sees deliveries of the events that it sees.
fn sees(view: &dyn View, caller: &Caller, delivery: &WebhookDelivery) -> bool {
    !caller.is_confined()
        || query::event(view, &caller.environment_id, &delivery.event_id)
            .is_some_and(|event| events::sees(caller, &event.notice))
}

fn position(delivery: &WebhookDelivery) -> Position {
    Position {
        id: delivery.id.to_string(),
        key: delivery.created_at.0,
    }
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("webhook delivery", WebhookDeliveryId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    let find = |view: &dyn View| {
        let delivery = query::webhook_delivery(view, &caller.environment_id, &id)
            .ok_or_else(|| ApiError::not_found("webhook delivery"))?;
        if !sees(view, &caller, &delivery) {
            let message = "The key is not for what this delivery is about.";
            return Err(ApiError::insufficient_scope(message));
        }
        Ok(delivery)
    };
    let seen = api.read(call.consistency, find).await?;
    let delivery = seen.value?;
    let object = WebhookDeliveryObject::new(&delivery, &caller.environment);
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}

pub(crate) async fn retry(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("webhook delivery", WebhookDeliveryId::parse)?;
    call.object(Presence::None).await?;
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::RetryDelivery(actor, RetryDelivery { id })
        })
        .await?;
    answer::applied(applied, StatusCode::OK, |outcome| match outcome {
        Outcome::Deliveries(deliveries) => deliveries.first().map(|delivery| {
            render::to_bytes(&WebhookDeliveryObject::new(delivery, &caller.environment))
        }),
        _ => None,
    })
}

/// Delivers an event again: to the endpoints that are named, or to all that are enabled, whatever
/// types they want otherwise.
pub(crate) async fn replay(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let event_id = call.id("event", EventId::parse)?;
    let body = call.object(Presence::Optional).await?;
    let mut fields = Fields::new(body, &REPLAY_FIELDS)?;
    let endpoints = match endpoint_ids(&mut fields)? {
        Some(named) => named,
        None => enabled(&api, &caller, call.consistency).await?,
    };
    let to = endpoints
        .into_iter()
        .map(|endpoint| (endpoint, WebhookDeliveryId::new(api.seed())))
        .collect();
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::ReplayEvent(actor, ReplayEvent { event_id, to })
        })
        .await?;
    answer::applied(applied, StatusCode::OK, |outcome| match outcome {
        Outcome::Deliveries(deliveries) => Some(all_of(deliveries, &caller)),
        _ => None,
    })
}

fn all_of(deliveries: &[WebhookDelivery], caller: &Caller) -> Vec<u8> {
    let page = query::Page {
        items: deliveries.to_vec(),
        has_more: false,
    };
    page::envelope(
        page::whole(page, position),
        position,
        |position| position.id.clone(),
        |bytes, delivery| {
            render::append(
                bytes,
                &WebhookDeliveryObject::new(delivery, &caller.environment),
            )
        },
    )
}

fn endpoint_ids(fields: &mut Fields) -> Result<Option<Vec<WebhookEndpointId>>, ApiError> {
    let Some(items) = fields.array("endpoint_ids")? else {
        return Ok(None);
    };
    if items.len() > ENDPOINTS_MAX {
        let message = format!("Must be at most {ENDPOINTS_MAX}.");
        return Err(ApiError::invalid("endpoint_ids", message));
    }
    let parse = |(index, item): (usize, serde_json::Value)| {
        let text = item.as_str().unwrap_or_default();
        WebhookEndpointId::parse(text).map_err(|_| {
            let message = "Must be the identifier of a webhook endpoint.";
            ApiError::invalid(format!("endpoint_ids[{index}]"), message)
        })
    };
    items
        .into_iter()
        .enumerate()
        .map(parse)
        .collect::<Result<_, _>>()
        .map(Some)
}

async fn enabled(
    api: &Api,
    caller: &Caller,
    consistency: Consistency,
) -> Result<Vec<WebhookEndpointId>, ApiError> {
    let find = |view: &dyn View| query::webhook_endpoints(view, &caller.environment_id);
    let all = api.read(consistency, find).await?.value;
    let enabled = all
        .into_iter()
        .filter(|endpoint| endpoint.status == EndpointStatus::Enabled);
    Ok(enabled.map(|endpoint| endpoint.id).collect())
}
