//! Publishes manifests to edges over QUIC: takes connections, keeps each edge at the newest
//! manifest of its environment, hands out chunks, and notes in the [`Fleet`] what edges say.
//!
//! ```text
//! consensus ─ changes ─▶ feed (one look-up an environment) ─▶ connection ─▶ edge
//!             state ◀─── shelf (chunks, cached) ◀── wants ──┘      └─ reports ─▶ fleet
//! ```
//!
//! Reads are local: a manifest is published by each node when that node has applied it. What an
//! edge and a node say to each other is [`edge_protocol`]'s matter.

mod admission;
mod certificates;
mod connection;
mod feed;
mod lobby;
mod metrics;
mod shelf;
mod transport;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use platform::tls::{ALPN_ENROL, EdgeCertificate, Identity, TlsError};
use platform::{Clock, Network};
use quinn::crypto::rustls::HandshakeData;
use quinn::{Connection, Endpoint, Incoming, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::feed::Feeds;
use self::lobby::Lobby;
use self::shelf::Shelf;
use crate::control_plane::ControlPlane;
use crate::enrolment::{self, Desk};
use crate::fleet::Fleet;
use crate::keys::KeyRing;
use crate::signing::Signer;
use crate::sources::Places;
use crate::traces::Traces;

pub use metrics::PublisherMetrics;

/// Edges that one node serves. With three nodes, two may be gone and ten thousand edges still
/// have a place; each costs some 50 kB while it is idle.
const EDGES_MAX: usize = 10_000;

/// Handshakes under way beyond which an address has to prove itself first, so that a flood from
/// forged addresses costs them a round trip and this node nothing.
const UNPROVEN_HANDSHAKES_MAX: usize = 64;

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// How long edges may take to hear that they should go elsewhere.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// What a publisher is made of.
pub struct Parts<'a> {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How many connections one address, or one /64 of IPv6, may have.
    pub connections_of_address_max: usize,
    /// The node's certificate.
    pub identity: &'a Identity,
    /// Where manifests and chunks are read.
    pub control: Arc<dyn ControlPlane>,
    /// Where the edges' words go.
    pub fleet: Fleet,
    /// What is counted.
    pub metrics: PublisherMetrics,
    /// Opens the private keys of certificates.
    pub keys: KeyRing,
    /// Lets edges in by join tokens, where that is wanted.
    pub desk: Option<Desk>,
    /// Tells when certificates end.
    pub clock: Arc<dyn Clock>,
    /// In which traces manifests are published.
    pub traces: Traces,
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// Why a publisher does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificate does not work.
    #[error("the certificate cannot be used")]
    Tls(#[from] TlsError),
    /// The socket is not to be had.
    #[error("cannot listen on {on}")]
    Listen {
        /// Where.
        on: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A running publisher.
#[derive(Debug)]
pub struct Publisher {
    address: SocketAddr,
    endpoint: Endpoint,
    draining: CancellationToken,
    accepting: JoinHandle<()>,
    feeding: JoinHandle<()>,
    connections: TaskTracker,
}

/// What every connection uses.
#[derive(Clone)]
struct Shared {
    control: Arc<dyn ControlPlane>,
    feeds: Feeds,
    shelf: Shelf,
    fleet: Fleet,
    metrics: PublisherMetrics,
    keys: KeyRing,
    signer: Signer,
    desk: Option<Desk>,
    clock: Arc<dyn Clock>,
    /// Where those wait who want a certificate.
    lobby: Lobby,
    /// Handshakes under way.
    handshakes: Arc<AtomicUsize>,
    /// What each address has of connections, and what it may have.
    of_address: Places,
    of_address_max: usize,
}

impl Publisher {
    /// Binds the socket and serves edges.
    ///
    /// # Errors
    /// When the certificate or the socket cannot be used.
    pub fn start<N: Network>(network: &N, parts: Parts<'_>) -> Result<Self, StartError> {
        let Parts {
            listen,
            connections_of_address_max,
            identity,
            control,
            fleet,
            metrics,
            keys,
            desk,
            clock,
            traces,
        } = parts;
        let fail = |source| StartError::Listen { on: listen, source };
        let endpoint = network
            .quic(
                listen,
                Some(transport::server_config(identity, desk.is_some())?),
            )
            .map_err(fail)?;
        let address = endpoint.local_addr().map_err(fail)?;
        let feeds = Feeds::default();
        let signer = Signer::new(keys.clone());
        let draining = CancellationToken::new();
        let connections = TaskTracker::new();
        let feeding = tokio::spawn(
            feeds
                .clone()
                .run(Arc::clone(&control), signer.clone(), traces),
        );
        let shelf = Shelf::new(Arc::clone(&control));
        let shared = Shared {
            control,
            feeds,
            shelf,
            fleet,
            metrics,
            keys,
            signer,
            desk,
            clock,
            lobby: Lobby::default(),
            handshakes: Arc::default(),
            of_address: Places::default(),
            of_address_max: connections_of_address_max,
        };
        let accepting = tokio::spawn(accept(
            endpoint.clone(),
            shared,
            draining.clone(),
            connections.clone(),
        ));
        Ok(Self {
            address,
            endpoint,
            draining,
            accepting,
            feeding,
            connections,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends every edge on to another node, and stops.
    pub async fn shut_down(self) {
        self.draining.cancel();
        self.connections.close();
        if timeout(DRAIN_MAX, self.connections.wait()).await.is_err() {
            tracing::warn!("some edges did not hear that this node is going away");
        }
        self.accepting.abort();
        self.feeding.abort();
        self.endpoint
            .close(VarInt::from_u32(0), b"the node is shutting down");
        let _ = timeout(DRAIN_MAX, self.endpoint.wait_idle()).await;
    }
}

async fn accept(
    endpoint: Endpoint,
    shared: Shared,
    draining: CancellationToken,
    connections: TaskTracker,
) {
    while let Some(incoming) = endpoint.accept().await {
        if draining.is_cancelled() || connections.len() >= EDGES_MAX {
            shared.metrics.refused.inc();
            incoming.refuse();
            continue;
        }
        if shared.handshakes.load(Ordering::Relaxed) > UNPROVEN_HANDSHAKES_MAX
            && !incoming.remote_address_validated()
            && incoming.may_retry()
        {
            // An error only says that the address has proved itself meanwhile.
            let _ = incoming.retry();
            continue;
        }
        connections.spawn(greet(incoming, shared.clone(), draining.clone()));
    }
}

async fn greet(incoming: Incoming, shared: Shared, draining: CancellationToken) {
    let from = incoming.remote_address();
    let Ok(connecting) = incoming.accept() else {
        return;
    };
    shared.handshakes.fetch_add(1, Ordering::Relaxed);
    let connected = timeout(HANDSHAKE_MAX, connecting).await;
    shared.handshakes.fetch_sub(1, Ordering::Relaxed);
    // Before the handshake anybody may have written that address.
    let place = shared.of_address.take(from.ip(), shared.of_address_max);
    match connected {
        Ok(Ok(connection)) if place.is_none() => {
            shared.metrics.refused.inc();
            tracing::warn!(%from, max = shared.of_address_max, "an address has as many connections as publisher.connections_of_address_max allows");
            connection.close(
                VarInt::from_u32(1),
                b"too many connections from this address",
            );
        }
        Ok(Ok(connection)) if wants_certificate(&connection) => {
            let shown = shown(&connection);
            let Some(_chair) = shared.lobby.enter(from.ip(), shown.is_some()) else {
                shared.metrics.refused.inc();
                return connection.close(VarInt::from_u32(1), b"too many edges ask at once");
            };
            if let Some(desk) = shared.desk {
                enrolment::serve(desk, connection, shown).await;
            }
        }
        Ok(Ok(connection)) => {
            // The handshake lets strangers in where edges come by tokens. They have no business here.
            let Some(shown) = shown(&connection) else {
                shared.metrics.refused.inc();
                return connection.close(VarInt::from_u32(1), b"an edge shows its certificate");
            };
            let edges = shared.metrics.edges.clone();
            edges.inc();
            connection::serve(shared, connection, Some(shown), draining).await;
            edges.dec();
        }
        Ok(Err(reason)) => {
            shared.metrics.refused.inc();
            tracing::warn!(%from, %reason, "a connection was not taken");
        }
        Err(_) => {
            shared.metrics.refused.inc();
        }
    }
}

/// Whether it was opened for the conversation by which an edge comes by a certificate.
fn wants_certificate(connection: &Connection) -> bool {
    let data = connection.handshake_data();
    let data = data.and_then(|data| data.downcast::<HandshakeData>().ok());
    data.is_some_and(|data| data.protocol.as_deref() == Some(ALPN_ENROL))
}

/// The certificate of the other side that the handshake has verified, if it showed an edge's.
fn shown(connection: &Connection) -> Option<EdgeCertificate> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    EdgeCertificate::of(chain.first()?)
}
