//! Keeps a [worker](super::worker) at work for each enabled endpoint, and for each that was removed and
//! has deliveries to be ended, on the node that leads. A slow
//! receiver holds up its own worker and nobody else's. Workers end by themselves; this starts those
//! that are missing, and waits for them when the node stops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::id::WebhookEndpointId;
use domain::model::{EndpointStatus, WebhookEndpoint};
use domain::query::{self, PendingDeliveries};
use domain::rows::View;
use domain::time::Timestamp;
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
        } else {
            shared.metrics.waiting(0, 0);
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
        let endpoints = query::all_webhook_endpoints(view);
        let waiting = waiting(view, &endpoints);
        let enabled = |endpoint: &WebhookEndpoint| endpoint.status == EndpointStatus::Enabled;
        let mut all: Vec<_> = endpoints
            .into_iter()
            .filter(enabled)
            .map(|endpoint| (endpoint.environment_id, endpoint.id))
            .collect();
        all.extend(query::orphaned_endpoints(view));
        (all, waiting)
    });
    // A storage fault ends the process.
    let Ok(((endpoints, waiting), _)) = read else {
        return;
    };
    let now = shared.clock.now();
    let age = |at: Timestamp| now.0.saturating_sub(at.0) / 1000;
    shared
        .metrics
        .waiting(waiting.count, waiting.oldest.map_or(0, age));
    for (environment, id) in endpoints {
        workers.entry(id).or_insert_with_key(|id| {
            let worker = Worker::new(Arc::clone(shared), environment, id.clone());
            AbortOnDropHandle::new(tokio::spawn(worker.run(stopping.clone())))
        });
    }
}

/// What waits in the environments that have endpoints; an endpoint that goes leaves nothing pending.
fn waiting(view: &dyn View, endpoints: &[WebhookEndpoint]) -> PendingDeliveries {
    let environments: BTreeSet<_> = endpoints
        .iter()
        .map(|endpoint| &endpoint.environment_id)
        .collect();
    let waiting = environments
        .into_iter()
        .map(|environment| query::pending_deliveries(view, environment));
    waiting.fold(PendingDeliveries::default(), |all, some| {
        PendingDeliveries {
            count: all.count + some.count,
            oldest: [all.oldest, some.oldest].into_iter().flatten().min(),
        }
    })
}
