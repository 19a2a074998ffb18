//! The caller's workspace: what it is called, what it may use and what it uses.

use std::sync::Arc;

use domain::command::{Command, UpdateWorkspace};
use domain::model::Workspace;
use domain::outcome::Outcome;
use domain::query;
use domain::rows::View;
use http::StatusCode;

use super::answer::{self, Answer, Answered};
use super::auth::Caller;
use super::error::ApiError;
use super::fields::Fields;
use super::object::{LimitsObject, UsageObject, WorkspaceObject};
use super::pipeline::{Call, Presence};
use super::{Api, render, version};

/// What of a workspace can be changed.
pub(crate) const FIELDS: [&str; 2] = ["name", "api_version"];

pub(crate) async fn update(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &FIELDS)?;
    let command = UpdateWorkspace {
        name: fields.text("name")?,
        api_version: version::take(&mut fields, api.clock.now())?,
    };
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::UpdateWorkspace(actor, command)
        })
        .await?;
    answer::applied(applied, StatusCode::OK, |outcome| match outcome {
        Outcome::Workspace(workspace) => Some(render::to_bytes(&WorkspaceObject::new(workspace))),
        _ => None,
    })
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    std::mem::take(&mut call.query).finish()?;
    let seen = api
        .read(call.consistency, |view| workspace(view, &caller))
        .await?;
    Ok(Answer::json(StatusCode::OK, &WorkspaceObject::new(&seen.value?)).at(seen.revision))
}

pub(crate) async fn limits(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    std::mem::take(&mut call.query).finish()?;
    let seen = api
        .read(call.consistency, |view| workspace(view, &caller))
        .await?;
    Ok(Answer::json(StatusCode::OK, &LimitsObject::new(seen.value?.plan)).at(seen.revision))
}

pub(crate) async fn usage(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    std::mem::take(&mut call.query).finish()?;
    let find = |view: &dyn View| {
        let plan = workspace(view, &caller)?.plan;
        let mut environments = query::workspace_environments(view, &caller.workspace_id);
        environments.retain(|environment| caller.reaches(environment));
        let used = environments.into_iter().map(|environment| {
            let usage = query::usage(view, &environment.id);
            (environment, usage)
        });
        Ok::<_, ApiError>((plan, used.collect::<Vec<_>>()))
    };
    let seen = api.read(call.consistency, find).await?;
    let (plan, environments) = seen.value?;
    let object = UsageObject::new(plan, &environments);
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}

fn workspace(view: &dyn View, caller: &Caller) -> Result<Workspace, ApiError> {
    query::workspace(view, &caller.workspace_id).ok_or_else(|| ApiError::not_found("workspace"))
}
