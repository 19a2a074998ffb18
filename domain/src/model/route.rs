//! Routes: a public hostname, its traffic mode and settings. `config` is kept as the JSON text
//! that the client sent (merged by later patches); [`crate::content`] gives it types.

use serde::{Deserialize, Serialize};

use crate::id::{ApiKeyId, EnvironmentId, RouteId, SnapshotId, WorkspaceId};
use crate::model::{Purges, SnapshotVersion};
use crate::time::{Revision, Timestamp};
use crate::tree::Hash;

/// How a route chooses between its cache and its origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Spread over weighted upstreams.
    Balanced,
    /// Serve from the cache first.
    CacheFirst,
    /// Ask the origin first.
    OriginFirst,
}

impl Mode {
    /// The name as the API shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::CacheFirst => "cache_first",
            Self::OriginFirst => "origin_first",
        }
    }
}

/// A route's settings, as they are edited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Its identifier.
    pub id: RouteId,
    /// The workspace that owns it.
    pub workspace_id: WorkspaceId,
    /// The environment it lives in.
    pub environment_id: EnvironmentId,
    /// A human-readable label.
    pub name: String,
    /// The hostname: lower-case A-labels, perhaps one leading `*.` label.
    pub hostname: String,
    /// The traffic mode.
    pub mode: Mode,
    /// Desired state; effective at the next publish.
    pub enabled: bool,
    /// The `config` object as compact JSON.
    pub config: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its settings last changed or it was last published.
    pub updated_at: Option<Timestamp>,
    /// When it was archived, if it was.
    pub archived_at: Option<Timestamp>,
    /// The active snapshot, if one was published.
    pub published: Option<PublishedRoute>,
    /// What was purged of what edges keep.
    pub purges: Purges,
    /// Who made it.
    pub created_by: ApiKeyId,
    /// The entry that last wrote it.
    pub revision: Revision,
}

impl Route {
    /// The entry that last wrote the route as clients see it: its settings or its draft.
    #[must_use]
    pub fn last_written(&self, draft: &RouteDraft) -> Revision {
        self.revision.max(draft.revision)
    }
}

/// What of a route is live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedRoute {
    /// The active snapshot.
    pub snapshot_id: SnapshotId,
    /// Its version.
    pub version: SnapshotVersion,
    /// Its head chunk.
    pub head: Hash,
    /// When it was published.
    pub at: Timestamp,
    /// The hostname that is live, which a later edit of the route may have left.
    pub hostname: String,
    /// Whether the live version is enabled.
    pub enabled: bool,
}

/// The state of a route's draft. It is a row of its own, so that a rule change rewrites this
/// and not the route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteDraft {
    /// The identifier of the draft snapshot; each change gives a new one, publishing uses it up.
    pub snapshot_id: SnapshotId,
    /// The version that publishing it would have.
    pub next_version: SnapshotVersion,
    /// When the draft last changed.
    pub changed_at: Timestamp,
    /// Whether it differs from the active snapshot (settings, rules or a referenced upstream).
    pub pending_changes: bool,
    /// The entry that last wrote it.
    pub revision: Revision,
}
