//! The snapshot object: what is known of one published version of a route, without its content.

use domain::model::Snapshot;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::openapi::shape;
use super::super::openapi::snapshot::SnapshotContent;
use super::super::render::Seconds;
use super::super::wait::WaitObject;

/// A snapshot as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Snapshot)]
pub(crate) struct SnapshotObject<'a> {
    #[schema(value_type = shape::SnapshotId)]
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::RouteId)]
    route_id: &'a str,
    /// Counts the snapshots of the route, from 1.
    version: u64,
    #[schema(value_type = shape::SnapshotState)]
    state: &'static str,
    /// What was active before.
    #[schema(value_type = Option<shape::SnapshotId>)]
    parent_id: Option<&'a str>,
    /// Whose content a rollback brought back.
    #[schema(value_type = Option<shape::SnapshotId>)]
    source_snapshot_id: Option<&'a str>,
    #[schema(value_type = shape::Hash)]
    content_hash: String,
    rule_count: u64,
    /// The first manifest with it.
    manifest_version: u64,
    comment: Option<&'a str>,
    #[schema(value_type = shape::ApiKeyId)]
    created_by: &'a str,
    created_at: Seconds,
    published_at: Seconds,
    /// Only in the answer to a publish: whether it found nothing to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    unchanged: Option<bool>,
    /// Only in the answer to a publication that waited for edges.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<WaitObject>, nullable = false)]
    wait: Option<&'a WaitObject>,
    /// Only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<SnapshotContent>, nullable = false)]
    content: Option<Box<RawValue>>,
}

impl<'a> SnapshotObject<'a> {
    /// Shows a snapshot; `environment` is the name of the environment it lives in.
    pub(crate) fn new(snapshot: &'a Snapshot, environment: &'a str) -> Self {
        Self {
            id: snapshot.id.as_str(),
            object: "snapshot",
            environment,
            route_id: snapshot.route_id.as_str(),
            version: snapshot.version.0,
            state: snapshot.state.as_str(),
            parent_id: snapshot.parent_id.as_ref().map(AsRef::as_ref),
            source_snapshot_id: snapshot.source_snapshot_id.as_ref().map(AsRef::as_ref),
            content_hash: format!("sha256:{}", snapshot.head),
            rule_count: snapshot.rule_count,
            manifest_version: snapshot.manifest_version.0,
            comment: snapshot.comment.as_deref(),
            created_by: snapshot.created_by.as_str(),
            created_at: Seconds(snapshot.published_at),
            published_at: Seconds(snapshot.published_at),
            unchanged: None,
            wait: None,
            content: None,
        }
    }

    /// Says whether the publish that is answered changed nothing.
    pub(crate) fn unchanged(self, unchanged: bool) -> Self {
        Self {
            unchanged: Some(unchanged),
            ..self
        }
    }

    /// Says what came of the wait for edges.
    pub(crate) fn waited(self, wait: Option<&'a WaitObject>) -> Self {
        Self { wait, ..self }
    }

    /// Adds the content.
    pub(crate) fn content(self, content: Option<Box<RawValue>>) -> Self {
        Self { content, ..self }
    }
}
