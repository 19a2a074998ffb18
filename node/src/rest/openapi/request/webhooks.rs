//! Webhook endpoints and replays.

use utoipa::ToSchema;

use super::super::shape;

/// A new webhook endpoint.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookEndpointCreate {
    url: shape::WebhookUrl,
    enabled_events: Option<shape::EnabledEvents>,
    description: Option<shape::Note>,
    /// The release that shows it events; the workspace's unless given.
    api_version: Option<shape::ApiVersion>,
}

/// A change of an endpoint: the fields that are there.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookEndpointUpdate {
    url: Option<shape::WebhookUrl>,
    enabled_events: Option<shape::EnabledEvents>,
    description: Option<shape::Description>,
    api_version: Option<shape::ApiVersion>,
}

/// How the secret is rotated.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateSecret {
    /// For how long the secret before signs as well.
    grace_seconds: Option<shape::GraceSeconds>,
}

/// Which sample is sent.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookTestRequest {
    /// `route.published` unless given.
    r#type: Option<shape::EventType>,
}

/// Where an event is delivered again.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replay {
    /// The endpoints; unless given, all that are enabled.
    endpoint_ids: Option<Vec<shape::WebhookEndpointId>>,
}
