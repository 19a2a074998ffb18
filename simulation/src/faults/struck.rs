//! Faults with their place made definite: how they strike, and how they are mended.

use std::time::Duration;

use injection::Point;
use turmoil::Sim;

use super::supervisor::Crash;
use super::{Faults, Stage};
use crate::fail_points;
use crate::history::{Effect, Host};
use crate::hosts::ORIGIN;
use crate::options::{Badness, Behaviour, DiskOperation};
use crate::world::{Order, Wanted};

/// Two hosts by name.
pub(super) type Link = (String, String);

/// A fault in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Struck {
    Cut(Vec<Link>),
    /// From the first to the second of each.
    CutOneWay(Vec<Link>),
    Held(Vec<Link>),
    /// All links of a node are held. Turmoil cannot keep a host from running, so the node's own
    /// timers go on meanwhile; to everybody else it is a process that was stopped and goes on.
    Paused(usize, Vec<Link>),
    /// A message in so many of a thousand is lost, with what is under way on its link.
    Lossy(Vec<Link>, u16),
    Late(Link, Duration),
    NodesDown(Vec<usize>),
    /// A node that is cut off; the leader dies when it is back.
    Lagging(Vec<Link>),
    /// The leader is down, and whoever votes dies.
    Electing(usize),
    /// It is down, and dies at these points afterwards.
    Away(usize, Vec<Point>),
    Dying(usize, u64),
    Stopping(usize),
    HandingOver(usize),
    /// A vote is taken from it.
    Demoted(usize),
    /// Who belongs to the cluster is changed.
    Changed(Wanted),
    Rotting(usize),
    /// Its disk is empty afterwards.
    LosingDisk(usize),
    DiskFull(usize),
    DiskError(usize, DiskOperation, u64),
    DiskSlow(usize, Duration),
    ClockJumped(usize, i64),
    /// Whether its disk rots meanwhile.
    EdgeDown(usize, bool),
    EdgeDying(usize, u64),
    EdgeDiskFull(usize),
    /// With the links to the nodes that are cut, so that edges come to it.
    BadPublisher(Badness, Vec<Link>),
    Receiver(usize, Behaviour),
    Down(&'static str),
}

impl Struck {
    /// What it does, for the checks.
    pub(super) fn effect(&self) -> Effect {
        let node = |index: usize| Host::Node(index + 1);
        match self {
            Self::Cut(links) | Self::Lagging(links) => Effect::Cut(hosts_of(links)),
            Self::CutOneWay(links) => match hosts_of(links).as_slice() {
                [(from, to)] => Effect::CutOneWay(from.clone(), to.clone()),
                _ => Effect::Weather,
            },
            Self::Held(links) => match hosts_of(links).as_slice() {
                [(a, b)] => Effect::Held(a.clone(), b.clone()),
                _ => Effect::Weather,
            },
            Self::Paused(index, _) => Effect::Paused(vec![node(*index)]),
            Self::Lossy(..) | Self::Late(..) => Effect::Weather,
            Self::NodesDown(nodes) => Effect::Down(nodes.iter().copied().map(node).collect()),
            Self::Dying(index, _)
            | Self::Stopping(index)
            | Self::Rotting(index)
            | Self::Electing(index)
            | Self::Away(index, _) => Effect::Down(vec![node(*index)]),
            Self::LosingDisk(index) => Effect::DiskLost(node(*index)),
            // Who votes when is seen at the nodes; a change of it is nothing that a client notices.
            Self::HandingOver(_) | Self::Demoted(_) | Self::Changed(_) => Effect::Other,
            Self::DiskFull(index) | Self::DiskError(index, ..) | Self::DiskSlow(index, _) => {
                Effect::Disk(vec![node(*index)])
            }
            Self::ClockJumped(index, _) => Effect::Clock(vec![node(*index)]),
            Self::EdgeDown(index, true) => Effect::Rot(Host::Edge(*index)),
            Self::EdgeDown(index, false) | Self::EdgeDying(index, _) => {
                Effect::Down(vec![Host::Edge(*index)])
            }
            Self::EdgeDiskFull(index) => Effect::Disk(vec![Host::Edge(*index)]),
            Self::BadPublisher(_, links) => {
                let edges = links.iter().filter_map(|(edge, _)| host_of(edge));
                let mut edges: Vec<_> = edges.collect();
                edges.dedup();
                Effect::Bad(edges)
            }
            Self::Receiver(index, _) => {
                Effect::Bad(vec![Host::Receiver(crate::hosts::receiver(*index))])
            }
            Self::Down(_) => Effect::Down(vec![Host::Origin]),
        }
    }
}

fn hosts_of(links: &[Link]) -> Vec<(Host, Host)> {
    links
        .iter()
        .filter_map(|(a, b)| Some((host_of(a)?, host_of(b)?)))
        .collect()
}

fn host_of(name: &str) -> Option<Host> {
    if name == ORIGIN {
        return Some(Host::Origin);
    }
    let (kind, number) = name.rsplit_once('-')?;
    let number: usize = number.parse().ok()?;
    match kind {
        "node" => Some(Host::Node(number)),
        "edge" => Some(Host::Edge(number.checked_sub(1)?)),
        "receiver" => Some(Host::Receiver(name.to_owned())),
        _ => None,
    }
}

impl Faults {
    pub(super) fn strike(&mut self, struck: &Struck, ends: Duration, stage: &mut Stage<'_, '_>) {
        let fleet = stage.fleet;
        match struck {
            Struck::NodesDown(nodes) => {
                for index in nodes {
                    self.crash_node(*index, ends, Crash::PowerCut, stage);
                }
            }
            Struck::Away(index, _) => self.crash_node(*index, ends, Crash::PowerCut, stage),
            Struck::Electing(index) => {
                self.count_votes(stage.fleet);
                self.crash_node(*index, ends, Crash::PowerCut, stage);
            }
            Struck::Rotting(index) => self.rot(*index, ends, stage),
            Struck::LosingDisk(index) => self.lose_disk(*index, ends, stage),
            Struck::Dying(index, after) => fleet.disk(*index).die_after(*after),
            Struck::Stopping(index) => fleet.order(*index, Order::ShutDown),
            Struck::HandingOver(index) => fleet.order(*index, Order::HandOver),
            Struck::Demoted(index) => fleet.ask_for_vote(*index, false),
            Struck::Changed(wanted) => fleet.ask_for(*wanted),
            Struck::DiskFull(index) => fleet.disk(*index).set_full(true),
            Struck::DiskError(index, operation, after) => {
                let disk = fleet.disk(*index);
                match operation {
                    DiskOperation::Read => disk.fail_read_after(*after),
                    DiskOperation::Write => disk.fail_write_after(*after),
                    DiskOperation::Sync => disk.fail_sync_after(*after),
                }
            }
            Struck::DiskSlow(index, takes) => fleet.disk(*index).set_sync_takes(*takes),
            Struck::ClockJumped(index, by_ms) => fleet.clock(*index).jump(*by_ms),
            Struck::EdgeDown(index, rots) => self.crash_edge(*index, ends, *rots, stage),
            Struck::EdgeDying(index, after) => fleet.directory(*index).die_after(*after),
            // Some room is left, so that a part of what is written fits.
            Struck::EdgeDiskFull(index) => {
                let directory = fleet.directory(*index);
                directory.set_bytes_max(Some(directory.bytes_held() + 100));
            }
            Struck::BadPublisher(badness, _) => {
                fleet.rogue().learn(fleet.stock(&stage.history.manifests));
                fleet.rogue().set(Some(*badness));
            }
            Struck::Receiver(index, behaviour) => fleet.receiver(*index).set(*behaviour),
            Struck::Down(host) => {
                stage.sim.crash(*host);
                stage.ended(&Host::Origin, false);
            }
            Struck::Cut(_)
            | Struck::Lagging(_)
            | Struck::CutOneWay(_)
            | Struck::Held(_)
            | Struck::Paused(..)
            | Struck::Lossy(..)
            | Struck::Late(..) => {}
        }
        strike_network(struck, stage.sim);
    }

    pub(super) fn mend(&mut self, struck: &Struck, stage: &mut Stage<'_, '_>) {
        let fleet = stage.fleet;
        match struck {
            // Whoever went down comes back by the supervisor's doing.
            Struck::NodesDown(_) | Struck::Electing(_) | Struck::EdgeDown(..) => {}
            Struck::Rotting(_) | Struck::LosingDisk(_) => {}
            Struck::Away(index, points) => {
                let host = fail_points::Host::Node(*index);
                fleet.fail_points().die_at(host, points);
            }
            Struck::Lagging(links) => {
                repair(links, stage.sim);
                self.leader_dies(stage);
            }
            Struck::Stopping(_) | Struck::HandingOver(_) | Struck::Changed(_) => {}
            Struck::Demoted(index) => fleet.ask_for_vote(*index, true),
            Struck::Dying(index, _) | Struck::DiskError(index, ..) => {
                fleet.disk(*index).disarm();
                self.full_again(fleet);
            }
            Struck::DiskFull(index) => {
                fleet.disk(*index).set_full(false);
                self.full_again(fleet);
            }
            Struck::DiskSlow(index, _) => fleet.disk(*index).set_sync_takes(Duration::ZERO),
            Struck::ClockJumped(index, by_ms) => fleet.clock(*index).jump(-by_ms),
            Struck::EdgeDying(index, _) => fleet.directory(*index).disarm(),
            Struck::EdgeDiskFull(index) => fleet.directory(*index).set_bytes_max(None),
            Struck::BadPublisher(_, links) => {
                fleet.rogue().set(None);
                repair(links, stage.sim);
            }
            Struck::Receiver(index, _) => fleet.receiver(*index).set(Behaviour::Well),
            Struck::Down(host) => {
                stage.sim.bounce(*host);
                stage.began(Host::Origin);
            }
            Struck::Cut(links) => repair(links, stage.sim),
            Struck::CutOneWay(links) => links
                .iter()
                .for_each(|(from, to)| stage.sim.repair_oneway(from.as_str(), to.as_str())),
            Struck::Held(links) | Struck::Paused(_, links) => links
                .iter()
                .for_each(|(a, b)| stage.sim.release(a.as_str(), b.as_str())),
            Struck::Lossy(links, _) => links.iter().for_each(|(a, b)| {
                stage.sim.set_link_fail_rate(a.as_str(), b.as_str(), 0.0);
                stage.sim.repair(a.as_str(), b.as_str());
            }),
            Struck::Late((a, b), _) => {
                let usual = fleet.options().latency_max;
                stage
                    .sim
                    .set_link_max_message_latency(a.as_str(), b.as_str(), usual);
            }
        }
        // A link may be under several faults: what is still in force is struck again.
        for active in &self.active {
            strike_network(&active.struck, stage.sim);
        }
    }

    /// A disk may be full by several faults.
    fn full_again(&self, fleet: &crate::world::Fleet) {
        for active in &self.active {
            if let Struck::DiskFull(index) = active.struck {
                fleet.disk(index).set_full(true);
            }
        }
    }
}

fn strike_network(struck: &Struck, sim: &mut Sim<'_>) {
    match struck {
        Struck::Cut(links) | Struck::Lagging(links) | Struck::BadPublisher(_, links) => links
            .iter()
            .for_each(|(a, b)| sim.partition(a.as_str(), b.as_str())),
        Struck::CutOneWay(links) => links
            .iter()
            .for_each(|(from, to)| sim.partition_oneway(from.as_str(), to.as_str())),
        Struck::Held(links) | Struck::Paused(_, links) => links
            .iter()
            .for_each(|(a, b)| sim.hold(a.as_str(), b.as_str())),
        Struck::Lossy(links, permille) => links.iter().for_each(|(a, b)| {
            sim.set_link_fail_rate(a.as_str(), b.as_str(), f64::from(*permille) / 1000.0);
        }),
        Struck::Late((a, b), most) => {
            sim.set_link_max_message_latency(a.as_str(), b.as_str(), *most);
        }
        _ => {}
    }
}

fn repair(links: &[Link], sim: &mut Sim<'_>) {
    links
        .iter()
        .for_each(|(a, b)| sim.repair(a.as_str(), b.as_str()));
}
