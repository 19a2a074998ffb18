//! What edges count of the requests that they answer, as it travels to a node: who took them,
//! how they ended, how long they took, and a few of them as examples.
//!
//! Batches add up: [`Batch::merge`] makes two of them one, and never more than
//! [`BATCH_SERIES_MAX`] series and [`BATCH_DECISIONS_MAX`] examples of it. What is beyond goes to
//! the series of its route that stands for all others, so totals stay right.
//!
//! How requests are counted is the edge's matter, who may see it the node's.

mod decision;
mod sketch;

use std::collections::BTreeMap;

use domain::id::{RouteId, RuleId, TargetId, UpstreamId};
use serde::{Deserialize, Serialize};

pub use decision::{Decision, Outcome};
pub use sketch::{ERROR_MAX, Sketch, VALUE_MAX};

/// Series of one batch, each at most some 5 KiB and mostly a few hundred bytes: a hundred routes
/// with ten rules each. An edge keeps no more than this while it is away from its nodes.
pub const BATCH_SERIES_MAX: usize = 1024;

/// Examples of one batch.
pub const BATCH_DECISIONS_MAX: usize = 64;

/// Series of one frame. Even if each is as large as a series can be, the frame is not too large.
pub const FRAME_SERIES_MAX: usize = 128;

/// Whose requests a series counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeriesKey {
    /// The route that serves the host; none for requests to nobody's host, and for what was
    /// beyond all bounds.
    pub route: Option<RouteId>,
    /// What of the route took the request.
    pub taker: Taker,
    /// Where it was sent, if anywhere.
    pub target: Option<TargetKey>,
}

/// What of a route took a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Taker {
    /// A rule.
    Rule(RuleId),
    /// The route's own upstreams, or nothing at all.
    Defaults,
    /// One of those that were too many to be counted one by one.
    Others,
}

/// A target, and the upstream that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TargetKey {
    /// The upstream.
    pub upstream: UpstreamId,
    /// The target.
    pub target: TargetId,
}

/// What is counted of some requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Answers by the class of their status, from 1xx to 5xx.
    pub statuses: [u64; 5],
    /// How often the target gave no answer, whatever the client got in the end.
    pub failures: u64,
    /// From a request's head to its answer's head.
    pub latency: Sketch,
}

/// A batch of counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Over how long they were collected, in milliseconds.
    pub span_ms: u64,
    /// The counts.
    pub series: BTreeMap<SeriesKey, Counts>,
    /// Requests as examples, the latest ones.
    pub decisions: Vec<Decision>,
}

impl SeriesKey {
    /// The series that stands for what is beyond all bounds.
    #[must_use]
    pub fn beyond() -> Self {
        Self {
            route: None,
            taker: Taker::Others,
            target: None,
        }
    }

    /// The series that stands for all others of the same route.
    #[must_use]
    pub fn others(&self) -> Self {
        Self {
            route: self.route.clone(),
            ..Self::beyond()
        }
    }
}

impl Counts {
    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.statuses.iter_mut().zip(&other.statuses) {
            *count = count.saturating_add(*more);
        }
        self.failures = self.failures.saturating_add(other.failures);
        self.latency.merge(&other.latency);
    }

    /// Counts an answer: the class of its status (1 to 5), and how long it took.
    pub fn answered(&mut self, class: u16, micros: u64) {
        let place = usize::from(class.clamp(1, 5)) - 1;
        self.statuses[place] = self.statuses[place].saturating_add(1);
        self.latency.record(micros);
    }

    /// How many requests were answered.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.statuses.iter().copied().fold(0, u64::saturating_add)
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.failures == 0 && self.answers() == 0
    }

    /// Forgets everything, and keeps the room.
    pub fn clear(&mut self) {
        self.statuses = [0; 5];
        self.failures = 0;
        self.latency.clear();
    }
}

/// Adds counts to a map that holds at most `max` series, one for each route beyond that, and never
/// more than twice `max`.
pub fn add(series: &mut BTreeMap<SeriesKey, Counts>, key: &SeriesKey, counts: &Counts, max: usize) {
    if let Some(known) = series.get_mut(key) {
        return known.merge(counts);
    }
    let key = if series.len() < max {
        key.clone()
    } else if series.contains_key(&key.others()) || series.len() < 2 * max - 1 {
        key.others()
    } else {
        SeriesKey::beyond()
    };
    series.entry(key).or_default().merge(counts);
}

impl Batch {
    /// Adds another batch of the same edge to this one.
    pub fn merge(&mut self, other: Self) {
        self.span_ms = self.span_ms.saturating_add(other.span_ms);
        for (key, counts) in &other.series {
            add(&mut self.series, key, counts, BATCH_SERIES_MAX / 2);
        }
        self.decisions.extend(other.decisions);
        let beyond = self.decisions.len().saturating_sub(BATCH_DECISIONS_MAX);
        self.decisions.drain(..beyond);
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty() && self.decisions.is_empty()
    }

    /// Takes as much out as a frame holds: the series that come first, and all examples.
    #[must_use]
    pub fn split_frame(&mut self) -> Self {
        let rest = match self.series.keys().nth(FRAME_SERIES_MAX).cloned() {
            Some(next) => self.series.split_off(&next),
            None => BTreeMap::new(),
        };
        Self {
            span_ms: self.span_ms,
            series: std::mem::replace(&mut self.series, rest),
            decisions: std::mem::take(&mut self.decisions),
        }
    }

    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.series.len() > FRAME_SERIES_MAX {
            return Err("there are too many series");
        }
        if self.decisions.len() > BATCH_DECISIONS_MAX {
            return Err("there are too many decisions");
        }
        if !self
            .series
            .values()
            .all(|counts| counts.latency.is_well_formed())
        {
            return Err("a sketch of durations is malformed");
        }
        if !self.decisions.iter().all(Decision::is_bounded) {
            return Err("a decision is too long");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
