//! A cluster under test: nodes that are started, killed, cut off and asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::command::Stamped;
use domain::outcome::Applied;
use domain::time::Revision;
use node::assembly::{self, Ports, Running, StartError};
use node::consensus::Consensus;
use node::consensus::membership::{
    Asker, ClusterError, ClusterReply, ClusterRequest, ClusterStatus, Done, NewMember,
};
use node::control_plane::{Consistency, ControlPlane, ProposeError, ReadError};
use node::halt::FatalReason;
use node::keys::KeyRing;
use node::settings::{
    BackupSettings, CheckSettings, ClusterSettings, LimitSettings, ListenSettings, LogSettings,
    MemberSettings, NodeSettings, PublisherSettings, RaftSettings, RestSettings, SecuritySettings,
    Settings, TlsSettings, WebhookSettings,
};
use platform::testing::TestAuthority;
use platform::trace::{Tracer, TracingSettings};
use platform::{SystemClock, SystemEntropy};
use raft_store::{SimDisk, Storage};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::network::CuttableNetwork;

/// By when something that has to happen has happened, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) authority: TestAuthority,
    pub(crate) members: Vec<MemberSettings>,
    pub(crate) raft: RaftSettings,
    pub(crate) backup: Option<BackupSettings>,
    pub(crate) check: CheckSettings,
    /// How many of the members form the cluster; the others join.
    size: u64,
    nodes: BTreeMap<u64, Node>,
    disks: BTreeMap<u64, Disk>,
}

/// What a node keeps its data on.
#[derive(Clone)]
pub(crate) enum Disk {
    Simulated(SimDisk),
    Real(PathBuf),
}

struct Node {
    runtime: Threads,
    running: Running,
    network: CuttableNetwork,
}

/// A node's own threads. Dropping them ends whatever ran there.
struct Threads(Option<Runtime>);

impl Threads {
    fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        Self(Some(
            builder.worker_threads(2).enable_all().build().unwrap(),
        ))
    }

    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.0.as_ref().unwrap().spawn(future)
    }
}

impl Drop for Threads {
    /// Waits until the threads have ended, so that sockets are closed; a runtime may not wait for
    /// that on a thread of another one.
    fn drop(&mut self) {
        let runtime = self.0.take().unwrap();
        std::thread::spawn(move || runtime.shutdown_timeout(PATIENCE))
            .join()
            .unwrap();
    }
}

/// The end that a node came to, once it has.
pub(crate) type Fate = watch::Receiver<Option<FatalReason>>;

/// An address that nobody uses, below the range from which the kernel takes the ports of
/// connections: one from there could be gone again when the node starts.
#[allow(
    clippy::disallowed_methods,
    reason = "tests look for free ports themselves"
)]
fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 64;
        let port = 10_000 + u16::try_from(step % 20_000).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

impl World {
    /// So many members, none of them started.
    pub(crate) fn new(size: u64) -> Self {
        let members = (1..=size).map(member).collect();
        let disks = (1..=size)
            .map(|id| (id, Disk::Simulated(SimDisk::new())))
            .collect();
        Self {
            authority: TestAuthority::default(),
            members,
            raft: RaftSettings::default(),
            backup: None,
            check: CheckSettings::default(),
            size,
            nodes: BTreeMap::new(),
            disks,
        }
    }

    /// Three nodes, formed.
    pub(crate) async fn formed() -> Self {
        let mut world = Self::new(3);
        world.start_all().await;
        world.leader().await;
        world
    }

    /// One more node, with an empty disk, which waits to be added once it is started.
    pub(crate) fn newcomer(&mut self) -> NewMember {
        let id = self.members.len() as u64 + 1;
        self.members.push(member(id));
        self.disks.insert(id, Disk::Simulated(SimDisk::new()));
        NewMember {
            id,
            internal: self.members.last().unwrap().internal.clone(),
            region: None,
            rest: None,
            publisher: None,
        }
    }

    /// Asks the cluster through a node, as an operator does.
    pub(crate) async fn ask(
        &self,
        id: u64,
        request: ClusterRequest,
    ) -> Result<ClusterReply, ClusterError> {
        let node = &self.nodes[&id];
        let consensus = node.running.consensus().clone();
        let asking = async move { consensus.ask_cluster(Asker::default(), request).await };
        node.runtime.spawn(asking).await.unwrap()
    }

    /// Asks for a change that has to be made.
    pub(crate) async fn change(&self, id: u64, request: ClusterRequest) -> Done {
        match self.ask(id, request.clone()).await {
            Ok(ClusterReply::Done(done)) => done,
            other => panic!("{request:?}: {other:?}"),
        }
    }

    /// Asks for a change that has to be refused, and gives the code.
    pub(crate) async fn refused(&self, id: u64, request: ClusterRequest) -> String {
        match self.ask(id, request.clone()).await {
            Err(ClusterError::Refused { code, .. }) => code,
            other => panic!("{request:?}: {other:?}"),
        }
    }

    /// How the cluster stands, by a node.
    pub(crate) async fn status(&self, id: u64) -> ClusterStatus {
        match self.ask(id, ClusterRequest::Status).await {
            Ok(ClusterReply::Status(status)) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the status shows what is looked for.
    pub(crate) async fn until_status(
        &self,
        id: u64,
        what: &str,
        holds: impl Fn(&ClusterStatus) -> bool,
    ) -> ClusterStatus {
        let waiting = async {
            loop {
                let status = self.status(id).await;
                if holds(&status) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("not in time: {what}"))
    }

    pub(crate) fn simulated_disk(&self, id: u64) -> SimDisk {
        match &self.disks[&id] {
            Disk::Simulated(disk) => disk.clone(),
            Disk::Real(dir) => panic!("{} is a real disk", dir.display()),
        }
    }

    pub(crate) fn set_disk(&mut self, id: u64, disk: Disk) {
        self.disks.insert(id, disk);
    }

    pub(crate) async fn start_all(&mut self) {
        for member in self.members.clone() {
            self.start(member.id).await;
        }
    }

    pub(crate) async fn start(&mut self, id: u64) -> Fate {
        self.start_with(id, pepper(7)).await.unwrap()
    }

    pub(crate) async fn start_with(&mut self, id: u64, keys: KeyRing) -> Result<Fate, StartError> {
        let (fate_known, fate) = watch::channel(None);
        let network = CuttableNetwork::default();
        let ports = Ports {
            network: network.clone(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            storage: match &self.disks[&id] {
                Disk::Simulated(disk) => Storage::Sim(disk.clone()),
                Disk::Real(dir) => Storage::Rocks { dir: dir.clone() },
            },
            identity: self.authority.node(id).identity(),
            keys,
            rest_tls: None,
            enrolment: None,
            tracer: Tracer::off(),
            fatal: Arc::new(move |reason: &FatalReason| {
                fate_known.send_replace(Some(reason.clone()));
            }),
        };
        let runtime = Threads::new();
        let started = runtime
            .spawn(assembly::start(self.settings(id), ports))
            .await
            .unwrap();
        match started {
            Ok(running) => {
                self.nodes.insert(
                    id,
                    Node {
                        runtime,
                        running,
                        network,
                    },
                );
                Ok(fate)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn settings(&self, id: u64) -> Settings {
        let member = &self.members[usize::try_from(id).unwrap() - 1];
        let listen = |address: &str| address.parse().unwrap();
        let joins = id > self.size;
        Settings {
            node: NodeSettings {
                id,
                region: member.region.clone(),
                data_dir: PathBuf::new(),
                worker_threads: None,
            },
            rest: RestSettings {
                listen: listen(member.rest.strip_prefix("http://").unwrap()),
                cert_file: None,
                key_file: None,
                plain_http_beyond_loopback: false,
            },
            internal: ListenSettings {
                listen: listen(&member.internal),
            },
            publisher: PublisherSettings {
                listen: listen(&member.publisher),
                connections_of_address_max: 1024,
            },
            admin: None,
            tls: TlsSettings {
                ca_file: PathBuf::new(),
                cert_file: PathBuf::new(),
                key_file: PathBuf::new(),
            },
            metrics: None,
            enrolment: None,
            security: SecuritySettings {
                pepper_file: PathBuf::new(),
                ..SecuritySettings::default()
            },
            cluster: ClusterSettings {
                members: self
                    .members
                    .iter()
                    .filter(|member| joins || member.id <= self.size)
                    .cloned()
                    .collect(),
                join: joins,
            },
            log: LogSettings::default(),
            raft: self.raft.clone(),
            limits: LimitSettings::default(),
            webhooks: WebhookSettings {
                allowed_ranges: vec!["127.0.0.0/8".parse().unwrap()],
                ca_file: None,
            },
            backup: self.backup.clone(),
            check: self.check.clone(),
            tracing: TracingSettings::default(),
        }
    }

    /// Ends a node's process, as `kill -9` and a power cut would: nothing of it runs on, and
    /// what was not synced is gone.
    pub(crate) fn kill(&mut self, id: u64) {
        let node = self.nodes.remove(&id).unwrap();
        drop(node);
        if let Disk::Simulated(disk) = &self.disks[&id] {
            disk.crash(&mut ChaCha8Rng::seed_from_u64(id));
        }
    }

    /// Stops a node as SIGTERM does.
    pub(crate) async fn stop(&mut self, id: u64) {
        let Node {
            runtime, running, ..
        } = self.nodes.remove(&id).unwrap();
        runtime.spawn(running.shut_down()).await.unwrap();
    }

    pub(crate) fn cut(&self, id: u64, cut: bool) {
        self.nodes[&id].network.cut(cut);
    }

    /// How often a node tried to connect to somebody.
    pub(crate) fn dials(&self, id: u64) -> usize {
        self.nodes[&id].network.dials()
    }

    pub(crate) fn consensus(&self, id: u64) -> Consensus {
        self.nodes[&id].running.consensus().clone()
    }

    pub(crate) fn running(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    pub(crate) fn metrics(&self, id: u64) -> String {
        self.nodes[&id].running.metrics().render()
    }

    /// Waits until all running nodes agree on a leader among them.
    pub(crate) async fn leader(&self) -> u64 {
        eventually("the nodes agree on a leader", || {
            let mut leaders = self
                .nodes
                .values()
                .map(|node| node.running.consensus().leader());
            let first = leaders
                .next()
                .flatten()
                .filter(|leader| self.nodes.contains_key(leader))?;
            leaders.all(|leader| leader == Some(first)).then_some(first)
        })
        .await
    }

    pub(crate) async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        self.running().into_iter().find(|id| *id != leader).unwrap()
    }

    /// Proposes through a node, on that node's own threads. A node that dies meanwhile gives no
    /// answer, which its client could not tell from an unknown outcome.
    pub(crate) fn propose(
        &self,
        id: u64,
        stamped: Stamped,
    ) -> impl Future<Output = Result<Applied, ProposeError>> + Send + 'static {
        let node = &self.nodes[&id];
        let consensus = node.running.consensus().clone();
        let answer = node
            .runtime
            .spawn(async move { consensus.propose(stamped).await });
        async move {
            let died = |_| {
                Err(ProposeError::OutcomeUnknown {
                    reason: "the node died".to_owned(),
                })
            };
            answer.await.unwrap_or_else(died)
        }
    }

    pub(crate) async fn barrier(&self, id: u64) -> Result<Revision, ReadError> {
        let node = &self.nodes[&id];
        let consensus = node.running.consensus().clone();
        node.runtime
            .spawn(async move { consensus.barrier(Consistency::Linearizable).await })
            .await
            .unwrap()
    }
}

fn member(id: u64) -> MemberSettings {
    MemberSettings {
        id,
        region: format!("region-{id}"),
        internal: free_address().to_string(),
        rest: format!("http://{}", free_address()),
        publisher: free_address().to_string(),
    }
}

/// The pepper of so many equal bytes.
pub(crate) fn pepper(byte: u8) -> KeyRing {
    KeyRing::new(&[byte; 32]).unwrap()
}

/// Waits until `check` finds something.
pub(crate) async fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = check() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Waits for the end of a node.
pub(crate) async fn fate(mut fate: Fate) -> FatalReason {
    let ended = tokio::time::timeout(PATIENCE, fate.wait_for(Option::is_some)).await;
    ended
        .expect("the node ends in time")
        .unwrap()
        .clone()
        .unwrap()
}
