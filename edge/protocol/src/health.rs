//! What an edge says of targets: which of them take no requests from it. What nodes make of that is
//! theirs.

use domain::id::{TargetId, UpstreamId};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::limits::{HEALTH_TARGETS_MAX, TARGET_ERROR_BYTES_MAX};

/// All targets that take no requests from the edge. It is whole each time, so that none is missed;
/// an edge that never sent one has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// These, by upstream and target.
    pub out: Vec<TargetOut>,
    /// The upstreams that have no other targets than such.
    pub down: Vec<UpstreamId>,
    /// How many more targets there are than fit.
    pub more: u64,
}

/// A target that takes no requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetOut {
    /// Its upstream.
    pub upstream_id: UpstreamId,
    /// The target.
    pub target_id: TargetId,
    /// Why not.
    pub cause: OutCause,
    /// What was wrong last, cut to [`TARGET_ERROR_BYTES_MAX`]; empty where nothing is known.
    pub error: String,
    /// Since when, by the edge's clock.
    pub since: Timestamp,
}

/// Why a target takes no requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutCause {
    /// Its checks fail.
    Check,
    /// Requests to it failed.
    Requests,
}

impl HealthReport {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.out.len() > HEALTH_TARGETS_MAX {
            return Err("too many targets are told of at once");
        }
        if self.down.len() > HEALTH_TARGETS_MAX {
            return Err("too many upstreams are told of at once");
        }
        let mut errors = self.out.iter().map(|target| target.error.len());
        if errors.any(|length| length > TARGET_ERROR_BYTES_MAX) {
            return Err("an error is too long");
        }
        Ok(())
    }
}
