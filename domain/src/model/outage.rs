//! That an upstream is out of use in a region: the edges there see all of its targets down.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// An upstream's outage in a region, for as long as it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// Since when, in log time.
    pub since: Timestamp,
    /// How many edges of the region saw it down then.
    pub edges_down: u32,
    /// Of how many.
    pub edges: u32,
}
