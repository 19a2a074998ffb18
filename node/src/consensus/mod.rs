//! Consensus: everything between the rest of the node and openraft.
//!
//! ```text
//! propose      a command to the leader, and the truth about what became of it
//! reads        the read index, for linearizable reads on any node; rounds: how readers share it
//! control      what the rest of the node sees
//! applied      waiting until this node has applied a revision
//! leadership   who leads
//! pepper, keks whether this node has the secrets that the cluster's are kept with
//! era          in which epoch this node is, and who is refused for being in another
//! formation    how a cluster comes to be
//! check        whether all members have the same state, and that whoever has another one goes
//! fullness     what is taken while disks are full
//! membership   who belongs to it, and how operators change that
//! network      openraft's calls to other nodes, over `peers`
//! server       other nodes' calls to this one
//! wire         what all of them look like as bytes
//! observation  how it all stands, for checks from outside
//! ```
//!
//! openraft is named nowhere outside this module and `raft-store`.

mod applied;
pub(crate) mod check;
mod checkpoint;
mod config;
mod control;
mod era;
mod formation;
pub(crate) mod fullness;
mod keks;
mod leadership;
pub mod membership;
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

use openraft::ConfigError;
use openraft::storage::RaftLogStorage;
use platform::trace::Tracer;
use platform::{Clock, Entropy};
use raft_store::types::{Member, NodeId, Raft};
use raft_store::{
    Admission, Checkpoints, LogReader, LogStore, Outcomes, Quarantine, Reader, StateHashes,
    StateMachine,
};
use tokio::sync::watch;

use crate::backup::source::Source;
use crate::bootstrap::Bootstrapper;
use crate::control_plane::{LocalFleet, LocalLimits};
use crate::halt::{FatalReason, Halt};
use crate::keys::KeyRing;
use crate::metrics::ConsensusMetrics;
use crate::settings::{CheckSettings, RaftSettings};
use crate::traces::Traces;

use applied::AppliedWaiters;
use check::{Board, CheckMetrics, Checker};
use era::Era;
use formation::{Formation, Probation};
use fullness::{FullnessMetrics, Gate};
use leadership::Leadership;
use membership::{Asker, ClusterError, ClusterReply, ClusterRequest, Desk, Steward};
pub(crate) use membership::{DiskGauge, Surroundings, gauge_of};
use network::Links;
pub use observation::Observation;
use peers::Peers;
use propose::Proposer;
use reads::{Confirmations, LeaderQuestion, QuorumQuestion, ReadIndex};
use server::NodeService;

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
    pub(crate) admission: Admission,
    pub(crate) state_hashes: StateHashes,
    pub(crate) quarantine: Quarantine,
    pub(crate) check: CheckSettings,
    pub(crate) check_metrics: CheckMetrics,
    pub(crate) fullness_metrics: FullnessMetrics,
    pub(crate) joins: bool,
    pub(crate) peers: Peers,
    pub(crate) keys: KeyRing,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) halt: Halt,
    pub(crate) metrics: ConsensusMetrics,
    pub(crate) surroundings: Surroundings,
    pub(crate) tracer: Tracer,
    pub(crate) traces: Traces,
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
    /// The cluster's API keys were hashed under another pepper, or its secrets are sealed under keys that this node
    /// lacks.
    #[error(transparent)]
    Secrets(FatalReason),
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
    era: Era,
    joins: bool,
    process: u64,
    steward: Steward,
    checker: Checker,
    check: CheckSettings,
    gate: Gate,
    fullness_metrics: FullnessMetrics,
    state_hashes: StateHashes,
    joined: Arc<AtomicBool>,
    keys: KeyRing,
    halt: Halt,
    fleet: Arc<OnceLock<Arc<dyn LocalFleet>>>,
    draining: Arc<AtomicBool>,
    metrics: ConsensusMetrics,
    limits: Arc<OnceLock<Arc<dyn LocalLimits>>>,
    tracer: Tracer,
    traces: Traces,
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
    pub(crate) async fn start(mut parts: Parts) -> Result<Self, ConsensusError> {
        pepper::check(&parts.reader, &parts.keys).map_err(ConsensusError::Secrets)?;
        keks::check(&parts.reader, &parts.keys).map_err(ConsensusError::Secrets)?;
        let id = parts.this.id;
        let config = config::config(&parts.settings)?;
        let era = Era::of(parts.reader.clone());
        parts.peers = parts.peers.in_era(era.clone());
        let check_every_ms = parts.check.enabled.then_some(parts.check.every_ms);
        if check_every_ms.is_some() {
            parts.state_hashes.enable(parts.check.bytes_per_s_max);
        } else {
            tracing::warn!(
                "setting check.enabled: this node's state is not compared with the others', and whether it is what \
                 the cluster agreed on is not known"
            );
        }
        let board = Board::new(check_every_ms);
        let began_ms = parts.clock.now().0;
        parts
            .check_metrics
            .begin(check_every_ms.unwrap_or_default(), began_ms);
        let links = Links::new(parts.peers.clone(), parts.traces.clone());
        let mut log = parts.log;
        let log_reader = log.get_log_reader().await;
        let raft = Raft::new(id, config, links, log, parts.machine)
            .await
            .map_err(|fatal| ConsensusError::Raft(fatal.to_string()))?;
        let (leadership_known, leadership) = watch::channel(Leadership::default());
        let applied = AppliedWaiters::spawn(parts.reader.applied());
        let confirmations = Confirmations::new(QuorumQuestion { raft: raft.clone() });
        let gate = Gate::default();
        let proposer = Proposer::new(
            id,
            (raft.clone(), gate.clone()),
            parts.peers.clone(),
            leadership.clone(),
            (applied.clone(), parts.outcomes),
            parts.traces.clone(),
        );
        let steward = Steward::new(membership::Parts {
            this: parts.this.clone(),
            raft: raft.clone(),
            reader: parts.reader.clone(),
            peers: parts.peers.clone(),
            keys: parts.keys.clone(),
            proposer: proposer.clone(),
            leadership: leadership.clone(),
            confirmations: confirmations.clone(),
            applied: applied.clone(),
            clock: Arc::clone(&parts.clock),
            entropy: Arc::clone(&parts.entropy),
            surroundings: parts.surroundings,
            board: board.clone(),
            gate: gate.clone(),
        });
        let checker = Checker::new(check::Parts {
            this: id,
            raft: raft.clone(),
            peers: parts.peers.clone(),
            steward: steward.clone(),
            state_hashes: parts.state_hashes.clone(),
            quarantine: parts.quarantine,
            clock: parts.clock,
            halt: parts.halt.clone(),
            board,
            metrics: parts.check_metrics,
        });
        let inner = Inner {
            proposer,
            applied,
            reads: ReadIndex::new(LeaderQuestion {
                this: id,
                confirmations: confirmations.clone(),
                peers: parts.peers.clone(),
                leadership: leadership.clone(),
            }),
            confirmations,
            probation: Probation::new(parts.admission),
            era,
            joins: parts.joins,
            process: parts.entropy.next_u64(),
            steward,
            checker,
            check: parts.check,
            gate,
            fullness_metrics: parts.fullness_metrics,
            state_hashes: parts.state_hashes,
            joined: Arc::default(),
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
            draining: Arc::default(),
            metrics: parts.metrics,
            limits: Arc::default(),
            tracer: parts.tracer,
            traces: parts.traces,
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
            this: inner.this.clone(),
            raft: inner.raft.clone(),
            gate: inner.gate.clone(),
            reader: inner.reader.clone(),
            confirmations: inner.confirmations.clone(),
            checkpoints: inner.checkpoints.clone(),
            probation: inner.probation.clone(),
            era: inner.era.clone(),
            process: inner.process,
            desk: self.desk(),
            keys: inner.keys.clone(),
            backups: Source::new(
                Arc::clone(&bootstrapper.control),
                bootstrapper.keys.clone(),
                Arc::clone(&bootstrapper.clock),
            ),
            state_hashes: inner.state_hashes.clone(),
            bootstrapper,
            fleet: Arc::clone(&inner.fleet),
            limits: Arc::clone(&inner.limits),
            tracer: inner.tracer.clone(),
            traces: inner.traces.clone(),
        }
    }

    /// Forms or finds the cluster in the background, and watches what has to be watched. Call it
    /// once other nodes can reach this one.
    pub(crate) fn form(&self) {
        let inner = &self.inner;
        let formation = Formation {
            this: inner.this.id,
            joins: inner.joins,
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
            inner.metrics.clone(),
            inner.halt.clone(),
        ));
        tokio::spawn(keks::watch(
            inner.reader.clone(),
            inner.keys.clone(),
            inner.metrics.clone(),
            inner.halt.clone(),
        ));
        tokio::spawn(control::stay_fresh(Arc::downgrade(inner)));
        tokio::spawn(fullness::run(fullness::Watch {
            this: inner.this.id,
            steward: inner.steward.clone(),
            leadership: inner.leadership.clone(),
            gate: inner.gate.clone(),
            metrics: inner.fullness_metrics.clone(),
        }));
        if inner.check.enabled {
            let every = Duration::from_millis(inner.check.every_ms);
            tokio::spawn(inner.checker.clone().run(every));
            tokio::spawn(check::run_marks(inner.checker.clone(), every));
        }
        let steward = inner.steward.clone();
        let parts = steward.parts();
        tokio::spawn(membership::watch_joining(
            Arc::clone(&parts),
            Arc::clone(&inner.joined),
        ));
        tokio::spawn(membership::watch_removal(
            parts,
            inner.reads.clone(),
            inner.halt.clone(),
        ));
        tokio::spawn(membership::run_custody(
            steward.clone(),
            Arc::clone(&inner.draining),
        ));
        tokio::spawn(membership::run_errands(
            steward,
            Arc::clone(&inner.draining),
        ));
    }

    fn desk(&self) -> Desk {
        let inner = &self.inner;
        Desk {
            steward: inner.steward.clone(),
            this: inner.this.id,
            peers: inner.peers.clone(),
            leadership: inner.leadership.clone(),
        }
    }

    /// Has the cluster do what an operator asks, whichever node this is.
    ///
    /// # Errors
    /// [`ClusterError`] says whether anything may have been changed, and what to do.
    pub async fn ask_cluster(
        &self,
        asker: Asker,
        request: ClusterRequest,
    ) -> Result<ClusterReply, ClusterError> {
        self.desk().ask(asker, request).await
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

    /// Hands leadership over, if this node has it, to the voter that is best suited. Returns once
    /// another node leads, or when that takes too long.
    pub async fn hand_over(&self) {
        self.inner.steward.step_down().await;
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
