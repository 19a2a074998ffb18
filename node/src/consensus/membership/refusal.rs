//! Why a change of the cluster is refused, in words that say what to do instead.

use raft_store::types::NodeId;

/// Why a change is refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("node {id} is no member; the members are {members}")]
    UnknownMember { id: NodeId, members: String },
    #[error(
        "node {id} is a member already, at {internal}; to give a node other addresses, add it \
         under a new number and remove this one"
    )]
    AlreadyMember { id: NodeId, internal: String },
    #[error(
        "the number {id} was used by a node that was removed, and is never used again; choose a \
         number that no node has had, and give the new node that number and an empty data directory"
    )]
    UsedBefore { id: NodeId },
    #[error("node {id} is being removed; wait until it is gone")]
    BeingRemoved { id: NodeId },
    #[error("{field}: {reason}")]
    Invalid { field: String, reason: String },
    #[error("node {by} has the address {address} already; each node needs addresses of its own")]
    AddressTaken { address: String, by: NodeId },
    #[error(
        "the new node cannot be taken up: {reason}; start it with an empty data directory, \
         `join = true` under [cluster], and this cluster's authority and pepper, then ask again"
    )]
    NotReady { reason: String },
    #[error("another change of the cluster is under way; ask again when it is done")]
    Busy,
    #[error(
        "an earlier change of the membership is not finished; the leader finishes it by itself as \
         soon as a quorum answers: ask again in a few seconds"
    )]
    Unfinished,
    #[error(
        "no quorum answers: {alive} of {voters} voters do, {needed} are needed; start {silent} \
         first"
    )]
    NoQuorum {
        alive: usize,
        voters: usize,
        needed: usize,
        silent: String,
    },
    #[error(
        "it would lose the quorum: of the {voters} voters that would be left {alive} answer, \
         {needed} are needed; start or remove {silent} first"
    )]
    WouldLoseQuorum {
        alive: usize,
        voters: usize,
        needed: usize,
        silent: String,
    },
    #[error("node {id} is the last voter; promote another member first")]
    LastVoter { id: NodeId },
    #[error(
        "node {id} does not answer the leader; start it, or look why they cannot reach each other"
    )]
    Silent { id: NodeId },
    #[error(
        "node {id} lags by {entries} entries, at most {max} are allowed; wait until it has caught up"
    )]
    Lags { id: NodeId, entries: u64, max: u64 },
    #[error("node {id} has not acknowledged any entry yet; wait until it has caught up")]
    NothingYet { id: NodeId },
    #[error("node {id} is a learner, which cannot lead; promote it first")]
    NotAVoter { id: NodeId },
    #[error("node {id} cannot take its own place; add and name another node")]
    ReplacesItself { id: NodeId },
    #[error("node {with} has a vote of its own; it takes nobody's place: remove node {id} instead")]
    VotesAlready { id: NodeId, with: NodeId },
    #[error(
        "no other voter can lead now: none answers and has the log; start one, or wait until it \
         has caught up"
    )]
    NoHeir,
    #[error("no voter stands in the region {region}; the regions with voters are {regions}")]
    NoVoterThere { region: String, regions: String },
}

impl Refusal {
    /// For programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::UnknownMember { .. } => "unknown_member",
            Self::AlreadyMember { .. } => "already_member",
            Self::UsedBefore { .. } => "id_used_before",
            Self::BeingRemoved { .. } => "being_removed",
            Self::Invalid { .. } => "invalid_parameter",
            Self::AddressTaken { .. } => "address_taken",
            Self::NotReady { .. } => "node_not_ready",
            Self::Busy => "change_in_progress",
            Self::Unfinished => "change_unfinished",
            Self::NoQuorum { .. } => "no_quorum",
            Self::WouldLoseQuorum { .. } => "would_lose_quorum",
            Self::LastVoter { .. } => "last_voter",
            Self::Silent { .. } => "member_silent",
            Self::Lags { .. } | Self::NothingYet { .. } => "member_lags",
            Self::NotAVoter { .. } => "not_a_voter",
            Self::ReplacesItself { .. } => "replaces_itself",
            Self::VotesAlready { .. } => "votes_already",
            Self::NoHeir => "no_heir",
            Self::NoVoterThere { .. } => "no_voter_there",
        }
    }
}
