//! Keeps a [worker](super::worker) at work for each enabled endpoint, on the node that leads. A slow
//! receiver holds up its own worker and nobody else's. Workers end by themselves; this starts those
//! that are missing, and waits for them when the node stops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::id::WebhookEndpointId;
use domain::model::EndpointStatus;
use domain::query;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::worker::{Shared, TICK, Worker, pause};

/// How long attempts under way may take to end and to be recorded: an attempt ends after ten
/// seconds, whatever the receiver does.
const DRAIN: Duration = Duration::from_secs(12);

/// A running dispatcher.
pub(crate) struct Dispatcher {
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

type Workers = BTreeMap<WebhookEndpointId, AbortOnDropHandle<()>>;

impl Dispatcher {
    pub(crate) fn start(shared: Shared) -> Self {
        let stopping = CancellationToken::new();
        let task = tokio::spawn(run(Arc::new(shared), stopping.clone()));
        Self { stopping, task }
    }

    /// Starts no more attempts, and waits for those under way. One that is given up may be made
    /// again by whoever leads next.
    pub(crate) async fn shut_down(self) {
        self.stopping.cancel();
        let task = AbortOnDropHandle::new(self.task);
        if timeout(DRAIN, task).await.is_err() {
            tracing::warn!("some deliveries under way were given up");
        }
    }
}

async fn run(shared: Arc<Shared>, stopping: CancellationToken) {
    let mut workers = Workers::new();
    let mut changes = shared.control.changes();
    loop {
        changes.borrow_and_update();
        let looked = Instant::now();
        if shared.leads() {
            start_missing(&shared, &mut workers, &stopping);
        }
        if !pause(&mut changes, looked, TICK, &stopping).await {
            break;
        }
    }
    for worker in workers.into_values() {
        // One that panicked has said so.
        let _ = worker.await;
    }
}

fn start_missing(shared: &Arc<Shared>, workers: &mut Workers, stopping: &CancellationToken) {
    workers.retain(|_, worker| !worker.is_finished());
    let endpoints = shared
        .control
        .read_local(|view| query::all_webhook_endpoints(view));
    // A storage fault ends the process.
    let Ok((endpoints, _)) = endpoints else {
        return;
    };
    for endpoint in endpoints {
        if endpoint.status == EndpointStatus::Enabled && !workers.contains_key(&endpoint.id) {
            let worker = Worker::new(Arc::clone(shared), &endpoint).run(stopping.clone());
            let task = AbortOnDropHandle::new(tokio::spawn(worker));
            workers.insert(endpoint.id, task);
        }
    }
}
