//! Snapshots: the immutable published versions of a route. The record is metadata; the content
//! is the tree of chunks under `head`.

use serde::{Deserialize, Serialize};

use crate::id::{ApiKeyId, EnvironmentId, RouteId, SnapshotId, WorkspaceId};
use crate::model::ManifestVersion;
use crate::time::{Revision, Timestamp};
use crate::tree::Hash;

/// Counts a route's snapshots from 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct SnapshotVersion(pub u64);

/// Where a snapshot is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SnapshotState {
    /// The active one of its route.
    Published,
    /// A newer one took its place.
    Superseded,
    /// A rollback took its place.
    RolledBack,
}

impl SnapshotState {
    /// The name as the API shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Superseded => "superseded",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// A published version of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its identifier.
    pub id: SnapshotId,
    /// The workspace that owns it.
    pub workspace_id: WorkspaceId,
    /// The environment it lives in.
    pub environment_id: EnvironmentId,
    /// The route.
    pub route_id: RouteId,
    /// Its version; versions of a route only grow.
    pub version: SnapshotVersion,
    /// The snapshot that was active before.
    pub parent_id: Option<SnapshotId>,
    /// The snapshot whose content this is, where a rollback made it.
    pub source_snapshot_id: Option<SnapshotId>,
    /// Where it is in its life.
    pub state: SnapshotState,
    /// The head chunk: the SHA-256 of the canonical content.
    pub head: Hash,
    /// How many rules it holds.
    pub rule_count: u64,
    /// What the publisher wrote.
    pub comment: Option<String>,
    /// Who published it.
    pub created_by: ApiKeyId,
    /// When it was published.
    pub published_at: Timestamp,
    /// The first manifest version that carries it.
    pub manifest_version: ManifestVersion,
    /// The entry that last wrote it.
    pub revision: Revision,
}
