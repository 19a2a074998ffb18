//! The serving threads: one for each core, each with its own runtime, listening sockets, upstream
//! connections and counts. In a simulation there is one, on the runtime that is there.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use platform::{Clock, Entropy, Listener, Network};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::error;

use crate::active::Active;
use crate::cache::Cache;
use crate::health::Registry;
use crate::metrics::Metrics;
use crate::proxy::{self, Common, Listeners, Tls, Worker};
use crate::settings::Settings;
use crate::telemetry::Observing;

/// How many threads a serving thread may use for what blocks, which is looking names up. Beyond,
/// connecting waits; it has its own deadline.
const BLOCKING_THREADS_MAX: usize = 8;

/// Where serving happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// On threads of their own, as many as the settings say.
    Threads,
    /// On the caller's runtime, within its `LocalSet`.
    Here,
}

/// What the serving threads are made of.
#[derive(Clone)]
pub(crate) struct Plan<N> {
    pub(crate) settings: Arc<Settings>,
    pub(crate) network: N,
    pub(crate) active: Arc<Active>,
    pub(crate) health: Arc<Registry>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) observing: Observing,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) stop: watch::Receiver<bool>,
    /// How TLS is spoken, where the settings say that it is.
    pub(crate) tls: Option<Tls>,
    /// How clients are accepted over QUIC, where the settings say that they are.
    pub(crate) quic: Option<quinn::ServerConfig>,
    pub(crate) endpoints: Endpoints,
}

/// The serving threads' endpoints of QUIC. They are held until the last thread has ended: the kernel
/// divides clients by how many sockets there are, so that one that was closed earlier would have
/// those of others strewn about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints(Arc<Mutex<Vec<quinn::Endpoint>>>);

/// Serving threads that run.
#[derive(Debug)]
pub(crate) struct Workers {
    pub(crate) addresses: Bound,
    /// A message for each thread that has ended, and the end once all have.
    ends: mpsc::Receiver<()>,
    endpoints: Endpoints,
}

/// Where serving threads listen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) http: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
    pub(crate) http3: Option<SocketAddr>,
}

/// Why a thread does not serve.
#[derive(Debug)]
pub(crate) struct Unserved {
    pub(crate) address: SocketAddr,
    pub(crate) source: io::Error,
}

/// Tells of a thread's end, in whatever way it comes.
struct End(mpsc::Sender<()>);

impl Drop for End {
    fn drop(&mut self) {
        // There is room for a message of every thread; when nobody listens any more, nobody waits.
        let _ = self.0.try_send(());
    }
}

impl Workers {
    /// Starts them; on return all of them listen.
    ///
    /// # Errors
    /// When the address cannot be had or a thread cannot be started.
    pub(crate) async fn start<N: Network>(
        plan: Plan<N>,
        placement: Placement,
    ) -> Result<Self, Unserved> {
        let count = match placement {
            Placement::Threads => plan.settings.workers().get(),
            Placement::Here => 1,
        };
        let mut addresses = Bound {
            http: plan.settings.http.listen,
            https: plan.settings.https.as_ref().map(|https| https.listen),
            http3: plan.settings.http3.as_ref().map(|http3| http3.listen),
        };
        let at = addresses.http;
        let unserved = |source| Unserved {
            address: at,
            source,
        };
        let (end, ends) = mpsc::channel(count);
        let endpoints = plan.endpoints.clone();
        for number in 0..count {
            let (bound, is_bound) = oneshot::channel();
            let serve = serve(plan.clone(), addresses, bound, End(end.clone()));
            start_one(serve, number, placement).map_err(unserved)?;
            // The first takes a port where the settings leave that open; the others share it.
            let silent = |_| unserved(io::Error::other("a serving thread ended at once"));
            addresses = is_bound.await.map_err(silent)??;
        }
        Ok(Self {
            addresses,
            ends,
            endpoints,
        })
    }

    /// Waits until one of them has ended.
    pub(crate) async fn any_ended(&mut self) {
        self.ends.recv().await;
    }

    /// Waits until all of them have ended.
    pub(crate) async fn all_ended(mut self) {
        while self.ends.recv().await.is_some() {}
        self.endpoints.0.lock().clear();
    }
}

fn start_one<F: Future<Output = ()> + 'static>(
    serve: impl FnOnce() -> F + Send + 'static,
    number: usize,
    placement: Placement,
) -> io::Result<()> {
    match placement {
        Placement::Here => drop(tokio::task::spawn_local(serve())),
        Placement::Threads => {
            let name = format!("serve-{number}");
            thread::Builder::new()
                .name(name)
                .spawn(move || run(serve))?;
        }
    }
    Ok(())
}

/// Runs a thread's tasks, which never leave it.
fn run<F: Future<Output = ()>>(serve: impl FnOnce() -> F) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build_local(LocalOptions::default());
    match runtime {
        Ok(runtime) => runtime.block_on(async { serve().await }),
        Err(error) => error!(%error, "a serving thread has no runtime"),
    }
}

/// What one thread does, made where the plan is and run where the thread is.
fn serve<N: Network>(
    plan: Plan<N>,
    addresses: Bound,
    bound: oneshot::Sender<Result<Bound, Unserved>>,
    end: End,
) -> impl FnOnce() -> std::pin::Pin<Box<dyn Future<Output = ()>>> + Send + 'static {
    move || {
        Box::pin(async move {
            let _end = end;
            let stop = plan.stop.clone();
            // When the other side is gone there is nobody to tell.
            match begin(plan, addresses).await {
                Ok((worker, listeners, addresses)) => {
                    let _ = bound.send(Ok(addresses));
                    proxy::serve(Rc::new(worker), listeners, stop).await;
                }
                Err(unserved) => {
                    let _ = bound.send(Err(unserved));
                }
            }
        })
    }
}

/// Listens, and makes what serves.
async fn begin<N: Network>(
    plan: Plan<N>,
    addresses: Bound,
) -> Result<(Worker<N>, Listeners<N::Listener>, Bound), Unserved> {
    let (http, at_http) = listen(&plan.network, addresses.http).await?;
    let (https, at_https) = match addresses.https {
        Some(address) => {
            let (listener, at) = listen(&plan.network, address).await?;
            (Some(listener), Some(at))
        }
        None => (None, None),
    };
    let (http3, at_http3) = match addresses.http3.zip(plan.quic) {
        Some((address, server)) => {
            let (endpoint, at) = listen_quic(&plan.network, address, server)?;
            plan.endpoints.0.lock().push(endpoint.clone());
            (Some(endpoint), Some(at))
        }
        None => (None, None),
    };
    let tally = plan.metrics.tally();
    let common = Common {
        active: plan.active,
        cache: plan.cache,
        observing: plan.observing,
        clock: plan.clock,
    };
    let worker = Worker::new(
        plan.settings,
        plan.network,
        common,
        tally,
        &*plan.entropy,
        plan.health.lane(),
    );
    let worker = match plan.tls {
        None => worker,
        Some(tls) => worker.with_tls(tls).map_err(|error| Unserved {
            address: at_https.unwrap_or(at_http),
            source: io::Error::other(error),
        })?,
    };
    let bound = Bound {
        http: at_http,
        https: at_https,
        http3: at_http3,
    };
    let listeners = Listeners { http, https, http3 };
    Ok((worker, listeners, bound))
}

fn listen_quic<N: Network>(
    network: &N,
    address: SocketAddr,
    server: quinn::ServerConfig,
) -> Result<(quinn::Endpoint, SocketAddr), Unserved> {
    let unserved = |source| Unserved { address, source };
    let endpoint = network.quic(address, Some(server)).map_err(unserved)?;
    let at = endpoint.local_addr().map_err(unserved)?;
    Ok((endpoint, at))
}

async fn listen<N: Network>(
    network: &N,
    address: SocketAddr,
) -> Result<(N::Listener, SocketAddr), Unserved> {
    let unserved = |source| Unserved { address, source };
    let listener = network.listen(address).await.map_err(unserved)?;
    let at = listener.local_addr().map_err(unserved)?;
    Ok((listener, at))
}
