//! The current manifest of an environment: what its edges follow.

use std::sync::Arc;

use domain::content::RouteEntry;
use domain::id::RouteId;
use domain::model::Manifest;
use domain::query;
use domain::rows::View;
use domain::time::Timestamp;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Api;
use super::answer::{Answer, Answered};
use super::auth::Caller;
use super::cursor::{Position, Scope};
use super::error::ApiError;
use super::openapi::shape;
use super::page::{self, Paging};
use super::pipeline::Call;
use super::render::{self, seconds};

/// What the edges of an environment follow.
#[derive(Serialize, ToSchema)]
#[schema(as = Manifest)]
pub(crate) struct CurrentManifest<'a> {
    object: &'static str,
    environment: &'a str,
    epoch: u64,
    version: u64,
    /// It stands for everything that an edge runs.
    #[schema(value_type = shape::Hash)]
    root: String,
    updated_at: Option<u64>,
    #[schema(value_type = shape::ManifestRouteList)]
    routes: Box<RawValue>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ManifestRoute)]
pub(crate) struct MemberObject<'a> {
    #[schema(value_type = shape::RouteId)]
    route_id: &'a str,
    #[schema(value_type = shape::Hostname)]
    hostname: &'a str,
    enabled: bool,
    #[schema(value_type = shape::SnapshotId)]
    snapshot_id: &'a str,
    version: u64,
    #[schema(value_type = shape::Hash)]
    content_hash: String,
}

impl<'a> MemberObject<'a> {
    fn new(entry: &'a RouteEntry) -> Self {
        Self {
            route_id: entry.route_id.as_str(),
            hostname: &entry.hostname,
            enabled: entry.enabled,
            snapshot_id: entry.snapshot_id.as_str(),
            version: entry.version.0,
            content_hash: format!("sha256:{}", entry.head),
        }
    }
}

pub(crate) async fn current(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let paging = Paging::take(&mut query)?;
    query.finish()?;
    let scope = Scope {
        environment_id: &caller.environment_id,
        list: "manifest_routes",
        filter: String::new(),
    };
    let after = paging.after(&api.cursors, &scope)?;
    let find = |view: &dyn View| {
        let manifest = query::manifest(view, &caller.environment_id);
        let fetch = |after: Option<&Position>, limit| {
            let after = after.and_then(|position| RouteId::parse(&position.id).ok());
            query::manifest_routes_page(view, &manifest, after.as_ref(), limit)
        };
        let limit = paging.limit();
        let routes = if caller.is_confined() {
            page::filtered(limit, after, position, fetch, |entry| {
                caller.sees_route(&entry.route_id)
            })
        } else {
            page::whole(fetch(after.as_ref(), limit), position)
        };
        (manifest, routes)
    };
    let seen = api.read(call.consistency, find).await?;
    let (manifest, routes) = seen.value;
    let routes = page::envelope(
        routes,
        position,
        |position| api.cursors.encode(&scope, position),
        |bytes, entry| render::append(bytes, &MemberObject::new(entry)),
    );
    let routes = serde_json::from_slice(&routes).map_err(|_| ApiError::internal())?;
    let object = shown(&manifest, routes, &caller.environment);
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}

fn shown<'a>(
    manifest: &Manifest,
    routes: Box<RawValue>,
    environment: &'a str,
) -> CurrentManifest<'a> {
    let published = manifest.version.0 > 0;
    let updated_at = Some(manifest.updated_at).filter(|_: &Timestamp| published);
    CurrentManifest {
        object: "manifest",
        environment,
        epoch: manifest.epoch.0,
        version: manifest.version.0,
        root: format!("sha256:{}", manifest.root),
        updated_at: seconds(updated_at),
        routes,
    }
}

fn position(entry: &RouteEntry) -> Position {
    Position {
        id: entry.route_id.to_string(),
        key: 0,
    }
}
