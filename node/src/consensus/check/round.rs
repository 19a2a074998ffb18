//! One comparison: this node has its hash at a position, and asks the others for theirs.
//!
//! ```text
//! said        asked again until
//! a hash      -
//! it hashes   a while: its disk may be slow, or its state large
//! nothing     the end of patience: it lags, was started anew, knows nothing of hashes, or does not answer
//! ```
//!
//! A majority that is sure of a difference acts at once; that nobody knows for sure is said when nobody is asked any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use openraft::async_runtime::watch::WatchReceiver;
use platform::Clock;
use raft_store::types::{LogId, Member, NodeId, Raft};
use raft_store::{Progress, Quarantine, StateHash, StateHashes};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::compare::{Comparison, Sha256, compare};
use super::{Board, CheckMetrics, StateCheck};
use crate::consensus::membership::Steward;
use crate::consensus::peers::{Lane, Peers, client};
use crate::consensus::wire::{self, proto};
use crate::halt::{FatalReason, Halt};

/// How long a member may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);

/// How often is asked again.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// How long is asked at most until a member has a hash, unless comparisons come more often. A member that lags for longer is
/// spoken of elsewhere.
const PATIENCE_MAX: Duration = Duration::from_secs(10);

/// How long a member may take to hash: 20 GB at the rate that is the default.
const HASHING_MAX: Duration = Duration::from_secs(600);

/// What comparing takes.
pub(crate) struct Parts {
    pub(crate) this: NodeId,
    pub(crate) raft: Raft,
    pub(crate) peers: Peers,
    pub(crate) steward: Steward,
    pub(crate) state_hashes: StateHashes,
    pub(crate) quarantine: Quarantine,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) halt: Halt,
    pub(crate) board: Board,
    pub(crate) metrics: CheckMetrics,
}

/// Compares this node's state with the others'. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Checker {
    parts: Arc<Parts>,
    is_busy: Arc<AtomicBool>,
}

/// What a member said.
enum Said {
    Hash(Sha256),
    Hashing,
    Nothing,
}

/// Who is a member, and who votes.
struct Members {
    all: BTreeMap<NodeId, Member>,
    voters: Vec<std::collections::BTreeSet<NodeId>>,
}

impl Checker {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            is_busy: Arc::default(),
        }
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What comparisons have found so far.
    pub(crate) fn found(&self) -> StateCheck {
        self.parts.board.show()
    }

    /// Whether a comparison is under way here.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::SeqCst) || self.parts.state_hashes.is_taking()
    }

    /// Compares for ever, whenever there is another hash.
    pub(crate) async fn run(self, every: Duration) {
        let mut latest = self.parts.state_hashes.latest();
        while latest.changed().await.is_ok() {
            let own = *latest.borrow_and_update();
            if let Some(own) = own {
                self.is_busy.store(true, Ordering::SeqCst);
                self.round(own, every.min(PATIENCE_MAX), &latest).await;
                self.is_busy.store(false, Ordering::SeqCst);
            }
        }
    }

    /// Compares at one position, until all have said or there is no more time.
    async fn round(
        &self,
        own: StateHash,
        patience: Duration,
        latest: &watch::Receiver<Option<StateHash>>,
    ) {
        let began = Instant::now();
        let mut hashes = BTreeMap::from([(self.parts.this, own.sha256)]);
        let mut has_told = false;
        loop {
            let members = self.members();
            let open = members.all.values();
            let open = open.filter(|member| !hashes.contains_key(&member.id));
            let asking = open.map(async |member| (member.id, self.ask(member, own.position).await));
            let (mut silent, mut hashing) = (0, 0);
            for (id, said) in join_all(asking).await {
                match said {
                    Said::Hash(hash) => drop(hashes.insert(id, hash)),
                    Said::Hashing => hashing += 1,
                    Said::Nothing => silent += 1,
                }
            }
            let said = members.all.keys().map(|id| (*id, hashes.get(id).copied()));
            let comparison = compare(&members.voters, &said.collect());
            let waited = began.elapsed();
            let is_over = (hashing == 0 || waited >= HASHING_MAX)
                && (silent == 0 || waited >= patience)
                // The log has gone on, and so has the state.
                || latest.has_changed().unwrap_or(true);
            if is_over || (comparison.is_decided && !comparison.different.is_empty()) {
                let is_news = !std::mem::replace(&mut has_told, !comparison.different.is_empty());
                self.conclude(&own, &comparison, is_news).await;
            }
            if is_over {
                return;
            }
            sleep(ASK_EVERY).await;
        }
    }

    fn members(&self) -> Members {
        let metrics = self.parts.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        Members {
            all: membership
                .nodes()
                .map(|(id, member)| (*id, member.clone()))
                .collect(),
            voters: membership.get_joint_config().clone(),
        }
    }

    async fn ask(&self, member: &Member, position: LogId) -> Said {
        let asking = async {
            let connection = self.parts.peers.connect(member, Lane::Control).await.ok()?;
            let request = proto::StateHashRequest {
                position: wire::encode_log_id(position),
            };
            let reply = client(connection).state_hash(request).await.ok()?;
            Some(reply.into_inner())
        };
        match timeout(ANSWER_DEADLINE, asking).await {
            Ok(Some(reply)) => match Sha256::try_from(&reply.sha256[..]) {
                Ok(hash) => Said::Hash(hash),
                Err(_) if reply.hashing => Said::Hashing,
                Err(_) => Said::Nothing,
            },
            Ok(None) | Err(_) => Said::Nothing,
        }
    }

    async fn conclude(&self, own: &StateHash, comparison: &Comparison, is_news: bool) {
        let parts = &self.parts;
        let position = own.position.index();
        let now_ms = parts.clock.now().0;
        let found = parts.board.add(comparison, position, now_ms);
        parts.metrics.show(&found, parts.state_hashes.bytes());
        if comparison.different.is_empty() {
            tracing::debug!(position, unknown = ?comparison.unknown, "states were compared");
            return;
        }
        if is_news {
            parts.metrics.differed();
            tracing::error!(
                position,
                equal = ?comparison.equal,
                different = ?comparison.different,
                unknown = ?comparison.unknown,
                "the members' states differ: {}",
                if comparison.is_decided {
                    "those that are different from the majority go out of service"
                } else {
                    "no majority has one state, so nobody can say whose is right, and all go on"
                }
            );
        }
        if comparison.is_odd(parts.this) {
            self.leave(own, comparison).await;
        }
    }

    /// Takes this node out of service for good.
    ///
    /// 1. The disk says so: whatever happens next, no node starts on it.
    /// 2. Leadership goes to somebody else, if this node has it.
    /// 3. The process ends.
    async fn leave(&self, own: &StateHash, comparison: &Comparison) {
        let parts = &self.parts;
        if parts.state_hashes.at(own.position) != Progress::Taken(*own) {
            tracing::warn!("the state that was different has been replaced by a checkpoint");
            return;
        }
        let reason = FatalReason::StateDiffers {
            node: parts.this,
            position: own.position.index(),
            others: comparison.equal.iter().copied().collect(),
        };
        // Where the disk refuses, the process ends over that.
        if parts.quarantine.impose(&reason.to_string()).await.is_ok() {
            parts.steward.step_down().await;
            parts.halt.fatal(&reason);
        }
    }
}
