//! Publishing and rolling back.

use utoipa::ToSchema;

use super::super::shape;

/// What is published, and what is expected.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Publish {
    /// The draft that is meant; if it is no longer the current one, 412.
    snapshot_id: Option<shape::SnapshotId>,
    /// The active snapshot that is replaced; if another one is active, 412.
    expected_active_snapshot_id: Option<shape::SnapshotId>,
    comment: Option<shape::Comment>,
    wait: Option<Wait>,
}

/// Which edges are waited for, once the change is made.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wait {
    /// `all` unless given.
    quorum: Option<shape::Quorum>,
    timeout_s: Option<shape::WaitSeconds>,
}

/// Where to go back to: at most one of `snapshot_id`, `version` and `steps`.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollback {
    /// The snapshot whose content is brought back.
    snapshot_id: Option<shape::SnapshotId>,
    /// The same by its version.
    version: Option<shape::PositiveInteger>,
    /// The same by how many versions to go back; 1 unless given.
    steps: Option<shape::PositiveInteger>,
    /// The active snapshot that is replaced; if another one is active, 412.
    expected_active_snapshot_id: Option<shape::SnapshotId>,
    /// Whether the draft becomes that content, too; `false` unless given.
    reset_draft: Option<bool>,
    comment: Option<shape::Comment>,
    wait: Option<Wait>,
}
