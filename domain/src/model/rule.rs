//! Rules: which requests are meant and what is done with them. `criteria` and `action` are kept
//! as the JSON text that the client sent, so that they are shown as sent; [`crate::content`]
//! gives them types when they are checked and published.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{ApiKeyId, EnvironmentId, RouteId, RuleId, SnapshotId, WorkspaceId};
use crate::rejection::Problem;
use crate::time::{Revision, Timestamp};
use crate::tree::Hash;

/// The highest priority number; lower numbers run first.
pub const PRIORITY_MAX: u32 = 1_000_000;

/// A rule's place in its route: lower runs first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Priority(pub u32);

/// Arbitrary labels.
pub type Metadata = BTreeMap<String, String>;

/// Where a rule is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleStatus {
    /// Never published, or taken back to be published anew.
    Draft,
    /// Part of the route's live snapshot, or meant to be in the next one.
    Active,
    /// Kept out of the next snapshot.
    Paused,
    /// Deleted, for everyone but history.
    Archived,
}

impl RuleStatus {
    /// All, in the order in which index rows hold them.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Active, Self::Paused, Self::Archived];

    /// The name as the API shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Archived => "archived",
        }
    }
}

/// Something that happened to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleEventKind {
    /// Accepted as a draft.
    Created,
    /// Its syntax and references were checked and found good.
    Validated,
    /// Its content went live.
    Published,
    /// A field was changed.
    Updated,
    /// Paused.
    Paused,
    /// Resumed.
    Resumed,
    /// Archived.
    Archived,
    /// Brought back from the archive by a rollback.
    Restored,
    /// Its syntax and references were checked and found bad.
    ValidationFailed,
}

impl RuleEventKind {
    /// The name as the API shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Validated => "validated",
            Self::Published => "published",
            Self::Updated => "updated",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Archived => "archived",
            Self::Restored => "restored",
            Self::ValidationFailed => "validation_failed",
        }
    }
}

/// One line of a rule's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleEvent {
    /// What happened.
    pub kind: RuleEventKind,
    /// When.
    pub at: Timestamp,
}

/// A field of a rule whose changes make versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RuleField {
    /// The label.
    Name,
    /// The place in the route.
    Priority,
    /// Which requests are meant.
    Match,
    /// What is done with them.
    Action,
    /// The labels.
    Metadata,
    /// Where it is in its life.
    Status,
}

impl RuleField {
    /// The name as the API shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Priority => "priority",
            Self::Match => "match",
            Self::Action => "action",
            Self::Metadata => "metadata",
            Self::Status => "status",
        }
    }
}

/// One entry of a rule's version history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleChange {
    /// Counts from 1.
    pub version: u32,
    /// The fields that changed.
    pub changed_fields: Vec<RuleField>,
    /// Who changed them.
    pub actor: ApiKeyId,
    /// When.
    pub at: Timestamp,
    /// The entry that changed them.
    pub revision: Revision,
    /// The snapshot in which this version first went live, if it did.
    pub snapshot_id: Option<SnapshotId>,
}

/// What of a rule is live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedRule {
    /// The snapshot in which the live content first went live.
    pub snapshot_id: SnapshotId,
    /// When it did.
    pub at: Timestamp,
    /// The priority that is live.
    pub priority: Priority,
    /// The SHA-256 of the live content's canonical bytes: by it the draft is compared.
    pub content: Hash,
}

/// A rule, as it is edited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its identifier.
    pub id: RuleId,
    /// The workspace that owns it.
    pub workspace_id: WorkspaceId,
    /// The environment it lives in.
    pub environment_id: EnvironmentId,
    /// The route it belongs to.
    pub route_id: RouteId,
    /// A human-readable label.
    pub name: String,
    /// Its place in the route.
    pub priority: Priority,
    /// Where it is in its life.
    pub status: RuleStatus,
    /// The `match` object as compact JSON.
    pub criteria: String,
    /// The `action` object as compact JSON.
    pub action: String,
    /// Labels.
    pub metadata: Metadata,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed or was last published.
    pub updated_at: Option<Timestamp>,
    /// When it was archived, if it was.
    pub archived_at: Option<Timestamp>,
    /// What of it is live, if anything is.
    pub published: Option<PublishedRule>,
    /// Whether the draft differs from what is live.
    pub pending_changes: bool,
    /// Its history, oldest first; the newest [`Self::EVENTS_MAX`].
    pub events: Vec<RuleEvent>,
    /// How many events there were, whether or not they are kept.
    pub events_logged: u32,
    /// Its versions, oldest first; the newest [`Self::VERSIONS_MAX`].
    pub versions: Vec<RuleChange>,
    /// What its last validation found: nothing if it passed.
    pub problems: Vec<Problem>,
    /// The entry that last wrote it.
    pub revision: Revision,
}

impl Rule {
    /// How many events a rule keeps: enough to tell a rule's recent story in one answer.
    pub const EVENTS_MAX: usize = 50;
    /// How many versions a rule keeps.
    pub const VERSIONS_MAX: usize = 50;
}
