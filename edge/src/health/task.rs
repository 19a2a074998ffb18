//! Drives the keeper: once for each edge, on the edge's own task.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::time::Timestamp;
use edge_protocol::limits::{HEALTH_TARGETS_MAX, TARGET_ERROR_BYTES_MAX};
use edge_protocol::{HealthReport, TargetOut};
use platform::{Clock, Entropy, Network};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Due, Identity, Keeper, Out, Plan, Registry};
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
    /// Nothing where nothing was found out.
    result: Option<Result<(), String>>,
}

/// Watches the targets of whatever configuration is in use, for as long as it runs. To be called
/// within a `LocalSet`.
pub(crate) async fn watch<N: Network>(
    network: N,
    (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
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
        if keeper.take_changed() {
            tell(&keeper, &registry, &*clock);
        }
        let next = keeper.poll_timeout();
        let next = next.unwrap_or_else(|| Instant::now() + NOTHING);
        tokio::select! {
            Some(Ended { identity, ticket, result }) = ended.recv() => {
                let counts = registry.counts();
                let counter = match &result {
                    Some(Ok(())) => Some(&counts.checks_passed),
                    Some(Err(_)) => Some(&counts.checks_failed),
                    None => None,
                };
                if let Some(counter) = counter {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
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

/// Says how many targets are out, and which.
fn tell(keeper: &Keeper, registry: &Registry, clock: &dyn Clock) {
    let (mut all, mut out) = (0, Vec::new());
    // By upstream, whether any of its targets is in.
    let mut upstreams = BTreeMap::new();
    let (now, wall) = (Instant::now(), clock.now());
    for (identity, state) in keeper.states() {
        all += 1;
        *upstreams.entry(&identity.upstream).or_insert(false) |= state.is_none();
        out.extend(state.map(|state| target_out(identity, state, (now, wall))));
    }
    let count = u64::try_from(out.len()).unwrap_or(u64::MAX);
    let counts = registry.counts();
    counts.targets.store(all, Ordering::Relaxed);
    counts.targets_out.store(count, Ordering::Relaxed);
    // A target that moved may be there twice until its old address is forgotten.
    out.dedup_by(|a, b| (&a.upstream_id, &a.target_id) == (&b.upstream_id, &b.target_id));
    out.truncate(HEALTH_TARGETS_MAX);
    let told = u64::try_from(out.len()).unwrap_or(u64::MAX);
    let more = count - told;
    let down = upstreams.into_iter().filter(|(_, any_in)| !any_in);
    let down = down.take(HEALTH_TARGETS_MAX).map(|(id, _)| id.clone());
    let down = down.collect();
    registry.report(HealthReport { out, down, more });
}

fn target_out(identity: &Identity, state: &Out, (now, wall): (Instant, Timestamp)) -> TargetOut {
    let mut error = state.error.clone();
    error.truncate(error.floor_char_boundary(TARGET_ERROR_BYTES_MAX));
    let ago = now.saturating_duration_since(state.since).as_millis();
    let ago = u64::try_from(ago).unwrap_or(u64::MAX);
    TargetOut {
        upstream_id: identity.upstream.clone(),
        target_id: identity.target.clone(),
        cause: state.cause,
        error,
        since: Timestamp(wall.0.saturating_sub(ago)),
    }
}
