//! Routes: list, create, get, patch, archive.

use std::sync::Arc;

use domain::command::{ArchiveRoute, Command, CreateRoute, UpdateRoute};
use domain::content;
use domain::id::{RouteId, SnapshotId};
use domain::model::{Mode, Route, RouteDraft};
use domain::outcome::{Applied, Outcome};
use domain::query;
use domain::rows::View;
use domain::time::Timestamp;
use http::StatusCode;
use serde_json::Value;

use super::Api;
use super::answer::{self, Answer, Answered};
use super::auth::Caller;
use super::cursor::Position;
use super::error::{ApiError, Code};
use super::etag::ETag;
use super::fields::Fields;
use super::listing::Listing;
use super::object::RouteObject;
use super::page::{self, Paging, Scanned};
use super::pipeline::{Call, Presence};
use super::render;
use super::rules::wrong;

pub(crate) const MODES: [(&str, Mode); 3] = [
    ("balanced", Mode::Balanced),
    ("cache_first", Mode::CacheFirst),
    ("origin_first", Mode::OriginFirst),
];

/// What a route is made of, and what of it can be changed.
pub(crate) const FIELDS: [&str; 5] = ["name", "hostname", "mode", "enabled", "config"];

/// Without a limit the list has all routes, up to this many.
const UNLIMITED_ROUTES_MAX: usize = 1_000;

pub(crate) async fn create(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &FIELDS)?;
    let (name, hostname) = (fields.text("name")?, hostname(&mut fields)?);
    let mode = fields.choice("mode", &MODES)?;
    let config = fields.object("config")?.map(Value::Object);
    let (name, hostname) = (
        fields.required("name", name)?,
        fields.required("hostname", hostname)?,
    );
    let (mode, config) = (
        fields.required("mode", mode)?,
        fields.required("config", config)?,
    );
    content::route_config(mode, &config).map_err(wrong)?;
    let route = CreateRoute {
        id: RouteId::new(api.seed()),
        draft_id: SnapshotId::new(api.seed()),
        name,
        hostname,
        mode,
        enabled: fields.boolean("enabled")?.unwrap_or(true),
        config: config.to_string(),
    };
    let applied = api
        .propose(&caller, &call, |actor| Command::CreateRoute(actor, route))
        .await?;
    answer(applied, StatusCode::CREATED, &caller)
}

pub(crate) async fn update(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("route", RouteId::parse)?;
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &FIELDS)?;
    let route = UpdateRoute {
        id,
        draft_id: SnapshotId::new(api.seed()),
        name: fields.text("name")?,
        hostname: hostname(&mut fields)?,
        mode: fields.choice("mode", &MODES)?,
        enabled: fields.boolean("enabled")?,
        config_patch: fields
            .object("config")?
            .map(|patch| Value::Object(patch).to_string()),
    };
    let applied = api
        .propose(&caller, &call, |actor| Command::UpdateRoute(actor, route))
        .await?;
    answer(applied, StatusCode::OK, &caller)
}

pub(crate) async fn archive(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("route", RouteId::parse)?;
    call.object(Presence::None).await?;
    let route = ArchiveRoute { id };
    let applied = api
        .propose(&caller, &call, |actor| Command::ArchiveRoute(actor, route))
        .await?;
    answer(applied, StatusCode::OK, &caller)
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("route", RouteId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    let seen = api
        .read(call.consistency, |view| {
            query::route(view, &caller.environment_id, &id)
        })
        .await?;
    let (route, draft) = seen.value.ok_or_else(|| ApiError::not_found("route"))?;
    Ok(Answer::json(
        StatusCode::OK,
        &RouteObject::new(&route, &draft, &caller.environment),
    )
    .at(seen.revision)
    .tagged(ETag::of_route(&route, &draft)))
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let paging = Paging::take(&mut query)?.or_limit(UNLIMITED_ROUTES_MAX);
    let archived = query.boolean("include_archived")?.unwrap_or(false);
    query.finish()?;
    let listing = Listing {
        name: "routes",
        filter: archived.to_string(),
        paging,
    };
    let find = |view: &dyn View, after, limit| Ok(find(view, &caller, archived, after, limit));
    let show = |bytes: &mut Vec<u8>, (route, draft): &(_, _)| {
        render::append(bytes, &RouteObject::new(route, draft, &caller.environment));
    };
    listing
        .answer(&api, &caller, call.consistency, find, position, show)
        .await
}

/// One page of what the caller's key is for.
fn find(
    view: &dyn View,
    caller: &Caller,
    archived: bool,
    after: Option<Position>,
    limit: usize,
) -> Scanned<(Route, RouteDraft)> {
    let fetch = |after: Option<&Position>, limit| {
        let after = after.and_then(place);
        query::routes_page(view, &caller.environment_id, archived, after, limit)
    };
    if !caller.is_confined() {
        return page::whole(fetch(after.as_ref(), limit), position);
    }
    page::filtered(limit, after, position, fetch, |(route, _)| {
        caller.sees_route(&route.id)
    })
}

fn position((route, _): &(Route, RouteDraft)) -> Position {
    Position {
        id: route.id.to_string(),
        key: route.created_at.0,
    }
}

fn place(position: &Position) -> Option<(Timestamp, RouteId)> {
    Some((Timestamp(position.key), RouteId::parse(&position.id).ok()?))
}

fn answer(applied: Applied, status: StatusCode, caller: &Caller) -> Answered {
    answer::applied(applied, status, |outcome| match outcome {
        Outcome::Route(route, draft) => Some(render::to_bytes(&RouteObject::new(
            route,
            draft,
            &caller.environment,
        ))),
        _ => None,
    })
}

/// A hostname in its stored form. Text that is none is well-formed and means nothing: 422.
fn hostname(fields: &mut Fields) -> Result<Option<String>, ApiError> {
    let Some(text) = fields.text("hostname")? else {
        return Ok(None);
    };
    let invalid = |message: String| {
        ApiError::new(Code::ValidationFailed, message).at(fields.path("hostname"))
    };
    content::hostname(&text)
        .map(Some)
        .map_err(|error| invalid(error.message))
}
