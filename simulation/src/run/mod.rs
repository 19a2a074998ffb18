//! One run from its first tick to its verdict: calm, faults, healing, proof of liveness,
//! convergence, checks.

mod populate;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use domain::id::EnvironmentId;
use injection::Point;
use parking_lot::Mutex;
use turmoil::{Builder, Sim};

use crate::checks;
use crate::coverage::{self, Coverage};
use crate::fail_points::{self, Host};
use crate::faults::{Faults, Stage};
use crate::history::History;
use crate::options::{CALM, Options};
use crate::ports::START_UNIX_MS;
use crate::workload::Shared;
use crate::world::Fleet;

/// By when after healing clients have finished and everything is equal.
const HEALED: Duration = Duration::from_secs(60);
/// How often nodes' consensus is looked at.
const OBSERVE_EVERY: Duration = Duration::from_millis(5);
/// How often it is looked for new manifests, and after healing for the end.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often whole states are hashed.
const HASH_EVERY: Duration = Duration::from_secs(4);
/// Connections and datagrams that wait at a host: turmoil panics where there is no room.
const WAITING_MAX: usize = 8_192;

/// What a run came to.
#[derive(Debug)]
pub struct Verdict {
    /// What was seen.
    pub history: History,
    /// What was wrong with it.
    pub violations: Vec<String>,
    /// How much of what was there.
    pub coverage: Coverage,
    /// How long it was, in simulated time.
    pub elapsed: Duration,
}

/// Runs what `options` say. One process makes one run: a second one would see other task ids.
#[must_use]
pub fn run(options: &Options) -> Verdict {
    raft_store::runtime::seed_thread(options.seed);
    listen_for_panics();
    let mut run = Run::new(options);
    fail_points::mutate(options.mutant, run.fleet.fail_points());
    let mut violations = Vec::new();
    // A panic in a process is a violation like any other, and what led to it is to be read.
    match catch_unwind(AssertUnwindSafe(|| run.play(options))) {
        Ok(Ok(())) => {}
        Ok(Err(reason)) => violations.push(reason),
        Err(_) => violations.push(format!("a process panicked: {}", first_panic())),
    }
    violations.extend(run.faults.violations().iter().cloned());
    let elapsed = run.sim.elapsed();
    let mut history = run.shared.history.lock().clone();
    history.ended_us = micros(elapsed);
    history.clocks_apart_us = micros(options.clocks_apart(elapsed));
    history.unrecorded = run.fleet.fail_points().failures(Point::BeforeWebhookMark);
    if let Some(environment) = run.environment.lock().clone() {
        history.finals = run.fleet.finals();
        history.journal = run.fleet.journal();
        history.final_edges = run
            .fleet
            .sights()
            .into_iter()
            .map(|(edge, epoch, version, _)| (edge, (epoch, version)))
            .collect();
        if let Some(manifest) = run.fleet.manifests(&environment).first() {
            history.final_manifest = (manifest.epoch.0, manifest.version.0);
        }
    }
    violations.extend(checks::violations(&history));
    let mut coverage = coverage::of(&history, run.faults.counts());
    for (point, hits) in run.fleet.fail_points().hits() {
        coverage.count("F24", hits.struck);
        coverage.count(point.name(), hits.passed);
    }
    let compared = run.fleet.state_checks();
    let differ = compared
        .iter()
        .filter(|(_, check)| !check.different.is_empty());
    violations.extend(differ.map(|(node, check)| {
        let different = &check.different;
        format!("node {node} takes the states of {different:?} for others than the majority's")
    }));
    let decided = compared.iter().filter(|(_, check)| check.is_decided);
    coverage.count("states_compared", decided.count() as u64);
    let changes = run.fleet.changes();
    let of_members = changes.all.saturating_sub(changes.retired);
    coverage.count("membership_changes", of_members);
    coverage.count("members_joined", changes.joined);
    coverage.count("members_replaced", changes.replaced);
    coverage.count("members_removed", changes.removed);
    coverage.count("changes_at_once", changes.at_once);
    coverage.count("keys_rotated", changes.rotated);
    coverage.count("keys_retired", changes.retired);
    coverage.count("checkpoint_installs", run.fleet.checkpoint_installs());
    Verdict {
        history,
        violations,
        coverage,
        elapsed,
    }
}

struct Run<'a> {
    sim: Sim<'a>,
    fleet: Fleet,
    faults: Faults,
    shared: Shared,
    environment: Arc<Mutex<Option<EnvironmentId>>>,
    finished: Arc<Mutex<BTreeSet<usize>>>,
    /// How the script ended, once it did.
    played: Arc<Mutex<Option<Result<(), String>>>>,
    observed: Duration,
    looked: Duration,
    hashed: Duration,
    /// The end of the last tick, for what is seen within the next one.
    ticked_us: Arc<AtomicU64>,
    /// Up to which revision each node was looked at.
    seen: BTreeMap<usize, u64>,
}

impl Run<'_> {
    fn new(options: &Options) -> Self {
        let mut builder = Builder::new();
        builder
            .rng_seed(options.seed)
            .epoch(SystemTime::UNIX_EPOCH + Duration::from_millis(START_UNIX_MS))
            .simulation_duration(CALM + options.duration + HEALED * 3)
            .tick_duration(options.tick)
            .min_message_latency(options.latency_min)
            .max_message_latency(options.latency_max)
            .tcp_capacity(WAITING_MAX)
            .udp_capacity(WAITING_MAX)
            .enable_random_order();
        let shared = Shared::new(options.voters, options.receivers);
        let mut run = Self {
            sim: builder.build(),
            fleet: Fleet::new(options.clone(), &shared),
            faults: Faults::new(options),
            shared,
            environment: Arc::default(),
            finished: Arc::default(),
            played: Arc::default(),
            observed: Duration::ZERO,
            looked: Duration::ZERO,
            hashed: Duration::ZERO,
            ticked_us: Arc::default(),
            seen: BTreeMap::new(),
        };
        run.populate(options);
        run.see_off();
        run
    }

    /// Has all nodes looked at when one dies at a fail point.
    fn see_off(&self) {
        let (fleet, ticked_us) = (self.fleet.clone(), Arc::clone(&self.ticked_us));
        let history = Arc::clone(&self.shared.history);
        fail_points::see_off(move |host| {
            if let Host::Node(_) = host {
                let at_us = ticked_us.load(Ordering::Relaxed);
                fleet.observe(at_us, &mut history.lock());
            }
        });
    }

    /// Plays all phases.
    fn play(&mut self, options: &Options) -> Result<(), String> {
        self.on_stage(Faults::begin);
        if options.scenario.is_some() {
            self.until("the script ends", |run| run.played.lock().is_some())?;
            if let Some(Err(reason)) = self.played.lock().take() {
                return Err(format!("the script: {reason}"));
            }
        } else {
            self.storm(options)?;
        }
        self.fleet.fail_points().arm(false);
        self.on_stage(Faults::heal);
        *self.shared.winding_up.lock() = true;
        let clients = options.clients;
        self.until(
            "clients finish what they began and ten more writes each",
            |run| *run.shared.proved.lock() == clients,
        )?;
        self.until(
            "edges serve by what was published, with nothing new",
            |run| {
                let environment = run.environment.lock();
                environment
                    .as_ref()
                    .is_some_and(|environment| run.fleet.edges_follow(environment))
            },
        )?;
        *self.shared.followed.lock() = true;
        self.until("clients publish", |run| {
            run.finished.lock().len() == clients
        })?;
        self.until("everything is equal everywhere", |run| {
            run.environment
                .lock()
                .as_ref()
                .is_some_and(|environment| run.fleet.has_converged(environment, run.faults.lost()))
        })?;
        self.shared.history.lock().converged_us = Some(micros(self.sim.elapsed()));
        Ok(())
    }

    /// Leaves the cluster alone first, and then not.
    fn storm(&mut self, options: &Options) -> Result<(), String> {
        let stormy_until = CALM + options.duration;
        while self.sim.elapsed() < stormy_until {
            self.fleet.fail_points().arm(self.sim.elapsed() >= CALM);
            self.step()?;
        }
        Ok(())
    }

    fn on_stage(&mut self, act: impl FnOnce(&mut Faults, &mut Stage<'_, '_>)) {
        let history = Arc::clone(&self.shared.history);
        // Nothing that runs within a step holds the history across it.
        let mut recorded = std::mem::take(&mut *history.lock());
        let mut stage = Stage {
            sim: &mut self.sim,
            fleet: &self.fleet,
            history: &mut recorded,
        };
        act(&mut self.faults, &mut stage);
        *history.lock() = recorded;
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<(), String> {
        let deadline = self.sim.elapsed() + HEALED;
        loop {
            let looked = self.looked;
            self.step()?;
            if self.looked != looked && holds(self) {
                return Ok(());
            }
            if self.sim.elapsed() > deadline {
                return Err(format!("liveness: within {HEALED:?} of healing: {what}"));
            }
        }
    }

    fn step(&mut self) -> Result<(), String> {
        self.on_stage(Faults::tick);
        if self.faults.lost() > self.shared.lost.lock().len() {
            *self.shared.lost.lock() = self.faults.lost_nodes();
        }
        self.sim
            .step()
            .map_err(|error| format!("a process ended by itself: {error}"))?;
        let now = self.sim.elapsed();
        let at_us = micros(now);
        self.ticked_us.store(at_us, Ordering::Relaxed);
        if now >= self.observed + OBSERVE_EVERY {
            self.observed = now;
            self.fleet.observe(at_us, &mut self.shared.history.lock());
        }
        if now >= self.looked + LOOK_EVERY {
            self.looked = now;
            self.look(at_us);
        }
        if now >= self.hashed + HASH_EVERY {
            self.hashed = now;
            let hashes = self.fleet.hashes();
            self.shared.history.lock().hashes.extend(hashes);
        }
        Ok(())
    }

    /// Looks for manifests at nodes that applied something since the last look.
    fn look(&mut self, at_us: u64) {
        let Some(environment) = self.environment.lock().clone() else {
            return;
        };
        let found = self.fleet.new_manifests(&environment, &mut self.seen);
        let mut history = self.shared.history.lock();
        for manifest in found {
            let order = (manifest.epoch.0, manifest.version.0);
            history.manifests.insert(order, manifest.root.0);
            history.manifests_at.entry(order).or_insert(at_us);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What the first panic said. Those that follow from it say less.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

fn listen_for_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANIC.lock().get_or_insert_with(|| panic.to_string());
        before(panic);
    }));
}

fn first_panic() -> String {
    PANIC.lock().clone().unwrap_or_default().replace('\n', " ")
}
