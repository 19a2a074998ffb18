//! Commands that change one thing and can publish it alone: a snapshot that differs from the active
//! one in nothing else, while the rest of the draft stays pending.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

use serde::{Deserialize, Serialize};

use super::DesiredStatus;
use crate::id::{RouteId, RuleId, SnapshotId};

/// Pauses or resumes a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchRule {
    pub id: RuleId,
    pub draft_id: SnapshotId,
    pub status: DesiredStatus,
    /// Also makes it live.
    pub publish: Option<PublishAlone>,
}

/// Enables or disables a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchRoute {
    pub id: RouteId,
    pub draft_id: SnapshotId,
    pub enabled: bool,
    /// Also makes it live.
    pub publish: Option<PublishAlone>,
}

/// The snapshot that such a change is published with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishAlone {
    pub snapshot_id: SnapshotId,
    pub comment: Option<String>,
}
