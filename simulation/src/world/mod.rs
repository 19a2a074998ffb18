//! The processes of a run, the real ones, on simulated ports; the disks and clocks that outlive
//! them; and the strangers that they have to do with: receivers of webhooks, and a node that
//! serves what is bad.

mod edges;
mod ends;
mod nodes;
mod offers;
mod operator;
mod receivers;
mod rogue;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use edge::store::MemoryDirectory;
use edge::subscriber::Status;
use node::consensus::Consensus;
use node::control_plane::ControlPlane;
use parking_lot::Mutex;
use platform::Entropy;
use platform::testing::TestAuthority;
use raft_store::SimDisk;
use tokio::sync::{mpsc, watch};

use crate::fail_points::FailPoints;
use crate::history::{Environment, History};
use crate::hosts::{self, HERD, ORIGIN, ROGUE};
use crate::observer::Observer;
use crate::options::Options;
use crate::ports::{SimClock, SimEntropy};
use crate::workload::Shared;

pub use operator::{Counts, Wanted};
use operator::{Desk, Known};
pub use receivers::Receiver;
pub use rogue::Rogue;

/// The host of all clients.
pub const CLIENTS: &str = "clients";

/// What is asked of a node from outside; more than a few at once would be a mistake.
const ORDERS_MAX: usize = 8;

/// All processes of a run, from outside.
#[derive(Clone)]
pub struct Fleet {
    options: Arc<Options>,
    authority: Arc<TestAuthority>,
    disks: Vec<SimDisk>,
    clocks: Vec<SimClock>,
    directories: Vec<MemoryDirectory>,
    rogue: Rogue,
    receivers: Vec<Receiver>,
    nodes: Arc<Mutex<BTreeMap<usize, Process>>>,
    edges: Arc<Mutex<BTreeMap<usize, watch::Receiver<Status>>>>,
    starts: Arc<Mutex<u64>>,
    exits: Arc<Mutex<Vec<Exit>>>,
    lives: Arc<Mutex<BTreeMap<usize, u64>>>,
    desk: Arc<Mutex<Desk>>,
    /// The nodes that clients know, by index.
    members_known: Known,
    fail_points: FailPoints,
    history: Arc<Mutex<History>>,
    observer: Arc<Mutex<Observer>>,
}

/// The keys that bootstrap makes.
pub type Keys = BTreeMap<Environment, String>;

/// Who belongs to the cluster, by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// With a vote.
    pub voters: Vec<usize>,
    /// Without one.
    pub learners: Vec<usize>,
}

/// A node's process.
struct Process {
    /// Which of the node's lives it is, counted from 1.
    life: u64,
    consensus: Consensus,
    orders: mpsc::Sender<Order>,
}

/// What an operator asks of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// To hand leadership over.
    HandOver,
    /// To stop as it should.
    ShutDown,
}

/// A node's process ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Which node, by index.
    pub index: usize,
    /// How.
    pub end: End,
}

/// How a node's process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    Stopped,
    /// It could not go on.
    Halted {
        /// What it said.
        reason: String,
        /// Its exit code.
        code: i32,
    },
    /// It did not start.
    Refused {
        /// What it said.
        reason: String,
        /// Its exit code.
        code: i32,
    },
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Halted { reason, code } => write!(f, "halted with {code}: {reason}"),
            Self::Refused { reason, code } => write!(f, "did not start, {code}: {reason}"),
        }
    }
}

impl Fleet {
    /// Processes that do not run yet; what happens to them, and which nodes there are, is told to whoever shares that.
    #[must_use]
    pub fn new(options: Options, shared: &Shared) -> Self {
        let history = Arc::clone(&shared.history);
        let disk = |_| {
            let disk = SimDisk::new();
            disk.set_block_bytes(options.block_bytes);
            disk
        };
        let receiver = |index| Receiver::new(hosts::receiver(index), Arc::clone(&history));
        Self {
            authority: Arc::new(TestAuthority::new("simulation")),
            disks: (0..options.nodes()).map(disk).collect(),
            clocks: options.clocks.iter().copied().map(SimClock::new).collect(),
            directories: (0..options.all_edges())
                .map(|_| MemoryDirectory::default())
                .collect(),
            rogue: Rogue::new(Arc::clone(&history)),
            receivers: (0..options.receivers).map(receiver).collect(),
            nodes: Arc::default(),
            edges: Arc::default(),
            starts: Arc::default(),
            exits: Arc::default(),
            lives: Arc::default(),
            desk: Arc::default(),
            members_known: Arc::clone(&shared.nodes),
            fail_points: FailPoints::install(&options.fail_points, options.seed),
            options: Arc::new(options),
            history,
            observer: Arc::default(),
        }
    }

    /// What the run does.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// A node's disk.
    #[must_use]
    pub fn disk(&self, index: usize) -> &SimDisk {
        &self.disks[index]
    }

    /// A node's wall clock.
    #[must_use]
    pub fn clock(&self, index: usize) -> &SimClock {
        &self.clocks[index]
    }

    /// An edge's disk.
    #[must_use]
    pub fn directory(&self, index: usize) -> &MemoryDirectory {
        &self.directories[index]
    }

    /// What happens at the product's fail points.
    #[must_use]
    pub fn fail_points(&self) -> &FailPoints {
        &self.fail_points
    }

    /// The node that serves what is bad.
    #[must_use]
    pub fn rogue(&self) -> &Rogue {
        &self.rogue
    }

    /// A receiver of webhooks.
    #[must_use]
    pub fn receiver(&self, index: usize) -> &Receiver {
        &self.receivers[index]
    }

    /// All hosts but one.
    #[must_use]
    pub fn hosts_but(&self, name: &str) -> Vec<String> {
        let options = &self.options;
        let nodes = (0..options.nodes()).map(hosts::node);
        let edges = (0..options.edges).map(hosts::edge);
        let receivers = (0..options.receivers).map(hosts::receiver);
        let mut others = vec![ORIGIN.to_owned(), ROGUE.to_owned(), CLIENTS.to_owned()];
        if options.herd > 0 {
            others.push(HERD.to_owned());
        }
        nodes
            .chain(edges)
            .chain(receivers)
            .chain(others)
            .filter(|host| host != name)
            .collect()
    }

    /// A stream of randomness for one life of one process.
    fn entropy(&self, name: &str) -> Arc<dyn Entropy> {
        let mut starts = self.starts.lock();
        *starts += 1;
        Arc::new(SimEntropy::new(
            self.options.seed,
            &format!("{name}/{starts}"),
        ))
    }

    /// Asks a node for something. One that does not run, or has not done what it was asked before,
    /// does not hear it.
    pub fn order(&self, index: usize, order: Order) {
        if let Some(process) = self.nodes.lock().get(&index) {
            let _ = process.orders.try_send(order);
        }
    }

    /// The index of the node that leads, as far as the nodes that run know.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        let nodes = self.nodes.lock();
        nodes
            .iter()
            .map(|(index, process)| (process.consensus.readiness(), *index))
            .filter(|(readiness, _)| readiness.leading)
            .max_by_key(|(readiness, _)| readiness.term)
            .map(|(_, index)| index)
    }

    /// The voters and the learners by the newest membership that a running node knows to be committed, by index. Nothing while
    /// a change of it is not finished anywhere.
    #[must_use]
    pub fn members(&self) -> Option<Members> {
        let mut newest = None;
        self.each_consensus(|_, consensus| {
            let now = consensus.observe();
            if now.membership <= now.committed && now.voters.len() == 1 {
                newest = newest
                    .take()
                    .max(Some((now.membership, now.voters, now.learners)));
            }
        });
        let (_, voters, learners) = newest?;
        let index = |id: u64| usize::try_from(id).ok()?.checked_sub(1);
        Some(Members {
            voters: voters.into_iter().flatten().filter_map(index).collect(),
            learners: learners.into_iter().filter_map(index).collect(),
        })
    }

    /// A node by index; where nodes come and go, one of those that run.
    #[must_use]
    pub fn some_node(&self, index: usize) -> Option<usize> {
        if self.options.spares == 0 {
            return Some(index);
        }
        let nodes = self.nodes.lock();
        nodes.keys().nth(index % nodes.len().max(1)).copied()
    }

    /// How many checkpoints nodes installed.
    #[must_use]
    pub fn checkpoint_installs(&self) -> u64 {
        self.disks.iter().map(SimDisk::adoptions).sum()
    }

    /// The processes that ended by themselves since the last call.
    #[must_use]
    pub fn exits(&self) -> Vec<Exit> {
        std::mem::take(&mut *self.exits.lock())
    }

    /// A node's process is gone.
    pub fn node_ended(&self, index: usize) {
        self.nodes.lock().remove(&index);
    }

    /// An edge's process is gone.
    pub fn edge_ended(&self, index: usize) {
        self.edges.lock().remove(&index);
    }

    /// Shows each node that runs, by index.
    pub fn each_consensus(&self, mut show: impl FnMut(usize, &Consensus)) {
        for (index, process) in self.nodes.lock().iter() {
            show(*index, &process.consensus);
        }
    }

    fn each_node<T>(&self, read: impl Fn(&dyn domain::rows::View) -> T) -> Vec<(usize, u64, T)> {
        // A node whose disk fails while it is read halts, and is to be heard then.
        let nodes: Vec<_> = self
            .nodes
            .lock()
            .iter()
            .map(|(index, process)| (*index, process.consensus.clone()))
            .collect();
        nodes
            .iter()
            .filter_map(|(index, node)| {
                let node: &dyn ControlPlane = node;
                let (found, revision) = node.read_local(|view| read(view)).ok()?;
                Some((*index, revision.0, found))
            })
            .collect()
    }
}
