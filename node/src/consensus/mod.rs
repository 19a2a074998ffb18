//! Consensus: everything between the rest of the node and openraft.
//!
//! ```text
//! propose      a command to the leader, and the truth about what became of it
//! reads        the read index, for linearizable reads on any node; rounds: how readers share it
//! control      what the rest of the node sees
//! applied      waiting until this node has applied a revision
//! leadership   who leads; what a new leader has to finish
//! formation    how a cluster comes to be
//! network      openraft's calls to other nodes, over `peers`
//! server       other nodes' calls to this one
//! wire         what all of them look like as bytes
//! observation  how it all stands, for checks from outside
//! ```
//!
//! openraft is named nowhere outside this module and `raft-store`.

mod applied;
mod checkpoint;
mod config;
mod control;
mod formation;
mod leadership;
mod network;
mod observation;
pub(crate) mod peers;
mod pepper;
mod propose;
mod reads;
mod rounds;
pub(crate) mod server;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use injection::{Mutant, mutant};
use openraft::ConfigError;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::storage::RaftLogStorage;
use raft_store::types::{Member, NodeId, Raft};
use raft_store::{Checkpoints, LogReader, LogStore, Outcomes, Reader, StateMachine};
use tokio::sync::watch;

use crate::bootstrap::Bootstrapper;
use crate::control_plane::{LocalFleet, LocalLimits};
use crate::halt::{FatalReason, Halt};
use crate::keys::KeyRing;
use crate::metrics::ConsensusMetrics;
use crate::settings::RaftSettings;

use applied::AppliedWaiters;
use formation::{Formation, Probation};
use leadership::Leadership;
use network::Links;
pub use observation::Observation;
use peers::Peers;
use propose::Proposer;
use reads::{Confirmations, LeaderQuestion, QuorumQuestion, ReadIndex};
use server::NodeService;

/// How long handing leadership over may take before a stopping leader just leaves.
const HAND_OVER_DEADLINE: Duration = Duration::from_secs(2);

/// What consensus is put together from.
pub(crate) struct Parts {
    pub(crate) this: Member,
    pub(crate) initial_members: BTreeMap<NodeId, Member>,
    pub(crate) settings: RaftSettings,
    pub(crate) log: LogStore,
    pub(crate) machine: StateMachine,
    pub(crate) reader: Reader,
    pub(crate) outcomes: Outcomes,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) disk_is_new: bool,
    pub(crate) peers: Peers,
    pub(crate) keys: KeyRing,
    pub(crate) halt: Halt,
    pub(crate) metrics: ConsensusMetrics,
}

/// Why consensus does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConsensusError {
    /// The timing does not fit together.
    #[error("setting raft: {0}")]
    Settings(#[from] ConfigError),
    /// openraft refuses what it found in storage, or could not read it.
    #[error("consensus cannot start: {0}")]
    Raft(String),
    /// The cluster's keys were hashed under another pepper.
    #[error(transparent)]
    Pepper(FatalReason),
}

/// The handle to consensus. Cloning shares it.
#[derive(Clone)]
pub struct Consensus {
    inner: Arc<Inner>,
}

struct Inner {
    this: Member,
    initial_members: BTreeMap<NodeId, Member>,
    raft: Raft,
    log: LogReader,
    reader: Reader,
    checkpoints: Checkpoints,
    peers: Peers,
    leadership: watch::Receiver<Leadership>,
    applied: AppliedWaiters,
    proposer: Proposer,
    confirmations: Confirmations,
    reads: ReadIndex,
    probation: Probation,
    keys: KeyRing,
    halt: Halt,
    fleet: Arc<OnceLock<Arc<dyn LocalFleet>>>,
    draining: AtomicBool,
    metrics: ConsensusMetrics,
    limits: Arc<OnceLock<Arc<dyn LocalLimits>>>,
}

impl fmt::Debug for Consensus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consensus")
            .field("this", &self.inner.this.id)
            .finish_non_exhaustive()
    }
}

impl Consensus {
    /// Starts consensus on open storage. Other nodes reach it once [`Consensus::service`] is
    /// served; a cluster is formed once [`Consensus::form`] is called.
    pub(crate) async fn start(parts: Parts) -> Result<Self, ConsensusError> {
        pepper::check(&parts.reader, &parts.keys).map_err(ConsensusError::Pepper)?;
        let id = parts.this.id;
        let config = config::config(&parts.settings)?;
        let links = Links::new(parts.peers.clone());
        let mut log = parts.log;
        let log_reader = log.get_log_reader().await;
        let raft = Raft::new(id, config, links, log, parts.machine)
            .await
            .map_err(|fatal| ConsensusError::Raft(fatal.to_string()))?;
        let (leadership_known, leadership) = watch::channel(Leadership::default());
        let applied = AppliedWaiters::spawn(parts.reader.applied());
        let confirmations = Confirmations::new(QuorumQuestion { raft: raft.clone() });
        let inner = Inner {
            proposer: Proposer::new(
                id,
                raft.clone(),
                parts.peers.clone(),
                leadership.clone(),
                (applied.clone(), parts.outcomes),
            ),
            applied,
            reads: ReadIndex::new(LeaderQuestion {
                this: id,
                confirmations: confirmations.clone(),
                peers: parts.peers.clone(),
                leadership: leadership.clone(),
            }),
            confirmations,
            probation: Probation::new(
                parts.disk_is_new && !mutant::active(Mutant::AmnesiaAccepted),
            ),
            this: parts.this,
            initial_members: parts.initial_members,
            raft: raft.clone(),
            log: log_reader,
            reader: parts.reader,
            checkpoints: parts.checkpoints,
            peers: parts.peers,
            leadership,
            keys: parts.keys,
            halt: parts.halt.clone(),
            fleet: Arc::default(),
            draining: AtomicBool::new(false),
            metrics: parts.metrics,
            limits: Arc::default(),
        };
        let consensus = Self {
            inner: Arc::new(inner),
        };
        tokio::spawn(leadership::follow(raft, leadership_known, parts.halt));
        Ok(consensus)
    }

    /// What this node answers other nodes with.
    pub(crate) fn service(&self, bootstrapper: Bootstrapper) -> NodeService {
        let inner = &self.inner;
        NodeService {
            this: inner.this.id,
            raft: inner.raft.clone(),
            confirmations: inner.confirmations.clone(),
            checkpoints: inner.checkpoints.clone(),
            probation: inner.probation.clone(),
            keys: inner.keys.clone(),
            bootstrapper,
            fleet: Arc::clone(&inner.fleet),
            limits: Arc::clone(&inner.limits),
        }
    }

    /// Forms or finds the cluster in the background, and watches what has to be watched. Call it
    /// once other nodes can reach this one.
    pub(crate) fn form(&self) {
        let inner = &self.inner;
        let formation = Formation {
            this: inner.this.id,
            members: inner.initial_members.clone(),
            raft: inner.raft.clone(),
            peers: inner.peers.clone(),
            keys: inner.keys.clone(),
            halt: inner.halt.clone(),
            probation: inner.probation.clone(),
        };
        tokio::spawn(formation.run());
        tokio::spawn(pepper::watch(
            inner.reader.clone(),
            inner.keys.clone(),
            inner.halt.clone(),
        ));
        tokio::spawn(control::stay_fresh(Arc::downgrade(inner)));
    }

    /// Has `fleet` answer other nodes' questions about the edges connected here.
    pub fn set_fleet(&self, fleet: Arc<dyn LocalFleet>) {
        if self.inner.fleet.set(fleet).is_err() {
            tracing::error!("the fleet was set twice");
        }
    }

    /// Has `limits` answer other nodes' questions about rate limits.
    pub fn set_limits(&self, limits: Arc<dyn LocalLimits>) {
        if self.inner.limits.set(limits).is_err() {
            tracing::error!("the limits were set twice");
        }
    }

    /// openraft itself, for the simulation's and the tests' checks of what it holds.
    #[must_use]
    pub fn raft(&self) -> &Raft {
        &self.inner.raft
    }

    /// Takes this node out of `/readyz`.
    pub fn drain(&self) {
        self.inner.draining.store(true, Ordering::SeqCst);
    }

    /// Hands leadership over, if this node has it, to the member whose log is closest. Returns
    /// once another node leads, or when that takes too long.
    pub async fn hand_over(&self) {
        let Some(heir) = self.heir() else { return };
        if self
            .inner
            .raft
            .trigger()
            .transfer_leader(heir)
            .await
            .is_err()
        {
            return;
        }
        let this = self.inner.this.id;
        let mut leadership = self.inner.leadership.clone();
        let handed_over =
            leadership.wait_for(|now| now.leader_id().is_some_and(|leader| leader != this));
        match tokio::time::timeout(HAND_OVER_DEADLINE, handed_over).await {
            Ok(_) => tracing::info!(to = heir, "handed leadership over"),
            Err(_) => tracing::warn!(to = heir, "could not hand leadership over in time"),
        }
    }

    /// The voter that has the most of the log, if this node leads and has company.
    fn heir(&self) -> Option<NodeId> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let replication = metrics.replication.as_ref()?;
        let voters: Vec<NodeId> = metrics.membership_config.membership().voter_ids().collect();
        replication
            .iter()
            .filter(|(id, _)| **id != self.inner.this.id && voters.contains(*id))
            .max_by_key(|(_, matched)| matched.map(|log_id| log_id.index))
            .map(|(id, _)| *id)
    }

    /// Stops consensus. Storage may be closed afterwards.
    pub async fn shut_down(&self) {
        self.inner.halt.stopping();
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(%error, "consensus did not stop cleanly");
        }
        self.inner.peers.close();
    }
}
