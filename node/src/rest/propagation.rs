//! How far a snapshot has come: which edges serve by it, which refused it and why, which have not
//! got there. It is worked out from what edges say of manifests; nothing is stored for it.

use std::collections::BTreeMap;

use domain::model::{Epoch, ManifestVersion, Snapshot};
use domain::time::Timestamp;
use edge_protocol::ManifestRef;
use serde::Serialize;
use utoipa::ToSchema;

use super::edges::{EdgeSteps, EdgeView, FleetView, Freshness};
use super::openapi::shape;
use super::render::seconds;
use crate::control_plane::MemberId;

/// The most edges that are named one by one; those that need looking at come first.
const EDGES_SHOWN_MAX: usize = 100;

/// The slowest edges that are named.
const SLOWEST_MAX: usize = 10;

/// The manifests that carry a snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// The current epoch; what edges said in an earlier one tells nothing.
    pub(crate) epoch: Epoch,
    /// The first manifest with the snapshot.
    pub(crate) from: ManifestVersion,
    /// The first manifest without it, if the route has a newer snapshot.
    pub(crate) until: Option<ManifestVersion>,
}

impl Window {
    /// That of a snapshot which nothing came after.
    pub(crate) fn since(epoch: Epoch, snapshot: &Snapshot) -> Self {
        Self {
            epoch,
            from: snapshot.manifest_version,
            until: None,
        }
    }

    fn holds(&self, manifest: &ManifestRef) -> bool {
        manifest.epoch == self.epoch && manifest.version >= self.from && !self.is_past(manifest)
    }

    fn is_past(&self, manifest: &ManifestRef) -> bool {
        manifest.epoch == self.epoch && self.until.is_some_and(|until| manifest.version >= until)
    }
}

/// Where an edge stands with a snapshot, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Progress {
    /// It refused a manifest with the snapshot and serves by an older one.
    Rejected,
    /// It is expected to apply it.
    Pending,
    /// It lost its node, or has not been heard of for some seconds, whatever it said before.
    Stale,
    /// It has not been heard of for a minute, whatever it said before.
    Offline,
    /// It serves by it.
    Applied,
    /// It serves by a newer snapshot of the route.
    Superseded,
}

#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
#[schema(as = PropagationTotals)]
struct Totals {
    edges: u64,
    applied: u64,
    pending: u64,
    rejected: u64,
    stale: u64,
    offline: u64,
    superseded: u64,
}

impl Totals {
    fn count(&mut self, progress: Progress) {
        self.edges += 1;
        *match progress {
            Progress::Applied => &mut self.applied,
            Progress::Pending => &mut self.pending,
            Progress::Rejected => &mut self.rejected,
            Progress::Stale => &mut self.stale,
            Progress::Offline => &mut self.offline,
            Progress::Superseded => &mut self.superseded,
        } += 1;
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PropagationRegion)]
struct Region<'a> {
    region: &'a str,
    #[serde(flatten)]
    totals: Totals,
}

/// Where one edge stands with a snapshot.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EdgeProgress)]
pub(crate) struct EdgeProgress<'a> {
    pub(crate) id: &'a str,
    pub(crate) region: &'a str,
    #[schema(value_type = shape::AckState)]
    pub(crate) state: Progress,
    /// Whether its last word was that it serves by it.
    #[serde(skip)]
    serves: bool,
    pub(crate) reason: Option<&'a str>,
    #[schema(value_type = u64)]
    pub(crate) node_id: MemberId,
    pub(crate) applied_at: Option<u64>,
    pub(crate) latency_ms: Option<u64>,
    /// How long decoding, compiling and storing took the edge.
    pub(crate) apply_ms: Option<u64>,
    pub(crate) steps: Option<EdgeSteps>,
}

/// One of those that took the longest.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = SlowEdge)]
struct Slow<'a> {
    id: &'a str,
    region: &'a str,
    latency_ms: u64,
    apply_ms: Option<u64>,
}

/// From the moment at which an edge's node had the publication to the edge's word that it applied a
/// manifest with the snapshot (or a later one, if it skipped that), by the node's monotonic clock; over
/// the edges of which that was measured.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Latency)]
pub(crate) struct Latency {
    edges: usize,
    p50: u64,
    p90: u64,
    p99: u64,
    max: u64,
}

impl Latency {
    pub(crate) fn of(mut all: Vec<u64>) -> Option<Self> {
        all.sort_unstable();
        let max = *all.last()?;
        // The nearest-rank percentile.
        let rank = |percent: usize| {
            all.get((all.len() * percent).div_ceil(100).saturating_sub(1))
                .copied()
                .unwrap_or(max)
        };
        Some(Self {
            edges: all.len(),
            p50: rank(50),
            p90: rank(90),
            p99: rank(99),
            max,
        })
    }
}

/// The propagation of a snapshot as clients see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Propagation)]
pub(crate) struct Propagation<'a> {
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::SnapshotId)]
    snapshot_id: &'a str,
    #[schema(value_type = shape::RouteId)]
    route_id: &'a str,
    #[schema(value_type = shape::SnapshotState)]
    snapshot_state: &'static str,
    manifest_version: u64,
    #[schema(value_type = shape::Time)]
    published_at: u64,
    totals: Totals,
    regions: Vec<Region<'a>>,
    latency_ms: Option<Latency>,
    /// How long decoding, compiling and storing took those edges.
    apply_ms: Option<Latency>,
    /// Up to 10, the slowest first.
    slowest: Vec<Slow<'a>>,
    first_applied_at: Option<u64>,
    last_applied_at: Option<u64>,
    /// Up to 100, those that need looking at first.
    edges: Vec<EdgeProgress<'a>>,
    /// Members that did not answer: their edges are missing.
    #[schema(value_type = Vec<u64>)]
    silent_nodes: &'a [MemberId],
}

impl<'a> Propagation<'a> {
    pub(crate) fn of(
        snapshot: &'a Snapshot,
        window: &Window,
        fleet: &'a FleetView,
        environment: &'a str,
        now: Timestamp,
    ) -> Self {
        let mut edges: Vec<_> = fleet
            .edges
            .iter()
            .map(|edge| progress(edge, window, now))
            .collect();
        let mut totals = Totals::default();
        let mut regions: BTreeMap<&str, Totals> = BTreeMap::new();
        for edge in &edges {
            totals.count(edge.state);
            regions.entry(edge.region).or_default().count(edge.state);
        }
        let applied = || {
            edges
                .iter()
                .filter(|edge| edge.serves)
                .filter_map(|edge| edge.applied_at)
        };
        let (first_applied_at, last_applied_at) = (applied().min(), applied().max());
        let latency_ms = Latency::of(edges.iter().filter_map(|edge| edge.latency_ms).collect());
        let apply_ms = Latency::of(edges.iter().filter_map(|edge| edge.apply_ms).collect());
        let slowest = slowest(&edges);
        edges.sort_by(|a, b| (a.state, b.latency_ms, a.id).cmp(&(b.state, a.latency_ms, b.id)));
        edges.truncate(EDGES_SHOWN_MAX);
        Self {
            object: "propagation",
            environment,
            snapshot_id: snapshot.id.as_str(),
            route_id: snapshot.route_id.as_str(),
            snapshot_state: snapshot.state.as_str(),
            manifest_version: snapshot.manifest_version.0,
            published_at: snapshot.published_at.unix_seconds(),
            totals,
            regions: regions
                .into_iter()
                .map(|(region, totals)| Region { region, totals })
                .collect(),
            latency_ms,
            apply_ms,
            slowest,
            first_applied_at,
            last_applied_at,
            edges,
            silent_nodes: &fleet.silent,
        }
    }
}

pub(crate) fn progress<'a>(
    edge: &'a EdgeView,
    window: &Window,
    now: Timestamp,
) -> EdgeProgress<'a> {
    let applied = edge.applied.as_ref();
    let refused = edge
        .rejected
        .as_ref()
        .filter(|rejected| window.holds(&rejected.manifest));
    let serves = applied.is_some_and(|manifest| window.holds(manifest));
    let went_on = applied.is_some_and(|manifest| window.is_past(manifest));
    let said = if serves {
        Progress::Applied
    } else if went_on {
        Progress::Superseded
    } else if refused.is_some() {
        Progress::Rejected
    } else {
        Progress::Pending
    };
    // What an edge said before it went quiet says nothing of what it does now.
    let state = match (said, edge.freshness(now)) {
        (Progress::Rejected, _) | (_, Freshness::Online) => said,
        (_, Freshness::Stale) => Progress::Stale,
        (_, Freshness::Offline) => Progress::Offline,
    };
    let took = edge
        .took(window.epoch, window.from)
        .filter(|_| serves || went_on);
    let rejection = refused.filter(|_| state == Progress::Rejected);
    let steps = took
        .and_then(|ack| ack.steps)
        .or_else(|| rejection.and_then(|rejected| rejected.steps));
    let measured = took
        .and_then(|ack| ack.steps)
        .filter(|steps| steps.from_publication);
    EdgeProgress {
        id: &edge.id,
        region: &edge.region,
        state,
        serves,
        reason: rejection.map(|rejected| rejected.reason.as_str()),
        node_id: edge.node_id,
        applied_at: seconds(took.map(|ack| ack.at)),
        latency_ms: measured.map(|steps| steps.done_ms.into()),
        apply_ms: took.map(|ack| ack.apply_ms),
        steps,
    }
}

/// Those that took the longest.
fn slowest<'a>(edges: &[EdgeProgress<'a>]) -> Vec<Slow<'a>> {
    let measured = edges.iter().filter_map(|edge| {
        Some(Slow {
            id: edge.id,
            region: edge.region,
            latency_ms: edge.latency_ms?,
            apply_ms: edge.apply_ms,
        })
    });
    let mut slowest: Vec<_> = measured.collect();
    slowest.sort_by(|a, b| (b.latency_ms, a.id).cmp(&(a.latency_ms, b.id)));
    slowest.truncate(SLOWEST_MAX);
    slowest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let latency = Latency::of((1..=200).rev().collect()).unwrap();
        assert_eq!(
            (
                latency.edges,
                latency.p50,
                latency.p90,
                latency.p99,
                latency.max
            ),
            (200, 100, 180, 198, 200)
        );
        let one = Latency::of(vec![7]).unwrap();
        assert_eq!((one.p50, one.p90, one.p99, one.max), (7, 7, 7, 7));
        assert!(Latency::of(Vec::new()).is_none());
    }
}
