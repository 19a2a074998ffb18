//! A serving thread's loop: accept, serve, drain. Everything runs on the thread's own runtime, in
//! one local task per connection.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use platform::{Listener, Network};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, warn};

use super::client::Client;
use super::connection::{Connection, Order, Watched};
use super::service::Worker;
use crate::settings::TimeoutSettings;
use crate::telemetry::DRAIN_PERIOD;

/// How many connections a thread has at once. Beyond, new ones wait in the kernel's queue; at
/// about 10 KiB each this is what 160 MiB hold.
const CONNECTIONS_MAX: usize = 16_384;

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

/// What is held of one answer for a client that reads slowly.
const HTTP2_SEND_BUFFER_BYTES: usize = 128 * 1024;

/// How often an HTTP/2 client is asked whether it is still there, and how long it may take to say.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// How long to wait when the operating system refuses to accept, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Runs futures on the thread that made them.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}

/// Serves until `stop` turns true and what is under way then is done or out of time. To be called
/// within a `LocalSet`.
pub async fn serve<N: Network>(
    worker: Rc<Worker<N>>,
    mut listener: N::Listener,
    mut stop: watch::Receiver<bool>,
) {
    let sweeper = tokio::task::spawn_local(sweep(Rc::clone(&worker)));
    let drainer = tokio::task::spawn_local(drain_counts(Rc::clone(&worker)));
    let server = Rc::new(server());
    loop {
        let room = worker.connections.len() < CONNECTIONS_MAX;
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, peer)) => spawn(&worker, &server, stream, peer),
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            () = worker.connections.fewer_than(CONNECTIONS_MAX), if !room => {}
        }
    }
    accept_queued(&worker, &server, &mut listener).await;
    drop(listener);
    drain(&worker).await;
    sweeper.abort();
    drainer.abort();
    worker.observer.drain();
}

/// Gives away what was counted, for as long as the thread serves.
async fn drain_counts<N: Network>(worker: Rc<Worker<N>>) {
    let mut ticks = interval(DRAIN_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        worker.observer.drain();
    }
}

/// Takes what the kernel has accepted already: it would be reset with the socket.
async fn accept_queued<N: Network>(
    worker: &Rc<Worker<N>>,
    server: &Rc<auto::Builder<Local>>,
    listener: &mut N::Listener,
) {
    while worker.connections.len() < CONNECTIONS_MAX {
        match timeout(Duration::ZERO, listener.accept()).await {
            Ok(Ok((stream, peer))) => spawn(worker, server, stream, peer),
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// Tells every connection to finish, and ends those that do not in time.
async fn drain<N: Network>(worker: &Worker<N>) {
    worker.connections.order(Order::Finish);
    if timeout(
        worker.settings.timeouts.drain(),
        worker.connections.fewer_than(1),
    )
    .await
    .is_ok()
    {
        return;
    }
    warn!(
        connections = worker.connections.len(),
        "connections were ended before they were done"
    );
    worker.connections.order(Order::Abort);
    // Aborting takes but one turn of each task.
    worker.connections.fewer_than(1).await;
}

fn spawn<N: Network>(
    worker: &Rc<Worker<N>>,
    server: &Rc<auto::Builder<Local>>,
    stream: N::Stream,
    peer: SocketAddr,
) {
    let (worker, server) = (Rc::clone(worker), Rc::clone(server));
    let connection = Rc::new(Connection::new(Client::new(peer)));
    let registered = worker.connections.register(&connection);
    tokio::task::spawn_local(async move {
        worker.tally.connection_opened();
        let io = TokioIo::new(Watched::new(stream, Rc::clone(&connection)));
        let service = {
            let (worker, connection) = (Rc::clone(&worker), Rc::clone(&connection));
            service_fn(move |request| {
                let (worker, connection) = (Rc::clone(&worker), Rc::clone(&connection));
                async move { Ok::<_, Infallible>(worker.answer(&connection, request).await) }
            })
        };
        {
            let mut serve = std::pin::pin!(server.serve_connection(io, service));
            let ended = connection
                .drive(serve.as_mut(), |serve: Pin<&mut _>| {
                    auto::Connection::graceful_shutdown(serve)
                })
                .await;
            if let Some(Err(error)) = ended {
                debug!(%peer, error, "a client's connection broke off");
            }
        }
        worker.tally.connection_ended();
        drop(registered);
    });
}

fn server() -> auto::Builder<Local> {
    let mut server = auto::Builder::new(Local);
    // Heads have a deadline of ours: see `connection`.
    server
        .http1()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HTTP2_HEAD_BYTES_MAX)
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(HTTP2_SEND_BUFFER_BYTES)
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING);
    server
}

/// Ends what is overdue, on both sides, for as long as the thread serves.
async fn sweep<N: Network>(worker: Rc<Worker<N>>) {
    let mut ticks = interval(sweep_period(&worker.settings.timeouts));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for _ in 0..worker.connections.sweep(&worker.settings.timeouts) {
            worker.tally.connection_overdue();
        }
        worker.upstreams.sweep();
    }
}

/// Often enough that no deadline is missed by more than a quarter, and seldom enough to cost
/// nothing.
fn sweep_period(timeouts: &TimeoutSettings) -> Duration {
    let shortest = timeouts.request_header().min(timeouts.idle());
    (shortest / 4).clamp(Duration::from_millis(5), Duration::from_millis(500))
}
