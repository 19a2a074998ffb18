//! Records that only the state machine sees; those that clients see are in [`crate::model`].

use serde::{Deserialize, Serialize};

use crate::id::{EnvironmentId, SnapshotId, WorkspaceId};
use crate::model::{AuditChain, KeyHash, RouteDraft, SnapshotVersion};
use crate::time::{Revision, Timestamp};
use crate::tree::Hash;

/// The log's time, which never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogClock {
    /// The time of the last entry.
    pub at: Timestamp,
    /// No answer expires before this, so until then nobody needs to look.
    pub next_expiry: Timestamp,
    /// How many answers are kept.
    pub answers: u64,
}

impl LogClock {
    /// Before the first entry.
    pub const START: Self = Self {
        at: Timestamp(0),
        next_expiry: Timestamp(u64::MAX),
        answers: 0,
    };
}

/// What bootstrapping made, kept to refuse a second one and to recognise the pepper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootstrapRecord {
    /// The first workspace.
    pub workspace_id: WorkspaceId,
    /// Its environment `production`.
    pub production_id: EnvironmentId,
    /// Its environment `sandbox`.
    pub sandbox_id: EnvironmentId,
    /// Recognises the pepper.
    pub pepper_check: KeyHash,
}

/// A route's draft with what is counted about it, so that whether it is dirty needs no scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The draft snapshot's identifier.
    pub snapshot_id: SnapshotId,
    /// The version that publishing it would have.
    pub next_version: SnapshotVersion,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// The entry that last wrote it.
    pub revision: Revision,
    /// How many rules that are not archived the route has.
    pub rules: u64,
    /// How many rows of [`crate::schema::DIRTY_RULES`] it has.
    pub dirty_rules: u64,
    /// How many rows of [`crate::schema::DIRTY_UPSTREAMS`] it has.
    pub dirty_upstreams: u64,
    /// Whether the route's own settings differ from the live ones.
    pub dirty_settings: bool,
}

impl Draft {
    /// Whether publishing it would change anything.
    #[must_use]
    pub fn pending(&self) -> bool {
        self.dirty_settings || self.dirty_rules > 0 || self.dirty_upstreams > 0
    }

    /// As the model shows it.
    #[must_use]
    pub fn shown(&self) -> RouteDraft {
        RouteDraft {
            snapshot_id: self.snapshot_id.clone(),
            next_version: self.next_version,
            changed_at: self.changed_at,
            pending_changes: self.pending(),
            revision: self.revision,
        }
    }
}

/// How a route uses an upstream. Users are the route's settings and its rules, each counted
/// once however often it names the upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uses {
    /// Users in the draft: the settings, and rules that are not archived.
    pub draft: u64,
    /// Those of them that the next snapshot has: the settings, and rules in draft or active.
    pub wanted: u64,
    /// The live snapshot's content of the upstream, if it has it.
    pub live: Option<Hash>,
    /// Whether the next publish changes the snapshot's content of the upstream.
    pub dirty: bool,
}

impl Uses {
    /// Whether there is anything to remember.
    #[must_use]
    pub fn any(&self) -> bool {
        self.draft > 0 || self.live.is_some()
    }
}

/// How many objects an environment has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectCounts {
    /// Rules that are not archived.
    pub rules: u64,
    /// Upstreams.
    pub upstreams: u64,
    /// Snapshots.
    pub snapshots: u64,
}

/// Where the kept history of an environment begins, so that what is to be removed is found where it
/// is, and nobody looks before there is anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// No row of the journal is older.
    pub journal_from: Timestamp,
    /// No finished delivery ends before this.
    pub finished_from: Timestamp,
    /// No pending delivery ends before this.
    pub pending_from: Timestamp,
    /// How many deliveries are pending.
    pub pending: u64,
    /// The chain of the journal's rows.
    pub audit: AuditChain,
}

impl History {
    /// Before the first row.
    pub const START: Self = Self {
        journal_from: Timestamp(u64::MAX),
        finished_from: Timestamp(u64::MAX),
        pending_from: Timestamp(u64::MAX),
        pending: 0,
        audit: AuditChain::START,
    };
}
