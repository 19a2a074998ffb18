//! The accept loop: takes connections from a listener, bounds their number, how many of them one address has,
//! and their protocol,
//! hands their requests to the router, and drains them when the node stops.
//!
//! `axum::serve` is not used because it installs no timer, which leaves hyper's own deadlines
//! without effect.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use injection::{Point, point};
use platform::Listener;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

use super::HttpMetrics;
use super::guard::{Activity, Guarded, IDLE, RequestGuard};
use super::pipeline::{ClientAddress, Streamed};
use crate::sources::{Place, Places};

/// The buffer for a request's head and for reading bodies: the biggest head we take, and four
/// times what a big body needs to flow.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// The biggest list of headers over HTTP/2, which counts the target and 32 bytes for each header as
/// well: beyond what `head` refuses in words of its own.
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;

/// The most headers over HTTP/1: beyond what `head` refuses in words of its own.
const HEADERS_MAX: usize = 200;

/// The most requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;

/// How often a silent HTTP/2 peer is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long accepting rests after an error, such as a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much a server takes on.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// The most connections at once; more wait in the kernel's queue. 4096 with two buffers each
    /// stay below the usual limits of file descriptors and some 100 MB in the worst case.
    pub connections_max: usize,
    /// The most of them from one address, or /64 of IPv6; more are closed at once. A quarter, so that one client that opens
    /// all that it can leaves room for others, and enough for a balancer that stands before the node.
    pub connections_of_address_max: usize,
    /// How long requests under way may take when the server stops.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            connections_of_address_max: 1024,
            drain: Duration::from_secs(10),
        }
    }
}

/// A listener with the router that answers on it.
#[derive(Debug)]
pub struct Server<L> {
    listener: L,
    router: Router,
    limits: ServerLimits,
    metrics: HttpMetrics,
}

impl<L> Server<L>
where
    L: Listener,
    L::Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// A server that does nothing yet.
    pub fn new(listener: L, router: Router, limits: ServerLimits, metrics: HttpMetrics) -> Self {
        Self {
            listener,
            router,
            limits,
            metrics,
        }
    }

    /// Serves until `stop` is done, then takes no more connections, lets requests under way end
    /// within the drain time, and returns.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let slots = Arc::new(Semaphore::new(self.limits.connections_max));
        let addresses = Places::default();
        let graceful = GracefulShutdown::new();
        let builder = builder();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stop => break,
                accepted = self.accept(&slots) => accepted,
            };
            match accepted {
                Ok((stream, peer, slot)) => {
                    let max = self.limits.connections_of_address_max;
                    match addresses.take(peer.ip(), max) {
                        Some(place) => {
                            self.spawn(&builder, &graceful, stream, peer, (slot, place));
                        }
                        None => {
                            self.metrics.refused().inc();
                            tracing::debug!(%peer, "an address has as many connections as it may");
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Nobody may wait in a queue that is no longer served.
        drop(self.listener);
        if tokio::time::timeout(self.limits.drain, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("connections were still open at the end of the drain time");
        }
    }

    /// Waits for a free slot first, so that connections beyond the limit stay in the kernel's queue.
    async fn accept(
        &mut self,
        slots: &Arc<Semaphore>,
    ) -> io::Result<(L::Stream, SocketAddr, OwnedSemaphorePermit)> {
        let slot = Arc::clone(slots)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (stream, peer) = self.listener.accept().await?;
        Ok((stream, peer, slot))
    }

    fn spawn(
        &self,
        builder: &Builder<TokioExecutor>,
        graceful: &GracefulShutdown,
        stream: L::Stream,
        peer: SocketAddr,
        room: (OwnedSemaphorePermit, Place),
    ) {
        let activity = Arc::new(Activity::default());
        let io = TokioIo::new(Guarded::new(stream, Arc::clone(&activity)));
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
            let under_way = activity.begin(request.version());
            request.extensions_mut().insert(ClientAddress(peer.ip()));
            // A router is always ready.
            let answer = router.clone().call(request.map(Body::new));
            async move {
                let answered = answer.await;
                let _ = point::pass(Point::BeforeHttpReply).await;
                answered.map(|response| under_way_while_sent(response, under_way))
            }
        });
        let connection = graceful.watch(builder.serve_connection(io, service).into_owned());
        let connections = self.metrics.connections().clone();
        tokio::spawn(async move {
            connections.inc();
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
            // All that was asked on it has been answered.
            let _ = point::pass(Point::AfterHttpReply).await;
            connections.dec();
            drop(room);
        });
    }
}

/// A request ends with its answer, and one whose answer is made while it is sent, with that.
fn under_way_while_sent(response: Response, under_way: RequestGuard) -> Response {
    if response.extensions().get::<Streamed>().is_none() {
        return response;
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _until_the_end = &under_way;
            frame
        }))
    })
}

/// How HTTP is spoken. hyper's own bound on a head is set to the idle time, because it counts that
/// as part of the next head; [`Guarded`] has the shorter one.
fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}
