//! Regions: where edges are, how many of them are well, and how far they are with the current
//! manifest. A region is there as long as an edge of it is remembered.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::model::Manifest;
use domain::query;
use domain::time::{Revision, Timestamp};
use edge_protocol::ManifestRef;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Answer, Answered, JSON};
use super::auth::Caller;
use super::cursor::{Position, Scope};
use super::edges::{EdgeView, FleetView, Freshness, ManifestObject, absent};
use super::error::ApiError;
use super::page::{self, Paging};
use super::pipeline::Call;
use super::propagation::Latency;
use super::render;
use super::{Api, Seen};
use crate::control_plane::Consistency;

#[derive(Clone, Copy, Default, Serialize, ToSchema)]
#[schema(as = RegionEdges)]
struct Counts {
    total: u64,
    online: u64,
    stale: u64,
    offline: u64,
}

/// A region, as its edges make it.
#[derive(Default)]
struct Region {
    edges: Counts,
    /// Edges that are online and serve by the current manifest.
    current: u64,
    /// Edges that refused it.
    rejected: u64,
    /// How many manifests the edge that is furthest behind has to go, of those that serve by one of
    /// this epoch.
    versions_behind_max: u64,
    latencies_ms: Vec<u64>,
}

impl Region {
    fn count(&mut self, edge: &EdgeView, manifest: &Manifest, now: Timestamp) {
        self.edges.total += 1;
        *match edge.freshness(now) {
            Freshness::Online => &mut self.edges.online,
            Freshness::Stale => &mut self.edges.stale,
            Freshness::Offline => &mut self.edges.offline,
        } += 1;
        let place = |applied: &ManifestRef| (applied.epoch, applied.version);
        let current = (manifest.epoch, manifest.version);
        let is_current = edge.applied.as_ref().map(place) == Some(current);
        // What it said before it went quiet says nothing of what it does now.
        let online = edge.freshness(now) == Freshness::Online;
        self.current += u64::from(is_current && online);
        let rejected = edge.rejected.as_ref();
        let refused = rejected.map(|rejected| place(&rejected.manifest)) == Some(current);
        self.rejected += u64::from(refused);
        if let Some(applied) = edge.applied.filter(|it| it.epoch == manifest.epoch) {
            let behind = manifest.version.0.saturating_sub(applied.version.0);
            self.versions_behind_max = self.versions_behind_max.max(behind);
        }
        let took = edge.took(manifest.epoch, manifest.version);
        let steps = took.and_then(|ack| ack.steps);
        let measured = steps.filter(|steps| steps.from_publication && is_current);
        self.latencies_ms
            .extend(measured.map(|steps| u64::from(steps.done_ms)));
    }
}

/// Edges of one region.
#[derive(Serialize, ToSchema)]
#[schema(as = Region)]
pub(crate) struct RegionObject<'a> {
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    edges: Counts,
    manifest: ManifestObject,
    /// How many edges serve by the current manifest.
    current: u64,
    /// How many do not.
    behind: u64,
    /// How many refused it.
    rejected: u64,
    /// How many manifests the edge has to go that is furthest behind.
    versions_behind_max: u64,
    /// From publication to the word of the edges that serve by it.
    latency_ms: Option<Latency>,
}

impl<'a> RegionObject<'a> {
    fn new(id: &'a str, region: &Region, manifest: &Manifest, environment: &'a str) -> Self {
        Self {
            id,
            object: "region",
            environment,
            edges: region.edges,
            manifest: ManifestObject::of(manifest),
            current: region.current,
            behind: region.edges.total - region.current,
            rejected: region.rejected,
            versions_behind_max: region.versions_behind_max,
            latency_ms: Latency::of(region.latencies_ms.clone()),
        }
    }
}

/// What is known of all regions.
struct Regions {
    regions: BTreeMap<String, Region>,
    manifest: Manifest,
    silent: Vec<u64>,
    revision: Revision,
}

async fn gather(api: &Api, caller: &Caller, consistency: Consistency) -> Result<Regions, ApiError> {
    let Seen {
        value: manifest,
        revision,
    } = api
        .read(consistency, |view| {
            query::manifest(view, &caller.environment_id)
        })
        .await?;
    let FleetView { edges, silent, .. } = api.fleet.gather(&caller.environment_id).await;
    let now = api.clock.now();
    let mut regions: BTreeMap<String, Region> = BTreeMap::new();
    for edge in &edges {
        let region = regions.entry(edge.region.clone()).or_default();
        region.count(edge, &manifest, now);
    }
    Ok(Regions {
        regions,
        manifest,
        silent,
        revision,
    })
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let paging = Paging::take(&mut query)?;
    query.finish()?;
    let scope = Scope {
        environment_id: &caller.environment_id,
        list: "regions",
        filter: String::new(),
    };
    let after = paging.after(&api.cursors, &scope)?;
    let found = gather(&api, &caller, call.consistency).await?;
    let (manifest, environment) = (&found.manifest, &caller.environment);
    let regions: Vec<_> = found.regions.iter().collect();
    let mut bytes = page::envelope(
        page::gathered(regions, after.as_ref(), paging.limit(), position),
        position,
        |position| api.cursors.encode(&scope, position),
        |bytes, (id, region)| {
            render::append(bytes, &RegionObject::new(id, region, manifest, environment));
        },
    );
    page::add_field(&mut bytes, "silent_nodes", &found.silent);
    Ok(Answer::bytes(StatusCode::OK, JSON, bytes).at(found.revision))
}

fn position((id, _): &(&String, &Region)) -> Position {
    Position {
        id: (*id).clone(),
        key: 0,
    }
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    std::mem::take(&mut call.query).finish()?;
    let found = gather(&api, &caller, call.consistency).await?;
    let id = call.param(0);
    let region = found.regions.get(id);
    let region = region.ok_or_else(|| absent("region", &found.silent))?;
    let object = RegionObject::new(id, region, &found.manifest, &caller.environment);
    let mut bytes = render::to_bytes(&object);
    page::add_field(&mut bytes, "silent_nodes", &found.silent);
    Ok(Answer::bytes(StatusCode::OK, JSON, bytes).at(found.revision))
}
