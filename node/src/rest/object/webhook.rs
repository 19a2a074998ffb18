//! Webhook endpoints and deliveries to them.

use domain::model::{
    DeliveryAttempt, DeliveryState, EndpointStatus, WebhookDelivery, WebhookEndpoint,
};
use serde::{Serialize, Serializer};

use super::super::render::{Seconds, seconds};

/// A webhook endpoint as clients see it.
#[derive(Serialize)]
pub(crate) struct WebhookEndpointObject<'a> {
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    url: &'a str,
    enabled_events: Vec<&'static str>,
    description: Option<&'a str>,
    api_version: &'a str,
    status: &'static str,
    disabled_reason: Option<&'static str>,
    failing_since: Option<u64>,
    secret_generation: u32,
    previous_secret_expires_at: Option<u64>,
    /// Shown when it is made or rotated, and never again; `null` where that is only judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Option<String>>,
    created_by: &'a str,
    created_at: Seconds,
    updated_at: Option<u64>,
}

impl<'a> WebhookEndpointObject<'a> {
    /// Shows an endpoint; `environment` is the name of the environment it lives in.
    pub(crate) fn new(endpoint: &'a WebhookEndpoint, environment: &'a str) -> Self {
        let enabled_events = if endpoint.events.is_empty() {
            vec!["*"]
        } else {
            endpoint.events.iter().map(|kind| kind.as_str()).collect()
        };
        Self {
            id: endpoint.id.as_str(),
            object: "webhook_endpoint",
            environment,
            url: &endpoint.url,
            enabled_events,
            description: endpoint.description.as_deref(),
            api_version: &endpoint.api_version.0,
            status: match endpoint.status {
                EndpointStatus::Enabled => "enabled",
                _ => "disabled",
            },
            disabled_reason: endpoint.status.disabled_reason(),
            failing_since: seconds(endpoint.failing_since),
            secret_generation: endpoint.secret_generation,
            previous_secret_expires_at: seconds(endpoint.previous_secret_until),
            secret: None,
            created_by: endpoint.created_by.as_str(),
            created_at: Seconds(endpoint.created_at),
            updated_at: seconds(endpoint.updated_at),
        }
    }

    /// The same with its newest secret, or with a place for one that there is not.
    pub(crate) fn with_secret(self, secret: Option<String>) -> Self {
        Self {
            secret: Some(secret),
            ..self
        }
    }
}

/// A delivery as clients see it.
#[derive(Serialize)]
pub(crate) struct WebhookDeliveryObject<'a> {
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    endpoint_id: &'a str,
    event_id: &'a str,
    event_type: &'static str,
    status: &'static str,
    attempt_count: u32,
    next_attempt_at: Option<u64>,
    attempts: Attempts<'a>,
    created_at: Seconds,
}

#[derive(Serialize)]
struct AttemptObject<'a> {
    at: Seconds,
    succeeded: bool,
    response_status: Option<u16>,
    error: Option<&'a str>,
    latency_ms: u32,
    response_head: &'a str,
}

struct Attempts<'a>(&'a [DeliveryAttempt]);

impl Serialize for Attempts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|attempt| AttemptObject {
            at: Seconds(attempt.at),
            succeeded: attempt.succeeded(),
            response_status: attempt.status,
            error: attempt.error.as_deref(),
            latency_ms: attempt.latency_ms,
            response_head: &attempt.head,
        }))
    }
}

impl<'a> WebhookDeliveryObject<'a> {
    /// Shows a delivery; `environment` is the name of the environment it lives in.
    pub(crate) fn new(delivery: &'a WebhookDelivery, environment: &'a str) -> Self {
        Self {
            id: delivery.id.as_str(),
            object: "webhook_delivery",
            environment,
            endpoint_id: delivery.endpoint_id.as_str(),
            event_id: delivery.event_id.as_str(),
            event_type: delivery.kind.as_str(),
            status: delivery.state.as_str(),
            attempt_count: delivery.attempts_made,
            next_attempt_at: match delivery.state {
                DeliveryState::Pending { next_at } => Some(next_at.unix_seconds()),
                DeliveryState::Succeeded { .. } | DeliveryState::Failed { .. } => None,
            },
            attempts: Attempts(&delivery.attempts),
            created_at: Seconds(delivery.created_at),
        }
    }
}
