//! The audit log: list, get, all of it as one JSON object a line, and what that is held to.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use domain::id::{ApiKeyId, AuditId, RequestId, RouteId};
use domain::model::{JournalPlace, ObjectKind};
use domain::query::{self, JournalRow};
use domain::rows::View;
use domain::time::{Revision, Timestamp};
use futures_util::stream;
use http::StatusCode;

use super::answer::{Answer, Answered};
use super::auth::Caller;
use super::cursor::Position;
use super::error::ApiError;
use super::listing::Listing;
use super::object::{AuditObject, AuditProof};
use super::page::{self, Paging, Scanned};
use super::pipeline::Call;
use super::query::Query;
use super::slots::Slot;
use super::{Api, render};

/// Newline-delimited JSON.
const NDJSON: &str = "application/x-ndjson";

/// How many exports a node serves at a time: each holds some megabytes.
pub(super) const EXPORTS_MAX: usize = 16;

/// How many of them one key may have.
pub(super) const EXPORTS_OF_KEY_MAX: usize = 4;

/// How many rows an export reads at a time: a row of the biggest kind has hundreds of kilobytes.
const EXPORT_ROWS_READ: usize = 8;

/// How many rows an export looks at in one step, about.
const EXPORT_ROWS_STEP: usize = 256;

/// How long the lines of one step may become, about.
const EXPORT_BYTES_STEP: usize = 1024 * 1024;

/// Which entries are wanted.
struct Filter {
    actor: Option<ApiKeyId>,
    operation: Option<String>,
    request_id: Option<RequestId>,
    object: Option<ObjectKind>,
    object_id: Option<String>,
    route_id: Option<RouteId>,
    /// Whole seconds, the first and the last.
    times: (u64, u64),
}

impl Filter {
    fn take(query: &mut Query) -> Result<Self, ApiError> {
        Ok(Self {
            actor: query.id("actor", "API key", ApiKeyId::parse)?,
            operation: query.text("operation"),
            request_id: query.id("request_id", "request", RequestId::parse)?,
            object: query.choice("object", ObjectKind::NAMES)?,
            object_id: query.text("object_id"),
            route_id: query.id("route_id", "route", RouteId::parse)?,
            times: (
                query.integer("since", 0, u64::MAX)?.unwrap_or(0),
                query.integer("until", 0, u64::MAX)?.unwrap_or(u64::MAX),
            ),
        })
    }

    fn canonical(&self) -> String {
        let parts = (
            self.actor.as_ref().map(ApiKeyId::as_str),
            &self.operation,
            self.request_id.as_ref().map(RequestId::as_str),
            self.object.map(ObjectKind::as_str),
            &self.object_id,
            self.route_id.as_ref().map(RouteId::as_str),
            self.times,
        );
        String::from_utf8_lossy(&render::to_bytes(&parts)).into_owned()
    }

    fn keeps(&self, caller: &Caller, row: &JournalRow) -> bool {
        let entry = &row.entry;
        let changes =
            |wanted: &dyn Fn(&domain::model::Change) -> bool| entry.changes.iter().any(wanted);
        sees(caller, row)
            && (self.times.0..=self.times.1).contains(&row.place.at.unix_seconds())
            && self
                .actor
                .as_ref()
                .is_none_or(|actor| entry.actor.as_ref() == Some(actor))
            && self
                .operation
                .as_ref()
                .is_none_or(|operation| entry.operation == *operation)
            && self
                .request_id
                .as_ref()
                .is_none_or(|request| entry.request_id == *request)
            && self
                .object
                .is_none_or(|object| changes(&|change| change.object == object))
            && self
                .object_id
                .as_ref()
                .is_none_or(|id| changes(&|change| change.id == *id))
            && self
                .route_id
                .as_ref()
                .is_none_or(|route| changes(&|change| change.route_id.as_ref() == Some(route)))
    }

    /// Behind the last row of the wanted times.
    fn end(&self) -> JournalPlace {
        let until = self.times.1.saturating_add(1).saturating_mul(1000);
        JournalPlace {
            at: Timestamp(until),
            revision: Revision(0),
        }
    }

    /// Behind which row the wanted times begin.
    fn beginning(&self) -> JournalPlace {
        JournalPlace {
            at: Timestamp(self.times.0.saturating_mul(1000)),
            revision: Revision(0),
        }
    }
}

/// A key that is confined to routes sees what changed those routes and nothing else.
fn sees(caller: &Caller, row: &JournalRow) -> bool {
    !caller.is_confined()
        || row.entry.changes.iter().all(|change| {
            let route = change.route_id.as_ref();
            route.is_some_and(|route| caller.sees_route(route))
        })
}

/// How the log is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Ndjson,
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let formats = [("json", Format::Json), ("ndjson", Format::Ndjson)];
    let format = query.choice("format", &formats)?.unwrap_or(Format::Json);
    let filter = Filter::take(&mut query)?;
    if format == Format::Ndjson {
        query.finish()?;
        return export(api, caller, call, filter).await;
    }
    let paging = Paging::take(&mut query)?;
    query.finish()?;
    let listing = Listing {
        name: "audit_log",
        filter: filter.canonical(),
        paging,
    };
    let find = |view: &dyn View, after, limit| Ok(find(view, &caller, &filter, after, limit));
    let show = |bytes: &mut Vec<u8>, row: &_| {
        render::append(bytes, &AuditObject::new(row, &caller.environment))
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
) -> Scanned<JournalRow> {
    let fetch = |after: Option<&Position>, limit| {
        let before = after.and_then(place).unwrap_or_else(|| filter.end());
        query::journal_page(view, &caller.environment_id, Some(before), limit)
    };
    let mut found = page::filtered(limit, after, position, fetch, |row| {
        filter.keeps(caller, row)
    });
    let told = |row| query::told_in_full(view, &caller.environment_id, row);
    found.items = found.items.into_iter().map(told).collect();
    found
}

/// The revision tells rows of one millisecond apart, and is what a cursor's identifier holds here.
fn position(row: &JournalRow) -> Position {
    Position {
        id: row.place.revision.0.to_string(),
        key: row.place.at.0,
    }
}

fn place(position: &Position) -> Option<JournalPlace> {
    Some(JournalPlace {
        at: Timestamp(position.key),
        revision: Revision(position.id.parse().ok()?),
    })
}

/// All entries that are wanted, in log order, up to what was there when the export began.
async fn export(api: Arc<Api>, caller: Caller, call: Call, filter: Filter) -> Answered {
    let slot = api.exports.take(&caller.api_key_id)?;
    let newest = |view: &dyn View| {
        let page = query::journal_page(view, &caller.environment_id, None, 1);
        page.items.first().map(|row| row.place)
    };
    let seen = api.read(call.consistency, newest).await?;
    let revision = seen.revision;
    let export = Export {
        place: filter.beginning(),
        last: seen.value.map(|newest| newest.min(filter.end())),
        _slot: slot,
        api,
        caller,
        filter,
    };
    let lines = stream::unfold(export, |mut export| async move {
        let lines = export.next().await?;
        Some((Ok::<_, Infallible>(lines), export))
    });
    let answer = Answer::bytes(StatusCode::OK, NDJSON, Bytes::new());
    Ok(answer.streamed(Body::from_stream(lines)).at(revision))
}

/// An export under way: it holds the lines of one step and few rows, whatever the length of the log.
struct Export {
    api: Arc<Api>,
    caller: Caller,
    filter: Filter,
    /// The last row that was looked at.
    place: JournalPlace,
    /// The last row to look at; without one there is nothing.
    last: Option<JournalPlace>,
    _slot: Slot,
}

impl Export {
    /// The next lines.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let last = self.last.filter(|last| self.place < *last)?;
            let control = Arc::clone(&self.api.control);
            let (lines, _) = control.read_local(|view| self.step(view, last)).ok()?;
            // There may be much to pass by, and others wait for the thread.
            tokio::task::yield_now().await;
            if !lines.is_empty() {
                return Some(lines.into());
            }
        }
    }

    /// The lines of the next rows, perhaps none of them.
    fn step(&mut self, view: &dyn View, last: JournalPlace) -> Vec<u8> {
        let mut lines = Vec::new();
        for _ in 0..EXPORT_ROWS_STEP / EXPORT_ROWS_READ {
            let environment = &self.caller.environment_id;
            let rows = query::journal_after(view, environment, self.place, EXPORT_ROWS_READ);
            self.place = rows.last().map_or(last, |row| row.place);
            let wanted = rows
                .into_iter()
                .filter(|row| row.place <= last && self.filter.keeps(&self.caller, row));
            for row in wanted {
                let row = query::told_in_full(view, environment, row);
                render::append(
                    &mut lines,
                    &AuditObject::new(&row, &self.caller.environment),
                );
                lines.push(b'\n');
            }
            if self.place >= last || lines.len() >= EXPORT_BYTES_STEP {
                break;
            }
        }
        lines
    }
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("audit entry", AuditId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    let find = |view: &dyn View| query::audit_entry(view, &caller.environment_id, &id);
    let seen = api.read(call.consistency, find).await?;
    let row = seen
        .value
        .ok_or_else(|| ApiError::not_found("audit entry"))?;
    if !sees(&caller, &row) {
        return Err(
            ApiError::insufficient_scope("The key is not for all that this changed.").into(),
        );
    }
    let object = AuditObject::new(&row, &caller.environment);
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}

/// Both ends of the chain, for who holds an export to them.
pub(crate) async fn proof(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    std::mem::take(&mut call.query).finish()?;
    let find = |view: &dyn View| {
        let chain = query::audit_chain(view, &caller.environment_id);
        (chain, query::log_time(view))
    };
    let seen = api.read(call.consistency, find).await?;
    let (chain, at) = seen.value;
    let object = AuditProof::new(&chain, &caller.environment, at, seen.revision);
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}
