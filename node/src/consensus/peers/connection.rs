//! One HTTP/2 connection to another node, and the slot that opens it again after it broke.
//!
//! Opening is a task of its own that all callers wait for: openraft gives a heartbeat 100 ms and
//! drops the call then, and a handshake that started over with each call would never finish on a
//! busy machine.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Shared;
use http::HeaderValue;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use raft_store::types::NodeId;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;

use super::{Dial, DialError};
use crate::consensus::era;
use crate::consensus::wire::{MESSAGE_BYTES_MAX, proto};
use proto::node_client::NodeClient;

/// How often a peer is asked whether it is still there. TCP alone would not notice a peer behind
/// a cut for minutes, and streams have no deadline of their own.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_millis(500);

/// How long the answer may take before the connection is given up: more than a stall of a busy
/// machine. With the interval it is less than what a client is willing to wait: while the connection that
/// carries the log is dead and the one of the heartbeats is not, nothing is committed and nobody else is elected.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How many bytes a peer may send on one stream before it is read: twice a log batch.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;

/// How many bytes a peer may send on all streams of a connection.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// A gRPC client on a connection.
pub(crate) type Client = NodeClient<Connection>;

/// A client whose messages are bounded both ways.
pub(crate) fn client(connection: Connection) -> Client {
    let origin = http::Uri::from_static("https://vectorgate-node");
    NodeClient::with_origin(connection, origin)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// An open connection. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Connection {
    sender: SendRequest<Body>,
    /// What is said with each call.
    epoch: Option<u64>,
}

impl Connection {
    /// Speaks HTTP/2 over an authenticated stream. The connection is driven by a task that ends
    /// with it.
    pub(crate) async fn open<S>(stream: S) -> Result<Self, hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a node ended");
            }
        });
        Ok(Self {
            sender,
            epoch: None,
        })
    }

    /// The same connection, for calls of a node in this epoch.
    pub(crate) fn in_epoch(self, epoch: Option<u64>) -> Self {
        Self { epoch, ..self }
    }

    /// Whether calls on it are bound to fail.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl tower::Service<http::Request<Body>> for Connection {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if let Some(epoch) = self.epoch {
            request
                .headers_mut()
                .insert(era::HEADER, HeaderValue::from(epoch));
        }
        Box::pin(self.sender.send_request(request))
    }
}

type Dialling = Shared<Pin<Box<dyn Future<Output = Result<Connection, DialError>> + Send>>>;

/// Where the connection to one node on one lane is kept.
#[derive(Default)]
pub(super) struct Slot {
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    #[default]
    Empty,
    Dialling(String, Dialling),
    Open(String, Connection),
}

impl Slot {
    /// The open connection, or the one that is being opened, or a new one.
    pub(super) async fn connection(
        self: &Arc<Self>,
        dialer: &Arc<dyn Dial>,
        id: NodeId,
        address: &str,
        deadline: Duration,
    ) -> Result<Connection, DialError> {
        let dialling = {
            let mut state = self.state.lock();
            match &*state {
                State::Open(to, connection) if to == address && !connection.is_closed() => {
                    return Ok(connection.clone());
                }
                State::Dialling(to, dialling) if to == address => dialling.clone(),
                State::Empty | State::Open(..) | State::Dialling(..) => {
                    let dialling = self.dial(Arc::clone(dialer), id, address.to_owned(), deadline);
                    *state = State::Dialling(address.to_owned(), dialling.clone());
                    dialling
                }
            }
        };
        dialling.await
    }

    fn dial(
        self: &Arc<Self>,
        dialer: Arc<dyn Dial>,
        id: NodeId,
        address: String,
        deadline: Duration,
    ) -> Dialling {
        let slot = Arc::clone(self);
        let task = tokio::spawn(async move {
            let result = match tokio::time::timeout(deadline, dialer.dial(id, &address)).await {
                Ok(result) => result,
                Err(_) => Err(DialError::Deadline {
                    address: address.clone(),
                }),
            };
            slot.finish(address, &result);
            result
        });
        let joined: Pin<Box<dyn Future<Output = Result<Connection, DialError>> + Send>> =
            Box::pin(async move { task.await.unwrap_or(Err(DialError::Aborted)) });
        joined.shared()
    }

    /// Keeps what was opened, unless the address has changed meanwhile.
    fn finish(&self, address: String, result: &Result<Connection, DialError>) {
        let mut state = self.state.lock();
        if matches!(&*state, State::Dialling(to, _) if *to == address) {
            *state = match result {
                Ok(connection) => State::Open(address, connection.clone()),
                Err(_) => State::Empty,
            };
        }
    }
}
