//! Webhook endpoints, and what is delivered to them.

use crate::id::EnvironmentId;
use crate::model::{DeliveryState, WebhookDelivery, WebhookEndpoint};
use crate::rows::Rows;
use crate::schema::{DELIVERIES_DUE, WEBHOOK_DELIVERIES, WEBHOOK_ENDPOINTS};

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
    if let Some(DeliveryState::Pending { next_at }) = before {
        DELIVERIES_DUE.delete(rows, (environment, &after.endpoint_id, &next_at, &after.id));
    }
    if let DeliveryState::Pending { next_at } = after.state {
        DELIVERIES_DUE.put(
            rows,
            (environment, &after.endpoint_id, &next_at, &after.id),
            &(),
        );
    }
    WEBHOOK_DELIVERIES.put(rows, (environment, &after.id), after);
}
