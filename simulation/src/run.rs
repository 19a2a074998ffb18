//! One run from its first tick to its verdict: calm, faults, healing, proof of liveness,
//! convergence, checks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use domain::id::EnvironmentId;
use injection::Point;
use parking_lot::Mutex;
use turmoil::{Builder, Sim};

use crate::checks;
use crate::fail_points::{self, Hits};
use crate::faults::{self, Faults};
use crate::history::{EdgeSight, History};
use crate::network::SimNetwork;
use crate::observer::Observer;
use crate::options::{CALM, EDGES, NODES, Options};
use crate::ports::{START_UNIX_MS, SimEntropy};
use crate::workload::{self, Client, Shared};
use crate::world::Fleet;

/// By when after healing clients have finished and everything is equal.
const HEALED: Duration = Duration::from_secs(60);
/// How often edges are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often whole states are hashed.
const HASH_EVERY: Duration = Duration::from_secs(1);

/// What a run came to.
#[derive(Debug)]
pub struct Verdict {
    /// What was seen.
    pub history: History,
    /// What was wrong with it.
    pub violations: Vec<String>,
    /// How often each fail point was come by.
    pub hits: BTreeMap<Point, Hits>,
}

/// Runs what `options` say. One process makes one run: a second one would see other task ids.
#[must_use]
pub fn run(options: &Options) -> Verdict {
    raft_store::runtime::seed_thread(options.seed);
    let mut run = Run::new(options);
    fail_points::mutate(options.mutant, run.fleet.fail_points());
    let mut violations = Vec::new();
    if let Err(reason) = run.play(options) {
        violations.push(reason);
    }
    violations.extend(run.fleet.halts());
    let mut history = run.shared.history.lock().clone();
    history.ended_us = micros(run.sim.elapsed());
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
    Verdict {
        history,
        violations,
        hits: run.fleet.fail_points().hits(),
    }
}

struct Run<'a> {
    sim: Sim<'a>,
    fleet: Fleet,
    faults: Faults,
    shared: Shared,
    environment: Arc<Mutex<Option<EnvironmentId>>>,
    finished: Arc<Mutex<BTreeSet<usize>>>,
    clients: usize,
    looked: Duration,
    hashed: Duration,
    observer: Observer,
    held: BTreeMap<usize, EdgeSight>,
}

impl Run<'_> {
    fn new(options: &Options) -> Self {
        let mut builder = Builder::new();
        builder
            .rng_seed(options.seed)
            .epoch(SystemTime::UNIX_EPOCH + Duration::from_millis(START_UNIX_MS))
            .simulation_duration(CALM + options.duration + HEALED * 3)
            .tick_duration(Duration::from_millis(1))
            .min_message_latency(options.latency_min)
            .max_message_latency(options.latency_max)
            .tcp_capacity(8_192)
            .udp_capacity(8_192)
            .enable_random_order();
        let shared = Shared::new(0);
        let mut run = Self {
            sim: builder.build(),
            fleet: Fleet::new(options.clone()),
            faults: Faults::new(options.faults.clone(), options.seed),
            shared,
            environment: Arc::default(),
            finished: Arc::default(),
            clients: options.clients,
            looked: Duration::ZERO,
            hashed: Duration::ZERO,
            observer: Observer::default(),
            held: BTreeMap::new(),
        };
        run.populate(options);
        run
    }

    /// Registers every host.
    fn populate(&mut self, options: &Options) {
        for index in 0..NODES {
            let fleet = self.fleet.clone();
            self.sim
                .host(faults::node(index), move || fleet.clone().run_node(index));
        }
        for index in 0..EDGES {
            let fleet = self.fleet.clone();
            self.sim
                .host(faults::edge(index), move || fleet.clone().run_edge(index));
        }
        self.sim.host(faults::ORIGIN, workload::origin);
        self.operator();
        for index in 0..options.clients {
            self.client(index, options.seed);
        }
        for index in 0..EDGES {
            let (network, shared) = (
                network(options.seed, &format!("probe-{index}")),
                self.shared.clone(),
            );
            self.sim.client(format!("probe-{index}"), async move {
                workload::probe(index, network, shared).await;
                Ok(())
            });
        }
    }

    /// Bootstraps the cluster.
    fn operator(&mut self) {
        let (fleet, shared, environment) = (
            self.fleet.clone(),
            self.shared.clone(),
            Arc::clone(&self.environment),
        );
        self.sim.client("operator", async move {
            loop {
                match fleet.bootstrap().await {
                    Ok((keys, id)) => {
                        *environment.lock() = Some(id);
                        *shared.api_keys.lock() = keys;
                        return Ok(());
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
                }
            }
        });
    }

    fn client(&mut self, index: usize, seed: u64) {
        let name = format!("client-{index}");
        let (shared, finished) = (self.shared.clone(), Arc::clone(&self.finished));
        let mut client = Client::new(index, seed, network(seed, &name), shared);
        self.sim.client(name, async move {
            if index == 0 {
                client.prepare().await;
            }
            client.work().await;
            client.prove_liveness().await;
            finished.lock().insert(index);
            Ok(())
        });
    }

    /// Plays all phases.
    fn play(&mut self, options: &Options) -> Result<(), String> {
        let stormy_until = CALM + options.duration;
        while self.sim.elapsed() < stormy_until {
            self.fleet.fail_points().arm(self.sim.elapsed() >= CALM);
            let story = self.faults.tick(&mut self.sim, &self.fleet);
            self.shared.history.lock().story.extend(story);
            self.step()?;
        }
        self.fleet.fail_points().arm(false);
        let story = self.faults.heal(&mut self.sim);
        {
            let mut history = self.shared.history.lock();
            history.story.extend(story);
            history.healed_us = Some(micros(self.sim.elapsed()));
        }
        *self.shared.winding_up.lock() = true;
        let clients = self.clients;
        self.until(
            "clients finish what they began and ten more writes each",
            |run| run.finished.lock().len() == clients,
        )?;
        self.until("everything is equal everywhere", |run| {
            run.environment
                .lock()
                .as_ref()
                .is_some_and(|environment| run.fleet.has_converged(environment))
        })?;
        self.shared.history.lock().converged_us = Some(micros(self.sim.elapsed()));
        Ok(())
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<(), String> {
        let deadline = self.sim.elapsed() + HEALED;
        while !holds(self) {
            if self.sim.elapsed() > deadline {
                return Err(format!("liveness: within {HEALED:?} of healing: {what}"));
            }
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        self.sim
            .step()
            .map_err(|error| format!("a process ended by itself: {error}"))?;
        let story = self.faults.bury(&mut self.sim, &self.fleet);
        self.shared.history.lock().story.extend(story);
        let now = self.sim.elapsed();
        self.fleet.observe(
            micros(now),
            &mut self.observer,
            &mut self.shared.history.lock(),
        );
        if now >= self.looked + LOOK_EVERY {
            self.looked = now;
            self.look(now);
        }
        if now >= self.hashed + HASH_EVERY {
            self.hashed = now;
            let hashes = self.fleet.hashes();
            self.shared.history.lock().hashes.extend(hashes);
        }
        Ok(())
    }

    fn look(&mut self, now: Duration) {
        let at_us = micros(now);
        let mut history = self.shared.history.lock();
        if let Some(environment) = self.environment.lock().as_ref() {
            for manifest in self.fleet.manifests(environment) {
                let order = (manifest.epoch.0, manifest.version.0);
                history.manifests.insert(order, manifest.root.0);
                history.manifests_at.entry(order).or_insert(at_us);
            }
        }
        for (edge, epoch, version, root) in self.fleet.sights() {
            let sight = EdgeSight {
                edge,
                at_us,
                epoch,
                version,
                root,
            };
            let before = self.held.insert(edge, sight);
            let same = before.is_some_and(|before| EdgeSight { at_us, ..before } == sight);
            if !same {
                history.sights.push(sight);
            }
        }
    }
}

fn network(seed: u64, name: &str) -> SimNetwork {
    SimNetwork::new(Arc::new(SimEntropy::new(seed, name)))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
