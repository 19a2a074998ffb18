//! HTTP on a connection, once it is clear which: hyper's state machines with the limits that hold
//! towards clients. A connection that has agreed to speak something else becomes a tunnel.
//!
//! A connection of HTTP/1.1 on which a client may still be sending is closed in two steps (RFC 9112,
//! section 9.6): the operating system answers bytes that nobody reads with a reset, and a client that
//! gets one may lose what was answered before.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use platform::Network;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::time::timeout;
use tracing::debug;

use super::connection::Connection;
use super::preface::Speaks;
use super::prefixed::Prefixed;
use super::service::Worker;
use super::watched::Watched;

/// The longest head of an HTTP/1.1 request, and the largest piece in which bodies are read.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The longest head of an HTTP/2 request, uncompressed: what most servers take.
const HTTP2_HEAD_BYTES_MAX: u32 = 16 * 1024;

/// How many requests an HTTP/2 connection has at once: what browsers need, and few enough that
/// one connection cannot occupy a thread.
const HTTP2_STREAMS_MAX: u32 = 128;

/// What a client may send of one body before the origin has taken it.
const HTTP2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// What a client may send on one connection before origins have taken it.
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// What is held of one answer for a client that reads slowly, beside the piece that comes next: one frame,
/// which is what is written at once. A connection has [`HTTP2_STREAMS_MAX`] of these.
const HTTP2_SEND_BUFFER_BYTES: usize = 16 * 1024;

/// How often an HTTP/2 client is asked whether it is still there, and how long it may take to say.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// For how long a client may go on to send after its last answer: a few round trips, in which it learns
/// of the answer.
const LINGER: Duration = Duration::from_secs(2);

/// How much of that is read. What comes after it fills the kernel's buffers and the client waits.
const LINGER_BYTES_MAX: u64 = 1024 * 1024;

/// Runs futures on the thread that made them.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}

/// How HTTP is spoken with clients.
pub(super) struct Http {
    http1: http1::Builder,
    http2: http2::Builder<Local>,
}

impl Http {
    pub(super) fn new() -> Self {
        let mut http1 = http1::Builder::new();
        // Heads have a deadline of ours: see `connection`.
        http1.header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
        let mut http2 = http2::Builder::new(Local);
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(HTTP2_HEAD_BYTES_MAX)
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(HTTP2_SEND_BUFFER_BYTES)
            .keep_alive_interval(HTTP2_PING)
            .keep_alive_timeout(HTTP2_PING)
            .enable_connect_protocol();
        Self { http1, http2 }
    }

    /// Serves a connection to its end.
    pub(super) async fn serve<N: Network, S: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
        worker: &Rc<Worker<N>>,
        connection: &Rc<Connection>,
        stream: S,
        speaks: Speaks,
    ) {
        let watched = Watched::new(stream, Rc::clone(connection));
        match speaks {
            Speaks::Http1 => self.http1(worker, connection, TokioIo::new(watched)).await,
            Speaks::Http2 => {
                let watched = watched.with_frames();
                self.http2(worker, connection, TokioIo::new(watched)).await;
                if connection.was_flooding() {
                    debug!(peer = %connection.peer, "a client was ended for its flood");
                    worker.tally.connection_flooding();
                }
            }
        }
    }

    async fn http1<N: Network, S: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
        worker: &Rc<Worker<N>>,
        connection: &Rc<Connection>,
        io: TokioIo<Watched<S>>,
    ) {
        let service = service(worker, connection);
        let mut serving = self.http1.serve_connection(io, service);
        let ended = connection
            .drive(Pin::new(&mut serving), |serving: Pin<&mut _>| {
                http1::Connection::graceful_shutdown(serving)
            })
            .await;
        if let Some(Err(error)) = &ended {
            debug!(peer = %connection.peer, %error, "a client's connection broke off");
        }
        let tunnel = connection.take_tunnel();
        let Some(ended) = ended else { return };
        let parts = serving.into_parts();
        let stream = parts.io.into_inner();
        match tunnel {
            // An order to finish lets both go on: what a tunnel carries has no end that could be asked
            // for, and what lingers ends soon.
            Some(tunnel) if ended.is_ok() => {
                let client = Prefixed::after(parts.read_buf, stream);
                let mut joined = std::pin::pin!(tunnel.join(client));
                connection.drive(joined.as_mut(), |_| {}).await;
            }
            None if ended.is_err() || connection.has_body() => {
                let mut lingering = std::pin::pin!(linger(stream));
                connection.drive(lingering.as_mut(), |_| {}).await;
            }
            _ => {}
        }
    }

    async fn http2<N: Network, S: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
        worker: &Rc<Worker<N>>,
        connection: &Rc<Connection>,
        io: TokioIo<Watched<S>>,
    ) {
        let service = service(worker, connection);
        let mut serving = std::pin::pin!(self.http2.serve_connection(io, service));
        let ended = connection
            .drive(serving.as_mut(), |serving: Pin<&mut _>| {
                http2::Connection::graceful_shutdown(serving)
            })
            .await;
        if let Some(Err(error)) = ended {
            debug!(peer = %connection.peer, %error, "a client's connection broke off");
        }
    }
}

/// Says that nothing more comes, and waits until the client has done the same or had time to.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let ending = async {
        stream.shutdown().await?;
        let mut rest = stream.take(LINGER_BYTES_MAX);
        if copy(&mut rest, &mut sink()).await? == LINGER_BYTES_MAX {
            pending::<()>().await;
        }
        io::Result::Ok(())
    };
    // However it ends, the answer is with the client or lost.
    drop(timeout(LINGER, ending).await);
}

/// What answers a connection's requests.
fn service<N: Network>(
    worker: &Rc<Worker<N>>,
    connection: &Rc<Connection>,
) -> impl hyper::service::Service<
    http::Request<hyper::body::Incoming>,
    Response = http::Response<super::body::AnswerBody>,
    Error = Infallible,
    Future: 'static,
> + 'static {
    let (worker, connection) = (Rc::clone(worker), Rc::clone(connection));
    service_fn(move |request| {
        let (worker, connection) = (Rc::clone(&worker), Rc::clone(&connection));
        // hyper makes room for it with the connection: one that is idle is to hold a pointer only.
        Box::pin(async move {
            Ok::<_, Infallible>(worker.answer(&connection, request.map(Into::into)).await)
        })
    })
}
