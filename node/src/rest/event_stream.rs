//! Events as they happen: server-sent events (WHATWG HTML, section 9.2) over the journal.
//!
//! A stream is a place in the journal and nothing else. Whoever comes back with the identifier
//! of the last event that he saw goes on behind it, on whichever node, and misses nothing; what is
//! not read waits in the journal, not in memory.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use domain::id::EventId;
use domain::model::JournalPlace;
use domain::query::{self, JournalNotice, JournalRow};
use domain::rows::View;
use domain::time::{Revision, Timestamp};
use futures_util::stream;
use http::header::HeaderName;
use http::{HeaderMap, StatusCode};
use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::{Answer, Answered};
use super::auth::{self, Caller};
use super::error::ApiError;
use super::events::EventFilter;
use super::object::EventObject;
use super::pipeline::Call;
use super::slots::Slot;
use super::telemetry::Pulses;
use super::{Api, render};
use crate::control_plane::Consistency;

/// How many streams a node serves at a time: each costs a look at the journal with each batch of
/// changes. More are refused for the moment.
pub(super) const STREAMS_MAX: usize = 512;

/// How many of them one key may have: more than one client's processes need.
pub(super) const STREAMS_OF_KEY_MAX: usize = 64;

/// How many of them carry measurements, for which all nodes are asked every few seconds.
pub(super) const PULSES_MAX: usize = 64;

/// How many of those one key may have.
pub(super) const PULSES_OF_KEY_MAX: usize = 16;

/// How many rows are read at a time: a row of the biggest kind has hundreds of kilobytes.
const ROWS_STEP: usize = 16;

/// How often something is sent when there is nothing to tell, so that proxies and clients see that the
/// stream lives: well within the usual idle time-outs of 30 s and more.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How often a waiting stream looks whether the node is stopping.
const TICK: Duration = Duration::from_secs(1);

/// How long a client should wait before it comes back, in milliseconds.
const RETRY: &str = "retry: 1000\n\n";

const CONTENT_TYPE: &str = "text/event-stream";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(crate) async fn open(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let filter = EventFilter::take_streamed(&mut query)?;
    query.finish()?;
    let last = last_event_id(&call.headers)?;
    let slot = api.streams.take(&caller.api_key_id)?;
    let pulse_slot = match filter.has_pulses() {
        true => Some(api.pulses.take(&caller.api_key_id)?),
        false => None,
    };
    // Changes from here on wake the stream; what happened before is in what is read first.
    let changes = api.control.changes();
    let find = |view: &dyn View| start(view, &caller, last.as_ref());
    let seen = api.read(call.consistency, find).await?;
    let Start {
        place,
        passed,
        opening,
    } = seen.value?;
    let stream = EventStream {
        // Access may have changed since the caller was looked up.
        stamp: Revision::default(),
        headers: call.headers,
        address: call.address,
        changes,
        place,
        skip: passed,
        rows: VecDeque::new(),
        waiting: [Some(Bytes::from_static(RETRY.as_bytes())), opening]
            .into_iter()
            .flatten()
            .collect(),
        spoke: Instant::now(),
        pulses: filter.pulses(),
        _slot: slot,
        _pulse_slot: pulse_slot,
        api,
        caller,
        filter,
    };
    let frames = stream::unfold(stream, EventStream::next);
    let answer = Answer::bytes(StatusCode::OK, CONTENT_TYPE, Bytes::new());
    Ok(answer.streamed(Body::from_stream(frames)).at(seen.revision))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<EventId>, ApiError> {
    let Some(value) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    EventId::parse(text)
        .map(Some)
        .map_err(|_| unknown_last_event())
}

fn unknown_last_event() -> ApiError {
    ApiError::invalid(
        "Last-Event-ID",
        "There is no such event. List the events since, and stream without this header.",
    )
}

/// Where a stream begins.
#[derive(Default)]
struct Start {
    /// Behind which row.
    place: JournalPlace,
    /// Which event of the next row was seen already.
    passed: Option<EventId>,
    /// What is said first.
    opening: Option<Bytes>,
}

fn start(view: &dyn View, caller: &Caller, last: Option<&EventId>) -> Result<Start, ApiError> {
    let environment = &caller.environment_id;
    let Some(last) = last else {
        let newest = query::journal_page(view, environment, None, 1);
        let place = newest.items.first().map(|row| row.place);
        return Ok(Start {
            place: place.unwrap_or_default(),
            ..Start::default()
        });
    };
    let Some(seen) = query::event(view, environment, last) else {
        return beyond(view, last).ok_or_else(unknown_last_event);
    };
    Ok(Start {
        place: JournalPlace {
            revision: Revision(seen.place.revision.0.saturating_sub(1)),
            ..seen.place
        },
        passed: Some(last.clone()),
        opening: None,
    })
}

/// The oldest event that is kept, where the last one seen is so old that it may have gone, and others
/// after it.
fn beyond(view: &dyn View, last: &EventId) -> Option<Start> {
    let at = Timestamp(last.unix_ms()?);
    query::is_beyond_journal(view, at).then(|| Start {
        place: JournalPlace {
            at,
            revision: Revision(0),
        },
        passed: None,
        opening: Some(gap(last)),
    })
}

/// Tells that events may be missing. It has no identifier, as it is no place to come back to.
fn gap(after: &EventId) -> Bytes {
    format!(
        "event: gap\ndata: {{\"object\":\"event_gap\",\"type\":\"gap\",\"after\":\"{after}\"}}\n\n"
    )
    .into()
}

struct EventStream {
    api: Arc<Api>,
    caller: Caller,
    /// The request's, to ask again who it is when access changes.
    headers: HeaderMap,
    /// Where it comes from.
    address: Option<IpAddr>,
    /// The last change of access when the caller was known.
    stamp: Revision,
    filter: EventFilter,
    changes: watch::Receiver<Revision>,
    /// The last row that was told.
    place: JournalPlace,
    /// Up to which event the next row was told before.
    skip: Option<EventId>,
    /// Rows that were read and not told.
    rows: VecDeque<JournalRow>,
    /// Frames to be sent: those of one row at a time.
    waiting: VecDeque<Bytes>,
    /// When something was last sent.
    spoke: Instant,
    /// Measurements, if they are wanted.
    pulses: Pulses,
    _slot: Slot,
    _pulse_slot: Option<Slot>,
}

impl EventStream {
    /// The next frame, once there is one; nothing ends the stream.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if let Some(frame) = self.waiting.pop_front() {
                self.spoke = Instant::now();
                return Some((Ok(frame), self));
            }
            if let Some(row) = self.rows.pop_front() {
                self.tell(row);
                continue;
            }
            if self.spoke.elapsed() >= KEEP_ALIVE {
                let comment = Bytes::from_static(b": still here\n\n");
                self.waiting.push_back(comment);
                continue;
            }
            if !self.may_go_on().await {
                return None;
            }
            if self.pulses.are_due() {
                let frames = self.pulses.beat(&self.api, &self.caller).await;
                self.waiting.extend(frames);
                continue;
            }
            self.changes.borrow_and_update();
            self.rows = self.read()?.into();
            if self.rows.is_empty() {
                self.wait().await?;
            } else {
                // There may be much to pass by, and others wait for the thread.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Whether the node goes on, and the key is still good.
    async fn may_go_on(&mut self) -> bool {
        if self.api.control.readiness().draining {
            return false;
        }
        let stamp = self.api.control.access_changed();
        if stamp != self.stamp {
            self.stamp = stamp;
            let (headers, consistency) = (&self.headers, Consistency::Stale);
            let known = auth::authenticate(&self.api, headers, self.address, consistency);
            match known.await {
                Ok(caller) if caller.environment_id == self.caller.environment_id => {
                    self.caller = caller;
                }
                _ => return false,
            }
        }
        self.caller.is_valid_at(self.api.clock.now())
    }

    fn read(&self) -> Option<Vec<JournalRow>> {
        let read = |view: &dyn View| {
            query::journal_after(view, &self.caller.environment_id, self.place, ROWS_STEP)
        };
        self.api.control.read_local(read).ok().map(|(rows, _)| rows)
    }

    fn tell(&mut self, row: JournalRow) {
        self.place = row.place;
        let mut skip = self.skip.take();
        for event in row.notices_from(0) {
            if skip.is_some() {
                if skip.as_ref() == Some(&event.id) {
                    skip = None;
                }
            } else if self.filter.keeps(&self.caller, &event.notice) {
                self.waiting
                    .push_back(frame(&event, &self.caller.environment));
            }
        }
    }

    /// Waits for a change or for the time to look around; nothing, if there will be none.
    async fn wait(&mut self) -> Option<()> {
        match tokio::time::timeout(TICK, self.changes.changed()).await {
            Ok(changed) => changed.ok(),
            Err(_) => Some(()),
        }
    }
}

/// One event. Its JSON has no line feeds, so it is one line of data.
fn frame(event: &JournalNotice, environment: &str) -> Bytes {
    let mut bytes = format!(
        "id: {}\nevent: {}\ndata: ",
        event.id,
        event.notice.kind.as_str()
    )
    .into_bytes();
    render::append(&mut bytes, &EventObject::new(event, environment));
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
}
