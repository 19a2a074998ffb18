//! Webhook endpoints and deliveries to them.

use domain::model::{
    DeliveryAttempt, DeliveryState, EndpointStatus, WebhookDelivery, WebhookEndpoint,
};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::super::openapi::shape;
use super::super::render::{Seconds, seconds};

/// A webhook endpoint as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
pub(crate) struct WebhookEndpointObject<'a> {
    #[schema(value_type = shape::WebhookEndpointId)]
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::WebhookUrl)]
    url: &'a str,
    #[schema(value_type = shape::EnabledEvents)]
    enabled_events: Vec<&'static str>,
    description: Option<&'a str>,
    /// The release of the API that shows it events.
    api_version: &'a str,
    #[schema(value_type = shape::EndpointStatus)]
    status: &'static str,
    #[schema(value_type = Option<shape::DisabledReason>)]
    disabled_reason: Option<&'static str>,
    /// Since when every attempt has failed.
    failing_since: Option<u64>,
    secret_generation: u32,
    /// Until when the secret before signs as well.
    previous_secret_expires_at: Option<u64>,
    /// Shown when it is made or rotated, and never again; `null` where that is only judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<shape::WebhookSecret>, nullable = false)]
    secret: Option<Option<String>>,
    #[schema(value_type = shape::ApiKeyId)]
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
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub(crate) struct WebhookDeliveryObject<'a> {
    #[schema(value_type = shape::WebhookDeliveryId)]
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::WebhookEndpointId)]
    endpoint_id: &'a str,
    #[schema(value_type = shape::EventId)]
    event_id: &'a str,
    #[schema(value_type = shape::EventType)]
    event_type: &'static str,
    #[schema(value_type = shape::DeliveryStatus)]
    status: &'static str,
    attempt_count: u32,
    next_attempt_at: Option<u64>,
    /// The newest twelve.
    #[schema(value_type = Vec<AttemptObject<'static>>)]
    attempts: Attempts<'a>,
    created_at: Seconds,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
struct AttemptObject<'a> {
    at: Seconds,
    succeeded: bool,
    /// What the endpoint answered.
    response_status: Option<u16>,
    /// Why there was no answer.
    error: Option<&'a str>,
    latency_ms: u32,
    /// How the answer's body began, up to 1 KiB.
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
