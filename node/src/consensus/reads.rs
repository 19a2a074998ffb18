//! The read index: up to where a node must have applied so that a local read is linearizable.
//!
//! One question is under way at a time; whoever comes meanwhile shares the *next* one. Sharing
//! the one under way would be wrong: it may have been answered before a write that the newcomer
//! already knows to be acknowledged. There are no lease reads; the leader asks a quorum each time.

use std::sync::Arc;
use std::time::Duration;

use domain::time::Revision;
use openraft::LinearizerOption;
use openraft::errors::{LinearizableReadError, RaftError};
use parking_lot::Mutex;
use raft_store::types::{Member, NodeId, Raft};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::leadership::Leadership;
use super::peers::{Lane, Peers, client};
use super::wire::proto;

/// How long one question may take. A quorum that needs longer is as good as absent, and the next
/// question may find a new leader.
const ROUND_DEADLINE: Duration = Duration::from_millis(600);

/// How long to wait before asking again after a failure, unless a leader turns up.
const PAUSE: Duration = Duration::from_millis(25);

/// Asks for read indexes. Cloning shares the questions.
#[derive(Clone)]
pub(crate) struct ReadIndex {
    shared: Arc<Shared>,
}

struct Shared {
    this: NodeId,
    raft: Raft,
    peers: Peers,
    leadership: watch::Receiver<Leadership>,
    queue: Mutex<Queue>,
    outcome: Mutex<LastOutcome>,
}

#[derive(Default)]
struct Queue {
    asking: bool,
    waiting: Vec<oneshot::Sender<Revision>>,
}

#[derive(Clone, Default)]
struct LastOutcome {
    /// When the last question that was answered was asked.
    confirmed: Option<(Instant, Revision)>,
    failure: String,
}

impl ReadIndex {
    pub(crate) fn new(
        this: NodeId,
        raft: Raft,
        peers: Peers,
        leadership: watch::Receiver<Leadership>,
    ) -> Self {
        let shared = Shared {
            this,
            raft,
            peers,
            leadership,
            queue: Mutex::default(),
            outcome: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The read index for a read that begins now. It asks until there is an answer, so the
    /// caller brings the deadline.
    pub(crate) async fn get(&self) -> Revision {
        let (sender, answer) = oneshot::channel();
        let ask = {
            let mut queue = self.shared.queue.lock();
            queue.waiting.push(sender);
            !std::mem::replace(&mut queue.asking, true)
        };
        if ask {
            tokio::spawn(ask_until_nobody_waits(Arc::clone(&self.shared)));
        }
        match answer.await {
            Ok(index) => index,
            Err(_) => std::future::pending().await,
        }
    }

    /// Why there was no answer the last time, for people.
    pub(crate) fn last_failure(&self) -> String {
        self.shared.outcome.lock().failure.clone()
    }

    /// When the last answer was asked for, and what it was.
    pub(crate) fn last_confirmed(&self) -> Option<(Instant, Revision)> {
        self.shared.outcome.lock().confirmed
    }
}

async fn ask_until_nobody_waits(shared: Arc<Shared>) {
    let mut carried = Vec::new();
    loop {
        let mut waiting = {
            let mut queue = shared.queue.lock();
            carried.append(&mut queue.waiting);
            carried.retain(|sender: &oneshot::Sender<Revision>| !sender.is_closed());
            if carried.is_empty() {
                queue.asking = false;
                return;
            }
            std::mem::take(&mut carried)
        };
        let asked_at = Instant::now();
        match shared.ask().await {
            Ok(index) => {
                shared.outcome.lock().confirmed = Some((asked_at, index));
                for sender in waiting.drain(..) {
                    // Whoever gave up waiting is not there any more.
                    let _ = sender.send(index);
                }
            }
            Err(failure) => {
                shared.outcome.lock().failure = failure;
                carried = waiting;
                shared.pause().await;
            }
        }
    }
}

impl Shared {
    async fn ask(&self) -> Result<Revision, String> {
        let leader = self.leadership.borrow().leader.clone();
        let Some(leader) = leader else {
            return Err("this node knows of no leader".to_owned());
        };
        let asking = async {
            if leader.id == self.this {
                here(&self.raft).await
            } else {
                self.ask_leader(&leader).await
            }
        };
        match tokio::time::timeout(ROUND_DEADLINE, asking).await {
            Ok(result) => result,
            Err(_) => Err(format!("node {} did not answer in time", leader.id)),
        }
    }

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

    async fn pause(&self) {
        let mut leadership = self.leadership.clone();
        leadership.mark_unchanged();
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = leadership.changed() => {}
        }
    }
}

/// The read index from this node as the leader: confirmed by a quorum after it was asked.
pub(crate) async fn here(raft: &Raft) -> Result<Revision, String> {
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
