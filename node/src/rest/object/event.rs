//! Events, as the journal tells them. They are rendered from the row alone: an event has the same bytes
//! in a list, in the stream and on each attempt to deliver it.

use domain::model::{Change, Notice, NoticeKind, ObjectKind};
use domain::query::JournalNotice;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::openapi::shape;
use super::super::render::Seconds;

/// An event as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventObject<'a> {
    #[schema(value_type = shape::EventId)]
    id: &'a str,
    object: &'static str,
    #[schema(value_type = shape::EventType)]
    r#type: &'static str,
    created_at: Seconds,
    environment: &'a str,
    data: EventData<'a>,
    /// Whether it is a sample that nothing happened for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    test: bool,
}

/// What the event is about. A type's members are those that it has, and no others.
#[derive(Serialize, ToSchema)]
#[schema(as = EventData)]
struct EventData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<shape::RuleId>, nullable = false)]
    rule_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<shape::RouteId>, nullable = false)]
    route_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<shape::UpstreamId>, nullable = false)]
    upstream_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<shape::ApiKeyId>, nullable = false)]
    api_key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<shape::WebhookEndpointId>, nullable = false)]
    webhook_endpoint_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<shape::CertificateId>, nullable = false)]
    certificate_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<shape::SnapshotId>, nullable = false)]
    snapshot_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// Whose content was brought back.
    #[schema(value_type = Option<shape::SnapshotId>, nullable = false)]
    source_snapshot_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    published_at: Option<Seconds>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Seconds>, nullable = false)]
    expires_at: Option<u64>,
    /// Within so many days: each is told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_within_days: Option<u32>,
}

/// What is told of the end of an object, as the change has it.
#[derive(Default, Deserialize)]
struct Expiry {
    expires_at: Option<u64>,
    expires_within_days: Option<u32>,
}

impl Expiry {
    fn of(change: Option<&Change>) -> Self {
        let said = change.and_then(|change| change.after.as_deref());
        // What the state machine wrote can be read; if not, the event still says of what it is.
        said.and_then(|said| serde_json::from_str(said).ok())
            .unwrap_or_default()
    }
}

/// The region of events that concern all of them.
pub(crate) const GLOBAL: &str = "global";

/// The region that an event is about, if it is about any.
pub(crate) fn region(notice: &Notice) -> Option<&str> {
    if is_publication(notice.kind) {
        return Some(GLOBAL);
    }
    notice.about.region.as_deref()
}

/// A publication is one for all regions.
fn is_publication(kind: NoticeKind) -> bool {
    matches!(kind, NoticeKind::RoutePublished | NoticeKind::RouteRollback)
}

impl<'a> EventObject<'a> {
    /// Shows an event; `environment` is the name of the environment that it happened in.
    pub(crate) fn new(event: &'a JournalNotice, environment: &'a str) -> Self {
        let JournalNotice {
            place,
            id,
            notice,
            change,
            ..
        } = event;
        let about = &notice.about;
        let certificate = change
            .as_ref()
            .filter(|change| change.object == ObjectKind::Certificate);
        let expiry = Expiry::of(change.as_ref());
        Self {
            id: id.as_str(),
            object: "event",
            r#type: notice.kind.as_str(),
            created_at: Seconds(place.at),
            environment,
            data: EventData {
                rule_id: text(about.rule_id.as_ref()),
                route_id: text(about.route_id.as_ref()),
                upstream_id: text(about.upstream_id.as_ref()),
                api_key_id: text(about.api_key_id.as_ref()),
                webhook_endpoint_id: text(about.webhook_endpoint_id.as_ref()),
                certificate_id: certificate.map(|change| change.id.as_str()),
                snapshot_id: text(about.snapshot_id.as_ref()),
                source_snapshot_id: text(about.source_snapshot_id.as_ref()),
                region: region(notice),
                published_at: is_publication(notice.kind).then_some(Seconds(place.at)),
                expires_at: expiry.expires_at,
                expires_within_days: expiry.expires_within_days,
            },
            test: false,
        }
    }

    /// Marks it as a sample.
    pub(crate) fn marked_as_test(self) -> Self {
        Self { test: true, ..self }
    }
}

fn text<T: AsRef<str>>(id: Option<&T>) -> Option<&str> {
    id.map(AsRef::as_ref)
}
