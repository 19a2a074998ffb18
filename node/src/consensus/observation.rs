//! How consensus stands on this node, and what its log holds, for whoever checks that what is
//! promised of Raft is kept: the simulation. It decides nothing, and the node itself uses none of
//! it.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use futures_util::FutureExt;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::storage::RaftLogReader;
use openraft::type_config::alias::InstantOf;
use raft_store::types::{Entry, LogId, NodeId, TypeConfig, Vote};

use super::Consensus;
use super::check::StateCheck;

/// How consensus stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The term that this node is in.
    pub term: u64,
    /// Its vote.
    pub vote: Vote,
    /// Whether it takes itself for the leader.
    pub leads: bool,
    /// When a quorum last acknowledged it, if it does.
    pub acknowledged: Option<InstantOf<TypeConfig>>,
    /// The leader that it knows.
    pub leader: Option<NodeId>,
    /// The last entry of its log.
    pub last: Option<LogId>,
    /// The last entry of its log that it knows to be committed.
    pub committed: Option<LogId>,
    /// The last entry that it applied.
    pub applied: Option<LogId>,
    /// What its last checkpoint covers.
    pub checkpoint: Option<LogId>,
    /// Up to where its log was purged.
    pub purged: Option<LogId>,
    /// The entry that the membership is of, the last one in the log.
    pub membership: Option<LogId>,
    /// The voters: one set, or two while a change of them is under way.
    pub voters: Vec<BTreeSet<NodeId>>,
    /// The members without a vote.
    pub learners: BTreeSet<NodeId>,
}

impl Consensus {
    /// How consensus stands, as openraft last told.
    #[must_use]
    pub fn observe(&self) -> Observation {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        Observation {
            term: metrics.current_term,
            vote: metrics.vote,
            leads: metrics.state == ServerState::Leader,
            acknowledged: metrics.last_quorum_acked.as_ref().map(|at| **at),
            leader: metrics.current_leader,
            last: metrics.log_id_list.last().copied(),
            committed: metrics.local_committed,
            applied: metrics.last_applied,
            checkpoint: metrics.snapshot,
            purged: metrics.purged,
            membership: *metrics.membership_config.log_id(),
            voters: membership.get_joint_config().clone(),
            learners: membership.learner_ids().collect(),
        }
    }

    /// How the members' states compare, as this node has seen it.
    #[must_use]
    pub fn state_check(&self) -> StateCheck {
        self.inner.checker.found()
    }

    /// The entries that this node's log holds with indexes in the range; those that it does not
    /// hold are left out. Where the log cannot be read, which ends the process, those that are still
    /// in memory: others may have been told of them before.
    #[must_use]
    pub fn logged(&self, indexes: RangeInclusive<u64>) -> Vec<Entry> {
        let mut log = self.inner.log.clone();
        match log.try_get_log_entries(indexes.clone()).now_or_never() {
            Some(Ok(entries)) => entries,
            _ => log.recent(indexes),
        }
    }
}
