//! HTTP/3: QUIC connections and the requests on them, which are then answered as all others are.
//!
//! ```text
//!   datagrams ─▶ quinn ─▶ this: who may connect ─▶ session ─▶ h3 ─▶ exchange ─▶ Worker::answer
//!                            (and its handshake)      ▲       │ transport: frames, section
//!                                    orders, as on ───╯       ╰──▶ body
//!                                    every connection
//! ```
//!
//! Each serving thread has an endpoint of its own on the one port, and the kernel gives it the
//! datagrams of its own clients, by the addresses and ports of both ends. So a connection is served
//! where it was accepted, with nothing handed between threads, as over TCP. The price: a client whose
//! address changes reaches another thread, which does not know its connection, so clients are told
//! not to move one (RFC 9000, section 18.2, `disable_active_migration`), and connect anew.
//!
//! h3 says of itself that it is experimental. What it leaves open is closed before it gets anything: how
//! much it holds, bodies that break off (`frames`), pseudo-fields twice (`section`).

mod body;
mod exchange;
mod frames;
mod head;
mod section;
mod session;
mod transport;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use h3::error::Code;
use platform::Network;
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{Endpoint, Incoming, ServerConfig, TransportConfig, VarInt};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::debug;

use super::accepted::HANDSHAKES_MAX;
use super::client::Scheme;
use super::connection::Connection;
use super::server::CONNECTIONS_MAX;
use super::service::Worker;
use super::tls::{Secured, Tls};
use crate::active::Active;

/// The longest head of a request, decoded: what one of HTTP/2 may have.
const HEAD_BYTES_MAX: u64 = 16 * 1024;

/// How many requests a connection has at once, as in HTTP/2.
const STREAMS_MAX: u32 = 128;

/// How many streams that go one way a client may have: the three that it needs, and a few of kinds
/// that are not known here.
const ONE_WAY_STREAMS_MAX: u32 = 8;

/// What a client may send of one body before the origin has taken it.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// What a client may send on one connection before origins have taken it.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// What is held of a connection's answers until the client has acknowledged it: 100 Mbit/s over 160 ms.
const SEND_WINDOW_BYTES: u64 = 2 * 1024 * 1024;

/// How often a client is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);

/// For how long nothing may be heard of a client: one question and its answer.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// With so many handshakes under way on a thread, who begins another one has first to show that its
/// address is its own. It costs a round trip, which is saved in quiet times; what a flood from
/// addresses that are not the sender's occupies is then this many.
const HANDSHAKES_UNPROVEN_MAX: usize = 64;

/// How many clients wait to be let in. Beyond, they are refused.
const INCOMING_MAX: usize = 1024;

/// What is held of a waiting client's datagrams: its greeting and a little more.
const INCOMING_BYTES_MAX: u64 = 16 * 1024;

/// What is held of all waiting clients' datagrams.
const INCOMING_BYTES_TOTAL_MAX: u64 = 8 * 1024 * 1024;

/// For how long is waited, when the thread ends, that clients hear of it.
const GOODBYE: Duration = Duration::from_millis(250);

/// How a thread's endpoint accepts clients. All threads have the same, so that what one has told a
/// client to prove itself by is believed by all.
///
/// # Errors
/// When TLS cannot be spoken at all.
pub fn quic_server(tls: &Tls, active: Arc<Active>) -> Result<ServerConfig, rustls::Error> {
    let crypto = QuicServerConfig::try_from(tls.within_quic(active)?)
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport_config()))
        .migration(false)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL_MAX);
    Ok(config)
}

fn transport_config() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(STREAMS_MAX.into())
        .max_concurrent_uni_streams(ONE_WAY_STREAMS_MAX.into())
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into())
        .send_window(SEND_WINDOW_BYTES)
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(PING))
        .max_idle_timeout(SILENCE_MAX.try_into().ok());
    config
}

/// What is done about somebody who would connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    Accept,
    /// It is to show that its address is its own.
    Prove,
}

fn judge(is_proven: bool, handshakes: usize) -> Admission {
    if is_proven || handshakes < HANDSHAKES_UNPROVEN_MAX {
        Admission::Accept
    } else {
        Admission::Prove
    }
}

/// The way in over QUIC.
pub(super) struct Door<N> {
    worker: Rc<Worker<N>>,
    endpoint: Endpoint,
    stop: watch::Receiver<bool>,
}

impl<N: Network> Door<N> {
    pub(super) fn new(
        worker: Rc<Worker<N>>,
        endpoint: Endpoint,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            worker,
            endpoint,
            stop,
        }
    }

    /// Takes connections until the edge stops.
    pub(super) async fn take(self) {
        let mut stop = self.stop.clone();
        let connections = Rc::clone(&self.worker.connections);
        loop {
            let room = connections.len() < CONNECTIONS_MAX;
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                incoming = self.endpoint.accept(), if room => match incoming {
                    Some(incoming) => self.admit(incoming),
                    None => break,
                },
                () = connections.fewer_than(CONNECTIONS_MAX), if !room => {}
            }
        }
    }

    fn admit(&self, incoming: Incoming) {
        let is_proven = incoming.remote_address_validated();
        match judge(is_proven, self.worker.handshakes.len()) {
            Admission::Accept => {
                let peer = incoming.remote_address();
                let accepted = accepted(Rc::clone(&self.worker), incoming, peer);
                tokio::task::spawn_local(accepted);
            }
            Admission::Prove => {
                self.worker.tally.protocols.retried();
                // Who has not proven anything yet may be asked to.
                let _ = incoming.retry();
            }
        }
    }
}

/// Serves somebody who connects.
fn accepted<N: Network>(
    worker: Rc<Worker<N>>,
    incoming: Incoming,
    peer: SocketAddr,
) -> impl Future<Output = ()> {
    let connection = Rc::new(Connection::new(peer, Scheme::Https));
    // It counts from now on, not from its task's first turn.
    let registered = worker.connections.register(&connection);
    let turn = worker.handshakes.register(&connection);
    worker.handshakes.keep_to(HANDSHAKES_MAX);
    async move {
        worker.tally.connection_opened();
        let quic = connection.until_late(greet(incoming)).await;
        drop(turn);
        worker.tally.handshake_ended(matches!(quic, Some(Ok(_))));
        match quic {
            Some(Ok(quic)) => {
                connection.secure(Secured::by(host(&quic).as_deref()));
                session::serve(&worker, &connection, quic).await;
            }
            Some(Err(error)) => debug!(%peer, %error, "a client's connection broke off"),
            None => {}
        }
        worker.tally.connection_ended();
        drop(registered);
    }
}

async fn greet(incoming: Incoming) -> Result<quinn::Connection, quinn::ConnectionError> {
    incoming.accept()?.await
}

/// The host that a client has named.
fn host(quic: &quinn::Connection) -> Option<String> {
    let data = quic.handshake_data()?.downcast::<HandshakeData>().ok()?;
    data.server_name
}

/// Refuses whoever would connect, who then knows at once, for as long as it is polled.
pub(super) async fn refuse(endpoint: &Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        incoming.refuse();
    }
    std::future::pending().await
}

/// Ends what is left of an endpoint, and waits for a moment that clients hear of it.
pub(super) async fn close(endpoint: &Endpoint) {
    let code = VarInt::from_u64(Code::H3_NO_ERROR.value()).unwrap_or(VarInt::MAX);
    endpoint.close(code, &[]);
    // Who does not hear of it notices by itself.
    let _ = timeout(GOODBYE, endpoint.wait_idle()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_connects_in_busy_times_proves_its_address_first() {
        for (is_proven, handshakes, expect) in [
            (false, 0, Admission::Accept),
            (false, HANDSHAKES_UNPROVEN_MAX - 1, Admission::Accept),
            (false, HANDSHAKES_UNPROVEN_MAX, Admission::Prove),
            (true, HANDSHAKES_MAX, Admission::Accept),
        ] {
            assert_eq!(judge(is_proven, handshakes), expect);
        }
    }
}
