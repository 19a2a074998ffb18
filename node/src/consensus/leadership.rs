//! Who leads, as this node knows: followed from openraft's metrics and handed to everyone who
//! has to find the leader. What a leader has to finish is [`super::membership`]'s matter.

use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use raft_store::types::{LeaderId, Member, NodeId, Raft, TypeConfig};
use tokio::sync::watch;

use crate::halt::{FatalReason, Halt};

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
    loop {
        let now = Leadership::of(&metrics.borrow_watched());
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
