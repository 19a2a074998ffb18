//! The cluster as this node last looked at it: looking costs more than a request that passes may.

use std::time::Duration;

use crate::control_plane::{ControlPlane, MemberId};

/// How old what is known may be: the membership changes rarely, and nothing but the order of a few
/// windows depends on it.
const AGE_MAX_MS: u64 = 500;

/// How long a node takes itself for one of the many after it last heard from a quorum. For as long,
/// a node that is cut off goes on granting what it keeps while the others have gone on to the next:
/// what its own callers ask for in these seconds may come on top of a limit. A shorter time would
/// have nodes step back whenever a quorum is slow to answer.
pub(super) const CONTACT_AGE_MAX: Duration = Duration::from_secs(3);

/// Who is a member, and whether this node is in contact with a quorum of them.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) members: Vec<MemberId>,
    pub(super) in_contact: bool,
    seen_at_ms: u64,
}

impl Cluster {
    /// The cluster as it is now.
    pub(super) fn look(control: &dyn ControlPlane, now_ms: u64) -> Self {
        let contact = control.readiness().last_contact;
        Self {
            members: control.members().iter().map(|member| member.id).collect(),
            in_contact: contact.is_some_and(|ago| ago < CONTACT_AGE_MAX),
            seen_at_ms: now_ms,
        }
    }

    /// Whether `this` node can have heard of everything: it is a member, and in contact.
    pub(super) fn includes(&self, this: MemberId) -> bool {
        self.in_contact && self.members.contains(&this)
    }

    /// Whether it need not be looked at again. Contact may come back at any moment.
    pub(super) fn is_recent(&self, now_ms: u64) -> bool {
        self.in_contact && now_ms < self.seen_at_ms + AGE_MAX_MS
    }
}
