//! Environments: list, create, get. They are never renamed or removed, since everything in them
//! shows their names.

use std::sync::Arc;

use domain::command::{Command, CreateEnvironment};
use domain::id::EnvironmentId;
use domain::model::{Environment, EnvironmentKind};
use domain::outcome::Outcome;
use domain::query;
use domain::rows::View;
use http::StatusCode;

use super::answer::{self, Answer, Answered};
use super::auth::Caller;
use super::cursor::Position;
use super::error::ApiError;
use super::fields::Fields;
use super::listing::Listing;
use super::object::EnvironmentObject;
use super::page::{Paging, Scanned};
use super::pipeline::{Call, Presence};
use super::{Api, render};

pub(crate) const KINDS: [(&str, EnvironmentKind); 2] = [
    ("live", EnvironmentKind::Live),
    ("test", EnvironmentKind::Test),
];

/// What an environment is made of.
pub(crate) const FIELDS: [&str; 2] = ["name", "kind"];

pub(crate) async fn create(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &FIELDS)?;
    let (name, kind) = (fields.text("name")?, fields.choice("kind", &KINDS)?);
    let command = CreateEnvironment {
        id: EnvironmentId::new(api.seed()),
        name: fields.required("name", name)?,
        kind: fields.required("kind", kind)?,
    };
    let applied = api
        .propose(&caller, &call, |actor| {
            Command::CreateEnvironment(actor, command)
        })
        .await?;
    answer::applied(applied, StatusCode::CREATED, |outcome| match outcome {
        Outcome::Environment(made) => Some(render::to_bytes(&EnvironmentObject::new(made))),
        _ => None,
    })
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("environment", EnvironmentId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    let find = |view: &dyn View| {
        query::environment(view, &id).filter(|environment| caller.reaches(environment))
    };
    let seen = api.read(call.consistency, find).await?;
    let found = seen
        .value
        .ok_or_else(|| ApiError::not_found("environment"))?;
    Ok(Answer::json(StatusCode::OK, &EnvironmentObject::new(&found)).at(seen.revision))
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let paging = Paging::take(&mut query)?;
    query.finish()?;
    let listing = Listing {
        name: "environments",
        filter: String::new(),
        paging,
    };
    let find = |view: &dyn View, after: Option<Position>, limit| {
        Ok(page(view, &caller, after.as_ref(), limit))
    };
    let show = |bytes: &mut Vec<u8>, environment: &_| {
        render::append(bytes, &EnvironmentObject::new(environment));
    };
    listing
        .answer(&api, &caller, call.consistency, find, position, show)
        .await
}

/// One page by creation. A plan allows few enough environments to sort all of them.
fn page(
    view: &dyn View,
    caller: &Caller,
    after: Option<&Position>,
    limit: usize,
) -> Scanned<Environment> {
    let place = |position: &Position| (position.key, position.id.clone());
    let from = after.map(place);
    let mut items = query::workspace_environments(view, &caller.workspace_id);
    items.retain(|environment| {
        caller.reaches(environment) && from < Some(place(&position(environment)))
    });
    items.sort_by_key(|environment| place(&position(environment)));
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(position);
    Scanned { items, next }
}

fn position(environment: &Environment) -> Position {
    Position {
        id: environment.id.to_string(),
        key: environment.created_at.0,
    }
}
