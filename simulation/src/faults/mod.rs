//! Makes faults happen and mends them again, and does what an operator's supervisor does: a
//! process that ended is started again, unless its disk turned out to be damaged.
//!
//! What a node may do about its disk is part of the contract that is judged here. A node halts,
//! or does not start, over a disk that failed, was full or rotted, and over nothing else; what
//! rotted keeps it from ever starting again. Anything else that ends a process is a violation.

mod change;
mod elections;
mod place;
mod struck;
mod supervisor;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use turmoil::Sim;

use crate::history::{Effect, FaultSpan, History, Host, Leader, Life};
use crate::options::{Options, Planned};
use crate::world::Fleet;

pub use crate::hosts::{ORIGIN, edge, node};
use struck::Struck;
use supervisor::Supervisor;

/// The faults that are in force and when each ends.
pub struct Faults {
    planned: Vec<Planned>,
    active: Vec<Active>,
    supervisor: Supervisor,
    rng: ChaCha8Rng,
    counts: BTreeMap<String, u64>,
    violations: Vec<String>,
    /// Whom each node had voted for when that was last looked at.
    votes: BTreeMap<usize, Leader>,
    /// Whether the faults are over.
    healing: bool,
}

/// A fault in force.
struct Active {
    ends: Duration,
    struck: Struck,
    /// Its place in the history.
    span: usize,
}

/// What a fault needs to strike.
pub struct Stage<'a, 'b> {
    /// The network and the hosts.
    pub sim: &'a mut Sim<'b>,
    /// The processes.
    pub fleet: &'a Fleet,
    /// Where it is written down.
    pub history: &'a mut History,
}

impl Stage<'_, '_> {
    fn now_us(&self) -> u64 {
        u64::try_from(self.sim.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn tell(&mut self, line: impl std::fmt::Display) {
        let now = self.sim.elapsed();
        self.history
            .story
            .push(format!("{:10.3} s {line}", now.as_secs_f64()));
    }

    fn began(&mut self, host: Host) {
        let began_us = self.now_us();
        self.history.lives.push(Life {
            host,
            began_us,
            ended_us: None,
            by_itself: false,
        });
    }

    fn ended(&mut self, host: &Host, by_itself: bool) {
        let now_us = self.now_us();
        let living = self.history.lives.iter_mut().rev();
        if let Some(life) = living
            .filter(|life| life.ended_us.is_none())
            .find(|life| life.host == *host)
        {
            life.ended_us = Some(now_us);
            life.by_itself = by_itself;
        }
    }
}

impl Faults {
    /// Faults still to come.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let mut planned = options.faults.clone();
        planned.reverse();
        Self {
            planned,
            active: Vec::new(),
            supervisor: Supervisor::new(options),
            rng: ChaCha8Rng::seed_from_u64(options.seed ^ 0x00fa_0175),
            counts: BTreeMap::new(),
            violations: Vec::new(),
            votes: BTreeMap::new(),
            healing: false,
        }
    }

    /// Notes that every process lives from now on.
    pub fn begin(&mut self, stage: &mut Stage<'_, '_>) {
        let options = stage.fleet.options().clone();
        for index in 0..options.voters {
            stage.began(Host::Node(index + 1));
        }
        // Those that may join later are not there yet.
        for index in options.voters..options.nodes() {
            stage.sim.crash(node(index));
        }
        for index in 0..options.all_edges() {
            stage.began(Host::Edge(index));
        }
        stage.began(Host::Origin);
    }

    /// Ends what is over, looks after processes, and begins what is due.
    pub fn tick(&mut self, stage: &mut Stage<'_, '_>) {
        let now = stage.sim.elapsed();
        self.end(stage, |ends| ends <= now);
        self.look_after_processes(stage);
        self.strike_voters(stage);
        while self.planned.last().is_some_and(|next| next.at <= now) {
            let Some(planned) = self.planned.pop() else {
                break;
            };
            self.begin_one(planned, stage);
        }
    }

    /// Ends everything: the cluster is whole again, but for the nodes whose disks rotted.
    pub fn heal(&mut self, stage: &mut Stage<'_, '_>) {
        self.planned.clear();
        self.healing = true;
        self.end(stage, |_| true);
        for index in 0..stage.fleet.options().nodes() {
            stage.fleet.disk(index).disarm();
        }
        self.supervisor.hurry();
        self.look_after_processes(stage);
        let healed_us = stage.now_us();
        stage.history.healed_us = Some(healed_us);
        stage.tell("everything is healed");
    }

    /// The nodes that will not come back.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.supervisor.lost()
    }

    /// Which they are, by index.
    #[must_use]
    pub fn lost_nodes(&self) -> BTreeSet<usize> {
        self.supervisor.lost_nodes()
    }

    /// How often what happened: kinds of faults by their number, and what came of them.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// Processes that ended as they should not have.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    fn begin_one(&mut self, planned: Planned, stage: &mut Stage<'_, '_>) {
        let Planned { lasts, fault, .. } = planned;
        let Some(struck) = self.place(&fault, stage.fleet) else {
            return;
        };
        self.count(fault.number());
        stage.tell(format_args!("{fault:?}: {struck:?} for {lasts:?}"));
        let ends = stage.sim.elapsed() + lasts;
        let span = stage.history.faults.len();
        let began_us = stage.now_us();
        stage.history.faults.push(FaultSpan {
            kind: fault.number(),
            effect: struck.effect(),
            began_us,
            ended_us: None,
        });
        self.strike(&struck, ends, stage);
        self.active.push(Active { ends, struck, span });
    }

    fn end(&mut self, stage: &mut Stage<'_, '_>, over: impl Fn(Duration) -> bool) {
        let (ended, active): (Vec<_>, Vec<_>) = std::mem::take(&mut self.active)
            .into_iter()
            .partition(|active| over(active.ends));
        self.active = active;
        let now_us = stage.now_us();
        for Active { struck, span, .. } in ended {
            let fault = &mut stage.history.faults[span];
            // Nobody gives a disk back.
            if !matches!(fault.effect, Effect::DiskLost(_)) {
                fault.ended_us = Some(now_us);
            }
            stage.tell(format_args!("over: {struck:?}"));
            self.mend(&struck, stage);
        }
    }
}
