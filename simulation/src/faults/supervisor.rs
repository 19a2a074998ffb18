//! What an operator's supervisor does: it starts again what ended. It also judges why processes
//! ended.

use std::collections::BTreeSet;
use std::time::Duration;

use raft_store::FaultsStruck;
use rand::{Rng, RngExt};

use super::{Faults, Stage};
use crate::fail_points;
use crate::history::Host;
use crate::hosts;
use crate::options::Options;
use crate::world::{End, Exit};

/// The exit code of a node whose data is not what it has to be.
const DATA: i32 = 65;

/// The exit codes of a node that finds out that it was removed: as a member that it was, or as one whose number is used up.
const REMOVED: [i32; 2] = [77, 64];

/// How long the supervisor waits before it starts a process that ended by itself.
const RESTART: Duration = Duration::from_secs(1);

/// How a process is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// The machine loses power.
    PowerCut,
    /// The process alone is gone.
    Kill,
}

/// Which processes run, and when the others are to.
pub(super) struct Supervisor {
    nodes: Vec<NodeState>,
    /// Until when each edge is down, if it is.
    edges: Vec<Option<Duration>>,
    /// Nodes whose disks rotted or were lost, whether they know it or not.
    rotted: BTreeSet<usize>,
    minority: usize,
    own_hosts: usize,
}

struct NodeState {
    standing: Standing,
    /// What its disk had done when the process began.
    struck: FaultsStruck,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has not been there yet.
    Absent,
    Up,
    DownUntil(Duration),
    /// Its disk is damaged; only another node could take its place.
    Lost,
    /// It was removed from the cluster.
    Gone,
}

impl Supervisor {
    pub(super) fn new(options: &Options) -> Self {
        let node = |index| NodeState {
            standing: if index < options.voters {
                Standing::Up
            } else {
                Standing::Absent
            },
            struck: FaultsStruck::default(),
        };
        Self {
            nodes: (0..options.nodes()).map(node).collect(),
            edges: vec![None; options.edges],
            rotted: BTreeSet::new(),
            minority: options.minority(),
            own_hosts: options.edges,
        }
    }

    pub(super) fn is_up(&self, index: usize) -> bool {
        self.nodes[index].standing == Standing::Up
    }

    /// A node that has not been there yet, and is not among these.
    pub(super) fn absent(&self, but: &[usize]) -> Option<usize> {
        let standing = self.nodes.iter().map(|node| node.standing).enumerate();
        let mut absent = standing.filter(|(_, standing)| *standing == Standing::Absent);
        absent
            .find(|(index, _)| !but.contains(index))
            .map(|(index, _)| index)
    }

    pub(super) fn minority(&self) -> usize {
        self.minority - self.lost().min(self.minority)
    }

    /// Whether a node's disk may rot: those of a majority never do.
    pub(super) fn may_rot(&self, index: usize) -> bool {
        self.is_up(index) && !self.rotted.contains(&index) && self.rotted.len() < self.minority
    }

    pub(super) fn has_rot(&self) -> bool {
        !self.rotted.is_empty()
    }

    pub(super) fn lost(&self) -> usize {
        self.lost_nodes().len()
    }

    pub(super) fn lost_nodes(&self) -> BTreeSet<usize> {
        let lost = |index: &usize| self.nodes[*index].standing == Standing::Lost;
        (0..self.nodes.len()).filter(lost).collect()
    }

    /// Whoever is down comes back at once.
    pub(super) fn hurry(&mut self) {
        for node in &mut self.nodes {
            if let Standing::DownUntil(until) = &mut node.standing {
                *until = Duration::ZERO;
            }
        }
        for until in self.edges.iter_mut().flatten() {
            *until = Duration::ZERO;
        }
    }
}

impl Faults {
    /// Notices what ended, and starts what is due.
    pub(super) fn look_after_processes(&mut self, stage: &mut Stage<'_, '_>) {
        self.bury(stage);
        for index in 0..self.supervisor.nodes.len() {
            if self.supervisor.is_up(index) && stage.fleet.disk(index).struck().died {
                stage.tell(format_args!(
                    "node {} died in the middle of a write",
                    index + 1
                ));
                self.count("died_mid_operation");
                let until = stage.sim.elapsed() + RESTART;
                self.crash_node(index, until, Crash::PowerCut, stage);
            }
        }
        for index in 0..self.supervisor.own_hosts {
            if self.supervisor.edges[index].is_none() && stage.fleet.directory(index).is_dead() {
                stage.tell(format_args!(
                    "edge {} died in the middle of a write",
                    index + 1
                ));
                let until = stage.sim.elapsed() + RESTART;
                self.crash_edge(index, until, false, stage);
            }
        }
        for exit in stage.fleet.exits() {
            self.judge(&exit, stage);
        }
        for index in stage.fleet.starts() {
            self.supervisor.nodes[index].standing = Standing::DownUntil(Duration::ZERO);
        }
        self.start_due(stage);
    }

    /// Ends the processes that died at fail points; they start again a little later.
    fn bury(&mut self, stage: &mut Stage<'_, '_>) {
        for host in stage.fleet.fail_points().dead() {
            stage.tell(format_args!("{host:?} died at a fail point"));
            self.count("died_at_fail_points");
            let wait = Duration::from_millis(self.rng.random_range(50..=2_000));
            let until = stage.sim.elapsed() + wait;
            match host {
                fail_points::Host::Node(index) => {
                    self.crash_node(index, until, Crash::PowerCut, stage);
                }
                fail_points::Host::Edge(index) => self.crash_edge(index, until, false, stage),
            }
        }
    }

    fn start_due(&mut self, stage: &mut Stage<'_, '_>) {
        let now = stage.sim.elapsed();
        for index in 0..self.supervisor.nodes.len() {
            let node = &mut self.supervisor.nodes[index];
            if matches!(node.standing, Standing::DownUntil(until) if until <= now) {
                node.standing = Standing::Up;
                node.struck = stage.fleet.disk(index).struck();
                stage.sim.bounce(hosts::node(index));
                stage.began(Host::Node(index + 1));
                stage.tell(format_args!("node {} starts", index + 1));
            }
        }
        for index in 0..self.supervisor.own_hosts {
            if self.supervisor.edges[index].is_some_and(|until| until <= now) {
                self.supervisor.edges[index] = None;
                stage.sim.bounce(hosts::edge(index));
                stage.began(Host::Edge(index));
                stage.tell(format_args!("edge {} starts", index + 1));
            }
        }
    }

    /// Whether a process may have ended as it did, and what follows.
    fn judge(&mut self, exit: &Exit, stage: &mut Stage<'_, '_>) {
        let Exit { index, end } = exit;
        if !self.supervisor.is_up(*index) {
            return;
        }
        let node = &self.supervisor.nodes[*index];
        let struck = stage.fleet.disk(*index).struck();
        let rot_found = struck.rot_found > node.struck.rot_found;
        let rotted = self.supervisor.rotted.contains(index);
        let until = stage.sim.elapsed() + RESTART;
        stage.tell(format_args!("node {} {end}", index + 1));
        match end {
            End::Stopped => {
                self.count("clean_stops");
                self.crash_node(*index, until, Crash::Kill, stage);
            }
            End::Halted { code, .. } | End::Refused { code, .. }
                if rotted && (*code == DATA || rot_found) =>
            {
                self.count("lost_for_good");
                self.crash_node(*index, until, Crash::Kill, stage);
                self.supervisor.nodes[*index].standing = Standing::Lost;
                stage.tell(format_args!("node {} is lost", index + 1));
            }
            End::Halted { code, .. } | End::Refused { code, .. }
                if stage.fleet.is_leaving(*index) && REMOVED.contains(code) =>
            {
                self.count("removed_and_ended");
                self.crash_node(*index, until, Crash::Kill, stage);
                self.supervisor.nodes[*index].standing = Standing::Gone;
                stage.fleet.forget(*index);
            }
            End::Halted { .. } | End::Refused { .. } if struck != node.struck => {
                self.count("disk_halts");
                // Whether a write that failed survives is left open: the machine may have lost
                // power, too.
                let crash = if self.rng.random() {
                    Crash::Kill
                } else {
                    Crash::PowerCut
                };
                self.crash_node(*index, until, crash, stage);
            }
            End::Halted { reason, .. } | End::Refused { reason, .. } => {
                let number = index + 1;
                self.violations
                    .push(format!("node {number} ended without a reason: {reason}"));
                self.crash_node(*index, until, Crash::Kill, stage);
            }
        }
        stage.ended(&Host::Node(index + 1), true);
    }

    pub(super) fn crash_node(
        &mut self,
        index: usize,
        until: Duration,
        crash: Crash,
        stage: &mut Stage<'_, '_>,
    ) {
        if !self.supervisor.is_up(index) {
            return;
        }
        self.supervisor.nodes[index].standing = Standing::DownUntil(until);
        // What it told others it told with what it holds now; and what it knows it was told with
        // what they hold.
        let now_us = stage.now_us();
        stage.fleet.observe(now_us, stage.history);
        stage.sim.crash(hosts::node(index));
        stage.ended(&Host::Node(index + 1), false);
        stage.fleet.node_ended(index);
        let disk = stage.fleet.disk(index);
        match crash {
            Crash::Kill => disk.kill(),
            Crash::PowerCut => {
                self.count("crashes");
                let full = disk.is_full();
                let torn = disk.crash(&mut self.rng);
                disk.set_full(full);
                if torn.any() {
                    self.count("torn_tails");
                    stage.tell(format_args!("node {}'s disk: {torn:?}", index + 1));
                }
            }
        }
    }

    /// A place on a node's disk rots while it is down.
    pub(super) fn rot(&mut self, index: usize, until: Duration, stage: &mut Stage<'_, '_>) {
        self.crash_node(index, until, Crash::PowerCut, stage);
        if let Some(place) = stage.fleet.disk(index).rot(&mut self.rng) {
            self.supervisor.rotted.insert(index);
            stage.tell(format_args!("node {}: {} rots", index + 1, place.display()));
        }
    }

    /// A node's disk is lost while it is down; it comes back with an empty one, under its old number.
    pub(super) fn lose_disk(&mut self, index: usize, until: Duration, stage: &mut Stage<'_, '_>) {
        self.crash_node(index, until, Crash::PowerCut, stage);
        let disk = stage.fleet.disk(index);
        disk.replace();
        disk.set_block_bytes(stage.fleet.options().block_bytes);
        self.supervisor.rotted.insert(index);
        self.count("disks_lost");
        stage.tell(format_args!("node {}'s disk is lost", index + 1));
    }

    pub(super) fn crash_edge(
        &mut self,
        index: usize,
        until: Duration,
        rots: bool,
        stage: &mut Stage<'_, '_>,
    ) {
        if self.supervisor.edges[index].is_some() {
            return;
        }
        self.supervisor.edges[index] = Some(until);
        self.count("edge_crashes");
        stage.sim.crash(hosts::edge(index));
        stage.ended(&Host::Edge(index), false);
        stage.fleet.edge_ended(index);
        let directory = stage.fleet.directory(index);
        directory.crash(self.rng.next_u64());
        if rots && let Some(name) = directory.rot(self.rng.next_u64()) {
            self.count("edge_rot");
            stage.tell(format_args!("edge {}: {name} rots", index + 1));
        }
    }
}
