//! Commands about shifts of weight between targets.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

use serde::{Deserialize, Serialize};

use super::DraftSeed;
use crate::id::{EnvironmentId, TargetId, UpstreamId};
use crate::model::{AbortCause, AbortOn};
use crate::time::Revision;

/// Starts a shift with its first step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartShift {
    pub upstream_id: UpstreamId,
    pub from: TargetId,
    pub to: TargetId,
    pub steps: u32,
    pub interval_s: u32,
    pub abort_on: AbortOn,
    /// From this, the identifiers of drafts and snapshots are derived.
    pub seed: DraftSeed,
}

/// Ends a shift that is running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelShift {
    pub upstream_id: UpstreamId,
    /// Whether the weights go back to what they were.
    pub revert: bool,
    pub seed: DraftSeed,
}

/// Takes a shift on, or back. Proposed by the node that leads; on nobody's behalf. Of what is not as it
/// was when that was decided, nothing comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepShift {
    pub environment_id: EnvironmentId,
    pub upstream_id: UpstreamId,
    /// The entry that started the shift that is meant.
    pub began: Revision,
    /// How many steps it had taken.
    pub taken: u32,
    pub turn: ShiftTurn,
    pub seed: DraftSeed,
}

/// What becomes of a shift.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShiftTurn {
    /// The next step, or after the last one the end. Nothing before it is due.
    Advance,
    /// The weights go back.
    Abort(AbortCause),
}
