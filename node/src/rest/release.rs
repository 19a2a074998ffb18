//! Publishing a route's draft, and going back to an earlier snapshot.

use std::sync::Arc;

use domain::command::{Command, Publish, Rollback, RollbackTo};
use domain::id::{RouteId, SnapshotId};
use domain::model::SnapshotVersion;
use domain::outcome::{Applied, Outcome};
use http::StatusCode;

use super::Api;
use super::answer::{self, Answered};
use super::auth::Caller;
use super::error::ApiError;
use super::fields::Fields;
use super::object::SnapshotObject;
use super::pipeline::{Call, Presence};
use super::render;
use super::wait::Wait;

/// The highest number that every JSON reader keeps exactly.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// What a publish takes.
pub(crate) const PUBLISH_FIELDS: [&str; 4] = [
    "snapshot_id",
    "expected_active_snapshot_id",
    "comment",
    "wait",
];

/// What a rollback takes.
pub(crate) const ROLLBACK_FIELDS: [&str; 7] = [
    "snapshot_id",
    "version",
    "steps",
    "expected_active_snapshot_id",
    "reset_draft",
    "comment",
    "wait",
];

pub(crate) async fn publish(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let route_id = call.id("route", RouteId::parse)?;
    let body = call.object(Presence::Optional).await?;
    let mut fields = Fields::new(body, &PUBLISH_FIELDS)?;
    let publish = Publish {
        route_id,
        next_draft_id: SnapshotId::new(api.seed()),
        draft_id: fields.id("snapshot_id", "snapshot", SnapshotId::parse)?,
        expected_active: fields.id("expected_active_snapshot_id", "snapshot", SnapshotId::parse)?,
        comment: fields.text("comment")?,
    };
    let wait = Wait::take(&api, &call, &mut fields)?;
    let applied = api
        .propose(&caller, &call, |actor| Command::Publish(actor, publish))
        .await?;
    answer(&api, &caller, &call, applied, wait).await
}

pub(crate) async fn rollback(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let route_id = call.id("route", RouteId::parse)?;
    let body = call.object(Presence::Optional).await?;
    let mut fields = Fields::new(body, &ROLLBACK_FIELDS)?;
    let rollback = Rollback {
        route_id,
        snapshot_id: SnapshotId::new(api.seed()),
        next_draft_id: SnapshotId::new(api.seed()),
        to: target(&mut fields)?,
        expected_active: fields.id("expected_active_snapshot_id", "snapshot", SnapshotId::parse)?,
        reset_draft: fields.boolean("reset_draft")?.unwrap_or(false),
        comment: fields.text("comment")?,
    };
    let wait = Wait::take(&api, &call, &mut fields)?;
    let applied = api
        .propose(&caller, &call, |actor| Command::Rollback(actor, rollback))
        .await?;
    answer(&api, &caller, &call, applied, wait).await
}

/// Where to go back to: at most one of three ways to say it, and one version back without any.
fn target(fields: &mut Fields) -> Result<RollbackTo, ApiError> {
    let snapshot = fields.id("snapshot_id", "snapshot", SnapshotId::parse)?;
    let version = fields.integer("version", 1, INTEGER_MAX)?;
    let steps = fields.integer("steps", 1, INTEGER_MAX)?;
    match (snapshot, version, steps) {
        (Some(id), None, None) => Ok(RollbackTo::Snapshot(id)),
        (None, Some(version), None) => Ok(RollbackTo::Version(SnapshotVersion(version))),
        (None, None, steps) => Ok(RollbackTo::Steps(steps.unwrap_or(1))),
        (snapshot, ..) => {
            let param = if snapshot.is_some() {
                "snapshot_id"
            } else {
                "version"
            };
            Err(ApiError::invalid(
                param,
                "Give one of snapshot_id, version and steps.",
            ))
        }
    }
}

/// Shows the snapshot, and what came of the wait for it: a replay waits again, because the edges
/// may be further by now.
async fn answer(
    api: &Api,
    caller: &Caller,
    call: &Call,
    applied: Applied,
    wait: Option<Wait>,
) -> Answered {
    let committed = match &applied.reply {
        Ok(Outcome::Published { snapshot, .. }) => Some(snapshot.clone()),
        _ => None,
    };
    let waited = match wait.zip(committed) {
        Some((wait, snapshot)) => Some(wait.out(api, caller, call, &snapshot).await),
        None => None,
    };
    answer::applied(applied, StatusCode::OK, |outcome| match outcome {
        Outcome::Published {
            snapshot,
            unchanged,
        } => Some(render::to_bytes(
            &SnapshotObject::new(snapshot, &caller.environment)
                .unchanged(*unchanged)
                .waited(waited.as_ref()),
        )),
        _ => None,
    })
}
