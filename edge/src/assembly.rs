//! Puts an edge together from settings and ports, the same way in production and in a simulation:
//! the serving threads, the admin address, the last good configuration and the subscriber.
//!
//! Order matters twice. The last good configuration is loaded before a port opens, so that no
//! request is refused for want of what is on the disk. And when the edge stops, it stops being
//! ready and accepting first, finishes what is under way, and ends the rest after that.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use platform::{Clock, Entropy, Listener, Network};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::active::Active;
use crate::admin::Admin;
use crate::configuration::Applier;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::workers::{Placement, Plan, Workers};

/// An edge's ports to the outside.
pub struct Ports<N> {
    /// Sockets.
    pub network: N,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Why an edge did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Where an edge listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For requests.
    pub http: SocketAddr,
    /// For probes and scrapers, if the settings want that.
    pub admin: Option<SocketAddr>,
}

/// What holds the serving half together: the configuration in use, and who may replace it.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The configuration in use.
    pub active: Arc<Active>,
    /// Replaces it.
    pub applier: Arc<Applier>,
    /// All counts.
    pub metrics: Arc<Metrics>,
}

impl Default for Serving {
    fn default() -> Self {
        let active = Arc::<Active>::default();
        let metrics = Arc::new(Metrics::new(Arc::clone(&active)));
        let applier = Arc::new(Applier::new(Arc::clone(&active), metrics.applies()));
        Self {
            active,
            applier,
            metrics,
        }
    }
}

/// An edge that runs.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    workers: Workers,
    stop: watch::Sender<bool>,
    admin: Option<JoinHandle<()>>,
}

/// Starts serving what `serving` holds. To be called within a `LocalSet`.
///
/// # Errors
/// When an address cannot be had.
pub async fn serve<N: Network>(
    settings: Arc<Settings>,
    ports: &Ports<N>,
    serving: &Serving,
    placement: Placement,
) -> Result<Running, StartError> {
    let (stop, stopped) = watch::channel(false);
    let plan = Plan {
        network: ports.network.clone(),
        active: Arc::clone(&serving.active),
        metrics: Arc::clone(&serving.metrics),
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
        stop: stopped.clone(),
        settings: Arc::clone(&settings),
    };
    let listen = |address| move |source| StartError::Listen { address, source };
    let workers = Workers::start(plan, placement)
        .await
        .map_err(listen(settings.http.listen))?;
    let mut running = Running {
        addresses: Addresses {
            http: workers.address,
            admin: None,
        },
        workers,
        stop,
        admin: None,
    };
    if let Some(admin) = &settings.admin {
        let listener = ports
            .network
            .listen(admin.listen)
            .await
            .map_err(listen(admin.listen))?;
        running.addresses.admin = Some(listener.local_addr().map_err(listen(admin.listen))?);
        let admin = Admin {
            active: Arc::clone(&serving.active),
            metrics: Arc::clone(&serving.metrics),
            stop: stopped,
        };
        running.admin = Some(tokio::task::spawn_local(admin.serve::<N>(listener)));
    }
    Ok(running)
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Waits until a serving thread has ended, which only a fault of ours brings about.
    pub async fn failed(&mut self) {
        self.workers.any_ended().await;
    }

    /// Stops accepting, finishes what is under way within the time that the settings allow, and
    /// ends.
    pub async fn shut_down(self) {
        self.stop.send_replace(true);
        self.workers.all_ended().await;
        if let Some(admin) = self.admin {
            admin.abort();
        }
    }
}
