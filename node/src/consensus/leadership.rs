//! Who leads, as this node knows: followed from openraft's metrics and handed to everyone who
//! has to find the leader. Also what is to be done when this node becomes the leader.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use raft_store::types::{LeaderId, Member, NodeId, Raft, TypeConfig};
use tokio::sync::watch;

use crate::halt::{FatalReason, Halt};

/// How long to wait before an unfinished membership change is tried again.
const MEMBERSHIP_RETRY: Duration = Duration::from_millis(200);

/// Who leads in which term. `leader` is `None` while a term has none that this node knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leadership {
    /// The highest term that this node has seen.
    pub(crate) term: u64,
    /// The leader that a quorum elected in that term.
    pub(crate) leader: Option<Member>,
}

impl Leadership {
    fn of(metrics: &RaftServerMetrics<TypeConfig>) -> Self {
        let LeaderId { term, node_id } = metrics.vote.leader_id;
        let elected = metrics.vote.committed.then_some(node_id);
        let leader = elected.and_then(|id| {
            metrics
                .membership_config
                .membership()
                .get_node(&id)
                .cloned()
        });
        Self { term, leader }
    }

    /// The leader's number.
    pub(crate) fn leader_id(&self) -> Option<NodeId> {
        self.leader.as_ref().map(|leader| leader.id)
    }
}

/// Returns when the leadership changes, or after `pause`.
pub(super) async fn change_within(leadership: &mut watch::Receiver<Leadership>, pause: Duration) {
    let changed = async {
        if leadership.changed().await.is_err() {
            // Nothing will change any more, which is no reason to hurry.
            std::future::pending::<()>().await;
        }
    };
    // Which of the two it was makes no difference.
    let _ = tokio::time::timeout(pause, changed).await;
}

/// Follows the leadership until consensus stops, which ends the process unless it was asked to.
pub(super) async fn follow(raft: Raft, leadership: watch::Sender<Leadership>, halt: Halt) {
    let mut metrics = raft.server_metrics();
    let mut finished_in_term = 0;
    loop {
        let (now, joint) = {
            let metrics = metrics.borrow_watched();
            (Leadership::of(&metrics), target_of_joint(&metrics))
        };
        if let Some(voters) = joint
            && now.term > finished_in_term
        {
            finished_in_term = now.term;
            tokio::spawn(finish_membership(raft.clone(), now.term, voters));
        }
        leadership.send_if_modified(|known| {
            let changed = *known != now;
            if changed {
                tracing::info!(term = now.term, leader = ?now.leader_id(), "leadership changed");
                *known = now;
            }
            changed
        });
        if metrics.changed().await.is_err() {
            break;
        }
    }
    halt.fatal(&FatalReason::ConsensusStopped);
}

/// The voters that an interrupted membership change was going to, where this node leads and
/// finds one.
fn target_of_joint(metrics: &RaftServerMetrics<TypeConfig>) -> Option<BTreeSet<NodeId>> {
    if metrics.state != ServerState::Leader {
        return None;
    }
    match metrics
        .membership_config
        .membership()
        .get_joint_config()
        .as_slice()
    {
        [_, .., target] => Some(target.clone()),
        _ => None,
    }
}

/// Takes a membership out of its joint state. openraft leaves it there when the leader that was
/// changing it died between the two steps:
///
/// 1. leader A appends the joint membership, a quorum stores it
/// 2. A dies
/// 3. B is elected, commits the joint membership, and nobody proposes the final one: every
///    election needs both quorums from now on
///
/// Voters that are not in the target stay as learners, which is what can be undone.
async fn finish_membership(raft: Raft, term: u64, voters: BTreeSet<NodeId>) {
    tracing::warn!(term, ?voters, "finishing an interrupted membership change");
    loop {
        let still_leading = {
            let metrics = raft.server_metrics();
            let metrics = metrics.borrow_watched();
            metrics.vote.leader_id.term == term
                && target_of_joint(&metrics).as_ref() == Some(&voters)
        };
        if !still_leading {
            return;
        }
        match raft.change_membership(voters.clone(), true).await {
            Ok(_) => return,
            Err(error) => tracing::debug!(%error, "the membership change is not finished yet"),
        }
        tokio::time::sleep(MEMBERSHIP_RETRY).await;
    }
}
