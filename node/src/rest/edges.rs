//! What edges run: the fleet, and how far a snapshot has come.
//!
//! None of it is replicated. Each node knows the edges connected to it; the node that is asked
//! gathers from its peers through [`FleetReader`] and names those that did not answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::id::{EnvironmentId, SnapshotId};
use domain::model::{Epoch, Manifest, ManifestVersion, Snapshot, SnapshotVersion};
use domain::query;
use domain::rows::View;
use domain::time::Timestamp;
use edge_protocol::{HealthReport, ManifestRef};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::answer::{Answer, Answered, JSON};
use super::auth::Caller;
use super::cursor::{Position, Scope};
use super::error::ApiError;
use super::openapi::shape;
use super::page::{self, Paging};
use super::pipeline::Call;
use super::propagation::{Propagation, Window};
use super::render::{self, Seconds, seconds};
use super::telemetry::{TelemetryQuery, TelemetryView};
use crate::control_plane::{BoxFuture, MemberId};

/// After this long without a word an edge may have lost its node.
const STALE_AFTER_MS: u64 = 15_000;

/// After this long without a word nothing is expected of an edge.
const OFFLINE_AFTER_MS: u64 = 60_000;

/// Knows the edges of the whole cluster.
pub trait FleetReader: Send + Sync + 'static {
    /// What every node says of its edges of an environment, gathered now. It has a deadline of
    /// its own, after which a node counts as silent.
    fn gather<'a>(&'a self, environment: &'a EnvironmentId) -> BoxFuture<'a, FleetView>;

    /// Waits until some node has more to say than when it was asked for `seen`: an edge came, went
    /// or said how far it is, or a node that was silent may answer now. It may be about edges of
    /// another environment. Nothing that happened after `seen` is missed.
    fn news<'a>(&'a self, seen: &'a FleetView) -> BoxFuture<'a, ()>;

    /// What every node's edges counted, gathered now, with the same deadline.
    fn telemetry<'a>(&'a self, query: &'a TelemetryQuery) -> BoxFuture<'a, TelemetryView>;
}

/// The edges of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetView {
    /// Each edge once, as the node saw it that heard of it last.
    pub edges: Vec<EdgeView>,
    /// The nodes that did not answer: their edges are missing.
    pub silent: Vec<MemberId>,
    /// How much the others had come to know, by counts of their own.
    pub marks: BTreeMap<MemberId, u64>,
}

/// What is known of an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeView {
    /// Its identifier.
    pub id: String,
    /// Where it is.
    pub region: String,
    /// Labels from its settings.
    pub labels: BTreeMap<String, String>,
    /// Its software version.
    pub software: String,
    /// The node it is, or was last, connected to.
    pub node_id: MemberId,
    /// Whether it is connected there.
    pub connected: bool,
    /// When it was last heard of.
    pub last_seen: Timestamp,
    /// The manifest it serves by, if any.
    pub applied: Option<ManifestRef>,
    /// When it said so.
    pub applied_at: Option<Timestamp>,
    /// The newest manifest that it refused, unless it applied a newer one.
    pub rejected: Option<RejectedManifest>,
    /// What it does not believe of whom its node says to trust, if there is anything.
    pub distrusts: Option<DistrustedKeys>,
    /// When it took the manifests that it applied lately, the oldest first.
    pub acks: Vec<EdgeAck>,
    /// The targets that take no requests from it.
    pub health: HealthReport,
}

/// An edge's word that it applied a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeAck {
    /// The manifest's epoch.
    pub epoch: Epoch,
    /// The manifest's version.
    pub version: ManifestVersion,
    /// When it first said so.
    pub at: Timestamp,
    /// How long applying took it, by its own monotonic clock.
    pub apply_ms: u64,
    /// How long the steps took, as the node saw them that sent the manifest.
    pub steps: Option<EdgeSteps>,
}

/// How long the steps of following a manifest took: all by one clock, that of the edge's node, which
/// no other clock can falsify. In milliseconds since the node had the publication, or, where it did
/// not see it come, since it sent the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeSteps {
    /// Whether it is counted from the publication.
    pub from_publication: bool,
    /// Until the node sent the manifest.
    pub sent_ms: u32,
    /// Until the node heard that the edge had it.
    pub received_ms: Option<u32>,
    /// Until the node heard that the edge had all of its content, and that it was whole.
    pub verified_ms: Option<u32>,
    /// Until the node heard that the edge serves by it, or refused it.
    pub done_ms: u32,
    /// How long a word to the edge and back took at that time: half of it lies between each step and
    /// the node's hearing of it.
    pub round_trip_ms: Option<u32>,
}

/// A manifest that an edge refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedManifest {
    /// Which.
    pub manifest: ManifestRef,
    /// Why, in the edge's words.
    pub reason: String,
    /// When it said so.
    pub at: Timestamp,
    /// How long the steps took.
    pub steps: Option<EdgeSteps>,
}

/// What an edge does not believe of whom its node says to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistrustedKeys {
    /// Which, and why, in the edge's words.
    pub reason: String,
    /// When it said so.
    pub at: Timestamp,
}

/// How lately an edge was heard of. It is judged when somebody asks, so an edge that fell silent
/// never keeps looking well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Freshness {
    Online,
    Stale,
    Offline,
}

impl EdgeView {
    /// The edge's first word that it applied a manifest of `epoch` that is not older than `version`,
    /// if that is still known: what was remembered begins before it or with it.
    pub(crate) fn took(&self, epoch: Epoch, version: ManifestVersion) -> Option<EdgeAck> {
        let reached = (epoch, version);
        let place = self
            .acks
            .iter()
            .position(|ack| ack.epoch == epoch && ack.version >= version)?;
        let first = place > 0 || (self.acks[place].epoch, self.acks[place].version) == reached;
        first.then_some(self.acks[place])
    }

    /// Whether it is connected and was heard of lately.
    pub(crate) fn is_online(&self, now: Timestamp) -> bool {
        self.freshness(now) == Freshness::Online
    }

    pub(crate) fn freshness(&self, now: Timestamp) -> Freshness {
        let silent_ms = now.0.saturating_sub(self.last_seen.0);
        match (self.connected, silent_ms) {
            (_, OFFLINE_AFTER_MS..) => Freshness::Offline,
            (true, ..STALE_AFTER_MS) => Freshness::Online,
            _ => Freshness::Stale,
        }
    }
}

/// An edge as the nodes see it now.
#[derive(Serialize, ToSchema)]
#[schema(as = Edge)]
pub(crate) struct EdgeObject<'a> {
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    region: &'a str,
    #[schema(value_type = shape::EdgeLabels)]
    labels: &'a BTreeMap<String, String>,
    /// Of its software.
    version: &'a str,
    #[schema(value_type = shape::EdgeStatus)]
    status: Freshness,
    /// The node that it is, or was last, connected to.
    #[schema(value_type = u64)]
    node_id: MemberId,
    last_seen_at: Seconds,
    /// What it serves by.
    manifest: Option<ManifestObject>,
    applied_at: Option<u64>,
    /// The newest manifest that it refused.
    rejected: Option<RejectedObject<'a>>,
    /// What it does not believe of the keys that its node says to trust.
    distrusts: Option<DistrustedObject<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ManifestReference)]
pub(crate) struct ManifestObject {
    epoch: u64,
    version: u64,
    #[schema(value_type = shape::Hash)]
    root: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RejectedManifestReference)]
struct RejectedObject<'a> {
    manifest: ManifestObject,
    reason: &'a str,
    at: Seconds,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DistrustedKeys)]
struct DistrustedObject<'a> {
    /// It begins with a word for programs.
    reason: &'a str,
    at: Seconds,
}

impl From<ManifestRef> for ManifestObject {
    fn from(manifest: ManifestRef) -> Self {
        Self {
            epoch: manifest.epoch.0,
            version: manifest.version.0,
            root: format!("sha256:{}", manifest.root),
        }
    }
}

impl ManifestObject {
    /// The manifest that is current.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self {
            epoch: manifest.epoch.0,
            version: manifest.version.0,
            root: format!("sha256:{}", manifest.root),
        }
    }
}

impl<'a> EdgeObject<'a> {
    fn new(edge: &'a EdgeView, environment: &'a str, now: Timestamp) -> Self {
        Self {
            id: &edge.id,
            object: "edge",
            environment,
            region: &edge.region,
            labels: &edge.labels,
            version: &edge.software,
            status: edge.freshness(now),
            node_id: edge.node_id,
            last_seen_at: Seconds(edge.last_seen),
            manifest: edge.applied.map(ManifestObject::from),
            applied_at: seconds(edge.applied_at),
            rejected: edge.rejected.as_ref().map(|rejected| RejectedObject {
                manifest: rejected.manifest.into(),
                reason: &rejected.reason,
                at: Seconds(rejected.at),
            }),
            distrusts: edge.distrusts.as_ref().map(|distrusts| DistrustedObject {
                reason: &distrusts.reason,
                at: Seconds(distrusts.at),
            }),
        }
    }
}

pub(crate) const STATUSES: [(&str, Freshness); 3] = [
    ("online", Freshness::Online),
    ("stale", Freshness::Stale),
    ("offline", Freshness::Offline),
];

pub(crate) async fn list(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let paging = Paging::take(&mut query)?;
    let region = query.text("region");
    let status = query.choice("status", &STATUSES)?;
    query.finish()?;
    let filter = String::from_utf8_lossy(&render::to_bytes(&(&region, &status))).into_owned();
    let scope = Scope {
        environment_id: &caller.environment_id,
        list: "edges",
        filter,
    };
    let after = paging.after(&api.cursors, &scope)?;
    let FleetView {
        mut edges, silent, ..
    } = api.fleet.gather(&caller.environment_id).await;
    let now = api.clock.now();
    edges.retain(|edge| {
        region.as_ref().is_none_or(|region| edge.region == *region)
            && status.is_none_or(|status| edge.freshness(now) == status)
    });
    edges.sort_by(|a, b| a.id.cmp(&b.id));
    let mut bytes = page::envelope(
        page::gathered(edges, after.as_ref(), paging.limit(), position),
        position,
        |position| api.cursors.encode(&scope, position),
        |bytes, edge| render::append(bytes, &EdgeObject::new(edge, &caller.environment, now)),
    );
    page::add_field(&mut bytes, "silent_nodes", &silent);
    Ok(Answer::bytes(StatusCode::OK, JSON, bytes))
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    std::mem::take(&mut call.query).finish()?;
    let FleetView { edges, silent, .. } = api.fleet.gather(&caller.environment_id).await;
    let edge = edges.iter().find(|edge| edge.id == call.param(0));
    let edge = edge.ok_or_else(|| absent("edge", &silent))?;
    let object = EdgeObject::new(edge, &caller.environment, api.clock.now());
    Ok(Answer::json(StatusCode::OK, &object))
}

/// Nobody who answered knows of it. Where somebody did not, it may still be.
pub(crate) fn absent(object: &str, silent: &[MemberId]) -> ApiError {
    if silent.is_empty() {
        return ApiError::not_found(object);
    }
    let message =
        format!("Some nodes did not answer, so it is not known whether the {object} exists.");
    ApiError {
        message,
        ..ApiError::unavailable(1)
    }
}

fn position(edge: &EdgeView) -> Position {
    Position {
        id: edge.id.clone(),
        key: 0,
    }
}

pub(crate) async fn propagation(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("snapshot", SnapshotId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    let seen = api
        .read(call.consistency, |view| {
            window(view, &caller.environment_id, &id)
        })
        .await?;
    let (snapshot, window) = seen.value.ok_or_else(|| ApiError::not_found("snapshot"))?;
    let fleet = api.fleet.gather(&caller.environment_id).await;
    let object = Propagation::of(
        &snapshot,
        &window,
        &fleet,
        &caller.environment,
        api.clock.now(),
    );
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}

/// A snapshot, and the manifests that carry it: from its own up to that of the next version.
pub(crate) fn window(
    view: &dyn View,
    environment: &EnvironmentId,
    id: &SnapshotId,
) -> Option<(Snapshot, Window)> {
    let snapshot = query::snapshot(view, environment, id)?;
    let next = SnapshotVersion(snapshot.version.0 + 1);
    let successor = query::snapshot_by_version(view, environment, &snapshot.route_id, next);
    let manifest = query::manifest(view, environment);
    let archived = query::route(view, environment, &snapshot.route_id)
        .is_none_or(|(route, _)| route.archived_at.is_some());
    let window = Window {
        epoch: manifest.epoch,
        from: snapshot.manifest_version,
        // The manifest that left an archived route out is not remembered; the current one is
        // the earliest of which it is certain.
        until: match successor {
            Some(next) => Some(next.manifest_version),
            None => archived.then_some(manifest.version),
        },
    };
    Some((snapshot, window))
}
