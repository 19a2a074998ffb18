//! The read index: up to where a node must have applied so that a local read is linearizable.
//!
//! The leader is asked, and it asks a quorum each time: there are no lease reads. Readers share
//! questions to the leader, and those, together with the leader's own readers, share its questions
//! to the quorum; how stands in [`super::rounds`].

use std::time::Duration;

use domain::time::Revision;
use injection::{Mutant, mutant};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::{LinearizerOption, ServerState};
use raft_store::types::{Member, NodeId, Raft};
use tokio::sync::watch;

use super::leadership::{self, Leadership};
use super::peers::{Lane, Peers, client};
use super::rounds::{Question, Rounds};
use super::wire::proto;

/// How long one question may take. A quorum that needs longer is as good as absent, and the next
/// question may find a new leader.
const ROUND_DEADLINE: Duration = Duration::from_millis(600);

/// How long to wait before asking again after a failure, unless a leader turns up.
const PAUSE: Duration = Duration::from_millis(25);

/// Asks for read indexes. Cloning shares the questions.
pub(crate) type ReadIndex = Rounds<LeaderQuestion>;

/// Confirmations of this node's leadership. Cloning shares the questions.
pub(crate) type Confirmations = Rounds<QuorumQuestion>;

/// Asks a quorum whether this node leads.
pub(crate) struct QuorumQuestion {
    pub(crate) raft: Raft,
}

impl Question for QuorumQuestion {
    async fn ask(&self) -> Result<Revision, String> {
        here(&self.raft).await
    }

    async fn pause(&self) {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks the leader that is known for its read index.
pub(crate) struct LeaderQuestion {
    pub(crate) this: NodeId,
    pub(crate) confirmations: Confirmations,
    pub(crate) peers: Peers,
    pub(crate) leadership: watch::Receiver<Leadership>,
}

impl Question for LeaderQuestion {
    async fn ask(&self) -> Result<Revision, String> {
        let leader = self.leadership.borrow().leader.clone();
        let Some(leader) = leader else {
            return Err("this node knows of no leader".to_owned());
        };
        let asking = async {
            if leader.id == self.this {
                self.confirmations.once().await
            } else {
                self.ask_leader(&leader).await
            }
        };
        match tokio::time::timeout(ROUND_DEADLINE, asking).await {
            Ok(result) => result,
            Err(_) => Err(format!("node {} did not answer in time", leader.id)),
        }
    }

    async fn pause(&self) {
        let mut leadership = self.leadership.clone();
        leadership.mark_unchanged();
        leadership::change_within(&mut leadership, PAUSE).await;
    }
}

impl LeaderQuestion {
    async fn ask_leader(&self, leader: &Member) -> Result<Revision, String> {
        let connection = self
            .peers
            .connect(leader, Lane::Control)
            .await
            .map_err(|error| error.to_string())?;
        let reply = client(connection)
            .read_index(proto::ReadIndexRequest {})
            .await
            .map_err(|status| format!("node {}: {}", leader.id, status.message()))?;
        Ok(Revision(reply.into_inner().index))
    }
}

/// The read index from this node as the leader: confirmed by a quorum after it was asked.
async fn here(raft: &Raft) -> Result<Revision, String> {
    if mutant::active(Mutant::LeaseRead) {
        let metrics = raft.metrics().borrow_watched().clone();
        let committed = metrics.cluster_committed.map_or(0, |log_id| log_id.index);
        let leads = metrics.state == ServerState::Leader;
        return leads
            .then_some(Revision(committed))
            .ok_or_else(|| "it is not the leader".to_owned());
    }
    let confirmed_from_now =
        LinearizerOption::new(Some(Duration::ZERO), true).with_wait_timeout(ROUND_DEADLINE);
    match raft.get_read_log_id(confirmed_from_now).await {
        Ok((read, _applied)) => Ok(Revision(read.index())),
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_))) => {
            Err("it is not the leader".to_owned())
        }
        Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
            Err("the leader hears from no quorum".to_owned())
        }
        Err(RaftError::Fatal(fatal)) => Err(fatal.to_string()),
    }
}
