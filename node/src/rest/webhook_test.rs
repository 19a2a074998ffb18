//! Sends a sample event to a webhook endpoint, at once and from the node that was asked. Nothing
//! of it is stored: it is no delivery, and what comes of it changes nothing about the endpoint.

use std::sync::Arc;

use domain::id::{
    ApiKeyId, CertificateId, EventId, RouteId, RuleId, SnapshotId, UpstreamId, WebhookEndpointId,
};
use domain::model::{About, Change, JournalPlace, Notice, NoticeKind, ObjectKind};
use domain::query::{self, JournalNotice};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::answer::{Answer, Answered};
use super::auth::Caller;
use super::error::ApiError;
use super::fields::Fields;
use super::object::EventObject;
use super::openapi::shape;
use super::pipeline::{Call, Presence};
use super::{Api, render};

/// What came of a sample.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookTest)]
pub(crate) struct WebhookTestObject<'a> {
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::WebhookEndpointId)]
    endpoint_id: &'a str,
    #[schema(value_type = shape::EventId)]
    event_id: &'a str,
    #[schema(value_type = shape::EventType)]
    event_type: &'static str,
    /// Whether the endpoint answered 2xx.
    delivered: bool,
    response_status: Option<u16>,
    /// Why there was no answer.
    error: Option<&'a str>,
    latency_ms: u64,
    /// How the answer's body began, up to 1 KiB.
    response_head: &'a str,
}

/// What a test takes.
pub(crate) const FIELDS: [&str; 1] = ["type"];

pub(crate) async fn send(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("webhook endpoint", WebhookEndpointId::parse)?;
    let body = call.object(Presence::Optional).await?;
    let mut fields = Fields::new(body, &FIELDS)?;
    let kind = fields.choice("type", NoticeKind::NAMES)?;
    let seen = api
        .read(call.consistency, |view| {
            query::webhook_endpoint(view, &caller.environment_id, &id)
        })
        .await?;
    let endpoint = seen
        .value
        .ok_or_else(|| ApiError::not_found("webhook endpoint"))?;
    let event = sample(&api, kind.unwrap_or(NoticeKind::RoutePublished), &id);
    let body = render::to_bytes(&EventObject::new(&event, &caller.environment).marked_as_test());
    let attempted = api.courier.attempt(&endpoint, &event.id, body.into()).await;
    let object = WebhookTestObject {
        object: "webhook_test",
        environment: &caller.environment,
        endpoint_id: id.as_str(),
        event_id: event.id.as_str(),
        event_type: event.notice.kind.as_str(),
        delivered: attempted.status.is_some_and(|status| status / 100 == 2),
        response_status: attempted.status,
        error: attempted.error.as_deref(),
        latency_ms: u64::try_from(attempted.latency.as_millis()).unwrap_or(u64::MAX),
        response_head: &attempted.head,
    };
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}

/// An event of that type about objects that do not exist.
fn sample(api: &Api, kind: NoticeKind, endpoint: &WebhookEndpointId) -> JournalNotice {
    let mut about = About::default();
    let object = kind.as_str().split('.').next().unwrap_or_default();
    match object {
        "rule" => {
            about.rule_id = Some(RuleId::new(api.seed()));
            about.route_id = Some(RouteId::new(api.seed()));
        }
        "route" => about.route_id = Some(RouteId::new(api.seed())),
        "upstream" => about.upstream_id = Some(UpstreamId::new(api.seed())),
        "api_key" => about.api_key_id = Some(ApiKeyId::new(api.seed())),
        "certificate" => {}
        _ => about.webhook_endpoint_id = Some(endpoint.clone()),
    }
    if matches!(kind, NoticeKind::RoutePublished | NoticeKind::RouteRollback) {
        about.snapshot_id = Some(SnapshotId::new(api.seed()));
    }
    if kind == NoticeKind::RouteRollback {
        about.source_snapshot_id = Some(SnapshotId::new(api.seed()));
    }
    if matches!(
        kind,
        NoticeKind::UpstreamFailed | NoticeKind::UpstreamRecovered
    ) {
        about.region = Some("eu-central-1".to_owned());
    }
    let seed = api.seed();
    JournalNotice {
        place: JournalPlace {
            at: api.clock.now(),
            ..JournalPlace::default()
        },
        index: 0,
        id: EventId::new(seed),
        change: kind.is_of_a_change().then(|| expiry(api, object)),
        notice: Notice { kind, about },
    }
}

/// The end of an object that does not exist.
fn expiry(api: &Api, object: &str) -> Change {
    let (object, id) = match object {
        "certificate" => (
            ObjectKind::Certificate,
            CertificateId::new(api.seed()).to_string(),
        ),
        _ => (ObjectKind::ApiKey, ApiKeyId::new(api.seed()).to_string()),
    };
    let expires_at = api.clock.now().plus_ms(7 * 24 * 60 * 60 * 1000);
    let said = json!({"expires_at": expires_at.unix_seconds(), "expires_within_days": 7});
    Change {
        object,
        id,
        route_id: None,
        before: None,
        after: Some(said.to_string()),
        version: None,
    }
}
