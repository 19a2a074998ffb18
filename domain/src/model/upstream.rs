//! Upstreams: named groups of weighted targets.

use serde::{Deserialize, Serialize};

use super::UpstreamSettings;
use crate::id::{ApiKeyId, EnvironmentId, TargetId, UpstreamId, WorkspaceId};
use crate::time::{Revision, Timestamp};

/// The highest weight of a target.
pub const WEIGHT_MAX: u32 = 1000;

/// How a target is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Smooth weighted round robin: exact ratios.
    WeightedRoundRobin,
    /// The target with the fewest requests under way for its weight.
    LeastConn,
    /// The same target for the same key, as long as it is there.
    Hash,
}

impl Algorithm {
    /// The name as the API shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WeightedRoundRobin => "weighted_round_robin",
            Self::LeastConn => "least_conn",
            Self::Hash => "hash",
        }
    }
}

/// One place to send requests to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its identifier.
    pub id: TargetId,
    /// A host name or IP address, without a port.
    pub address: String,
    /// The TCP port.
    pub port: u16,
    /// Its share, 0 to [`WEIGHT_MAX`]; 0 takes no traffic.
    pub weight: u32,
    /// The regions whose edges send requests to it; empty for all.
    pub regions: Vec<String>,
    /// Whether it takes no new requests while those under way finish.
    pub drain: bool,
}

/// A group of targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Its identifier.
    pub id: UpstreamId,
    /// The workspace that owns it.
    pub workspace_id: WorkspaceId,
    /// The environment it lives in.
    pub environment_id: EnvironmentId,
    /// A human-readable label.
    pub name: String,
    /// How a target is chosen.
    pub algorithm: Algorithm,
    /// How its targets are spoken to, watched and spared.
    pub settings: UpstreamSettings,
    /// The targets, in the order given.
    pub targets: Vec<Target>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
    /// Who made it.
    pub created_by: ApiKeyId,
    /// The entry that last wrote it.
    pub revision: Revision,
}
