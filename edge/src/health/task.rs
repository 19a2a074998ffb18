//! Drives the keeper: once for each edge, on the edge's own task.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use platform::{Entropy, Network};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Due, Identity, Keeper, Plan, Registry};
use crate::active::Active;

/// Results that nobody took yet: as many as there are checks.
const RESULTS_MAX: usize = 64;

/// How long suspicions are gathered before they are looked at, so that targets that fail very many
/// requests do not keep the task busy.
const GATHER: Duration = Duration::from_millis(20);

/// How long to wait where there is nothing to wait for.
const NOTHING: Duration = Duration::from_secs(3600);

/// How a check ended.
struct Ended {
    identity: Identity,
    ticket: u64,
    result: Result<(), String>,
}

/// Watches the targets of whatever configuration is in use, for as long as it runs. To be called
/// within a `LocalSet`.
pub(crate) async fn watch<N: Network>(
    network: N,
    entropy: Arc<dyn Entropy>,
    active: Arc<Active>,
    registry: Arc<Registry>,
) {
    let (results, mut ended) = mpsc::channel(RESULTS_MAX);
    let mut keeper = Keeper::default();
    let mut seen = None;
    let mut random = || entropy.next_u64();
    loop {
        let generation = active.generation();
        if seen.replace(generation) != Some(generation) {
            keeper.reconcile(Instant::now(), plan(&active), &mut random);
            registry.sweep();
        }
        while let Some(due) = keeper.poll_due() {
            start(due, network.clone(), results.clone());
        }
        count(&keeper, &registry);
        let next = keeper.poll_timeout();
        let next = next.unwrap_or_else(|| Instant::now() + NOTHING);
        tokio::select! {
            Some(Ended { identity, ticket, result }) = ended.recv() => {
                let counts = registry.counts();
                let counter = if result.is_ok() { &counts.checks_passed } else { &counts.checks_failed };
                counter.fetch_add(1, Ordering::Relaxed);
                keeper.handle_result(Instant::now(), (&identity, ticket), result, &mut random);
            }
            () = registry.woken() => {
                sleep(GATHER).await;
                keeper.handle_suspects(Instant::now(), registry.counts());
            }
            () = sleep_until(next) => keeper.handle_timeout(Instant::now()),
        }
    }
}

fn plan(active: &Active) -> Plan {
    let mut plan = Plan::new();
    for served in active.current().routes() {
        served.route.watch(&mut plan);
    }
    plan
}

fn start<N: Network>(due: Due, network: N, results: mpsc::Sender<Ended>) {
    tokio::task::spawn_local(async move {
        let Due {
            identity,
            ticket,
            probe,
        } = due;
        let result = probe.run(&network).await;
        // Where nobody watches any more, nobody wants to know.
        let _ = results
            .send(Ended {
                identity,
                ticket,
                result,
            })
            .await;
    });
}

fn count(keeper: &Keeper, registry: &Registry) {
    let (mut all, mut out) = (0, 0);
    for (_, is_in) in keeper.states() {
        all += 1;
        out += u64::from(!is_in);
    }
    let counts = registry.counts();
    counts.targets.store(all, Ordering::Relaxed);
    counts.targets_out.store(out, Ordering::Relaxed);
}
