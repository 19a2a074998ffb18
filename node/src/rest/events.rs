//! Events: list and get. The stream of them is in [`super::event_stream`].

use std::sync::Arc;

use bytes::Bytes;
use domain::id::{EventId, RouteId, RuleId, UpstreamId};
use domain::model::{JournalPlace, Notice, NoticeKind};
use domain::query::{self, JournalNotice};
use domain::rows::View;
use domain::time::{Revision, Timestamp};
use http::StatusCode;

use super::Api;
use super::answer::{Answer, Answered};
use super::auth::Caller;
use super::cursor::Position;
use super::error::ApiError;
use super::listing::Listing;
use super::object::{self, EventObject};
use super::page::{self, Paging, Scanned};
use super::pipeline::Call;
use super::query::Query;
use super::render;
use super::telemetry::{PULSES, Pulse, Pulses};

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EventFilter {
    /// None is all, unless measurements alone are wanted.
    kinds: Vec<NoticeKind>,
    pulses: Vec<Pulse>,
    route_id: Option<RouteId>,
    rule_id: Option<RuleId>,
    upstream_id: Option<UpstreamId>,
    /// What is about no region is left out.
    region: Option<String>,
}

impl EventFilter {
    pub(super) fn take(query: &mut Query) -> Result<Self, ApiError> {
        Ok(Self {
            kinds: kinds(query.text("type").as_deref())?,
            pulses: Vec::new(),
            route_id: query.id("route_id", "route", RouteId::parse)?,
            rule_id: query.id("rule_id", "rule", RuleId::parse)?,
            upstream_id: query.id("upstream_id", "upstream", UpstreamId::parse)?,
            region: query.text("region"),
        })
    }

    /// The same for a stream, which may carry measurements as well.
    pub(super) fn take_streamed(query: &mut Query) -> Result<Self, ApiError> {
        let types = query.text("type");
        let (pulses, kinds) = split(types.as_deref())?;
        Ok(Self {
            kinds,
            pulses,
            ..Self::take(query)?
        })
    }

    /// The measurements that are wanted, of which region.
    pub(super) fn pulses(&self) -> Pulses {
        Pulses::new(self.pulses.clone(), self.region.clone())
    }

    /// Whether measurements are wanted.
    pub(super) fn has_pulses(&self) -> bool {
        !self.pulses.is_empty()
    }

    pub(super) fn keeps(&self, caller: &Caller, notice: &Notice) -> bool {
        let about = &notice.about;
        sees(caller, notice)
            && self.keeps_kind(notice.kind)
            && (self.route_id.is_none() || self.route_id == about.route_id)
            && (self.rule_id.is_none() || self.rule_id == about.rule_id)
            && (self.upstream_id.is_none() || self.upstream_id == about.upstream_id)
            && self.keeps_region(object::region(notice))
    }

    fn keeps_kind(&self, kind: NoticeKind) -> bool {
        let all = self.kinds.is_empty() && self.pulses.is_empty();
        all || self.kinds.contains(&kind)
    }

    fn keeps_region(&self, region: Option<&str>) -> bool {
        let Some(wanted) = &self.region else {
            return true;
        };
        region.is_some_and(|region| region == object::GLOBAL || region == wanted)
    }

    fn canonical(&self) -> String {
        let kinds: Vec<_> = self.kinds.iter().map(|kind| kind.as_str()).collect();
        let parts = (
            kinds,
            self.route_id.as_ref().map(RouteId::as_str),
            self.rule_id.as_ref().map(RuleId::as_str),
            self.upstream_id.as_ref().map(UpstreamId::as_str),
            &self.region,
        );
        String::from_utf8_lossy(&render::to_bytes(&parts)).into_owned()
    }
}

/// A key that is confined to routes hears of those routes alone.
pub(super) fn sees(caller: &Caller, notice: &Notice) -> bool {
    !caller.is_confined()
        || notice
            .about
            .route_id
            .as_ref()
            .is_some_and(|route| caller.sees_route(route))
}

/// Measurements and events among types that are separated by commas.
fn split(text: Option<&str>) -> Result<(Vec<Pulse>, Vec<NoticeKind>), ApiError> {
    let names = text.into_iter().flat_map(|text| text.split(','));
    let (mut pulses, mut others) = (Vec::new(), Vec::new());
    for name in names {
        match PULSES.iter().find(|(known, _)| *known == name) {
            Some((_, pulse)) if !pulses.contains(pulse) => pulses.push(*pulse),
            Some(_) => {}
            None => others.push(name),
        }
    }
    let others = (!others.is_empty()).then(|| others.join(","));
    Ok((pulses, kinds(others.as_deref())?))
}

/// Types, separated by commas.
fn kinds(text: Option<&str>) -> Result<Vec<NoticeKind>, ApiError> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let mut kinds = Vec::new();
    for name in text.split(',') {
        let known = NoticeKind::NAMES.iter().find(|(known, _)| *known == name);
        let Some((_, kind)) = known else {
            let names: Vec<_> = NoticeKind::NAMES.iter().map(|(name, _)| *name).collect();
            let message = format!("Must be one or several of: {}.", names.join(", "));
            return Err(ApiError::invalid("type", message));
        };
        kinds.push(*kind);
    }
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

pub(crate) async fn list(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let (paging, filter) = (Paging::take(&mut query)?, EventFilter::take(&mut query)?);
    query.finish()?;
    let listing = Listing {
        name: "events",
        filter: filter.canonical(),
        paging,
    };
    let find = |view: &dyn View, after, limit| Ok(find(view, &caller, &filter, after, limit));
    let show = |bytes: &mut Vec<u8>, listed: &Listed| {
        let object = EventObject::new(&listed.event, &caller.environment);
        render::append(bytes, &object)
    };
    listing
        .answer(&api, &caller, call.consistency, find, position, show)
        .await
}

/// An event in a list, and which one it is of its row.
struct Listed {
    event: JournalNotice,
    index: usize,
}

/// Rows may have no event that is wanted, so it is rows that are counted, and a place is one in a row.
fn find(
    view: &dyn View,
    caller: &Caller,
    filter: &EventFilter,
    after: Option<Position>,
    limit: usize,
) -> Scanned<Listed> {
    let begun = after.as_ref().and_then(place);
    let fetch = |after: Option<&Position>, limit| {
        let before = after.and_then(place).map(|(row, index)| match index {
            0 => row,
            // The row itself comes once more, for the rest of its events.
            _ => JournalPlace {
                revision: Revision(row.revision.0.saturating_add(1)),
                ..row
            },
        });
        query::journal_page(view, &caller.environment_id, before, limit)
    };
    page::spread(limit, after, fetch, |row| {
        let place = row.place;
        let is_left = |index| begun.is_none_or(|(row, told)| row != place || index < told);
        let events: Vec<_> = row.notices_from(0).enumerate().collect();
        let mut parts: Vec<_> = events
            .into_iter()
            .rev()
            .filter(|(index, _)| is_left(*index))
            .map(|(index, event)| {
                let kept = filter.keeps(caller, &event.notice);
                let listed = kept.then_some(Listed { event, index });
                (position_of(place, index), listed)
            })
            .collect();
        if parts.is_empty() {
            parts.push((position_of(place, 0), None));
        }
        parts
    })
}

fn position(listed: &Listed) -> Position {
    position_of(listed.event.place, listed.index)
}

/// A cursor's identifier names the row and the event of it.
fn position_of(row: JournalPlace, index: usize) -> Position {
    Position {
        id: format!("{}.{index}", row.revision.0),
        key: row.at.0,
    }
}

/// The row, and down to which of its events all is told.
fn place(position: &Position) -> Option<(JournalPlace, usize)> {
    let (revision, index) = position.id.split_once('.')?;
    let row = JournalPlace {
        at: Timestamp(position.key),
        revision: Revision(revision.parse().ok()?),
    };
    Some((row, index.parse().ok()?))
}

/// An event's JSON as a receiver of webhooks gets it: the same bytes as in a list.
pub(crate) fn body(event: &JournalNotice, environment: &str) -> Bytes {
    render::to_bytes(&EventObject::new(event, environment)).into()
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("event", EventId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    let find = |view: &dyn View| query::event(view, &caller.environment_id, &id);
    let seen = api.read(call.consistency, find).await?;
    let event = seen.value.ok_or_else(|| ApiError::not_found("event"))?;
    if !sees(&caller, &event.notice) {
        return Err(
            ApiError::insufficient_scope("The key is not for what this event is about.").into(),
        );
    }
    let object = EventObject::new(&event, &caller.environment);
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}
