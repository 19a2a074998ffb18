//! Webhook endpoints, and what is delivered to them.

use crate::id::EnvironmentId;
use crate::model::{DeliveryState, WebhookDelivery, WebhookEndpoint};
use crate::rows::Rows;
use crate::schema::{DELIVERIES_DUE, DELIVERY_ENDS, WEBHOOK_DELIVERIES, WEBHOOK_ENDPOINTS};

pub(super) fn endpoint(rows: &mut impl Rows, endpoint: &WebhookEndpoint) {
    WEBHOOK_ENDPOINTS.put(rows, (&endpoint.environment_id, &endpoint.id), endpoint);
}

pub(super) fn endpoint_deleted(rows: &mut impl Rows, endpoint: &WebhookEndpoint) {
    WEBHOOK_ENDPOINTS.delete(rows, (&endpoint.environment_id, &endpoint.id));
}

pub(super) fn delivery(
    rows: &mut impl Rows,
    environment: &EnvironmentId,
    before: Option<DeliveryState>,
    after: &WebhookDelivery,
) {
    if let Some(before) = before {
        unlist(rows, environment, after, before);
    }
    if let DeliveryState::Pending { next_at } = after.state {
        let key = (environment, &after.endpoint_id, &next_at, &after.id);
        DELIVERIES_DUE.put(rows, key, &());
    }
    let (pending, ends_at) = (after.state.is_pending(), after.ends_at(after.state));
    DELIVERY_ENDS.put(rows, (environment, &pending, &ends_at, &after.id), &());
    WEBHOOK_DELIVERIES.put(rows, (environment, &after.id), after);
}

pub(super) fn delivery_removed(
    rows: &mut impl Rows,
    environment: &EnvironmentId,
    delivery: &WebhookDelivery,
) {
    unlist(rows, environment, delivery, delivery.state);
    WEBHOOK_DELIVERIES.delete(rows, (environment, &delivery.id));
}

/// Removes a delivery from where it was listed in `state`.
fn unlist(
    rows: &mut impl Rows,
    environment: &EnvironmentId,
    delivery: &WebhookDelivery,
    state: DeliveryState,
) {
    if let DeliveryState::Pending { next_at } = state {
        let key = (environment, &delivery.endpoint_id, &next_at, &delivery.id);
        DELIVERIES_DUE.delete(rows, key);
    }
    let (pending, ends_at) = (state.is_pending(), delivery.ends_at(state));
    DELIVERY_ENDS.delete(rows, (environment, &pending, &ends_at, &delivery.id));
}
