//! Connects to nodes over QUIC: mutual TLS, no early data, one stream that this side opens, and
//! a dead node noticed within [`IDLE_MAX`].

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use platform::tls::{ALPN_EDGE, Identity, NODE_SERVER_NAME, TlsError};
use platform::{Entropy, Network};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, ConnectError, Connection, ConnectionError, ConnectionId, Endpoint, IdleTimeout,
    TransportConfig, VarInt,
};
use tokio::time::timeout;

/// A connection on which nothing arrived for so long is dead: a node that was killed is left
/// after this.
const IDLE_MAX: Duration = Duration::from_secs(3);

/// How often an idle connection is shown to be alive: three can be lost before it counts as dead.
const KEEP_ALIVE: Duration = Duration::from_millis(750);

/// How long resolving a name, or one of its addresses' handshakes, may take.
const STEP_MAX: Duration = Duration::from_secs(3);

/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;

/// What a node may send before it is read: eight frames of chunks, 20 MB/s over 100 ms.
const RECEIVE_WINDOW: u32 = 2 * 1024 * 1024;

/// What waits to be acknowledged by a node: a few frames, none of them large.
const SEND_WINDOW: u64 = 128 * 1024;

/// The longest connection identifier that QUIC has; a client's first one should be hard to guess.
const CONNECTION_ID_BYTES: usize = 20;

/// How long a close may take to be sent.
const CLOSE_MAX: Duration = Duration::from_millis(500);

/// Why a node was not reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("its name does not resolve: {0}")]
    Resolve(#[source] io::Error),
    #[error("its name has no address")]
    NoAddress,
    #[error("no socket: {0}")]
    Bind(#[source] io::Error),
    #[error("it cannot be connected to: {0}")]
    Connect(#[from] ConnectError),
    #[error("the handshake failed: {0}")]
    Handshake(#[from] ConnectionError),
    #[error("it did not answer in time")]
    Timeout,
}

pub(crate) struct Dialer<N> {
    network: N,
    config: ClientConfig,
    sockets: Mutex<Sockets>,
}

/// One for each family, bound when it is first needed.
#[derive(Default)]
struct Sockets {
    v4: Option<Endpoint>,
    v6: Option<Endpoint>,
}

impl Sockets {
    fn of_family(&mut self, towards: SocketAddr) -> &mut Option<Endpoint> {
        if towards.is_ipv4() {
            &mut self.v4
        } else {
            &mut self.v6
        }
    }
}

impl<N> fmt::Debug for Dialer<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

impl<N: Network> Dialer<N> {
    pub(super) fn new(
        network: N,
        identity: &Identity,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, TlsError> {
        Self::with(network, identity.client(ALPN_EDGE)?, entropy)
    }

    /// One that speaks TLS in this way.
    pub(crate) fn with(
        network: N,
        tls: rustls::ClientConfig,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, TlsError> {
        let crypto = QuicClientConfig::try_from(tls)
            .map_err(|error| TlsError::Verifier(error.to_string()))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport_config()));
        config.initial_dst_cid_provider(Arc::new(move || {
            let mut bytes = [0; CONNECTION_ID_BYTES];
            entropy.fill(&mut bytes);
            ConnectionId::new(&bytes)
        }));
        Ok(Self {
            network,
            config,
            sockets: Mutex::default(),
        })
    }

    /// Connects to `host:port`, at whichever of its addresses answers first in their order.
    pub(crate) async fn connect(&self, node: &str) -> Result<Connection, DialError> {
        let resolving = timeout(STEP_MAX, self.network.resolve(node)).await;
        let addresses = resolving
            .map_err(|_| DialError::Timeout)?
            .map_err(DialError::Resolve)?;
        let mut last = DialError::NoAddress;
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            match self.connect_to(address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<Connection, DialError> {
        let endpoint = self.endpoint(address)?;
        let connecting = endpoint.connect_with(self.config.clone(), address, NODE_SERVER_NAME);
        if let Err(ConnectError::EndpointStopping) = &connecting {
            self.forget(address);
        }
        Ok(timeout(STEP_MAX, connecting?)
            .await
            .map_err(|_| DialError::Timeout)??)
    }

    fn endpoint(&self, towards: SocketAddr) -> Result<Endpoint, DialError> {
        let mut sockets = self.sockets.lock();
        let slot = sockets.of_family(towards);
        if let Some(endpoint) = slot {
            return Ok(endpoint.clone());
        }
        let any = if towards.is_ipv4() {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
        } else {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
        };
        let endpoint = self.network.quic(any, None).map_err(DialError::Bind)?;
        Ok(slot.insert(endpoint).clone())
    }

    /// The socket failed; the next attempt binds another one.
    fn forget(&self, towards: SocketAddr) {
        *self.sockets.lock().of_family(towards) = None;
    }

    /// Closes what is open, and lets nodes know.
    pub(crate) async fn close(self) {
        let Sockets { v4, v6 } = self.sockets.into_inner();
        for endpoint in [v4, v6].into_iter().flatten() {
            endpoint.close(VarInt::from_u32(0), b"the edge is shutting down");
            let _ = timeout(CLOSE_MAX, endpoint.wait_idle()).await;
        }
    }
}

fn transport_config() -> TransportConfig {
    let idle_ms = u32::try_from(IDLE_MAX.as_millis()).unwrap_or(u32::MAX);
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle_ms))))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .send_window(SEND_WINDOW);
    config
}
