//! A node, put together from settings and ports in one function, and taken apart again in
//! order. `main` calls it with the operating system's ports, tests and the simulation with theirs.

mod error;
mod running;
mod tls_listener;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use platform::tls::{ALPN_H2, Identity, Peer};
use platform::trace::Tracer;
use platform::{Clock, Entropy, Listener, Network};
use raft_store::{Closer, Opened, Options, Storage};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::admin;
use crate::backup::BackupError;
use crate::backup::schedule::{self, BackupMetrics};
use crate::backup::source::Source;
use crate::bootstrap::Bootstrapper;
use crate::consensus::check::CheckMetrics;
use crate::consensus::fullness::FullnessMetrics;
use crate::consensus::membership::Disk;
use crate::consensus::peers::{Peers, TlsDialer};
use crate::consensus::{Consensus, DiskGauge, Parts, Surroundings, gauge_of, server};
use crate::control_plane::ControlPlane;
use crate::enrolment::{self, Enrolment, EnrolmentMetrics};
use crate::errands::{self, Errands};
use crate::fleet::{ClusterFleet, Fleet};
use crate::halt::{FatalHook, FatalReason, Halt};
use crate::keys::KeyRing;
use crate::limits::{LimitMetrics, LimitParts, Limits};
use crate::metrics::{ConsensusMetrics, Metrics, RaftCollector};
use crate::publisher::{self, Publisher, PublisherMetrics};
use crate::rest::{self, FleetReader, HttpMetrics, KeyUses, RestState, ServerLimits};
use crate::settings::Settings;
use crate::traces::Traces;
use crate::webhooks::address::AddressPolicy;
use crate::webhooks::courier::{Courier, Post};
use crate::webhooks::dispatcher::Dispatcher;
use crate::webhooks::metrics::WebhookMetrics;
use crate::webhooks::roots;
use crate::webhooks::sender::Sender;
use crate::webhooks::worker::Shared;

pub use error::StartError;
use running::Part;
pub use running::{Addresses, Running};
use tls_listener::TlsListener;

/// What a node takes from outside.
pub struct Ports<N> {
    /// Sockets.
    pub network: N,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where the data is.
    pub storage: Storage,
    /// This node's certificate.
    pub identity: Identity,
    /// How edges are let in by join tokens; without it, none is.
    pub enrolment: Option<Enrolment>,
    /// The cluster's pepper.
    pub keys: KeyRing,
    /// The certificate that REST clients see; without it they speak plain HTTP.
    pub rest_tls: Option<rustls::ServerConfig>,
    /// Told when the node cannot go on.
    pub fatal: FatalHook,
    /// Records what the node does as parts of traces.
    pub tracer: Tracer,
}

impl<N> fmt::Debug for Ports<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// Starts a node. When it returns, every socket is bound and served; whether there is a leader
/// yet is `/readyz`' matter.
///
/// # Errors
/// When storage, certificates or sockets are not to be had.
pub async fn start<N: Network>(settings: Settings, ports: Ports<N>) -> Result<Running, StartError> {
    // Sockets first: whoever cannot have them must not touch the data.
    let internal = listen(&ports.network, "internal.listen", settings.internal.listen).await?;
    let rest = listen(&ports.network, "rest.listen", settings.rest.listen).await?;
    let admin = match &settings.admin {
        Some(admin) => Some(listen(&ports.network, "admin.listen", admin.listen).await?),
        None => None,
    };
    let scraped = match &settings.metrics {
        Some(metrics) => Some(listen(&ports.network, "metrics.listen", metrics.listen).await?),
        None => None,
    };
    let metrics = Metrics::default();
    let sender = webhook_sender(&settings, &ports.network)?;
    let traces = Traces::default();
    let started = start_consensus(&settings, &ports, &metrics, traces.clone());
    let (consensus, closer) = started.await?;
    let publisher = match start_publisher(&settings, &ports, &metrics, (&consensus, &traces)) {
        Ok(publisher) => publisher,
        Err(error) => {
            consensus.shut_down().await;
            return Err(error);
        }
    };
    let (fleet, publisher) = publisher;
    let backups = match start_backups(&settings, &ports, &metrics, &consensus) {
        Ok(backups) => backups,
        Err(error) => {
            consensus.shut_down().await;
            return Err(error.into());
        }
    };
    let addresses = Addresses {
        rest: local_addr("rest.listen", &rest)?,
        internal: local_addr("internal.listen", &internal)?,
        publisher: publisher.address(),
        admin: match &admin {
            Some(admin) => Some(local_addr("admin.listen", admin)?),
            None => None,
        },
        metrics: match &scraped {
            Some(scraped) => Some(local_addr("metrics.listen", scraped)?),
            None => None,
        },
    };
    let limits = start_limits(&settings, &ports, &metrics, &consensus);
    let internal = serve_internal(internal, &ports, &consensus)?;
    let deliveries = Shared {
        control: Arc::new(consensus.clone()),
        courier: Courier {
            post: sender.clone(),
            control: Arc::new(consensus.clone()),
            keys: ports.keys.clone(),
            clock: Arc::clone(&ports.clock),
        },
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
        metrics: metrics.register(WebhookMetrics::register),
        tracer: ports.tracer.clone(),
        traces,
    };
    let fleet: Arc<dyn FleetReader> = fleet;
    let errands = Errands::start(errands::Parts {
        control: Arc::new(consensus.clone()),
        fleet: Arc::clone(&fleet),
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
        keys: ports.keys.clone(),
    });
    let mut state = rest_state(&ports, &metrics, &consensus, (fleet, limits), sender);
    let scraped = scraped
        .zip(state.exposition.take_if(|_| settings.metrics.is_some()))
        .map(|(listener, exposition)| {
            let router = rest::metrics_router(exposition);
            let (stop, stopped) = watch::channel(false);
            let task = spawn_rest(listener, router, state.metrics.clone(), stopped);
            Part { stop, task }
        });
    let admin = match admin.zip(addresses.admin) {
        Some(admin) => Some(serve_admin(
            admin,
            &ports,
            &consensus,
            state.metrics.clone(),
        )?),
        None => None,
    };
    let rest = serve_rest(rest, addresses.rest, ports.rest_tls, state);
    let dispatcher = Dispatcher::start(deliveries);
    consensus.form();
    Ok(Running {
        addresses,
        consensus,
        metrics,
        rest,
        admin,
        scraped,
        internal,
        publisher,
        dispatcher,
        errands,
        backups,
        closer,
    })
}

async fn start_consensus<N: Network>(
    settings: &Settings,
    ports: &Ports<N>,
    metrics: &Metrics,
    traces: Traces,
) -> Result<(Consensus, Closer), StartError> {
    let id = settings.node.id;
    let initial_members = settings.initial_members();
    let this = initial_members
        .get(&id)
        .cloned()
        .ok_or(StartError::NotAMember { id })?;
    let dialer = TlsDialer::new(ports.network.clone(), &ports.identity)?;
    let halt = Halt::new(Arc::clone(&ports.fatal));
    let opened = open(ports.storage.clone(), halt.clone()).await?;
    let consensus = Consensus::start(Parts {
        this,
        initial_members,
        settings: settings.raft.clone(),
        log: opened.log,
        machine: opened.machine,
        reader: opened.reader,
        outcomes: opened.outcomes,
        checkpoints: opened.checkpoints,
        admission: opened.admission,
        state_hashes: opened.state_hashes,
        quarantine: opened.quarantine,
        check: settings.check.clone(),
        check_metrics: metrics.register(CheckMetrics::register),
        fullness_metrics: metrics.register(FullnessMetrics::register),
        joins: settings.cluster.join,
        peers: Peers::new(Arc::new(dialer)),
        keys: ports.keys.clone(),
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
        halt,
        metrics: ConsensusMetrics::register(metrics),
        surroundings: Surroundings {
            disk: disk_gauge(&ports.storage),
            identity: ports.identity.clone(),
        },
        tracer: ports.tracer.clone(),
        traces,
    })
    .await?;
    RaftCollector::register(metrics, consensus.raft().clone(), opened.closer.clone());
    Ok((consensus, opened.closer))
}

fn start_publisher<N: Network>(
    settings: &Settings,
    ports: &Ports<N>,
    metrics: &Metrics,
    (consensus, traces): (&Consensus, &Traces),
) -> Result<(Arc<ClusterFleet>, Publisher), StartError> {
    let control: Arc<dyn ControlPlane> = Arc::new(consensus.clone());
    let fleet = Fleet::new(settings.node.id, Arc::clone(&ports.clock));
    let gathered = Arc::new(ClusterFleet {
        fleet: fleet.clone(),
        control: Arc::clone(&control),
        peers: Arc::new(consensus.clone()),
        clock: Arc::clone(&ports.clock),
    });
    let counted = metrics.register(EnrolmentMetrics::register);
    let desk = ports.enrolment.as_ref().map(|enrolment| {
        enrolment::Desk::new(enrolment::Parts {
            control: Arc::clone(&control),
            keys: ports.keys.clone(),
            clock: Arc::clone(&ports.clock),
            entropy: Arc::clone(&ports.entropy),
            nodes: ports.identity.clone(),
            fleet: Arc::clone(&gathered) as _,
            enrolment: enrolment.clone(),
            metrics: counted,
        })
    });
    let trusted = ports.enrolment.as_ref();
    let parts = publisher::Parts {
        listen: settings.publisher.listen,
        connections_of_address_max: settings.publisher.connections_of_address_max,
        identity: trusted.map_or(&ports.identity, |enrolment| &enrolment.identity),
        desk,
        clock: Arc::clone(&ports.clock),
        control: Arc::clone(&control),
        fleet: fleet.clone(),
        metrics: metrics.register(PublisherMetrics::register),
        keys: ports.keys.clone(),
        traces: traces.clone(),
    };
    let publisher = Publisher::start(&ports.network, parts)?;
    consensus.set_fleet(Arc::new(fleet));
    Ok((gathered, publisher))
}

/// Backups that are made by themselves, where the settings say so.
fn start_backups<N: Network>(
    settings: &Settings,
    ports: &Ports<N>,
    metrics: &Metrics,
    consensus: &Consensus,
) -> Result<Option<JoinHandle<()>>, BackupError> {
    let metrics = metrics.register(BackupMetrics::register);
    let Some(settings) = settings.backup.clone() else {
        return Ok(None);
    };
    let control: Arc<dyn ControlPlane> = Arc::new(consensus.clone());
    let started = schedule::start(schedule::Parts {
        settings,
        source: Source::new(
            Arc::clone(&control),
            ports.keys.clone(),
            Arc::clone(&ports.clock),
        ),
        control,
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
        metrics,
    })?;
    Ok(Some(started))
}

fn start_limits<N: Network>(
    settings: &Settings,
    ports: &Ports<N>,
    metrics: &Metrics,
    consensus: &Consensus,
) -> Limits {
    let limits = Limits::new(LimitParts {
        settings: settings.limits.clone(),
        control: Arc::new(consensus.clone()),
        peers: Arc::new(consensus.clone()),
        process: ports.entropy.next_u64(),
        metrics: metrics.register(LimitMetrics::register),
    });
    consensus.set_limits(limits.desk());
    limits
}

fn serve_internal<N: Network>(
    listener: N::Listener,
    ports: &Ports<N>,
    consensus: &Consensus,
) -> Result<Part, StartError> {
    let config = ports.identity.server_for(ALPN_H2, Peer::is_node)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let bootstrapper = Bootstrapper {
        control: Arc::new(consensus.clone()),
        keys: ports.keys.clone(),
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
    };
    let (stop, stopped) = watch::channel(false);
    let serving = server::serve(listener, acceptor, consensus.service(bootstrapper), stopped);
    Ok(Part {
        stop,
        task: tokio::spawn(serving),
    })
}

/// What sends webhooks, where the operator allows.
fn webhook_sender<N: Network>(
    settings: &Settings,
    network: &N,
) -> Result<Arc<Sender<N>>, StartError> {
    let settings = &settings.webhooks;
    let roots = roots::load(settings.ca_file.as_deref())
        .map_err(|error| StartError::Webhooks(error.into()))?;
    let policy = AddressPolicy::new(settings.allowed_ranges.clone());
    let sender = Sender::new(network.clone(), policy, roots);
    let sender = sender.map_err(|error| StartError::Webhooks(error.into()))?;
    Ok(Arc::new(sender))
}

fn rest_state<N: Network>(
    ports: &Ports<N>,
    metrics: &Metrics,
    consensus: &Consensus,
    (fleet, limits): (Arc<dyn FleetReader>, Limits),
    sender: Arc<Sender<N>>,
) -> RestState {
    let exposition = metrics.clone();
    RestState {
        control: Arc::new(consensus.clone()),
        fleet,
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
        keys: ports.keys.clone(),
        key_uses: KeyUses::default(),
        metrics: metrics.register(HttpMetrics::register),
        exposition: Some(Arc::new(move || exposition.render())),
        limits,
        courier: Courier {
            post: Arc::clone(&sender) as Arc<dyn Post>,
            control: Arc::new(consensus.clone()),
            keys: ports.keys.clone(),
            clock: Arc::clone(&ports.clock),
        },
        receivers: Arc::new(move |url| sender.receiver(url).map(drop)),
        authorities: ports.enrolment.as_ref().map(|_| {
            let identity = ports.identity.clone();
            let authorities = move || {
                let authorities = identity.authorities().into_iter();
                authorities.map(|der| der.to_vec()).collect()
            };
            Arc::new(authorities) as rest::Authorities
        }),
        tracer: ports.tracer.clone(),
    }
}

fn serve_rest<L: Listener<Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static>>(
    listener: L,
    address: SocketAddr,
    tls: Option<rustls::ServerConfig>,
    state: RestState,
) -> Part {
    let http = state.metrics.clone();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(state.key_uses.clone().keep_reporting(
        Arc::clone(&state.control),
        Arc::clone(&state.clock),
        Arc::clone(&state.entropy),
        stopped.clone(),
    ));
    let router = rest::router(state);
    let task = match tls {
        Some(config) => {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            spawn_rest(
                TlsListener::spawn(listener, acceptor, address, |_| true),
                rest::over_tls(router),
                http,
                stopped,
            )
        }
        None => spawn_rest(listener, router, http, stopped),
    };
    Part { stop, task }
}

/// The operators' surface: plain on loopback, mutual TLS with nodes anywhere else.
fn serve_admin<N: Network>(
    (listener, address): (N::Listener, SocketAddr),
    ports: &Ports<N>,
    consensus: &Consensus,
    http: HttpMetrics,
) -> Result<Part, StartError> {
    let plain = address.ip().is_loopback();
    let router = admin::router(Arc::new(consensus.clone()), plain);
    let (stop, stopped) = watch::channel(false);
    let task = if plain {
        spawn_rest(listener, router, http, stopped)
    } else {
        let mut config = ports.identity.server_for(ALPN_H2, Peer::is_node)?;
        config.alpn_protocols.push(b"http/1.1".to_vec());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TlsListener::spawn(listener, acceptor, address, admin::nodes_only);
        spawn_rest(listener, router, http, stopped)
    };
    Ok(Part { stop, task })
}

/// Looks at the disk that the data is on.
fn disk_gauge(storage: &Storage) -> DiskGauge {
    match storage {
        Storage::Rocks { dir } => gauge_of(dir.clone()),
        Storage::Sim(disk) => {
            let disk = disk.clone();
            Arc::new(move || {
                let (used_bytes, available_bytes) = disk.usage()?;
                Some(Disk {
                    used_bytes,
                    available_bytes,
                })
            })
        }
    }
}

/// Opens storage: off the runtime's threads where it blocks on a disk, inline where the disk is
/// simulated, which must not depend on real threads.
async fn open(storage: Storage, halt: Halt) -> Result<Opened, StartError> {
    let fatal: raft_store::Fatal =
        Arc::new(move |fault| halt.fatal(&FatalReason::Storage(fault.clone())));
    let options = Options { fatal };
    match storage {
        Storage::Sim(disk) => Ok(raft_store::open(Storage::Sim(disk), options)?),
        rocks @ Storage::Rocks { .. } => {
            let opening = tokio::task::spawn_blocking(move || raft_store::open(rocks, options));
            Ok(opening.await.map_err(|_| StartError::Aborted)??)
        }
    }
}

async fn listen<N: Network>(
    network: &N,
    field: &'static str,
    on: SocketAddr,
) -> Result<N::Listener, StartError> {
    network
        .listen(on)
        .await
        .map_err(|source| StartError::Listen { field, on, source })
}

fn local_addr<L: Listener>(field: &'static str, listener: &L) -> Result<SocketAddr, StartError> {
    let unknown = |source: io::Error| StartError::Listen {
        field,
        on: SocketAddr::from(([0, 0, 0, 0], 0)),
        source,
    };
    listener.local_addr().map_err(unknown)
}

fn spawn_rest<L>(
    listener: L,
    router: axum::Router,
    metrics: HttpMetrics,
    mut stopped: watch::Receiver<bool>,
) -> JoinHandle<()>
where
    L: Listener,
    L::Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let server = rest::Server::new(listener, router, ServerLimits::default(), metrics);
    tokio::spawn(server.run(async move {
        // A sender that is gone stops it as well.
        let _ = stopped.wait_for(|stop| *stop).await;
    }))
}
