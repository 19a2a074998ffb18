//! How many edges must serve by a publication before its request is answered, and the wait for them.
//!
//! The change is committed before the wait begins, so whatever comes of the wait is part of the
//! answer and never an error. The wait is driven by what nodes come to know of edges. It ends with
//! the request: when the client goes away, when the node stops, when the time is up.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::content::whole_number;
use domain::model::{Epoch, Snapshot};
use domain::query;
use domain::rows::View;
use domain::time::Timestamp;
use edge_protocol::limits::NAME_BYTES_MAX;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::Api;
use super::auth::Caller;
use super::edges::{self, EdgeView, FleetView, Freshness};
use super::error::ApiError;
use super::fields::Fields;
use super::pipeline::Call;
use super::propagation::{self, Progress, Window};
use crate::control_plane::MemberId;

/// The longest time that a client may ask for.
pub(crate) const TIMEOUT_S_MAX: u64 = 60;

/// How long is waited, unless the client says.
pub(crate) const TIMEOUT_S_DEFAULT: u64 = 30;

/// How much longer than its time a wait may take: the edges are gathered once more at the end.
const OVERTIME: Duration = Duration::from_secs(5);

/// How many requests of a node wait at a time: each has the edges of all nodes gathered again and
/// again. More are refused before anything is changed.
pub(super) const WAITS_MAX: usize = 64;

/// How long news are left to come in before the edges are gathered again.
const PAUSE: Duration = Duration::from_millis(20);

/// How often it is looked whether the node is stopping.
const TICK: Duration = Duration::from_secs(1);

/// What a wait takes.
pub(crate) const FIELDS: [&str; 2] = ["quorum", "timeout_s"];

/// The most edges that are named one by one.
const EDGES_SHOWN_MAX: usize = 20;

const QUORUM: &str = "Must be \"all\", a percentage from 1 to 100, or {\"region\": NAME}.";

/// Which edges have to serve by a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Quorum {
    /// All of them.
    All,
    /// So many of a hundred of them, rounded up.
    Percent(u64),
    /// All of a region.
    Region(String),
}

impl Quorum {
    fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        match fields.value("quorum") {
            None => Ok(Self::All),
            Some(Value::String(word)) if word == "all" => Ok(Self::All),
            Some(percent @ Value::Number(_)) => match whole_number(&percent) {
                Some(percent @ 1..=100) => Ok(Self::Percent(percent)),
                _ => Err(ApiError::invalid("wait.quorum", QUORUM)),
            },
            Some(object @ Value::Object(_)) => {
                let mut fields = Fields::of(object, "wait.quorum", &["region"])?;
                let region = fields.text("region")?;
                let region = fields.required("region", region)?;
                if region.is_empty() || region.len() > NAME_BYTES_MAX {
                    let message = "Must be the name of a region.";
                    return Err(ApiError::invalid("wait.quorum.region", message));
                }
                Ok(Self::Region(region))
            }
            Some(_) => Err(ApiError::invalid("wait.quorum", QUORUM)),
        }
    }

    fn counts(&self, region: &str) -> bool {
        match self {
            Self::All | Self::Percent(_) => true,
            Self::Region(wanted) => wanted == region,
        }
    }

    /// How many edges have to serve by it, of those that count.
    fn of(&self, edges: u64) -> u64 {
        match self {
            Self::All | Self::Region(_) => edges,
            Self::Percent(percent) => (edges * percent).div_ceil(100),
        }
    }
}

/// A wait that a client asked for, with a place among those of the node.
#[derive(Debug)]
pub(crate) struct Wait {
    quorum: Quorum,
    timeout: Duration,
    _place: OwnedSemaphorePermit,
}

/// What came of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WaitOutcome)]
enum Verdict {
    /// Enough edges serve by it.
    Reached,
    /// So many edges refused it that it cannot be reached.
    Rejected,
    /// The time is up.
    TimedOut,
    /// No node knows of an edge that counts.
    NoEdges,
    /// The node stops.
    Interrupted,
}

/// What came of a wait, as clients see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitResult)]
pub(crate) struct WaitObject {
    /// Whether enough edges serve by the snapshot.
    reached: bool,
    outcome: Verdict,
    /// How many edges count.
    edges: u64,
    /// How many of them have to serve by it.
    needed: u64,
    applied: u64,
    rejected: u64,
    /// How many neither serve by it nor refused it.
    missing: u64,
    waited_ms: u64,
    /// Edges that do not serve by it, up to 20.
    behind: Vec<Behind>,
    /// Nodes that did not answer, whose edges are not known.
    silent_nodes: Vec<MemberId>,
}

/// An edge that does not serve by the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = EdgeBehind)]
struct Behind {
    id: String,
    region: String,
    state: Standing,
    reason: Option<String>,
}

/// How an edge stands, those first that need looking at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EdgeStanding)]
enum Standing {
    /// It refused the snapshot.
    Rejected,
    /// It has not said that it serves by it.
    Pending,
    /// It is not connected, or has not been heard of for a while, whatever it said before.
    Quiet,
}

/// How the edges that count stand.
#[derive(Debug, Default)]
struct Tally {
    edges: u64,
    applied: u64,
    rejected: u64,
    behind: Vec<Behind>,
}

impl Wait {
    /// Takes `wait`, if it is asked for and there is something to wait for. Too many of them are
    /// refused here, while nothing is changed.
    pub(crate) fn take(
        api: &Api,
        call: &Call,
        fields: &mut Fields,
    ) -> Result<Option<Self>, ApiError> {
        let Some(wait) = fields.object("wait")? else {
            return Ok(None);
        };
        let mut fields = Fields::of(Value::Object(wait), "wait", &FIELDS)?;
        let quorum = Quorum::take(&mut fields)?;
        let timeout_s = fields.integer("timeout_s", 1, TIMEOUT_S_MAX)?;
        if call.dry_run {
            return Ok(None);
        }
        let place = api.waits.clone().try_acquire_owned();
        Ok(Some(Self {
            quorum,
            timeout: Duration::from_secs(timeout_s.unwrap_or(TIMEOUT_S_DEFAULT)),
            _place: place.map_err(|_| too_many())?,
        }))
    }

    /// Waits until enough edges serve by a snapshot that is committed, or cannot any more.
    pub(crate) async fn out(
        self,
        api: &Api,
        caller: &Caller,
        call: &Call,
        snapshot: &Snapshot,
    ) -> WaitObject {
        call.course.deadline.put_off(self.timeout + OVERTIME);
        let started = Instant::now();
        let deadline = started + self.timeout;
        let mut known = BTreeMap::new();
        loop {
            let begun = Instant::now();
            let fleet = api.fleet.gather(&caller.environment_id).await;
            let window = window(api, caller, snapshot);
            let tally = self.tally(&fleet, &window, &mut known, api.clock.now());
            if let Some(verdict) = self.verdict(api, &tally, &fleet, deadline) {
                return self.object(verdict, tally, fleet, started.elapsed());
            }
            // Many acknowledgements at once are one look, and at least half of the time is left to
            // other work.
            let pause = begun.elapsed().max(PAUSE);
            tokio::time::sleep_until(deadline.min(Instant::now() + pause)).await;
            tokio::select! {
                () = api.fleet.news(&fleet) => {}
                () = stopping(api) => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }

    /// Counts the edges that count. `known` is those that were seen since the wait began: one whose
    /// node has gone is still to come.
    fn tally(
        &self,
        fleet: &FleetView,
        window: &Window,
        known: &mut BTreeMap<String, String>,
        now: Timestamp,
    ) -> Tally {
        let mut tally = Tally::default();
        let mut unseen = std::mem::take(known);
        for edge in fleet
            .edges
            .iter()
            .filter(|edge| self.quorum.counts(&edge.region))
        {
            unseen.remove(&edge.id);
            known.insert(edge.id.clone(), edge.region.clone());
            tally.count(edge, window, now);
        }
        for (id, region) in unseen {
            known.insert(id.clone(), region.clone());
            tally.edges += 1;
            tally.behind.push(Behind {
                id,
                region,
                state: Standing::Quiet,
                reason: None,
            });
        }
        tally
    }

    /// What the wait has come to, once it is over.
    fn verdict(
        &self,
        api: &Api,
        tally: &Tally,
        fleet: &FleetView,
        deadline: Instant,
    ) -> Option<Verdict> {
        let needed = self.quorum.of(tally.edges);
        if tally.edges == 0 && fleet.silent.is_empty() {
            Some(Verdict::NoEdges)
        } else if tally.edges > 0 && tally.applied >= needed {
            Some(Verdict::Reached)
        } else if tally.edges - tally.rejected < needed {
            Some(Verdict::Rejected)
        } else if Instant::now() >= deadline {
            Some(Verdict::TimedOut)
        } else {
            let stopping = api.control.readiness().draining;
            stopping.then_some(Verdict::Interrupted)
        }
    }

    fn object(
        &self,
        verdict: Verdict,
        mut tally: Tally,
        fleet: FleetView,
        waited: Duration,
    ) -> WaitObject {
        tally
            .behind
            .sort_by(|a, b| (a.state, &a.id).cmp(&(b.state, &b.id)));
        tally.behind.truncate(EDGES_SHOWN_MAX);
        WaitObject {
            reached: verdict == Verdict::Reached,
            outcome: verdict,
            edges: tally.edges,
            needed: self.quorum.of(tally.edges),
            applied: tally.applied,
            rejected: tally.rejected,
            missing: tally.edges - tally.applied - tally.rejected,
            waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
            behind: tally.behind,
            silent_nodes: fleet.silent,
        }
    }
}

impl Tally {
    /// An edge that went on to a newer snapshot of the route counts as one that serves by this one:
    /// it will not go back to it. One that went quiet does not, whatever it said before.
    fn count(&mut self, edge: &EdgeView, window: &Window, now: Timestamp) {
        let progress = propagation::progress(edge, window, now);
        let online = edge.freshness(now) == Freshness::Online;
        self.edges += 1;
        let state = match progress.state {
            Progress::Applied | Progress::Superseded if online => {
                self.applied += 1;
                return;
            }
            Progress::Rejected => {
                self.rejected += 1;
                Standing::Rejected
            }
            _ if online => Standing::Pending,
            _ => Standing::Quiet,
        };
        self.behind.push(Behind {
            id: edge.id.clone(),
            region: edge.region.clone(),
            state,
            reason: progress.reason.map(str::to_owned),
        });
    }
}

/// The manifests that carry a snapshot, as far as this node knows, which has applied it.
fn window(api: &Api, caller: &Caller, snapshot: &Snapshot) -> Window {
    let find = |view: &dyn View| {
        let found = edges::window(view, &caller.environment_id, &snapshot.id);
        let epoch = query::manifest(view, &caller.environment_id).epoch;
        found.map_or_else(|| Window::since(epoch, snapshot), |(_, window)| window)
    };
    match api.control.read_local(find) {
        Ok((window, _)) => window,
        // The storage failed, which ends the process.
        Err(_) => Window::since(Epoch::default(), snapshot),
    }
}

/// Returns when the node stops.
async fn stopping(api: &Api) {
    while !api.control.readiness().draining {
        tokio::time::sleep(TICK).await;
    }
}

fn too_many() -> ApiError {
    let message = "Too many requests are waiting for edges. Nothing was changed; retry later.";
    ApiError {
        message: message.to_owned(),
        ..ApiError::unavailable(1)
    }
}
