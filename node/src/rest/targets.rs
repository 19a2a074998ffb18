//! Single targets of an upstream: list, create, get, patch, delete.

use std::sync::Arc;

use domain::command::{ChangeTarget, Command, TargetChange};
use domain::id::{TargetId, UpstreamId};
use domain::model::Target;
use domain::outcome::{Applied, Outcome};
use domain::query;
use domain::rows::View;
use http::StatusCode;

use super::Api;
use super::answer::{self, Answer, Answered};
use super::auth::Caller;
use super::cursor::Position;
use super::error::ApiError;
use super::fields::Fields;
use super::listing::Listing;
use super::object::{Deleted, TargetObject};
use super::page::{self, Paging};
use super::pipeline::{Call, Presence};
use super::render;
use super::upstreams::{TARGET_FIELDS, TargetFields, draft_seed};
use crate::control_plane::BoxFuture;

pub(crate) async fn create(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let upstream_id = call.id("upstream", UpstreamId::parse)?;
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &TARGET_FIELDS)?;
    let target = TargetFields::take(&mut fields)?.new_target(TargetId::new(api.seed()), &fields)?;
    let change = TargetChange::Add(target);
    let applied = propose(&api, &caller, &call, upstream_id, change).await?;
    answer(applied, StatusCode::CREATED)
}

pub(crate) async fn update(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let (upstream_id, id) = ids(&call)?;
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &TARGET_FIELDS)?;
    let TargetFields {
        address,
        port,
        weight,
        regions,
        drain,
    } = TargetFields::take(&mut fields)?;
    let change = TargetChange::Update {
        id,
        address,
        port,
        weight,
        regions,
        drain,
    };
    let applied = propose(&api, &caller, &call, upstream_id, change).await?;
    answer(applied, StatusCode::OK)
}

pub(crate) async fn delete(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let (upstream_id, id) = ids(&call)?;
    call.object(Presence::None).await?;
    let change = TargetChange::Remove(id);
    let applied = propose(&api, &caller, &call, upstream_id, change).await?;
    answer(applied, StatusCode::OK)
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let (upstream_id, id) = ids(&call)?;
    std::mem::take(&mut call.query).finish()?;
    let find = |view: &dyn View| {
        let targets = targets(view, &caller, &upstream_id)?.into_iter();
        let mut named = targets.filter(|target| target.id == id);
        named.next().ok_or_else(|| ApiError::not_found("target"))
    };
    let seen = api.read(call.consistency, find).await?;
    let target = seen.value?;
    Ok(Answer::json(StatusCode::OK, &TargetObject::new(&target)).at(seen.revision))
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let upstream_id = call.id("upstream", UpstreamId::parse)?;
    let mut query = std::mem::take(&mut call.query);
    let paging = Paging::take(&mut query)?;
    query.finish()?;
    let listing = Listing {
        name: "targets",
        filter: upstream_id.to_string(),
        paging,
    };
    let find = |view: &dyn View, after: Option<Position>, limit| {
        let mut targets = targets(view, &caller, &upstream_id)?;
        targets.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(page::gathered(targets, after.as_ref(), limit, position))
    };
    let show = |bytes: &mut Vec<u8>, target: &_| {
        render::append(bytes, &TargetObject::new(target));
    };
    listing
        .answer(&api, &caller, call.consistency, find, position, show)
        .await
}

fn targets(
    view: &dyn View,
    caller: &Caller,
    upstream: &UpstreamId,
) -> Result<Vec<Target>, ApiError> {
    let upstream = query::upstream(view, &caller.environment_id, upstream);
    let upstream = upstream.ok_or_else(|| ApiError::not_found("upstream"))?;
    Ok(upstream.targets)
}

fn position(target: &Target) -> Position {
    Position {
        id: target.id.to_string(),
        key: 0,
    }
}

/// The upstream and the target in the path.
fn ids(call: &Call) -> Result<(UpstreamId, TargetId), ApiError> {
    let upstream_id = call.id("upstream", UpstreamId::parse)?;
    let id = TargetId::parse(call.param(1)).map_err(|_| ApiError::not_found("target"))?;
    Ok((upstream_id, id))
}

fn propose<'a>(
    api: &'a Api,
    caller: &Caller,
    call: &Call,
    upstream_id: UpstreamId,
    change: TargetChange,
) -> BoxFuture<'a, Result<Applied, ApiError>> {
    let change = ChangeTarget {
        upstream_id,
        draft_seed: draft_seed(api),
        change,
    };
    api.propose(caller, call, |actor| Command::ChangeTarget(actor, change))
}

fn answer(applied: Applied, status: StatusCode) -> Answered {
    answer::applied(applied, status, |outcome| match outcome {
        Outcome::Target(target) => Some(render::to_bytes(&TargetObject::new(target))),
        Outcome::TargetDeleted { id, at } => {
            Some(render::to_bytes(&Deleted::new("target", id.as_str(), *at)))
        }
        _ => None,
    })
}
