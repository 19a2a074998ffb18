//! Keeps a [worker](super::worker) at work for each enabled endpoint, and for each that was removed and
//! has deliveries to be ended, on the node that leads. A slow
//! receiver holds up its own worker and nobody else's. Workers end by themselves; this starts those
//! that are missing, and waits for them when the node stops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::id::WebhookEndpointId;
use domain::model::{EndpointStatus, WebhookEndpoint};
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
    let read = shared.control.read_local(|view| {
        let enabled = |endpoint: &WebhookEndpoint| endpoint.status == EndpointStatus::Enabled;
        let endpoints = query::all_webhook_endpoints(view).into_iter();
        let endpoints = endpoints.filter(enabled);
        let mut all: Vec<_> = endpoints
            .map(|endpoint| (endpoint.environment_id, endpoint.id))
            .collect();
        all.extend(query::orphaned_endpoints(view));
        all
    });
    // A storage fault ends the process.
    let Ok((endpoints, _)) = read else {
        return;
    };
    for (environment, id) in endpoints {
        if !workers.contains_key(&id) {
            let worker = Worker::new(Arc::clone(shared), environment, id.clone());
            let task = AbortOnDropHandle::new(tokio::spawn(worker.run(stopping.clone())));
            workers.insert(id, task);
        }
    }
}
