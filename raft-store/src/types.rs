//! The types that openraft is instantiated with, and short names for what it makes of them.
//!
//! What a checkpoint is belongs to [`crate::StateMachine`]; how any of these is written to disk
//! or to a wire belongs to [`crate::codec`].

use std::fmt;

use openraft::{OptionalSend, RaftTypeConfig, alias, impls};
use serde::{Deserialize, Serialize};

use crate::proposal::Proposal;
use crate::runtime::Runtime;

/// A member's number, chosen by the operator and never used again for another disk.
pub type NodeId = u64;

/// What openraft is instantiated with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeConfig;

impl RaftTypeConfig for TypeConfig {
    type D = Proposal;
    type R = Response;
    type NodeId = NodeId;
    type Node = Member;
    type Term = u64;
    type LeaderId = impls::leader_id_adv::LeaderId<u64, NodeId>;
    type Vote = impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Proposal, NodeId, Member>;
    type Entry = openraft::Entry<Self::LeaderId, Self::Payload>;
    type AsyncRuntime = Runtime;
    type Responder<T>
        = impls::OneshotResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = impls::BoxedErrorSource;
}

/// A term and the node that leads it. Terms may have several leaders one after the other; the
/// pairs are totally ordered.
pub type LeaderId = alias::LeaderIdOf<TypeConfig>;
/// Which entry: who led when it was proposed, and its index.
pub type LogId = alias::LogIdOf<TypeConfig>;
/// Whom this node voted for, and whether a quorum did.
pub type Vote = alias::VoteOf<TypeConfig>;
/// A log entry.
pub type Entry = alias::EntryOf<TypeConfig>;
/// What a log entry carries.
pub type Payload = alias::PayloadOf<TypeConfig>;
/// Voters, learners and their addresses.
pub type Membership = openraft::Membership<NodeId, Member>;
/// A membership with the entry that set it.
pub type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
/// What a checkpoint covers.
pub type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
/// A checkpoint as openraft hands it around.
pub type Snapshot = alias::SnapshotOf<TypeConfig, crate::Checkpoint>;
/// A consensus instance over this crate's storage.
pub type Raft = openraft::Raft<TypeConfig, crate::StateMachine>;

/// A node as the cluster knows it: replicated with the membership, so that any member can say
/// where the others are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its number.
    pub id: NodeId,
    /// The region it runs in.
    pub region: String,
    /// `host:port` for the other members.
    pub internal: String,
    /// The base URL of its REST API.
    pub rest: String,
    /// `host:port` for edges.
    pub publisher: String,
}

impl fmt::Display for Member {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "node {} in {} at {}",
            self.id, self.region, self.internal
        )
    }
}

/// That an entry was applied. What came of a command is for whoever proposed it:
/// [`crate::Outcomes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response;
