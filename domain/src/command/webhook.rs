//! Commands about webhook endpoints and deliveries to them.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

use serde::{Deserialize, Serialize};

use crate::id::{EnvironmentId, EventId, WebhookDeliveryId, WebhookEndpointId};
use crate::model::{ApiVersion, DeliveryAttempt, NoticeKind, NoticePlace};

/// Makes a webhook endpoint. It gets what happens from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateWebhookEndpoint {
    pub id: WebhookEndpointId,
    /// Checked by the proposer, who knows which addresses the operator allows.
    pub url: String,
    pub events: Vec<NoticeKind>,
    pub description: Option<String>,
    /// The workspace's, unless it is given.
    pub api_version: Option<ApiVersion>,
}

/// Changes the given fields of a webhook endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateWebhookEndpoint {
    pub id: WebhookEndpointId,
    pub url: Option<String>,
    pub events: Option<Vec<NoticeKind>>,
    /// `Some(None)` removes it.
    pub description: Option<Option<String>>,
    pub api_version: Option<ApiVersion>,
    /// An endpoint that is enabled again goes on with what it had not been sent before it was
    /// disabled, and with what happens from then on.
    pub enabled: Option<bool>,
}

/// Removes a webhook endpoint. What is pending for it fails with later entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteWebhookEndpoint {
    pub id: WebhookEndpointId,
}

/// Gives a webhook endpoint a new secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotateWebhookSecret {
    pub id: WebhookEndpointId,
    /// For how long the old one signs as well, in milliseconds.
    pub grace_ms: u64,
}

/// Makes an attempt at a delivery now, whatever became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryDelivery {
    pub id: WebhookDeliveryId,
}

/// Delivers an event again, as new deliveries of the same event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayEvent {
    pub event_id: EventId,
    /// To which endpoints, and what the deliveries are called.
    pub to: Vec<(WebhookEndpointId, WebhookDeliveryId)>,
}

/// Writes down what became of attempts at one endpoint. Proposed by whoever delivers; on nobody's
/// behalf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordDeliveries {
    pub environment_id: EnvironmentId,
    pub endpoint_id: WebhookEndpointId,
    /// Up to where the journal has been taken over.
    pub delivered: NoticePlace,
    pub attempts: Vec<RecordedAttempt>,
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedAttempt {
    pub delivery_id: WebhookDeliveryId,
    pub event_id: EventId,
    pub event_at: NoticePlace,
    pub kind: NoticeKind,
    /// How many of the delivery's retries were used before this attempt.
    pub retries_used: u32,
    pub attempt: DeliveryAttempt,
    /// By how many thousandths the next delay is longer.
    pub jitter: u32,
}
