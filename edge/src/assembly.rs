//! Puts an edge together from settings and ports, the same way in production and in a simulation:
//! the serving threads, the admin address, the last good configuration and the subscriber.
//!
//! Order matters twice. The last good configuration is loaded before a port opens, so that no
//! request is refused for want of what is on the disk. And when the edge stops, it stops being
//! ready and accepting first, finishes what is under way, and ends the rest after that.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::id::EnvironmentId;
use edge_protocol::signing::TrustSet;
use parking_lot::Mutex;
use platform::tls::{Identity, PublicCertificate};
use platform::trace::Tracer;
use platform::{Clock, Entropy, Listener, Network};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::access_log::{AccessLog, Shown};
use crate::active::Active;
use crate::admin::Admin;
use crate::cache::Cache;
use crate::certificates::{Keyring, Vault};
use crate::configuration::Applier;
use crate::health::{self, Registry};
use crate::metrics::Metrics;
use crate::names::{self, Names};
use crate::nodes::KnownNodes;
use crate::proxy::{Tls, quic_server};
use crate::retired;
use crate::route::Surroundings;
use crate::settings::Settings;
use crate::store::Directory;
use crate::subscriber::{self, ApplyOn, Certificates, OpenError, Status, Subscriber};
use crate::telemetry::{Hub, Observing, Routes, SEND_PERIOD};
use crate::upstream::Trust;
use crate::workers::{Endpoints, Placement, Plan, Workers};

/// An edge's ports to the outside.
pub struct Ports<N> {
    /// Sockets.
    pub network: N,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Records requests and manifests as parts of traces.
    pub tracer: Tracer,
}

/// What is an edge's own: who it is, and what it remembers.
pub struct Own {
    /// Its certificate towards nodes.
    pub identity: Identity,
    /// Where nodes are.
    pub nodes: KnownNodes,
    /// What it shows to clients, where it speaks TLS with them.
    pub https: Option<OwnHttps>,
    /// Where the last good configurations are.
    pub directory: Box<dyn Directory>,
    /// Where its requests are logged, if anywhere.
    pub access_log: Option<AccessLog>,
    /// Whose signatures it believes, where its operator says so.
    pub trust: Option<TrustSet>,
    /// Which environment it follows, where its operator or its join token says so.
    pub environment_id: Option<EnvironmentId>,
}

/// What an edge shows to clients.
pub struct OwnHttps {
    /// Its own certificate, for hosts whose route names none.
    pub certificate: Option<PublicCertificate>,
    /// Where those that routes name are kept.
    pub vault: Box<dyn Directory>,
}

/// Why an edge did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The disk or the certificate cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// TLS towards clients cannot be spoken.
    #[error("TLS towards clients cannot be spoken")]
    Tls(#[source] rustls::Error),
}

/// Where an edge listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For requests.
    pub http: SocketAddr,
    /// For requests over TLS, if the settings want that.
    pub https: Option<SocketAddr>,
    /// For requests over QUIC, if the settings want that.
    pub http3: Option<SocketAddr>,
    /// For probes and scrapers, if the settings want that.
    pub admin: Option<SocketAddr>,
}

/// What holds the serving half together: the configuration in use, and who may replace it.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The configuration in use.
    pub active: Arc<Active>,
    /// Replaces it.
    pub applier: Arc<Applier>,
    /// All counts.
    pub metrics: Arc<Metrics>,
    /// What is known of targets.
    pub health: Arc<Registry>,
    /// What is counted of requests.
    pub hub: Arc<Hub>,
    /// Where requests are logged, if anywhere.
    pub access_log: Option<AccessLog>,
    /// The names of targets.
    pub names: Arc<Names>,
    /// The certificates that clients are shown.
    pub keyring: Arc<Keyring>,
}

impl Default for Serving {
    fn default() -> Self {
        Self::new(String::new(), Keyring::default())
    }
}

impl Serving {
    /// Nothing in use yet, at an edge in this region, with these certificates.
    #[must_use]
    pub fn new(region: String, keyring: Keyring) -> Self {
        let active = Arc::<Active>::default();
        let metrics = Arc::new(Metrics::new(Arc::clone(&active)));
        let health = Arc::<Registry>::default();
        metrics.watch(Arc::clone(&health));
        let names = Arc::<Names>::default();
        let around = Surroundings {
            region,
            health: Arc::clone(&health),
            names: Arc::clone(&names),
            trust: Trust::default(),
        };
        let applier = Applier::new(Arc::clone(&active), metrics.applies(), around);
        let hub = Arc::<Hub>::default();
        metrics.show(Box::new(Routes(Arc::clone(&hub))));
        Self {
            active,
            applier: Arc::new(applier),
            metrics,
            health,
            hub,
            access_log: None,
            names,
            keyring: Arc::new(keyring),
        }
    }
}

/// An edge that serves and follows.
#[derive(Debug)]
pub struct Edge {
    serving: Running,
    metrics: Arc<Metrics>,
    status: watch::Receiver<Status>,
    stop: CancellationToken,
    following: JoinHandle<()>,
}

/// Starts an edge. To be called within a `LocalSet`.
///
/// # Errors
/// When an address cannot be had, or the disk or the certificate cannot be used.
pub async fn start<N: Network>(
    settings: Settings,
    ports: Ports<N>,
    mut own: Own,
    placement: Placement,
) -> Result<Edge, StartError> {
    let settings = Arc::new(settings);
    let (certificate, vault) = own
        .https
        .take()
        .map_or((None, None), |https| (https.certificate, Some(https.vault)));
    let serving = Serving {
        access_log: own.access_log.clone(),
        ..Serving::new(settings.edge.region.clone(), Keyring::new(certificate))
    };
    let certificates = vault
        .map(|vault| certificates(vault, &serving))
        .transpose()
        .map_err(OpenError::Store)?;
    let mut subscriber = open(&settings, &ports, own, (&serving, certificates), placement)?;
    subscriber.tell_of(serving.health.reports());
    let status = subscriber.status();
    serving.metrics.follow(status.clone());
    let running = serve(settings, &ports, &serving, placement).await?;
    let stop = CancellationToken::new();
    let following = tokio::task::spawn_local(subscriber.run(stop.clone()));
    Ok(Edge {
        serving: running,
        metrics: serving.metrics,
        status,
        stop,
        following,
    })
}

/// Takes the certificates on the disk into use.
fn certificates(vault: Box<dyn Directory>, serving: &Serving) -> io::Result<Certificates> {
    let vault = Vault::open(vault, Arc::clone(&serving.keyring))?;
    Ok(Certificates {
        vault: Arc::new(Mutex::new(vault)),
        shown: serving.active.shown(),
    })
}

/// Opens the disk and takes into use what is there.
fn open<N: Network>(
    settings: &Settings,
    ports: &Ports<N>,
    own: Own,
    (serving, certificates): (&Serving, Option<Certificates>),
    placement: Placement,
) -> Result<Subscriber<N>, OpenError> {
    let options = subscriber::Options {
        edge_id: settings.edge.id.clone(),
        environment: settings.edge.environment.clone(),
        region: settings.edge.region.clone(),
        labels: settings.edge.labels.clone(),
        software: env!("CARGO_PKG_VERSION").to_owned(),
        nodes: own.nodes,
        apply_on: match placement {
            Placement::Threads => ApplyOn::Thread,
            Placement::Here => ApplyOn::Task,
        },
        breaker: settings.breaker.enabled,
        telemetry_period: SEND_PERIOD,
        trust: own.trust,
        environment_id: own.environment_id,
    };
    let ports = subscriber::Ports {
        network: ports.network.clone(),
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
        identity: &own.identity,
        directory: own.directory,
        applier: Arc::clone(&serving.applier) as _,
        hub: Arc::clone(&serving.hub),
        certificates,
        tracer: ports.tracer.clone(),
    };
    Subscriber::open(options, ports)
}

impl Edge {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.serving.addresses()
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whom it follows, and what it has in use.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits until a serving thread has ended, which only a fault of ours brings about.
    pub async fn failed(&mut self) {
        self.serving.failed().await;
    }

    /// Stops accepting, finishes what is under way within the time that the settings allow, and
    /// ends. It follows its node until then, so that the nodes see it for as long as it serves.
    pub async fn shut_down(self) {
        self.serving.shut_down().await;
        self.stop.cancel();
        // It has no outcome; a panic in it was printed when it happened.
        let _ = self.following.await;
    }
}

/// The serving half of an edge that runs.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    workers: Workers,
    /// Says that the edge is about to stop.
    unready: watch::Sender<bool>,
    /// For how long it says so before it does.
    notice: Duration,
    stop: watch::Sender<bool>,
    admin: Option<JoinHandle<()>>,
    /// What goes on beside serving, and ends with it.
    aside: [JoinHandle<()>; 3],
}

/// Starts serving what `serving` holds. To be called within a `LocalSet`.
///
/// # Errors
/// When an address cannot be had.
pub async fn serve<N: Network>(
    settings: Arc<Settings>,
    ports: &Ports<N>,
    serving: &Serving,
    placement: Placement,
) -> Result<Running, StartError> {
    let (stop, stopped) = watch::channel(false);
    let (unready, is_unready) = watch::channel(false);
    let cache = cache(&settings, ports);
    serving.metrics.show_cache(Arc::clone(&cache));
    serving.applier.keep_in_step(Arc::clone(&cache));
    if placement == Placement::Threads {
        serving.applier.share_cores();
    }
    if let Some(log) = &serving.access_log {
        serving
            .metrics
            .show(Box::new(Shown(Arc::clone(log.counts()))));
    }
    let observing = Observing {
        hub: Arc::clone(&serving.hub),
        log: serving.access_log.clone(),
        debug: settings.debug.key(),
        tracer: ports.tracer.clone(),
    };
    let tls = match &settings.https {
        Some(_) => Some(Tls::new(Arc::clone(&serving.keyring) as _).map_err(StartError::Tls)?),
        None => None,
    };
    let quic = match (&settings.http3, &tls) {
        (Some(_), Some(tls)) => {
            Some(quic_server(tls, Arc::clone(&serving.active)).map_err(StartError::Tls)?)
        }
        _ => None,
    };
    let plan = Plan {
        cache,
        network: ports.network.clone(),
        active: Arc::clone(&serving.active),
        health: Arc::clone(&serving.health),
        metrics: Arc::clone(&serving.metrics),
        observing,
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
        stop: stopped,
        settings: Arc::clone(&settings),
        tls,
        quic,
        endpoints: Endpoints::default(),
    };
    let listen = |address| move |source| StartError::Listen { address, source };
    let workers = Workers::start(plan, placement)
        .await
        .map_err(|unserved| listen(unserved.address)(unserved.source))?;
    let mut running = Running {
        addresses: Addresses {
            http: workers.addresses.http,
            https: workers.addresses.https,
            http3: workers.addresses.http3,
            admin: None,
        },
        workers,
        unready,
        notice: settings.timeouts.unready(),
        stop,
        admin: None,
        aside: aside(ports, serving, placement),
    };
    if let Some(admin) = &settings.admin {
        let listener = ports
            .network
            .listen(admin.listen)
            .await
            .map_err(listen(admin.listen))?;
        running.addresses.admin = Some(listener.local_addr().map_err(listen(admin.listen))?);
        let admin = Admin {
            active: Arc::clone(&serving.active),
            metrics: Arc::clone(&serving.metrics),
            stop: is_unready,
        };
        running.admin = Some(tokio::task::spawn_local(admin.serve::<N>(listener)));
    }
    Ok(running)
}

/// An empty cache. What was kept goes with the process: it would be old, and is soon there again.
fn cache<N>(settings: &Settings, ports: &Ports<N>) -> Arc<Cache> {
    let mut secret = [0; 16];
    ports.entropy.fill(&mut secret);
    Arc::new(Cache::new(settings.cache, secret))
}

/// Starts what goes on beside serving: watching targets, resolving their names, and freeing what was
/// replaced.
fn aside<N: Network>(
    ports: &Ports<N>,
    serving: &Serving,
    placement: Placement,
) -> [JoinHandle<()>; 3] {
    let watching = health::watch(
        ports.network.clone(),
        (Arc::clone(&ports.clock), Arc::clone(&ports.entropy)),
        Arc::clone(&serving.active),
        Arc::clone(&serving.health),
    );
    let resolving = names::refresh(ports.network.clone(), Arc::clone(&serving.names));
    [
        tokio::task::spawn_local(watching),
        tokio::task::spawn_local(resolving),
        tokio::task::spawn_local(retired::free(Arc::clone(&serving.active), placement)),
    ]
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Waits until a serving thread has ended, which only a fault of ours brings about.
    pub async fn failed(&mut self) {
        self.workers.any_ended().await;
    }

    /// Says for as long as the settings want that it is about to stop, so that who sends clients here
    /// sends them elsewhere; then stops accepting, finishes what is under way within the time that
    /// the settings allow, and ends.
    pub async fn shut_down(self) {
        self.unready.send_replace(true);
        sleep(self.notice).await;
        self.stop.send_replace(true);
        self.workers.all_ended().await;
        for task in self.aside {
            task.abort();
        }
        if let Some(admin) = self.admin {
            admin.abort();
        }
    }
}
