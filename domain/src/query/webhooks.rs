//! Webhook endpoints and deliveries.

use crate::id::{EnvironmentId, WebhookDeliveryId, WebhookEndpointId};
use crate::model::{WebhookDelivery, WebhookEndpoint};
use crate::query::page::Page;
use crate::rows::View;
use crate::schema::{
    DELIVERIES_DUE, DELIVERY_ENDS, HISTORIES, WEBHOOK_DELIVERIES, WEBHOOK_ENDPOINTS,
};
use crate::table::Span;
use crate::time::Timestamp;

/// A webhook endpoint.
pub fn webhook_endpoint(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    id: &WebhookEndpointId,
) -> Option<WebhookEndpoint> {
    WEBHOOK_ENDPOINTS.get(view, (environment, id))
}

/// All webhook endpoints of an environment, in order of creation: a few dozen at most.
pub fn webhook_endpoints(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
) -> Vec<WebhookEndpoint> {
    let span = WEBHOOK_ENDPOINTS.under((environment,));
    let endpoints = WEBHOOK_ENDPOINTS.walk(view, span);
    endpoints.map(|(_, endpoint)| endpoint).collect()
}

/// All webhook endpoints there are, whatever environment they are in: for whoever delivers.
pub fn all_webhook_endpoints(view: &(impl View + ?Sized)) -> Vec<WebhookEndpoint> {
    let endpoints = WEBHOOK_ENDPOINTS.walk(view, WEBHOOK_ENDPOINTS.all());
    endpoints.map(|(_, endpoint)| endpoint).collect()
}

/// The endpoints that are not there any more and have pending deliveries. It costs a look for each
/// endpoint that has some.
pub fn orphaned_endpoints(view: &(impl View + ?Sized)) -> Vec<(EnvironmentId, WebhookEndpointId)> {
    let mut rest = DELIVERIES_DUE.all();
    let mut orphaned = Vec::new();
    while let Some(((environment, endpoint, ..), ())) = DELIVERIES_DUE.scan(view, &rest, 1).pop() {
        rest.from = DELIVERIES_DUE.under((&environment, &endpoint)).until;
        if !WEBHOOK_ENDPOINTS.has(view, (&environment, &endpoint)) {
            orphaned.push((environment, endpoint));
        }
    }
    orphaned
}

/// Whether deliveries wait for an endpoint that is not there any more.
pub fn is_orphaned(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    endpoint: &WebhookEndpointId,
) -> bool {
    let due = DELIVERIES_DUE.under((environment, endpoint));
    !WEBHOOK_ENDPOINTS.has(view, (environment, endpoint))
        && !DELIVERIES_DUE.scan(view, &due, 1).is_empty()
}

/// A delivery.
pub fn webhook_delivery(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    id: &WebhookDeliveryId,
) -> Option<WebhookDelivery> {
    WEBHOOK_DELIVERIES.get(view, (environment, id))
}

/// Deliveries, newest first, from before the given one on.
pub fn webhook_deliveries_page(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    before: Option<&WebhookDeliveryId>,
    limit: usize,
) -> Page<WebhookDelivery> {
    let mut span = WEBHOOK_DELIVERIES.under((environment,));
    if let Some(id) = before {
        span.until = WEBHOOK_DELIVERIES.key((environment, id));
    }
    let mut rows = WEBHOOK_DELIVERIES.scan_back(view, &span, limit.saturating_add(1));
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    Page {
        items: rows.into_iter().map(|(_, delivery)| delivery).collect(),
        has_more,
    }
}

/// Up to `limit` pending deliveries of an endpoint whose time has come at `now`, and when the time
/// of the next one comes.
pub fn due_deliveries(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    endpoint: &WebhookEndpointId,
    now: Timestamp,
    limit: usize,
) -> (Vec<WebhookDelivery>, Option<Timestamp>) {
    let Span { from, until } = DELIVERIES_DUE.under((environment, endpoint));
    let rows = DELIVERIES_DUE.scan(view, &Span { from, until }, limit.saturating_add(1));
    let mut due = Vec::new();
    for ((_, _, next_at, id), ()) in rows {
        if next_at > now || due.len() == limit {
            return (due, Some(next_at));
        }
        due.extend(webhook_delivery(view, environment, &id));
    }
    (due, None)
}

/// The deliveries of an environment that wait for an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PendingDeliveries {
    /// How many there are.
    pub count: u64,
    /// When the oldest was made.
    pub oldest: Option<Timestamp>,
}

/// What waits in an environment, without counting it.
pub fn pending_deliveries(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
) -> PendingDeliveries {
    let history = HISTORIES.get(view, (environment,));
    let count = history.map_or(0, |history| history.pending);
    if count == 0 {
        return PendingDeliveries::default();
    }
    let pending = DELIVERY_ENDS.under((environment, &true));
    let first = DELIVERY_ENDS.scan(view, &pending, 1).into_iter().next();
    let oldest = first.and_then(|((.., id), ())| webhook_delivery(view, environment, &id));
    PendingDeliveries {
        count,
        oldest: oldest.map(|delivery| delivery.created_at),
    }
}
