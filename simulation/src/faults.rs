//! Makes faults happen: cuts links, holds messages, kills processes, and mends all of it again.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use turmoil::Sim;

use crate::fail_points::Host;
use crate::options::{EDGES, Fault, NODES};
use crate::world::Fleet;

/// The host name of the origin.
pub const ORIGIN: &str = "origin";

/// The faults that are in force and when each ends.
pub struct Faults {
    planned: Vec<(Duration, Fault)>,
    active: Vec<(Duration, Struck)>,
    rng: ChaCha8Rng,
}

/// A fault with its place made definite.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Struck {
    Cut(Vec<(String, String)>),
    CutOneWay(String, String),
    Held(String, String),
    NodesDown(Vec<usize>),
    EdgeDown(usize),
    OriginDown,
}

impl Faults {
    /// Faults still to come, in order of time; crashes tear disks by `seed`.
    #[must_use]
    pub fn new(planned: Vec<(Duration, Fault)>, seed: u64) -> Self {
        let mut planned = planned;
        planned.reverse();
        Self {
            planned,
            active: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x00fa_0175),
        }
    }

    /// Ends what is over and begins what is due. Returns lines for the story.
    pub fn tick(&mut self, sim: &mut Sim<'_>, fleet: &Fleet) -> Vec<String> {
        let now = sim.elapsed();
        let mut story = self.end(sim, |ends| ends <= now);
        while self.planned.last().is_some_and(|(at, _)| *at <= now) {
            let Some((_, fault)) = self.planned.pop() else {
                break;
            };
            if let Some((lasts, struck)) = self.place(fault, fleet) {
                story.push(format!("{now:?} {struck:?} for {lasts:?}"));
                self.strike(sim, fleet, &struck);
                self.active.push((now + lasts, struck));
            }
        }
        story
    }

    /// Ends the processes that died at fail points; they start again a little later.
    pub fn bury(&mut self, sim: &mut Sim<'_>, fleet: &Fleet) -> Vec<String> {
        let now = sim.elapsed();
        let mut story = Vec::new();
        for host in fleet.fail_points().dead() {
            let struck = match host {
                Host::Node(index) => crash(index, &self.down()),
                Host::Edge(index) => Some(Struck::EdgeDown(index))
                    .filter(|down| !self.active.iter().any(|(_, struck)| struck == down)),
            };
            let Some(struck) = struck else { continue };
            let lasts = Duration::from_millis(self.rng.random_range(50..=2_000));
            story.push(format!(
                "{now:?} died at a fail point: {struck:?} for {lasts:?}"
            ));
            self.strike(sim, fleet, &struck);
            self.active.push((now + lasts, struck));
        }
        story
    }

    /// Ends everything: the cluster is whole again.
    pub fn heal(&mut self, sim: &mut Sim<'_>) -> Vec<String> {
        self.planned.clear();
        self.end(sim, |_| true)
    }

    /// Decides whom a fault strikes; nothing where that makes no sense now.
    fn place(&self, fault: Fault, fleet: &Fleet) -> Option<(Duration, Struck)> {
        let down = self.down();
        Some(match fault {
            Fault::IsolateLeader(lasts) => (lasts, isolated(fleet.leader()?)),
            Fault::IsolateNode(node, lasts) => (lasts, isolated(node)),
            Fault::CutOneWay(from, to, lasts) => (lasts, Struck::CutOneWay(node(from), node(to))),
            Fault::Hold(a, b, lasts) => (lasts, Struck::Held(node(a), node(b))),
            Fault::CrashLeader(lasts) => (lasts, crash(fleet.leader()?, &down)?),
            Fault::CrashNode(index, lasts) => (lasts, crash(index, &down)?),
            Fault::CrashAll(lasts) => {
                let alive: Vec<_> = (0..NODES).filter(|index| !down.contains(index)).collect();
                (lasts, Struck::NodesDown(alive))
            }
            Fault::IsolateEdge(index, lasts) => {
                let links = (0..NODES).map(|other| (edge(index), node(other))).collect();
                (lasts, Struck::Cut(links))
            }
            Fault::CrashEdge(index, lasts) => {
                let already = self
                    .active
                    .iter()
                    .any(|(_, struck)| *struck == Struck::EdgeDown(index));
                if already || index >= EDGES {
                    return None;
                }
                (lasts, Struck::EdgeDown(index))
            }
            Fault::CrashOrigin(lasts) => (lasts, Struck::OriginDown),
        })
    }

    fn down(&self) -> BTreeSet<usize> {
        self.active
            .iter()
            .filter_map(|(_, struck)| match struck {
                Struck::NodesDown(nodes) => Some(nodes.iter().copied()),
                _ => None,
            })
            .flatten()
            .collect()
    }

    fn strike(&mut self, sim: &mut Sim<'_>, fleet: &Fleet, struck: &Struck) {
        match struck {
            Struck::Cut(links) => links
                .iter()
                .for_each(|(a, b)| sim.partition(a.as_str(), b.as_str())),
            Struck::CutOneWay(from, to) => sim.partition_oneway(from.as_str(), to.as_str()),
            Struck::Held(a, b) => sim.hold(a.as_str(), b.as_str()),
            Struck::NodesDown(nodes) => {
                for index in nodes {
                    sim.crash(node(*index));
                    fleet.crash_node(*index, &mut self.rng);
                }
            }
            Struck::EdgeDown(index) => {
                sim.crash(edge(*index));
                fleet.crash_edge(*index, &mut self.rng);
            }
            Struck::OriginDown => sim.crash(ORIGIN),
        }
    }

    fn end(&mut self, sim: &mut Sim<'_>, over: impl Fn(Duration) -> bool) -> Vec<String> {
        let (ended, active): (Vec<_>, Vec<_>) = std::mem::take(&mut self.active)
            .into_iter()
            .partition(|(ends, _)| over(*ends));
        self.active = active;
        let now = sim.elapsed();
        ended
            .into_iter()
            .map(|(_, struck)| {
                self.mend(sim, &struck);
                format!("{now:?} over: {struck:?}")
            })
            .collect()
    }

    fn mend(&self, sim: &mut Sim<'_>, struck: &Struck) {
        match struck {
            Struck::Cut(links) => links
                .iter()
                .for_each(|(a, b)| sim.repair(a.as_str(), b.as_str())),
            Struck::CutOneWay(from, to) => sim.repair_oneway(from.as_str(), to.as_str()),
            Struck::Held(a, b) => sim.release(a.as_str(), b.as_str()),
            Struck::NodesDown(nodes) => nodes.iter().for_each(|index| sim.bounce(node(*index))),
            Struck::EdgeDown(index) => sim.bounce(edge(*index)),
            Struck::OriginDown => sim.bounce(ORIGIN),
        }
        // A link may be under several faults: what is still in force is struck again.
        for (_, standing) in &self.active {
            match standing {
                Struck::Cut(links) => links
                    .iter()
                    .for_each(|(a, b)| sim.partition(a.as_str(), b.as_str())),
                Struck::CutOneWay(from, to) => sim.partition_oneway(from.as_str(), to.as_str()),
                Struck::Held(a, b) => sim.hold(a.as_str(), b.as_str()),
                Struck::NodesDown(_) | Struck::EdgeDown(_) | Struck::OriginDown => {}
            }
        }
    }
}

fn isolated(index: usize) -> Struck {
    Struck::Cut(
        (0..NODES)
            .filter(|other| *other != index)
            .map(|other| (node(index), node(other)))
            .collect(),
    )
}

fn crash(index: usize, down: &BTreeSet<usize>) -> Option<Struck> {
    (!down.contains(&index)).then(|| Struck::NodesDown(vec![index]))
}

/// The host name of a node, by index from 0.
#[must_use]
pub fn node(index: usize) -> String {
    format!("node-{}", index + 1)
}

/// The host name of an edge, by index from 0.
#[must_use]
pub fn edge(index: usize) -> String {
    format!("edge-{}", index + 1)
}
