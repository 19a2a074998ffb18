//! The gRPC server for other nodes: its own accept loop over the network port, mutual TLS, and
//! the rule that only nodes get in. What is asked of it stands in [`service`].

mod service;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use platform::Listener;
use platform::tls::Peer;
use raft_store::types::NodeId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tower::Service;

use super::wire::{MESSAGE_BYTES_MAX, proto};
use proto::node_server::NodeServer;

pub(crate) use service::NodeService;

/// How many connections are open at a time: each of a few dozen nodes holds four, and some of
/// them are being replaced.
const CONNECTIONS_MAX: usize = 256;

/// How long a TLS handshake may take before whoever began it is dropped.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// How many calls may be under way on one connection.
const STREAMS_MAX: u32 = 256;

/// How many bytes a peer may send on one stream before it is read: twice a log batch.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;

/// How many bytes a peer may send on all streams of a connection.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// How often, and how long, a silent peer is asked whether it is there.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait after the operating system refused a connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Which node a call came from; an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller(pub(crate) NodeId);

/// Serves nodes until `stop` says so; calls that are under way then may end.
pub(crate) async fn serve<L>(
    mut listener: L,
    acceptor: TlsAcceptor,
    service: NodeService,
    stop: watch::Receiver<bool>,
) where
    L: Listener,
    L::Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let service = NodeServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let mut stopped = stop.clone();
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&room).acquire_owned() => permit,
            () = told_to(&mut stopped) => return,
        };
        let Ok(permit) = permit else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = told_to(&mut stopped) => return,
        };
        match accepted {
            Ok((stream, _from)) => {
                tokio::spawn(connection(
                    stream,
                    acceptor.clone(),
                    service.clone(),
                    stop.clone(),
                    permit,
                ));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection from a node");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Returns once the server is told to stop, or whoever could tell it is gone.
async fn told_to(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn connection<S>(
    stream: S,
    acceptor: TlsAcceptor,
    service: NodeServer<NodeService>,
    mut stop: watch::Receiver<bool>,
    _room: OwnedSemaphorePermit,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = match tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a handshake with a node failed");
            return;
        }
        Err(_) => return,
    };
    let peer = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .and_then(Peer::of);
    let Some(Peer::Node(id)) = peer else {
        tracing::warn!(?peer, "refused a connection from somebody who is no node");
        return;
    };
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .serve_connection(
            TokioIo::new(stream),
            TowerToHyperService::new(Named {
                caller: Caller(id),
                service,
            }),
        );
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = told_to(&mut stop) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, node = id, "a connection from a node ended");
    }
}

/// Puts the caller's name on every request.
#[derive(Clone)]
struct Named {
    caller: Caller,
    service: NodeServer<NodeService>,
}

impl Service<http::Request<Incoming>> for Named {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = <NodeServer<NodeService> as Service<http::Request<Incoming>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<http::Request<Incoming>>::poll_ready(&mut self.service, context)
    }

    fn call(&mut self, mut request: http::Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.caller);
        self.service.call(request)
    }
}
