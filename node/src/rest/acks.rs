//! Edge by edge, how far a snapshot has come: the rows behind [`super::propagation`].

use std::sync::Arc;

use domain::id::SnapshotId;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::answer::{Answer, Answered, JSON};
use super::auth::Caller;
use super::cursor::{Position, Scope};
use super::edges::{EdgeSteps, window};
use super::error::ApiError;
use super::openapi::shape;
use super::page::{self, Paging};
use super::pipeline::Call;
use super::propagation::{EdgeProgress, Progress, progress};
use super::render;
use crate::control_plane::MemberId;

pub(crate) const STATES: [(&str, Progress); 6] = [
    ("rejected", Progress::Rejected),
    ("pending", Progress::Pending),
    ("stale", Progress::Stale),
    ("offline", Progress::Offline),
    ("applied", Progress::Applied),
    ("superseded", Progress::Superseded),
];

/// Where an edge stands with a snapshot.
#[derive(Serialize, ToSchema)]
#[schema(as = Ack)]
pub(crate) struct AckObject<'a> {
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::SnapshotId)]
    snapshot_id: &'a str,
    edge_id: &'a str,
    region: &'a str,
    #[schema(value_type = shape::AckState)]
    state: Progress,
    /// Why it was refused.
    reason: Option<&'a str>,
    #[schema(value_type = u64)]
    node_id: MemberId,
    applied_at: Option<u64>,
    latency_ms: Option<u64>,
    /// How long decoding, compiling and storing took the edge.
    apply_ms: Option<u64>,
    steps: Option<EdgeSteps>,
}

impl<'a> AckObject<'a> {
    fn new(edge: &EdgeProgress<'a>, snapshot: &'a SnapshotId, environment: &'a str) -> Self {
        Self {
            object: "ack",
            environment,
            snapshot_id: snapshot.as_str(),
            edge_id: edge.id,
            region: edge.region,
            state: edge.state,
            reason: edge.reason,
            node_id: edge.node_id,
            applied_at: edge.applied_at,
            latency_ms: edge.latency_ms,
            apply_ms: edge.apply_ms,
            steps: edge.steps,
        }
    }
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("snapshot", SnapshotId::parse)?;
    let mut query = std::mem::take(&mut call.query);
    let paging = Paging::take(&mut query)?;
    let (region, state) = (query.text("region"), query.choice("state", &STATES)?);
    query.finish()?;
    let filter = render::to_bytes(&(&id.as_str(), &region, &state));
    let scope = Scope {
        environment_id: &caller.environment_id,
        list: "acks",
        filter: String::from_utf8_lossy(&filter).into_owned(),
    };
    let after = paging.after(&api.cursors, &scope)?;
    let seen = api
        .read(call.consistency, |view| {
            window(view, &caller.environment_id, &id)
        })
        .await?;
    let (_, window) = seen.value.ok_or_else(|| ApiError::not_found("snapshot"))?;
    let fleet = api.fleet.gather(&caller.environment_id).await;
    let now = api.clock.now();
    let edges = fleet.edges.iter();
    let mut rows: Vec<_> = edges
        .map(|edge| progress(edge, &window, now))
        .filter(|row| region.as_ref().is_none_or(|region| row.region == region))
        .filter(|row| state.is_none_or(|state| row.state == state))
        .collect();
    rows.sort_by_key(|row| row.id);
    let mut bytes = page::envelope(
        page::gathered(rows, after.as_ref(), paging.limit(), position),
        position,
        |position| api.cursors.encode(&scope, position),
        |bytes, row| render::append(bytes, &AckObject::new(row, &id, &caller.environment)),
    );
    page::add_field(&mut bytes, "silent_nodes", &fleet.silent);
    Ok(Answer::bytes(StatusCode::OK, JSON, bytes).at(seen.revision))
}

fn position(row: &EdgeProgress<'_>) -> Position {
    Position {
        id: row.id.to_owned(),
        key: 0,
    }
}
