//! Nodes that publish and edges that follow them, over real QUIC on the loopback interface.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::id::EnvironmentId;
use domain::tree::ChunkSource;
use edge::active::Active;
use edge::assembly::Serving;
use edge::certificates::{Keyring, Vault};
use edge::configuration::{Apply, ApplyError, ApplyReport};
use edge::nodes::KnownNodes;
use edge::store::MemoryDirectory;
use edge::subscriber::{ApplyOn, Certificates, Options, Ports, Status, Subscriber};
use edge::telemetry::Hub;
use edge_protocol::ManifestRef;
use edge_protocol::signing::TrustSet;
use node::control_plane::{BoxFuture, ControlPlane, LocalFleet, MemberId, PeerError, PeerFleet};
use node::enrolment::{self, Desk, EdgeAuthority, Enrolment, EnrolmentMetrics};
use node::fleet::{ClusterFleet, Fleet};
use node::keys::KeyRing;
use node::publisher::{Parts, Publisher, PublisherMetrics};
use node::rest::{EdgeView, FleetReader};
use node::traces::Traces;
use platform::authority::{Authority, Validity};
use platform::testing::{Pems, TestAuthority};
use platform::tls::Identity;
use platform::trace::Tracer;
use platform::{Clock, SystemClock, SystemEntropy, TokioNetwork};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::state::{Control, State, production};

/// By when something that has to happen has happened, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn keys() -> KeyRing {
    KeyRing::new(&[7; 32]).unwrap()
}

pub(crate) fn identity(pems: &Pems) -> Identity {
    Identity::from_pem(
        pems.ca.as_bytes(),
        pems.cert.as_bytes(),
        pems.key.as_bytes(),
    )
    .unwrap()
}

/// How nodes let edges in.
#[derive(Clone)]
pub(crate) struct Letting {
    pub(crate) cert: String,
    key: String,
    lasts: Duration,
}

impl Letting {
    /// By an authority of its own, whose certificates last so long.
    pub(crate) fn for_(lasts: Duration) -> Self {
        let validity = Validity {
            now: SystemClock.now(),
            lasts: Duration::from_secs(24 * 60 * 60),
        };
        let made = Authority::create("edges", validity, &SystemEntropy).unwrap();
        Self {
            cert: made.cert,
            key: made.key.as_str().to_owned(),
            lasts,
        }
    }

    fn enrolment(&self, node: &Pems) -> Enrolment {
        let pems = Pems {
            ca: [node.ca.as_str(), &self.cert].concat(),
            ..node.clone()
        };
        Enrolment {
            authority: EdgeAuthority::read(&self.cert, &self.key).unwrap(),
            identity: identity(&pems),
            lasts: self.lasts,
        }
    }
}

/// A node that publishes, on threads of its own, so that it can die like a process.
pub(crate) struct Node {
    pub(crate) control: Arc<Control>,
    pub(crate) fleet: Fleet,
    pub(crate) address: String,
    publisher: Option<Publisher>,
    runtime: Option<Runtime>,
}

impl Drop for Node {
    /// Without a word, as a killed process. The endpoint would say goodbye if it were dropped.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        std::mem::forget(self.publisher.take());
    }
}

impl Node {
    pub(crate) fn start(id: MemberId, state: &Arc<State>) -> Self {
        Self::start_with(id, state, &TestAuthority::default())
    }

    pub(crate) fn start_with(id: MemberId, state: &Arc<State>, authority: &TestAuthority) -> Self {
        Self::start_as(id, state, authority, (None, 1024))
    }

    /// One of which an address has so many connections at most.
    pub(crate) fn crowded(id: MemberId, state: &Arc<State>, of_address_max: usize) -> Self {
        let authority = TestAuthority::default();
        Self::start_as(id, state, &authority, (None, of_address_max))
    }

    /// One that lets edges in.
    pub(crate) fn lets_in(id: MemberId, state: &Arc<State>, enrolment: Letting) -> Self {
        let authority = TestAuthority::default();
        Self::start_as(id, state, &authority, (Some(enrolment), 1024))
    }

    fn start_as(
        id: MemberId,
        state: &Arc<State>,
        authority: &TestAuthority,
        (letting, connections_of_address_max): (Option<Letting>, usize),
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let entered = runtime.enter();
        let control = Control::new(id, Arc::clone(state));
        let fleet = Fleet::new(id, Arc::new(SystemClock));
        let pems = authority.node(id);
        let enrolment = letting.map(|letting| letting.enrolment(&pems));
        let trusted = enrolment
            .as_ref()
            .map(|enrolment| enrolment.identity.clone());
        let desk = enrolment.map(|enrolment| {
            Desk::new(enrolment::Parts {
                control: control.clone(),
                keys: keys(),
                clock: Arc::new(SystemClock),
                entropy: Arc::new(SystemEntropy),
                nodes: identity(&pems),
                fleet: Arc::new(ClusterFleet {
                    fleet: fleet.clone(),
                    control: control.clone(),
                    peers: Arc::new(Peers(BTreeMap::new())),
                    clock: Arc::new(SystemClock),
                }),
                enrolment,
                metrics: EnrolmentMetrics::default(),
            })
        });
        let parts = Parts {
            listen: "127.0.0.1:0".parse().unwrap(),
            connections_of_address_max,
            identity: &trusted.unwrap_or_else(|| identity(&pems)),
            control: control.clone(),
            fleet: fleet.clone(),
            metrics: PublisherMetrics::default(),
            keys: keys(),
            desk,
            clock: Arc::new(SystemClock),
            traces: Traces::default(),
        };
        let publisher = Publisher::start(&TokioNetwork, parts).unwrap();
        control.join(publisher.address());
        let address = publisher.address().to_string();
        drop(entered);
        Self {
            control,
            fleet,
            address,
            publisher: Some(publisher),
            runtime: Some(runtime),
        }
    }

    /// Dies as a killed process does: without a word.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Shuts down as a node does.
    pub(crate) async fn shut_down(mut self) {
        let publisher = self.publisher.take().unwrap();
        self.runtime
            .as_ref()
            .unwrap()
            .spawn(publisher.shut_down())
            .await
            .unwrap();
    }

    /// What this node knows of its edges.
    pub(crate) async fn edges(&self) -> Vec<EdgeView> {
        gather(&[self]).await
    }

    /// Waits until this node knows something of its edges.
    pub(crate) async fn knows(
        &self,
        what: &str,
        known: impl Fn(&[EdgeView]) -> bool,
    ) -> Vec<EdgeView> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let edges = self.edges().await;
            if known(&edges) {
                return edges;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "never: {what}; known is {edges:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What nodes know together, asked of the first.
pub(crate) async fn gather(nodes: &[&Node]) -> Vec<EdgeView> {
    reader(nodes).gather(&production()).await.edges
}

/// What the first of these nodes asks the others with.
pub(crate) fn reader(nodes: &[&Node]) -> ClusterFleet {
    let peers = nodes
        .iter()
        .map(|node| (node.control.id, node.fleet.clone()))
        .collect();
    let control: Arc<dyn ControlPlane> = nodes[0].control.clone();
    ClusterFleet {
        fleet: nodes[0].fleet.clone(),
        control,
        peers: Arc::new(Peers(peers)),
        clock: Arc::new(SystemClock),
    }
}

struct Peers(BTreeMap<MemberId, Fleet>);

impl PeerFleet for Peers {
    fn ask(&self, member: MemberId, query: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, PeerError>> {
        Box::pin(async move {
            let fleet = self.0.get(&member).ok_or(PeerError::Unknown(member))?;
            let answer = fleet.answer(&query).await;
            answer.ok_or(PeerError::Unknown(member))
        })
    }
}

/// Takes manifests into use as an edge does, unless it is told to refuse them.
struct Moody {
    applier: Arc<dyn Apply>,
    refuses: AtomicBool,
    attempts: AtomicU64,
}

impl Apply for Moody {
    fn apply(
        &self,
        manifest: ManifestRef,
        source: &dyn ChunkSource,
    ) -> Result<ApplyReport, ApplyError> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        if self.refuses.load(Ordering::Relaxed) {
            return Err(ApplyError {
                reason: "rule_1 does not compile".to_owned(),
            });
        }
        self.applier.apply(manifest, source)
    }

    fn active(&self) -> Option<ManifestRef> {
        self.applier.active()
    }
}

/// What an edge is made of, so that it can be started again.
#[derive(Clone)]
pub(crate) struct Maker {
    pub(crate) id: String,
    pub(crate) pems: Pems,
    pub(crate) environment: String,
    pub(crate) nodes: Vec<String>,
    pub(crate) directory: MemoryDirectory,
    pub(crate) vault: MemoryDirectory,
    /// Whom the operator says to trust.
    pub(crate) trust: Option<TrustSet>,
    /// Which environment the operator means.
    pub(crate) environment_id: Option<EnvironmentId>,
}

fn certificates(vault: &MemoryDirectory, serving: &Serving) -> Certificates {
    let vault = Vault::open(Box::new(vault.clone()), Arc::clone(&serving.keyring)).unwrap();
    Certificates {
        vault: Arc::new(parking_lot::Mutex::new(vault)),
        shown: serving.active.shown(),
    }
}

pub(crate) struct Edge {
    pub(crate) maker: Maker,
    pub(crate) active: Arc<Active>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) restored: Option<ManifestRef>,
    moody: Arc<Moody>,
    status: watch::Receiver<Status>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Maker {
    pub(crate) fn new(id: &str, nodes: &[&Node]) -> Self {
        Self {
            id: id.to_owned(),
            pems: TestAuthority::default().edge(id),
            environment: "production".to_owned(),
            nodes: nodes.iter().map(|node| node.address.clone()).collect(),
            directory: MemoryDirectory::default(),
            vault: MemoryDirectory::default(),
            trust: None,
            environment_id: None,
        }
    }

    pub(crate) fn start(self) -> Edge {
        let serving = Serving::default();
        let applier: Arc<dyn Apply> = serving.applier.clone();
        let moody = Arc::new(Moody {
            applier,
            refuses: AtomicBool::new(false),
            attempts: AtomicU64::new(0),
        });
        let options = Options {
            edge_id: self.id.clone(),
            environment: self.environment.clone(),
            region: "eu".to_owned(),
            labels: BTreeMap::new(),
            software: "test".to_owned(),
            nodes: KnownNodes::new(self.nodes.clone(), Vec::new()),
            apply_on: ApplyOn::Thread,
            breaker: true,
            telemetry_period: Duration::from_millis(50),
            trust: self.trust.clone(),
            environment_id: self.environment_id.clone(),
        };
        let ports = Ports {
            network: TokioNetwork,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            identity: &identity(&self.pems),
            directory: Box::new(self.directory.clone()),
            applier: moody.clone(),
            hub: serving.hub.clone(),
            certificates: Some(certificates(&self.vault, &serving)),
            tracer: Tracer::off(),
        };
        let subscriber = Subscriber::open(options, ports).unwrap();
        let stop = CancellationToken::new();
        let status = subscriber.status();
        let restored = subscriber.restored();
        let running = tokio::spawn(subscriber.run(stop.clone()));
        Edge {
            maker: self,
            active: serving.active,
            hub: serving.hub,
            keyring: serving.keyring,
            restored,
            moody,
            status,
            stop,
            running,
        }
    }
}

impl Edge {
    pub(crate) fn start(id: &str, nodes: &[&Node]) -> Self {
        Maker::new(id, nodes).start()
    }

    pub(crate) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    pub(crate) async fn until(
        &mut self,
        what: &str,
        wanted: impl FnMut(&Status) -> bool,
    ) -> Status {
        let waiting = tokio::time::timeout(PATIENCE, self.status.wait_for(wanted)).await;
        match waiting.map(|found| found.unwrap().clone()) {
            Ok(status) => status,
            Err(_) => panic!("never: {what}; it is {:?}", self.status()),
        }
    }

    pub(crate) async fn applies(&mut self, manifest: ManifestRef) -> Status {
        self.until(&format!("applies {manifest}"), |status| {
            status.manifest == Some(manifest)
        })
        .await
    }

    pub(crate) fn refuse(&self, refuses: bool) {
        self.moody.refuses.store(refuses, Ordering::Relaxed);
    }

    pub(crate) fn attempts(&self) -> u64 {
        self.moody.attempts.load(Ordering::Relaxed)
    }

    /// Stops it; what it was made of can be started again.
    pub(crate) async fn stop(self) -> Maker {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.running)
            .await
            .unwrap()
            .unwrap();
        self.maker
    }
}
