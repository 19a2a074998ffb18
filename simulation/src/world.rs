//! The processes of a run: three nodes and two edges, the real ones, on simulated ports, and the
//! disks that outlive them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use domain::id::EnvironmentId;
use domain::model::Manifest;
use domain::{machine, query};
use edge::store::MemoryDirectory;
use edge::subscriber::Status;
use edge::workers::Placement;
use node::assembly;
use node::consensus::Consensus;
use node::control_plane::ControlPlane;
use node::halt::FatalReason;
use node::keys::KeyRing;
use node::settings::{
    ClusterSettings, LimitSettings, ListenSettings, LogSettings, MemberSettings, NodeSettings,
    RaftSettings, RestSettings, SecuritySettings, Settings, TlsSettings, WebhookSettings,
};
use parking_lot::Mutex;
use platform::Entropy;
use platform::testing::TestAuthority;
use raft_store::{SimDisk, Storage};
use rand::Rng;
use tokio::sync::watch;

use crate::fail_points::{Disk, FailPoints, Host, Machine};
use crate::history::{Committed, Environment, FinalState, Finals, History};
use crate::network::SimNetwork;
use crate::observer::Observer;
use crate::options::{EDGES, NODES, Options};
use crate::ports::{SimClock, SimEntropy};
use crate::workload::{DEBUG_KEY, REQUESTS_PER_MINUTE};
use crate::{collect, faults};

/// The pepper of every simulated cluster.
const PEPPER: [u8; 32] = [7; 32];
/// The keys that bootstrap makes.
pub type Keys = BTreeMap<Environment, String>;

/// All processes of a run, from outside.
#[derive(Clone)]
pub struct Fleet {
    options: Arc<Options>,
    authority: Arc<TestAuthority>,
    disks: Vec<SimDisk>,
    directories: Vec<MemoryDirectory>,
    nodes: Arc<Mutex<BTreeMap<usize, Consensus>>>,
    lives: Arc<Mutex<BTreeMap<usize, u64>>>,
    edges: Arc<Mutex<BTreeMap<usize, watch::Receiver<Status>>>>,
    starts: Arc<Mutex<u64>>,
    halts: Arc<Mutex<Vec<String>>>,
    fail_points: FailPoints,
}

impl Fleet {
    /// Processes that do not run yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let fail_points = FailPoints::install(&options.fail_points, options.seed);
        Self {
            options: Arc::new(options),
            authority: Arc::new(TestAuthority::new("simulation")),
            disks: (0..NODES).map(|_| SimDisk::new()).collect(),
            directories: (0..EDGES).map(|_| MemoryDirectory::default()).collect(),
            nodes: Arc::default(),
            lives: Arc::default(),
            edges: Arc::default(),
            starts: Arc::default(),
            halts: Arc::default(),
            fail_points,
        }
    }

    /// What happens at the product's fail points.
    #[must_use]
    pub fn fail_points(&self) -> &FailPoints {
        &self.fail_points
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

    /// Lives a node's life, until its host dies.
    ///
    /// # Errors
    /// When the node does not start.
    pub async fn run_node(self, index: usize) -> turmoil::Result {
        let name = faults::node(index);
        let entropy = self.entropy(&name);
        let clock = SimClock::new(self.options.clock_skew_ms[index]);
        let host = Host::Node(index);
        self.fail_points.begin(Machine {
            host,
            disk: Disk::Node(self.disks[index].clone()),
            clock,
        });
        let fail_points = self.fail_points.clone();
        let halts = Arc::clone(&self.halts);
        let ports = assembly::Ports {
            network: SimNetwork::new(Arc::clone(&entropy)),
            clock: Arc::new(clock),
            entropy,
            storage: Storage::Sim(self.disks[index].clone()),
            identity: self.authority.node(member_id(index)).identity(),
            keys: KeyRing::new(&PEPPER)?,
            rest_tls: None,
            fatal: Arc::new(move |reason: &FatalReason| {
                if !fail_points.excuses(host) {
                    halts.lock().push(format!("{name} halted: {reason}"));
                }
            }),
        };
        let running = match assembly::start(self.node_settings(index), ports).await {
            Ok(running) => running,
            // What died while it started is started again by whoever looks after it.
            Err(_) if self.fail_points.excuses(host) => return std::future::pending().await,
            Err(error) => return Err(error.into()),
        };
        *self.lives.lock().entry(index).or_default() += 1;
        self.nodes.lock().insert(index, running.consensus().clone());
        std::future::pending::<()>().await;
        drop(running);
        Ok(())
    }

    /// Lives an edge's life, until its host dies.
    ///
    /// # Errors
    /// When the edge does not start.
    pub async fn run_edge(self, index: usize) -> turmoil::Result {
        let name = faults::edge(index);
        let entropy = self.entropy(&name);
        let host = Host::Edge(index);
        self.fail_points.begin(Machine {
            host,
            disk: Disk::Edge(self.directories[index].clone()),
            clock: SimClock::default(),
        });
        let ports = edge::assembly::Ports {
            network: SimNetwork::new(Arc::clone(&entropy)),
            clock: Arc::new(SimClock::default()),
            entropy,
        };
        let own = edge::assembly::Own {
            identity: self.authority.edge(&name).identity(),
            https: None,
            directory: Box::new(self.directories[index].clone()),
            access_log: None,
        };
        let started = edge::assembly::start(edge_settings(&name)?, ports, own, Placement::Here);
        let running = match started.await {
            Ok(running) => running,
            Err(_) if self.fail_points.excuses(host) => return std::future::pending().await,
            Err(error) => return Err(error.into()),
        };
        self.edges.lock().insert(index, running.status());
        std::future::pending::<()>().await;
        drop(running);
        Ok(())
    }

    fn node_settings(&self, index: usize) -> Settings {
        let any = |port| ListenSettings {
            listen: SocketAddr::from(([0, 0, 0, 0], port)),
        };
        Settings {
            node: NodeSettings {
                id: member_id(index),
                region: format!("region-{index}"),
                data_dir: PathBuf::new(),
                worker_threads: None,
            },
            rest: RestSettings {
                listen: SocketAddr::from(([0, 0, 0, 0], 80)),
                cert_file: None,
                key_file: None,
            },
            internal: any(7200),
            publisher: any(7300),
            admin: None,
            tls: TlsSettings {
                ca_file: PathBuf::new(),
                cert_file: PathBuf::new(),
                key_file: PathBuf::new(),
            },
            security: SecuritySettings {
                pepper_file: PathBuf::new(),
            },
            cluster: ClusterSettings {
                members: (0..NODES).map(member).collect(),
                join: false,
            },
            log: LogSettings::default(),
            raft: RaftSettings {
                checkpoint_every_entries: self.options.checkpoint_every,
                entries_kept_after_checkpoint: self.options.checkpoint_every / 2,
                ..RaftSettings::default()
            },
            limits: LimitSettings {
                enterprise_requests_per_minute: REQUESTS_PER_MINUTE,
                ..LimitSettings::default()
            },
            webhooks: WebhookSettings {
                // Every simulated host has such an address.
                allowed_ranges: ["192.168.0.0/16"]
                    .into_iter()
                    .filter_map(|range| range.parse().ok())
                    .collect(),
                ca_file: None,
            },
        }
    }

    /// Bootstraps the cluster and gives the key of each environment, and the one that edges follow.
    ///
    /// # Errors
    /// When no node takes it.
    pub async fn bootstrap(&self) -> Result<(Keys, EnvironmentId), String> {
        let network = SimNetwork::new(self.entropy("bootstrap"));
        let identity = self.authority.node(member_id(0)).identity();
        let settings = self.node_settings(0);
        let made = node::bootstrap::command::run(network, &identity, &settings, "simulated")
            .await
            .map_err(|error| error.to_string())?;
        let made = made.environments;
        let id = EnvironmentId::parse(&made.production.id).map_err(|error| error.to_string())?;
        let keys = [
            (Environment::Production, made.production.api_key),
            (Environment::Sandbox, made.sandbox.api_key),
        ];
        Ok((keys.into(), id))
    }

    /// The index of the node that leads, as far as the nodes that run know.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        let nodes = self.nodes.lock();
        nodes
            .iter()
            .map(|(index, node)| (node.readiness(), *index))
            .filter(|(readiness, _)| readiness.leading)
            .max_by_key(|(readiness, _)| readiness.term)
            .map(|(_, index)| index)
    }

    /// A node's process is gone; its disk keeps what was synced and perhaps a part of the rest.
    pub fn crash_node(&self, index: usize, rng: &mut impl Rng) {
        self.nodes.lock().remove(&index);
        self.disks[index].crash(rng);
    }

    /// An edge's process is gone, likewise.
    pub fn crash_edge(&self, index: usize, rng: &mut impl Rng) {
        self.edges.lock().remove(&index);
        self.directories[index].crash(rng.next_u64());
    }

    /// Why nodes halted by themselves, which nothing in a run should make them do.
    #[must_use]
    pub fn halts(&self) -> Vec<String> {
        self.halts.lock().clone()
    }

    /// (node, revision, state hash) of the nodes that run.
    #[must_use]
    pub fn hashes(&self) -> Vec<(usize, u64, [u8; 32])> {
        self.each_node(|view| machine::state_hash(&view))
            .into_iter()
            .map(|(index, revision, hash)| (index + 1, revision, hash))
            .collect()
    }

    /// The current manifest as each node that runs knows it.
    #[must_use]
    pub fn manifests(&self, environment: &EnvironmentId) -> Vec<Manifest> {
        self.each_node(|view| query::manifest(&view, environment))
            .into_iter()
            .map(|(_, _, manifest)| manifest)
            .collect()
    }

    /// What each edge that runs serves by: (edge, epoch, version, root).
    #[must_use]
    pub fn sights(&self) -> Vec<(usize, u64, u64, [u8; 32])> {
        let edges = self.edges.lock();
        edges
            .iter()
            .filter_map(|(index, status)| {
                let manifest = status.borrow().manifest?;
                Some((
                    *index,
                    manifest.epoch.0,
                    manifest.version.0,
                    manifest.root.0,
                ))
            })
            .collect()
    }

    /// Looks at the consensus of the nodes that run.
    pub fn observe(&self, at_us: u64, observer: &mut Observer, history: &mut History) {
        let lives = self.lives.lock();
        for (index, node) in self.nodes.lock().iter() {
            let life = lives.get(index).copied().unwrap_or_default();
            observer.look((index + 1, life), at_us, node, history);
        }
    }

    /// What each node holds.
    #[must_use]
    pub fn finals(&self) -> Finals {
        self.each_node(|view| collect::final_state(view))
            .into_iter()
            .map(|(index, applied, state)| (index + 1, FinalState { applied, ..state }))
            .collect()
    }

    /// The journal, as the first node that runs has it.
    #[must_use]
    pub fn journal(&self) -> Vec<Committed> {
        self.each_node(collect::journal)
            .into_iter()
            .next()
            .map(|(_, _, journal)| journal)
            .unwrap_or_default()
    }

    /// Whether all nodes run and stand at one revision and all edges hold the current manifest.
    #[must_use]
    pub fn has_converged(&self, environment: &EnvironmentId) -> bool {
        let applied: Vec<u64> = self
            .each_node(|_| ())
            .into_iter()
            .map(|(_, revision, ())| revision)
            .collect();
        let manifests = self.manifests(environment);
        let Some(current) = manifests.first() else {
            return false;
        };
        let sights = self.sights();
        applied.len() == NODES
            && applied.windows(2).all(|pair| pair[0] == pair[1])
            && sights.len() == EDGES
            && sights.iter().all(|(_, epoch, version, _)| {
                (*epoch, *version) == (current.epoch.0, current.version.0)
            })
    }

    fn each_node<T>(&self, read: impl Fn(&dyn domain::rows::View) -> T) -> Vec<(usize, u64, T)> {
        let nodes = self.nodes.lock();
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

fn member_id(index: usize) -> u64 {
    index as u64 + 1
}

fn member(index: usize) -> MemberSettings {
    let host = faults::node(index);
    MemberSettings {
        id: member_id(index),
        region: format!("region-{index}"),
        internal: format!("{host}:7200"),
        rest: format!("http://{host}"),
        publisher: format!("{host}:7300"),
    }
}

fn edge_settings(name: &str) -> Result<edge::settings::Settings, edge::settings::SettingsError> {
    let debug_key = domain::tree::Hash::of(DEBUG_KEY.as_bytes());
    let text = format!(
        r#"
        [edge]
        id = "{name}"
        region = "eu-central-1"
        environment = "production"
        data_dir = "/simulated"
        [http]
        listen = "0.0.0.0:80"
        workers = 1
        [control]
        nodes = ["node-1:7300", "node-2:7300", "node-3:7300"]
        [tls]
        ca_file = "/simulated/ca.pem"
        cert_file = "/simulated/cert.pem"
        key_file = "/simulated/key.pem"
        # Crashes are the simulation's doing here, not the manifests'.
        [breaker]
        enabled = false
        [debug]
        key_sha256 = "{debug_key}"
        "#
    );
    edge::settings::Settings::parse(&text, [])
}
