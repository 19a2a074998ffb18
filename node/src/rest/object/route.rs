//! The route object: a route's settings, its draft and what of it is live.

use domain::model::{Route, RouteDraft};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::openapi::shape;
use super::super::render::{Seconds, Stored, seconds};

/// A route as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Route)]
pub(crate) struct RouteObject<'a> {
    #[schema(value_type = shape::RouteId)]
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::Name)]
    name: &'a str,
    #[schema(value_type = shape::Hostname)]
    hostname: &'a str,
    #[schema(value_type = shape::RouteMode)]
    mode: &'static str,
    /// Whether edges serve it, from the next publish on.
    enabled: bool,
    #[schema(value_type = shape::RouteStatus)]
    status: &'static str,
    #[schema(value_type = shape::RouteConfig)]
    config: Stored<'a>,
    /// The snapshot that the next publish would make.
    #[schema(value_type = shape::SnapshotId)]
    draft_snapshot_id: &'a str,
    /// The live snapshot.
    #[schema(value_type = Option<shape::SnapshotId>)]
    active_snapshot_id: Option<&'a str>,
    /// The live snapshot's version.
    active_version: Option<u64>,
    /// Whether the draft differs from what is live.
    pending_changes: bool,
    published_at: Option<u64>,
    #[schema(value_type = shape::ApiKeyId)]
    created_by: &'a str,
    created_at: Seconds,
    updated_at: Option<u64>,
    archived_at: Option<u64>,
}

impl<'a> RouteObject<'a> {
    /// Shows a route; `environment` is the name of the environment it lives in.
    pub(crate) fn new(route: &'a Route, draft: &'a RouteDraft, environment: &'a str) -> Self {
        let published = route.published.as_ref();
        Self {
            id: route.id.as_str(),
            object: "route",
            environment,
            name: &route.name,
            hostname: &route.hostname,
            mode: route.mode.as_str(),
            enabled: route.enabled,
            status: if route.archived_at.is_some() {
                "archived"
            } else {
                "active"
            },
            config: Stored(&route.config),
            draft_snapshot_id: draft.snapshot_id.as_str(),
            active_snapshot_id: published.map(|published| published.snapshot_id.as_str()),
            active_version: published.map(|published| published.version.0),
            pending_changes: draft.pending_changes,
            published_at: seconds(published.map(|published| published.at)),
            created_by: route.created_by.as_str(),
            created_at: Seconds(route.created_at),
            updated_at: seconds(route.updated_at),
            archived_at: seconds(route.archived_at),
        }
    }
}
