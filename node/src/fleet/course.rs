//! How long the steps of following a manifest took, all by this node's monotonic clock: when it had the
//! publication, when it sent the manifest, and when it heard of each step. No clock of another machine
//! comes into it, so none can falsify it. What the clock cannot tell apart is the way of the words
//! itself: half a round trip lies between a step and its being heard of.

use std::time::Duration;

use edge_protocol::{ManifestRef, ReportState};
use tokio::time::Instant;

use crate::rest::EdgeSteps;

/// A manifest on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub(super) manifest: ManifestRef,
    /// When this node had the publication, if it saw it come.
    learned: Option<Instant>,
    sent: Instant,
    received: Option<Instant>,
    verified: Option<Instant>,
}

impl Course {
    pub(super) fn new(manifest: ManifestRef, learned: Option<Instant>, now: Instant) -> Self {
        Self {
            manifest,
            learned,
            sent: now,
            received: None,
            verified: None,
        }
    }

    /// The edge took a step on the way; of one that it repeats, the first time counts.
    pub(super) fn step(&mut self, state: &ReportState, now: Instant) {
        match state {
            ReportState::Received => drop(self.received.get_or_insert(now)),
            ReportState::Verified => drop(self.verified.get_or_insert(now)),
            ReportState::Applied | ReportState::Rejected { .. } => {}
        }
    }

    /// The way as a whole, now that it is at its end.
    pub(super) fn steps(&self, round_trip: Option<Duration>, now: Instant) -> EdgeSteps {
        let since = self.learned.unwrap_or(self.sent);
        let ms = |at: Instant| millis(at.duration_since(since));
        EdgeSteps {
            from_publication: self.learned.is_some(),
            sent_ms: ms(self.sent),
            received_ms: self.received.map(ms),
            verified_ms: self.verified.map(ms),
            done_ms: ms(now),
            round_trip_ms: round_trip.map(millis),
        }
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
