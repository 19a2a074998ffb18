//! HTTP on a connection, once it is clear which: 1.1 by [`super::http1`], 2 by hyper, with the limits that
//! hold towards clients. A connection that has agreed to speak something else becomes a tunnel.
//!
//! A connection of HTTP/1.1 on which a client may still be sending is closed in two steps (RFC 9112,
//! section 9.6): the operating system answers bytes that nobody reads with a reset, and a client that
//! gets one may lose what was answered before.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use platform::Network;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::time::timeout;
use tracing::debug;

use super::connection::Connection;
use super::http1::{End, Session};
use super::preface::Speaks;
use super::prefixed::Prefixed;
use super::service::Worker;
use super::watched::Watched;
use crate::turn::by_turns;

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
        tokio::task::spawn_local(async move { drop(by_turns(future).await) });
    }
}

/// How HTTP is spoken with clients.
pub(super) struct Http {
    http2: http2::Builder<Local>,
}

impl Http {
    pub(super) fn new() -> Self {
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
        Self { http2 }
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
            Speaks::Http1 => http1(worker, connection, watched).await,
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

    async fn http2<N: Network, S: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
        worker: &Rc<Worker<N>>,
        connection: &Rc<Connection>,
        io: TokioIo<Watched<S>>,
    ) {
        let service = service(worker, connection);
        let mut serving = pin!(self.http2.serve_connection(io, service));
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

async fn http1<N: Network, S: AsyncRead + AsyncWrite + Unpin + 'static>(
    worker: &Rc<Worker<N>>,
    connection: &Rc<Connection>,
    stream: Watched<S>,
) {
    let session = Session::new(worker, connection, stream);
    let ended = {
        let mut serving = pin!(session.serve());
        let finish = |_: Pin<&mut _>| session.finish();
        connection.drive(serving.as_mut(), finish).await
    };
    if let Some(Err(error)) = &ended {
        debug!(peer = %connection.peer, %error, "a client's connection broke off");
    }
    let tunnel = connection.take_tunnel();
    let (Some(ended), Some((stream, rest))) = (ended, session.take_stream()) else {
        return;
    };
    match tunnel {
        // An order to finish lets both go on: what a tunnel carries has no end that could be asked
        // for, and what lingers ends soon.
        Some(tunnel) if matches!(ended, Ok(End::Switched)) => {
            let client = Prefixed::after(rest, stream);
            let mut joined = pin!(tunnel.join(client));
            connection.drive(joined.as_mut(), |_| {}).await;
        }
        None if ended.is_err() || connection.has_body() => {
            let mut lingering = pin!(linger(stream));
            connection.drive(lingering.as_mut(), |_| {}).await;
        }
        _ => {
            let mut ending = pin!(end(stream));
            connection.drive(ending.as_mut(), |_| {}).await;
        }
    }
}

/// Says that nothing more comes, to a client that knows it or has said the same.
async fn end<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    // However it goes, the answer is with the client or lost.
    drop(timeout(LINGER, stream.shutdown()).await);
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
        Box::pin(async move {
            Ok::<_, Infallible>(worker.answer(&connection, request.map(Into::into)).await)
        })
    })
}
