//! Snapshots: list, get, diff.

use std::sync::Arc;

use domain::id::{ApiKeyId, RouteId, SnapshotId};
use domain::model::{Snapshot, SnapshotState};
use domain::query;
use domain::rows::View;
use domain::time::Timestamp;
use http::StatusCode;

use super::answer::{Answer, Answered, TEXT};
use super::auth::Caller;
use super::comparison::{Comparison, Side};
use super::cursor::Position;
use super::error::ApiError;
use super::etag::ETag;
use super::listing::Listing;
use super::object::{SnapshotObject, snapshot_content};
use super::page::{self, Paging, Scanned};
use super::pipeline::Call;
use super::query::Query;
use super::{Api, authorize, render};

pub(crate) const STATES: [(&str, SnapshotState); 3] = [
    ("published", SnapshotState::Published),
    ("superseded", SnapshotState::Superseded),
    ("rolled_back", SnapshotState::RolledBack),
];

/// What a list of snapshots is asked for. Only the route has an index.
struct Filter {
    route_id: Option<RouteId>,
    state: Option<SnapshotState>,
    created_by: Option<ApiKeyId>,
    versions: (u64, u64),
}

impl Filter {
    fn take(query: &mut Query, route_id: Option<RouteId>) -> Result<Self, ApiError> {
        Ok(Self {
            route_id,
            state: query.choice("state", &STATES)?,
            created_by: query.id("created_by", "API key", ApiKeyId::parse)?,
            versions: (
                query.integer("min_version", 1, u64::MAX)?.unwrap_or(1),
                query
                    .integer("max_version", 1, u64::MAX)?
                    .unwrap_or(u64::MAX),
            ),
        })
    }

    fn canonical(&self) -> String {
        let parts = (
            self.route_id.as_ref().map(RouteId::as_str),
            self.state.map(SnapshotState::as_str),
            self.created_by.as_ref().map(ApiKeyId::as_str),
            self.versions,
        );
        String::from_utf8_lossy(&render::to_bytes(&parts)).into_owned()
    }

    fn is_indexed(&self, caller: &Caller) -> bool {
        let confined = caller.is_confined() && self.route_id.is_none();
        !confined
            && self.state.is_none()
            && self.created_by.is_none()
            && self.versions == (1, u64::MAX)
    }

    fn keeps(&self, snapshot: &Snapshot) -> bool {
        self.state.is_none_or(|state| snapshot.state == state)
            && self
                .created_by
                .as_ref()
                .is_none_or(|key| snapshot.created_by == *key)
            && (self.versions.0..=self.versions.1).contains(&snapshot.version.0)
    }
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let route_id = call.query.id("route_id", "route", RouteId::parse)?;
    page(api, caller, call, route_id, Some("route_id")).await
}

pub(crate) async fn list_of_route(api: Arc<Api>, caller: Caller, call: Call) -> Answered {
    let route_id = call.id("route", RouteId::parse)?;
    page(api, caller, call, Some(route_id), None).await
}

/// One page; `param` names the parameter that the route comes from, if it is one.
async fn page(
    api: Arc<Api>,
    caller: Caller,
    mut call: Call,
    route_id: Option<RouteId>,
    param: Option<&'static str>,
) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let (paging, filter) = (
        Paging::take(&mut query)?,
        Filter::take(&mut query, route_id)?,
    );
    query.finish()?;
    let listing = Listing {
        name: "snapshots",
        filter: filter.canonical(),
        paging,
    };
    let find = |view: &dyn View, after, limit| {
        let route_exists = |id| query::route(view, &caller.environment_id, id).is_some();
        if !filter.route_id.as_ref().is_none_or(route_exists) {
            return Err(ApiError {
                param: param.map(str::to_owned),
                ..ApiError::not_found("route")
            });
        }
        if let Some(route) = &filter.route_id {
            authorize::within(&caller, route).map_err(|error| ApiError {
                param: param.map(str::to_owned),
                ..error
            })?;
        }
        Ok(find(view, &caller, &filter, after, limit))
    };
    let show = |bytes: &mut Vec<u8>, snapshot: &_| {
        render::append(bytes, &SnapshotObject::new(snapshot, &caller.environment));
    };
    listing
        .answer(&api, &caller, call.consistency, find, position, show)
        .await
}

fn find(
    view: &dyn View,
    caller: &Caller,
    filter: &Filter,
    after: Option<Position>,
    limit: usize,
) -> Scanned<Snapshot> {
    let fetch = |after: Option<&Position>, limit| {
        query::snapshots_page(
            view,
            &caller.environment_id,
            filter.route_id.as_ref(),
            after.and_then(place),
            limit,
        )
    };
    if filter.is_indexed(caller) {
        return page::whole(fetch(after.as_ref(), limit), position);
    }
    page::filtered(limit, after, position, fetch, |snapshot| {
        caller.sees_route(&snapshot.route_id) && filter.keeps(snapshot)
    })
}

fn position(snapshot: &Snapshot) -> Position {
    Position {
        id: snapshot.id.to_string(),
        key: snapshot.published_at.0,
    }
}

fn place(position: &Position) -> Option<(Timestamp, SnapshotId)> {
    Some((
        Timestamp(position.key),
        SnapshotId::parse(&position.id).ok()?,
    ))
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("snapshot", SnapshotId::parse)?;
    let mut query = std::mem::take(&mut call.query);
    let include = query.choice("include", &[("content", ())])?.is_some();
    query.finish()?;
    let find = |view: &dyn View| {
        let snapshot = query::snapshot(view, &caller.environment_id, &id)
            .ok_or_else(|| ApiError::not_found("snapshot"))?;
        let content = if include {
            Some(snapshot_content(view, &snapshot)?)
        } else {
            None
        };
        Ok::<_, ApiError>((snapshot, content))
    };
    let seen = api.read(call.consistency, find).await?;
    let (snapshot, content) = seen.value?;
    let object = SnapshotObject::new(&snapshot, &caller.environment).content(content);
    let etag = ETag::at(snapshot.revision);
    let etag = if include { etag.with("content") } else { etag };
    Ok(Answer::json(StatusCode::OK, &object)
        .at(seen.revision)
        .tagged(etag))
}

/// The shape of a diff.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Text,
}

pub(crate) async fn diff(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let format = query
        .choice("format", &[("json", Format::Json), ("text", Format::Text)])?
        .unwrap_or(Format::Json);
    let route_id = query.id("route_id", "route", RouteId::parse)?;
    query.finish()?;
    let sides = [Side::parse(call.param(0))?, Side::parse(call.param(1))?];
    let compare = |view: &dyn View| Comparison::of(view, &caller.environment_id, &sides, route_id);
    let seen = api.read(call.consistency, compare).await?;
    let comparison = seen.value?;
    let answer = match format {
        Format::Json => Answer::json(StatusCode::OK, &comparison.to_json()),
        Format::Text => Answer::bytes(StatusCode::OK, TEXT, comparison.to_text()),
    };
    Ok(answer.at(seen.revision))
}
