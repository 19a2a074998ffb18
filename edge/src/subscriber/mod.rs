//! Follows the environment's manifest at whichever node answers, and takes it into use.
//!
//! ```text
//!   rotation ─▶ dialer ─▶ session: QUIC ◀─▶ Follower ── Apply ──▶ applying: store, then serve
//!      ▲  jittered back-off  │                  ▲                     │ on a thread of its own
//!      └──── the node died ──┘                  └──── how it went ────┘
//! ```
//!
//! What is said and decided is [`edge_protocol::Follower`]'s matter, what a manifest means
//! [`crate::configuration`]'s, what stands on disk [`crate::store`]'s. This module connects them
//! and keeps going: nothing that happens here ends it, and nothing here can stop requests from
//! being served by what is in use.

mod applying;
mod certificates;
mod dialer;
mod reach;
mod restore;
mod session;
mod spans;
mod status;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use domain::id::EnvironmentId;
use edge_protocol::backoff::Rotation;
use edge_protocol::signing::{Trust, TrustSet};
use edge_protocol::{Follower, HealthReport, Hello, ManifestRef, Moment, PROTOCOL, ToNode};
use platform::tls::{Identity, TlsError};
use platform::trace::Tracer;
use platform::{Clock, Entropy, Network};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::applying::Applying;
use self::spans::Spans;
use crate::configuration::Apply;
use crate::nodes::KnownNodes;
use crate::store::{Directory, Opened, Store};
use crate::telemetry::Hub;

pub use applying::ApplyOn;
pub use certificates::{Certificates, Shown};
pub(crate) use dialer::Dialer;
pub(crate) use reach::reach;
pub use status::Status;

/// Who follows, and whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// The edge's identifier, as in its certificate.
    pub edge_id: String,
    /// The name of the environment that it serves.
    pub environment: String,
    /// Where it is.
    pub region: String,
    /// Labels for people.
    pub labels: BTreeMap<String, String>,
    /// The software's version.
    pub software: String,
    /// Where nodes are; one that answers names the others.
    pub nodes: KnownNodes,
    /// Where manifests are compiled and stored.
    pub apply_on: ApplyOn,
    /// Whether a manifest is refused on which the process crashed again and again.
    pub breaker: bool,
    /// How often a node gets what was counted.
    pub telemetry_period: Duration,
    /// Whose signatures to believe, where the operator says so; otherwise the first node does.
    pub trust: Option<TrustSet>,
    /// Which environment is meant by the name, where the operator says so; otherwise the first node does.
    pub environment_id: Option<EnvironmentId>,
}

/// What a subscriber takes from outside.
pub struct Ports<'a, N> {
    /// Sockets.
    pub network: N,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The edge's certificate.
    pub identity: &'a Identity,
    /// The disk.
    pub directory: Box<dyn Directory>,
    /// Takes manifests into use.
    pub applier: Arc<dyn Apply>,
    /// What was counted of requests.
    pub hub: Arc<Hub>,
    /// How it comes to certificates for clients, where it shows any.
    pub certificates: Option<Certificates>,
    /// Records how manifests come into use.
    pub tracer: Tracer,
}

impl<N> fmt::Debug for Ports<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// Why there is no subscriber.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory of the last good configuration cannot be read.
    #[error("the data directory cannot be read")]
    Store(#[source] io::Error),
    /// The certificate does not work.
    #[error("the certificate cannot be used")]
    Tls(#[from] TlsError),
}

/// Follows nodes for as long as it [runs](Self::run).
pub struct Subscriber<N> {
    dialer: Dialer<N>,
    entropy: Arc<dyn Entropy>,
    core: Core,
}

/// What outlives connections.
struct Core {
    follower: Follower,
    applying: Applying,
    nodes: KnownNodes,
    rotation: Rotation,
    status: watch::Sender<Status>,
    start: Instant,
    /// Since when a node serves this edge.
    welcomed: Option<Instant>,
    hub: Arc<Hub>,
    /// When a node that takes it gets what was counted.
    telemetry_due: Instant,
    telemetry_period: Duration,
    /// What nodes are told of targets.
    health: Option<watch::Receiver<HealthReport>>,
    certificates: Option<Certificates>,
    spans: Spans,
}

impl<N> fmt::Debug for Subscriber<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("rotation", &self.core.rotation)
            .finish_non_exhaustive()
    }
}

/// How a connection ended.
struct Ended {
    reason: String,
    /// For how long a node served this edge on it.
    served: Duration,
}

impl<N: Network> Subscriber<N> {
    /// Opens the disk and takes the newest configuration on it into use, if there is one: when
    /// this returns, requests can be served by it, whether any node is there or not. It blocks
    /// for as long as reading and compiling takes.
    ///
    /// # Errors
    /// When the directory or the certificate cannot be used. A damaged configuration is no error.
    pub fn open(options: Options, ports: Ports<'_, N>) -> Result<Self, OpenError> {
        let Ports {
            network,
            clock,
            entropy,
            identity,
            directory,
            applier,
            hub,
            certificates,
            tracer,
        } = ports;
        let Opened {
            mut store,
            findings,
        } = Store::open(directory, &options.environment).map_err(OpenError::Store)?;
        for finding in findings {
            tracing::warn!(finding, "something is wrong with the configuration on disk");
        }
        let trust = match options.trust {
            Some(set) => {
                // So that it goes on from there should the operator say nothing any more.
                if let Err(error) = store.keep_trusted(&set) {
                    tracing::warn!(%error, "whose signatures to believe cannot be written down");
                }
                Some(Trust::fixed(set))
            }
            None => store.trusted().cloned().map(Trust::kept),
        };
        let restored = restore::restore(
            &mut store,
            (trust.as_ref(), options.environment_id.as_ref()),
            &*applier,
            options.breaker,
            clock.now(),
        );
        store.settle();
        let have = restored.as_ref().map(|pointer| pointer.manifest);
        let hello = Hello {
            protocol: PROTOCOL,
            edge_id: options.edge_id,
            environment: options.environment,
            region: options.region,
            labels: options.labels,
            software: options.software,
            have,
        };
        let restored_id = restored.map(|pointer| pointer.environment_id);
        let environment_id = options.environment_id.or(restored_id);
        let mut follower = Follower::new(hello, environment_id, trust);
        for refused in store.starts().refused() {
            follower.distrust(refused.manifest.root, refused.reason.clone());
        }
        let (status, _) = watch::channel(Status {
            manifest: have,
            ..Status::default()
        });
        Ok(Self {
            dialer: Dialer::new(network, identity, Arc::clone(&entropy))?,
            core: Core {
                follower,
                applying: Applying::new(store, applier, options.apply_on, options.breaker),
                rotation: Rotation::new(options.nodes.all(), entropy.next_u64()),
                nodes: options.nodes,
                status,
                start: Instant::now(),
                welcomed: None,
                hub,
                telemetry_due: Instant::now() + options.telemetry_period,
                telemetry_period: options.telemetry_period,
                health: None,
                certificates,
                spans: Spans::new(tracer),
            },
            entropy,
        })
    }

    /// The manifest that was on disk and is in use.
    #[must_use]
    pub fn restored(&self) -> Option<ManifestRef> {
        self.core.follower.current().copied()
    }

    /// Tells nodes of targets that take no requests from now on.
    pub fn tell_of(&mut self, health: watch::Receiver<HealthReport>) {
        self.core.health = Some(health);
    }

    /// How the subscriber stands, as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.core.status.subscribe()
    }

    /// Follows nodes until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let watch = self.core.applying.journal().watch(self.status());
        let watching = tokio::spawn(watch);
        self.follow_on(&stop).await;
        watching.abort();
        self.core.applying.journal().end().await;
        self.dialer.close().await;
    }

    async fn follow_on(&mut self, stop: &CancellationToken) {
        if self.core.rotation.is_empty() {
            tracing::error!("there is no node to follow");
            return stop.cancelled().await;
        }
        while !stop.is_cancelled() {
            // What a node or a renewal has told of meanwhile counts from here on.
            self.core.rotation.replace(self.core.nodes.all());
            let (reason, wait) = self.follow(stop).await;
            if stop.is_cancelled() {
                break;
            }
            tracing::warn!(
                reason,
                wait_ms = wait.as_millis(),
                "not following a node; trying the next"
            );
            self.core.disconnected(reason);
            self.core.pause(Instant::now() + wait, stop).await;
        }
    }

    /// Follows the first node that is reached for as long as that goes. Gives why it ended, and how long to
    /// wait before the next one.
    async fn follow(&mut self, stop: &CancellationToken) -> (String, Duration) {
        let dialer = &self.dialer;
        let connect = |node: String| async move { dialer.connect(&node).await };
        let reached = tokio::select! {
            reached = reach(&mut self.core.rotation, connect) => reached,
            () = stop.cancelled() => return (String::new(), Duration::ZERO),
        };
        let (node, connection) = match reached {
            Ok(reached) => reached,
            Err(failed) => {
                let failed = failed
                    .iter()
                    .map(|(node, error)| format!("{node}: {error}"));
                let wait = self.core.rotation.none_reached(self.entropy.next_u64());
                return (failed.collect::<Vec<_>>().join("; "), wait);
            }
        };
        let Ended { reason, served } = session::run(&mut self.core, &connection, stop).await;
        let wait = self.core.rotation.lost(served, self.entropy.next_u64());
        (format!("{node}: {reason}"), wait)
    }
}

/// The next report of targets; never, where nobody makes any.
async fn next_health(health: &mut Option<watch::Receiver<HealthReport>>) -> HealthReport {
    if let Some(reports) = health
        && reports.changed().await.is_ok()
    {
        return reports.borrow_and_update().clone();
    }
    std::future::pending().await
}

impl Core {
    fn now(&self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    /// Waits until it is time for the next node. Meanwhile what is being applied may finish.
    async fn pause(&mut self, until: Instant, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                () = stop.cancelled() => return,
                done = self.applying.done() => self.applied(done),
            }
        }
    }

    /// A frame of what was counted, if a node takes it and it is time.
    fn telemetry(&mut self) -> Option<ToNode> {
        if !self.follower.may_send_telemetry() {
            return None;
        }
        let now = Instant::now();
        if self.telemetry_due <= now {
            self.telemetry_due = now + self.telemetry_period;
            self.hub.close();
        }
        self.hub.frame().map(ToNode::Telemetry)
    }

    fn applied(&mut self, done: applying::Done) {
        let now = self.now();
        self.follower.handle_applied(now, done.took, done.result);
        self.tell();
    }
}
