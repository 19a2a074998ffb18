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

/// The highest number that every JSON reader keeps exactly.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// What a publish takes.
pub(crate) const PUBLISH_FIELDS: [&str; 3] =
    ["snapshot_id", "expected_active_snapshot_id", "comment"];

/// What a rollback takes.
pub(crate) const ROLLBACK_FIELDS: [&str; 6] = [
    "snapshot_id",
    "version",
    "steps",
    "expected_active_snapshot_id",
    "reset_draft",
    "comment",
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
    let applied = api
        .propose(&caller, &call, |actor| Command::Publish(actor, publish))
        .await?;
    answer(applied, &caller)
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
    let applied = api
        .propose(&caller, &call, |actor| Command::Rollback(actor, rollback))
        .await?;
    answer(applied, &caller)
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

fn answer(applied: Applied, caller: &Caller) -> Answered {
    answer::applied(applied, StatusCode::OK, |outcome| match outcome {
        Outcome::Published {
            snapshot,
            unchanged,
        } => Some(render::to_bytes(
            &SnapshotObject::new(snapshot, &caller.environment).unchanged(*unchanged),
        )),
        _ => None,
    })
}
