//! The cluster itself: what is remembered of its members, and what operators asked for. Who is a
//! member now is consensus' own record; here stands what must outlive a membership.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

use serde::{Deserialize, Serialize};

use crate::command::Origin;
use crate::id::RequestId;
use crate::model::{Epoch, KekId, PepperId, SigningKeyId};
use crate::time::{Revision, Timestamp};

/// A node's number. It stands for one disk, and is never given to another one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct MemberId(pub u64);

/// What operators want of the cluster as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSettings {
    /// The region in which the leader should be.
    pub preferred_region: Option<String>,
    /// How many changes are kept.
    pub changes: u64,
}

/// A member that was removed, or is being removed: its number is used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredMember {
    pub at: Timestamp,
    pub revision: Revision,
}

/// What an operator asked for, and was allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterChange {
    /// A node joins as a learner.
    MemberAdded {
        member: MemberId,
        region: String,
        internal: String,
    },
    /// A learner becomes a voter.
    MemberPromoted { member: MemberId },
    /// A voter becomes a learner.
    MemberDemoted { member: MemberId },
    /// A member leaves, for good.
    MemberRetired {
        member: MemberId,
        /// The learner that votes in its place from then on.
        replaced_by: Option<MemberId>,
    },
    /// Another member is to lead.
    LeaderMoved { to: MemberId },
    /// The leader should be in this region; `None` where it does not matter.
    RegionPreferred { region: Option<String> },
    /// Another key signs what is published.
    SigningKeyAdded { key: SigningKeyId },
    /// What a key signed is not believed any more.
    SigningKeyRetired { key: SigningKeyId },
    /// Secrets are sealed under another key.
    KekActivated { key: KekId },
    /// The cluster goes on from a backup, in another epoch.
    Restored {
        epoch: Epoch,
        /// The backup's identifier.
        backup: String,
        /// Up to where the backup goes.
        revision: Revision,
    },
    /// The cluster goes on with what one member had, in another epoch.
    Recovered {
        epoch: Epoch,
        /// The member that is left.
        member: MemberId,
        /// The members that are gone, for good.
        lost: Vec<MemberId>,
    },
    /// Keys are hashed under another pepper.
    PepperActivated { pepper: PepperId },
}

impl ClusterChange {
    /// The epoch that begins with it, and what the audit log calls it.
    #[must_use]
    pub fn begins(&self) -> Option<(Epoch, &'static str)> {
        match self {
            Self::Restored { epoch, .. } => Some((*epoch, "restore_backup")),
            Self::Recovered { epoch, .. } => Some((*epoch, "recover_cluster")),
            _ => None,
        }
    }
}

/// A change with who asked for it and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRecord {
    pub at: Timestamp,
    pub request_id: RequestId,
    pub origin: Origin,
    pub change: ClusterChange,
}

impl ClusterRecord {
    /// How many are kept: years of a cluster that is changed once a day.
    pub const KEPT: u64 = 1_000;
}
