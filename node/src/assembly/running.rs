//! A node that runs, and the order in which it ends.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use raft_store::Closer;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::consensus::Consensus;
use crate::errands::Errands;
use crate::metrics::Metrics;
use crate::publisher::Publisher;
use crate::webhooks::dispatcher::Dispatcher;

/// How long other nodes' calls may take to end: none of theirs is worth waiting for longer.
const INTERNAL_DRAIN: Duration = Duration::from_secs(2);

/// How long REST requests may take to end, over the server's own drain time.
const REST_DRAIN: Duration = Duration::from_secs(12);

/// Where a node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The REST API.
    pub rest: SocketAddr,
    /// gRPC between nodes.
    pub internal: SocketAddr,
    /// QUIC for edges.
    pub publisher: SocketAddr,
    /// The operators' surface, if there is one.
    pub admin: Option<SocketAddr>,
    /// Metrics, if they have a socket of their own.
    pub metrics: Option<SocketAddr>,
}

/// A server that can be told to stop.
pub(super) struct Part {
    pub(super) stop: watch::Sender<bool>,
    pub(super) task: JoinHandle<()>,
}

impl Part {
    async fn end(self, within: Duration) {
        self.stop.send_replace(true);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(within, self.task).await.is_err() {
            abort.abort();
        }
    }
}

/// A running node.
pub struct Running {
    pub(super) addresses: Addresses,
    pub(super) consensus: Consensus,
    pub(super) metrics: Metrics,
    pub(super) rest: Part,
    pub(super) admin: Option<Part>,
    pub(super) scraped: Option<Part>,
    pub(super) internal: Part,
    pub(super) publisher: Publisher,
    pub(super) dispatcher: Dispatcher,
    pub(super) errands: Errands,
    pub(super) backups: Option<JoinHandle<()>>,
    pub(super) closer: Closer,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Consensus.
    #[must_use]
    pub fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// The node's metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Ends the node without losing a request that can still be answered: it says that it is not
    /// ready, hands leadership over so that nobody waits for an election, takes no new connections
    /// and lets requests end while the cluster is whole, and leaves.
    pub async fn shut_down(self) {
        self.consensus.drain();
        self.errands.shut_down();
        if let Some(backups) = &self.backups {
            // One that is under way ends without a manifest.
            backups.abort();
        }
        // First, so that whoever ends the process before it is done ends no leader.
        self.consensus.hand_over().await;
        // Edges go elsewhere and deliveries end while requests end: nobody waits for the others.
        tokio::join!(
            self.rest.end(REST_DRAIN),
            async {
                if let Some(admin) = self.admin {
                    admin.end(REST_DRAIN).await;
                }
                if let Some(scraped) = self.scraped {
                    scraped.end(REST_DRAIN).await;
                }
            },
            self.publisher.shut_down(),
            self.dispatcher.shut_down()
        );
        // Should leadership have come back meanwhile.
        self.consensus.hand_over().await;
        self.internal.end(INTERNAL_DRAIN).await;
        self.consensus.shut_down().await;
        if let Err(fault) = self.closer.close() {
            tracing::error!(%fault, "the storage did not close cleanly");
        }
    }
}
