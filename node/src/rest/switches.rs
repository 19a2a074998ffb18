//! Pausing and resuming rules, enabling and disabling routes, with the short cut that makes just that
//! live.

use std::sync::Arc;

use domain::command::{Command, DesiredStatus, PublishAlone, SwitchRoute, SwitchRule};
use domain::id::{RouteId, RuleId, SnapshotId};
use domain::model::{Grant, Resource};
use domain::outcome::{Applied, Outcome};
use http::StatusCode;
use serde::Serialize;

use super::answer::{self, Answered};
use super::auth::Caller;
use super::error::ApiError;
use super::fields::Fields;
use super::object::{RouteObject, RuleObject};
use super::pipeline::{Call, Presence};
use super::render;
use super::{Api, authorize};

/// What switching takes.
pub(crate) const FIELDS: [&str; 2] = ["publish", "comment"];

pub(crate) async fn pause(api: Arc<Api>, caller: Caller, call: Call) -> Answered {
    rule(api, caller, call, DesiredStatus::Paused).await
}

pub(crate) async fn resume(api: Arc<Api>, caller: Caller, call: Call) -> Answered {
    rule(api, caller, call, DesiredStatus::Active).await
}

pub(crate) async fn enable(api: Arc<Api>, caller: Caller, call: Call) -> Answered {
    route(api, caller, call, true).await
}

pub(crate) async fn disable(api: Arc<Api>, caller: Caller, call: Call) -> Answered {
    route(api, caller, call, false).await
}

async fn rule(api: Arc<Api>, caller: Caller, mut call: Call, status: DesiredStatus) -> Answered {
    let id = call.id("rule", RuleId::parse)?;
    let publish = alone(&api, &caller, &mut call).await?;
    let switch = SwitchRule {
        id,
        draft_id: SnapshotId::new(api.seed()),
        status,
        publish,
    };
    let applied = api
        .propose(&caller, &call, |actor| Command::SwitchRule(actor, switch))
        .await?;
    answer(applied, &caller)
}

async fn route(api: Arc<Api>, caller: Caller, mut call: Call, enabled: bool) -> Answered {
    let id = call.id("route", RouteId::parse)?;
    let publish = alone(&api, &caller, &mut call).await?;
    let switch = SwitchRoute {
        id,
        draft_id: SnapshotId::new(api.seed()),
        enabled,
        publish,
    };
    let applied = api
        .propose(&caller, &call, |actor| Command::SwitchRoute(actor, switch))
        .await?;
    answer(applied, &caller)
}

/// Whether the change is to be made live at once. A comment is of a snapshot, so it needs one.
async fn alone(
    api: &Api,
    caller: &Caller,
    call: &mut Call,
) -> Result<Option<PublishAlone>, ApiError> {
    let body = call.object(Presence::Optional).await?;
    let mut fields = Fields::new(body, &FIELDS)?;
    let publish = fields.boolean("publish")?.unwrap_or(false);
    let comment = fields.text("comment")?;
    if !publish && comment.is_some() {
        let message = "A comment is kept with a snapshot; give it together with publish: true.";
        return Err(ApiError::invalid("comment", message));
    }
    if publish {
        authorize::also(caller, Resource::Snapshots, Grant::Write)?;
    }
    Ok(publish.then(|| PublishAlone {
        snapshot_id: SnapshotId::new(api.seed()),
        comment,
    }))
}

/// An object with the snapshot in which the change is live, where that was asked for.
#[derive(Serialize)]
struct Switched<'a, T> {
    #[serde(flatten)]
    object: T,
    snapshot_id: Option<&'a str>,
}

impl<'a, T: Serialize> Switched<'a, T> {
    fn render(object: T, snapshot_id: Option<&'a SnapshotId>) -> Vec<u8> {
        render::to_bytes(&Self {
            object,
            snapshot_id: snapshot_id.map(SnapshotId::as_str),
        })
    }
}

fn answer(applied: Applied, caller: &Caller) -> Answered {
    answer::applied(applied, StatusCode::OK, |outcome| match outcome {
        Outcome::RuleSwitched { rule, snapshot_id } => Some(Switched::render(
            RuleObject::new(rule, &caller.environment),
            snapshot_id.as_ref(),
        )),
        Outcome::RouteSwitched {
            route,
            draft,
            snapshot_id,
        } => Some(Switched::render(
            RouteObject::new(route, draft, &caller.environment),
            snapshot_id.as_ref(),
        )),
        _ => None,
    })
}
