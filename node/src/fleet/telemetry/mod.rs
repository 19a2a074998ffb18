//! What edges counted of their requests, for an hour, at the node that they are connected to.
//!
//! Counts stand in buckets of a minute, by this node's clock, so that edges' clocks do not matter: what
//! an edge sends counts for the minute in which it came. An edge that changes nodes leaves what it
//! counted where it was; whoever asks adds all nodes up. A node that stops forgets: these are
//! measurements, not records.

mod memory;

#[cfg(test)]
mod tests;

use domain::id::EnvironmentId;
use edge_protocol::telemetry::{Batch, Counts};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub(super) use memory::Memory;

use super::Fleet;
use crate::rest::{TelemetryKey, TelemetryQuery, TelemetrySample};

/// Rows of an answer, each at most 6 KiB: those with the most requests. More regions, targets or
/// used rules than that nobody reads; what is left out is said.
pub(super) const ROWS_MAX: usize = 512;

/// What a node answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) rows: Vec<(TelemetryKey, Counts)>,
    /// The newest first.
    pub(super) samples: Vec<TelemetrySample>,
    /// Whether there are more rows.
    pub(super) truncated: bool,
}

/// Of which edge a batch is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    pub(super) environment_id: &'a EnvironmentId,
    pub(super) region: &'a str,
    pub(super) edge_id: &'a str,
}

impl Fleet {
    /// Takes in what an edge counted.
    pub(super) fn count(&self, sender: Sender<'_>, batch: Batch) {
        self.telemetry.lock().add(sender, batch, Instant::now());
    }

    /// What this node's edges counted.
    pub(super) fn counted(&self, query: &TelemetryQuery) -> Counted {
        self.telemetry.lock().answer(query, Instant::now())
    }
}
