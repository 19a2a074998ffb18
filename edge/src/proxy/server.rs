//! A serving thread's loop: accept, serve, drain. Everything runs on the thread's own runtime, in
//! one local task per connection; what such a task does is `accepted`'s matter.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use platform::{Listener, Network};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::warn;

use super::accepted::Accepted;
use super::client::Scheme;
use super::connection::Order;
use super::http::Http;
use super::http3::{self, Door};
use super::service::Worker;
use crate::settings::TimeoutSettings;
use crate::telemetry::DRAIN_PERIOD;

/// How many connections a thread has at once. Beyond, new ones wait in the kernel's queue; at
/// about 10 KiB each this is what 160 MiB hold.
pub(super) const CONNECTIONS_MAX: usize = 16_384;

/// How long to wait when the operating system refuses to accept, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where a thread listens.
pub struct Listeners<L> {
    /// For requests in the clear.
    pub http: L,
    /// For requests over TLS.
    pub https: Option<L>,
    /// For requests over QUIC.
    pub http3: Option<quinn::Endpoint>,
}

/// Serves until `stop` turns true and what is under way then is done or out of time. To be called
/// within a `LocalSet`.
pub async fn serve<N: Network>(
    worker: Rc<Worker<N>>,
    listeners: Listeners<N::Listener>,
    stop: watch::Receiver<bool>,
) {
    let sweeper = tokio::task::spawn_local(sweep(Rc::clone(&worker)));
    let drainer = tokio::task::spawn_local(drain_counts(Rc::clone(&worker)));
    let http = Rc::new(Http::new());
    let entrance = |scheme| Entrance {
        worker: Rc::clone(&worker),
        http: Rc::clone(&http),
        scheme,
        stop: stop.clone(),
    };
    let plain = entrance(Scheme::Http).take(listeners.http);
    let secured = async {
        if let Some(https) = listeners.https {
            entrance(Scheme::Https).take(https).await;
        }
    };
    let over_quic = async {
        if let Some(endpoint) = listeners.http3.clone() {
            let door = Door::new(Rc::clone(&worker), endpoint, stop.clone());
            door.take().await;
        }
    };
    tokio::join!(plain, secured, over_quic);
    match &listeners.http3 {
        None => drain(&worker).await,
        Some(endpoint) => {
            tokio::select! {
                () = drain(&worker) => {}
                () = http3::refuse(endpoint) => {}
            }
            http3::close(endpoint).await;
        }
    }
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

/// One of the ways in.
struct Entrance<N> {
    worker: Rc<Worker<N>>,
    http: Rc<Http>,
    scheme: Scheme,
    stop: watch::Receiver<bool>,
}

impl<N: Network> Entrance<N> {
    /// Takes connections until the edge stops, those that wait in the kernel then included.
    async fn take(self, mut listener: N::Listener) {
        let mut stop = self.stop.clone();
        let connections = Rc::clone(&self.worker.connections);
        loop {
            let room = connections.len() < CONNECTIONS_MAX;
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = listener.accept(), if room => match accepted {
                    Ok((stream, peer)) => self.admit(stream, peer),
                    Err(error) => {
                        warn!(%error, "a connection could not be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                () = connections.fewer_than(CONNECTIONS_MAX), if !room => {}
            }
        }
        self.take_queued(&mut listener).await;
    }

    /// Takes what the kernel has accepted already: it would be reset with the socket.
    async fn take_queued(&self, listener: &mut N::Listener) {
        while self.worker.connections.len() < CONNECTIONS_MAX {
            match timeout(Duration::ZERO, listener.accept()).await {
                Ok(Ok((stream, peer))) => self.admit(stream, peer),
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    fn admit(&self, stream: N::Stream, peer: SocketAddr) {
        let (worker, http) = (Rc::clone(&self.worker), Rc::clone(&self.http));
        let accepted = Accepted::new(worker, http, self.scheme, peer);
        tokio::task::spawn_local(accepted.serve(stream));
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
    let shortest = timeouts
        .request_header()
        .min(timeouts.idle())
        .min(timeouts.tls_handshake());
    (shortest / 4).clamp(Duration::from_millis(5), Duration::from_millis(500))
}
