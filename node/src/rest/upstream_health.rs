//! How the edges see an upstream's targets, region by region. What edges say is gathered from all
//! nodes; that an upstream is out of use in a region is what was written down of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::id::{TargetId, UpstreamId};
use domain::model::{Outage, Target, Upstream};
use domain::query;
use edge_protocol::{OutCause, TargetOut};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::answer::{Answer, Answered};
use super::auth::Caller;
use super::edges::{EdgeView, FleetView};
use super::error::ApiError;
use super::openapi::shape;
use super::pipeline::Call;
use super::render::seconds;

/// How many edges are named that see a target down.
const OBSERVERS_MAX: usize = 10;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// No edge sees anything wrong.
    Healthy,
    /// Some do.
    Degraded,
    /// Most do.
    Down,
    /// No edge is there that could say.
    Unknown,
    /// No edge sends requests there.
    Unused,
}

/// The names of standings.
pub(crate) const STANDINGS: [&str; 5] = ["healthy", "degraded", "down", "unknown", "unused"];

/// How the edges see an upstream.
#[derive(Serialize, ToSchema)]
#[schema(as = UpstreamHealth)]
pub(crate) struct UpstreamHealthObject<'a> {
    #[schema(value_type = shape::UpstreamId)]
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::HealthStatus)]
    status: Standing,
    /// By name.
    regions: Vec<RegionHealth<'a>>,
    /// The nodes that did not answer: their edges are missing.
    silent_nodes: Vec<u64>,
}

/// How the edges of a region see an upstream.
#[derive(Serialize, ToSchema)]
#[schema(as = RegionHealth)]
struct RegionHealth<'a> {
    region: &'a str,
    #[schema(value_type = shape::HealthStatus)]
    status: Standing,
    /// Since when it is out of use there: `upstream.failed` was told then.
    failed_at: Option<u64>,
    /// How many edges are online and serve.
    edges: u64,
    /// How many of them see all of its targets down.
    edges_down: u64,
    targets: Vec<TargetHealth<'a>>,
}

/// How the edges of a region see a target.
#[derive(Serialize, ToSchema)]
#[schema(as = TargetHealth)]
struct TargetHealth<'a> {
    #[schema(value_type = shape::TargetId)]
    id: &'a str,
    #[schema(value_type = shape::Address)]
    address: &'a str,
    #[schema(value_type = shape::Port)]
    port: u16,
    #[schema(value_type = shape::HealthStatus)]
    status: Standing,
    /// How many edges send it no requests.
    edges_down: u64,
    /// Since when the first of them does not.
    since: Option<u64>,
    /// Why it does not: its checks fail, or requests did.
    #[schema(value_type = Option<shape::HealthCause>)]
    cause: Option<&'static str>,
    /// What was wrong last.
    last_error: Option<&'a str>,
    /// Some of these edges.
    observers: Vec<&'a str>,
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("upstream", UpstreamId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    let environment = &caller.environment_id;
    let seen = api
        .read(call.consistency, |view| {
            let upstream = query::upstream(view, environment, &id)?;
            let outages = query::upstream_outages(view, environment, &id);
            let is_live = query::is_upstream_live(view, environment, &id);
            Some((upstream, outages, is_live))
        })
        .await?;
    let known = seen.value.ok_or_else(|| ApiError::not_found("upstream"))?;
    let (upstream, outages, is_live) = known;
    let FleetView { edges, silent, .. } = api.fleet.gather(environment).await;
    let now = api.clock.now();
    let mut regions: BTreeMap<&str, Vec<&EdgeView>> = BTreeMap::new();
    for region in outages.keys() {
        regions.entry(region).or_default();
    }
    for edge in &edges {
        if edge.is_online(now) && edge.applied.is_some() {
            regions.entry(&edge.region).or_default().push(edge);
        }
    }
    let regions: Vec<_> = regions
        .into_iter()
        .map(|(region, edges)| {
            RegionHealth::new(&upstream, is_live, region, outages.get(region), &edges)
        })
        .collect();
    let object = UpstreamHealthObject {
        id: upstream.id.as_str(),
        object: "upstream_health",
        environment: &caller.environment,
        status: overall(regions.iter().map(|region| region.status)),
        regions,
        silent_nodes: silent,
    };
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}

/// What all of them are, or degraded where they differ; what is not known or not used says nothing.
fn overall(standings: impl Iterator<Item = Standing>) -> Standing {
    let mut seen: Vec<_> = standings.collect();
    let says = |standing: &Standing| !matches!(standing, Standing::Unknown | Standing::Unused);
    if seen.iter().any(says) {
        seen.retain(says);
    }
    seen.dedup();
    match seen[..] {
        [] => Standing::Unknown,
        [one] => one,
        _ if seen.iter().any(says) => Standing::Degraded,
        _ => Standing::Unknown,
    }
}

impl<'a> RegionHealth<'a> {
    fn new(
        upstream: &'a Upstream,
        is_live: bool,
        region: &'a str,
        outage: Option<&Outage>,
        edges: &[&'a EdgeView],
    ) -> Self {
        let targets: Vec<_> = upstream
            .targets
            .iter()
            .map(|target| {
                TargetHealth::new(target, is_live && is_used(target, region), edges, upstream)
            })
            .collect();
        let sees_down = |edge: &&&EdgeView| edge.health.down.contains(&upstream.id);
        let status = match outage {
            Some(_) => Standing::Down,
            None => overall(targets.iter().map(|target| match target.status {
                // All of its targets are down only once that was written down.
                Standing::Down => Standing::Degraded,
                other => other,
            })),
        };
        Self {
            region,
            status,
            failed_at: outage.and_then(|outage| seconds(Some(outage.since))),
            edges: edges.len() as u64,
            edges_down: edges.iter().filter(sees_down).count() as u64,
            targets,
        }
    }
}

/// Whether edges of the region send requests to a target.
fn is_used(target: &Target, region: &str) -> bool {
    let is_here = target.regions.is_empty() || target.regions.iter().any(|known| known == region);
    is_here && !target.drain && target.weight > 0
}

impl<'a> TargetHealth<'a> {
    fn new(target: &'a Target, is_used: bool, edges: &[&'a EdgeView], upstream: &Upstream) -> Self {
        let mut seen: Vec<_> = edges
            .iter()
            .filter_map(|edge| Some((*edge, said(edge, &upstream.id, &target.id)?)))
            .collect();
        seen.sort_by_key(|(_, out)| out.since);
        let first = seen.first().map(|(_, out)| *out);
        let last = seen.iter().rev().find(|(_, out)| !out.error.is_empty());
        let status = match (is_used, edges.len(), seen.len()) {
            (false, _, _) => Standing::Unused,
            (true, 0, _) => Standing::Unknown,
            (true, _, 0) => Standing::Healthy,
            (true, all, down) if down * 2 > all => Standing::Down,
            _ => Standing::Degraded,
        };
        let observers = seen.iter().take(OBSERVERS_MAX);
        Self {
            id: target.id.as_str(),
            address: &target.address,
            port: target.port,
            status,
            edges_down: seen.len() as u64,
            since: first.and_then(|out| seconds(Some(out.since))),
            cause: first.map(|out| cause(out.cause)),
            last_error: last.map(|(_, out)| out.error.as_str()),
            observers: observers.map(|(edge, _)| edge.id.as_str()).collect(),
        }
    }
}

fn said<'a>(edge: &'a EdgeView, upstream: &UpstreamId, target: &TargetId) -> Option<&'a TargetOut> {
    let mut out = edge.health.out.iter();
    out.find(|out| out.upstream_id == *upstream && out.target_id == *target)
}

/// The names of causes.
pub(crate) const CAUSES: [&str; 2] = ["check", "requests"];

fn cause(cause: OutCause) -> &'static str {
    match cause {
        OutCause::Check => CAUSES[0],
        OutCause::Requests => CAUSES[1],
    }
}

#[cfg(test)]
mod tests {
    use super::Standing::{Degraded, Down, Healthy, Unknown, Unused};
    use super::*;

    #[test]
    fn the_whole_is_what_its_parts_are() {
        for (parts, whole) in [
            (&[][..], Unknown),
            (&[Healthy, Healthy], Healthy),
            (&[Healthy, Unknown, Unused], Healthy),
            (&[Healthy, Down], Degraded),
            (&[Down, Healthy, Down], Degraded),
            (&[Down, Down, Unused], Down),
            (&[Degraded], Degraded),
            (&[Unused, Unused], Unused),
            (&[Unknown, Unused], Unknown),
        ] {
            assert_eq!(overall(parts.iter().copied()), whole, "{parts:?}");
        }
    }
}
