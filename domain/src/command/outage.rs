//! What nodes have concluded of upstreams.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

use serde::{Deserialize, Serialize};

use crate::id::{EnvironmentId, UpstreamId};

/// Writes down where upstreams went out of use, and where they are in use again. Proposed by the node
/// that gathers what edges say; on nobody's behalf. What is written down already changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordOutages {
    pub environment_id: EnvironmentId,
    pub changes: Vec<OutageChange>,
}

/// How an upstream stands in a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutageChange {
    pub upstream_id: UpstreamId,
    pub region: String,
    /// Whether it is out of use.
    pub is_down: bool,
    /// How many edges of the region see it down.
    pub edges_down: u32,
    /// Of how many.
    pub edges: u32,
}
