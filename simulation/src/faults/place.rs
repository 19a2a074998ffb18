//! Decides whom a fault strikes now: what was drawn before the run says who leads only when it is
//! there.

use super::Faults;
use super::struck::Struck;
use crate::hosts::{self, HERD, ORIGIN};
use crate::options::{DiskOperation, Fault, Planned, Whom};
use crate::world::Fleet;

impl Faults {
    /// A fault with its place made definite; nothing where it makes no sense now.
    pub(super) fn place(&self, fault: &Fault, fleet: &Fleet) -> Option<Struck> {
        // Those, too, that may join later.
        let all = fleet.options().nodes();
        let up = |index: usize| self.supervisor.is_up(index);
        let living = |whom| who(whom, fleet).filter(|index| up(*index));
        let others = |index| (0..all).filter(move |other| *other != index);
        Some(match fault {
            Fault::Isolate(whom) => {
                let index = who(*whom, fleet)?;
                Struck::Cut(others(index).map(|other| nodes(index, other)).collect())
            }
            Fault::Lag(index) => {
                let leads = fleet.leader() == Some(*index);
                let links = others(*index).map(|other| nodes(*index, other));
                Struck::Lagging((!leads).then(|| links.collect())?)
            }
            Fault::Split(minority) => Struck::Cut(
                minority
                    .iter()
                    .flat_map(|one| {
                        let outside = (0..all).filter(|other| !minority.contains(other));
                        outside.map(|other| nodes(*one, other))
                    })
                    .collect(),
            ),
            Fault::CutOneWay(from, to) => Struck::CutOneWay(vec![nodes(*from, *to)]),
            Fault::HalfDeaf(whom, deaf) => {
                let index = who(*whom, fleet)?;
                let link = |other| {
                    if *deaf {
                        nodes(other, index)
                    } else {
                        nodes(index, other)
                    }
                };
                Struck::CutOneWay(others(index).map(link).collect())
            }
            Fault::Loss(permille) => Struck::Lossy(pairs(all), *permille),
            Fault::Latency(a, b, most) => Struck::Late(nodes(*a, *b), *most),
            Fault::Hold(a, b) => Struck::Held(vec![nodes(*a, *b)]),
            Fault::Crash(whom) => Struck::NodesDown(vec![living(*whom)?]),
            Fault::CrashVoters => Struck::Electing(living(Whom::Leader)?),
            Fault::Outage(index, points) => {
                Struck::Away(living(Whom::Node(*index))?, points.clone())
            }
            Fault::CrashAll | Fault::Herd => {
                let up: Vec<_> = (0..all).filter(|index| up(*index)).collect();
                if up.is_empty() {
                    return None;
                }
                Struck::NodesDown(up)
            }
            Fault::Die(whom, after) => Struck::Dying(living(*whom)?, *after),
            Fault::Restart(whom) => Struck::Stopping(living(*whom)?),
            Fault::Pause(whom) => {
                let index = who(*whom, fleet)?;
                let name = hosts::node(index);
                let all = fleet.hosts_but(&name);
                Struck::Paused(
                    index,
                    all.into_iter().map(|other| (name.clone(), other)).collect(),
                )
            }
            Fault::Transfer => Struck::HandingOver(living(Whom::Leader)?),
            Fault::Change(change) => Struck::Changed(self.wanted(*change, fleet)?),
            Fault::Demote(index) => {
                let other = self
                    .active
                    .iter()
                    .any(|active| matches!(active.struck, Struck::Demoted(_)));
                // A disk that rots takes its vote with it.
                if other || self.supervisor.has_rot() {
                    return None;
                }
                Struck::Demoted(*index)
            }
            Fault::Rot(index) => Struck::Rotting(self.losing(*index, fleet)?),
            Fault::LoseDisk(index) => Struck::LosingDisk(self.losing(*index, fleet)?),
            Fault::DiskFull(whom) => Struck::DiskFull(self.failing(living(*whom)?)?),
            Fault::DiskError(whom, operation, after) => {
                // Reads are many and few of them matter.
                let after = match operation {
                    DiskOperation::Read => after * 8,
                    DiskOperation::Write | DiskOperation::Sync => *after,
                };
                Struck::DiskError(self.failing(living(*whom)?)?, *operation, after)
            }
            Fault::DiskSlow(whom, takes) => Struck::DiskSlow(living(*whom)?, *takes),
            Fault::ClockJump(index, by_ms) => Struck::ClockJumped(*index, *by_ms),
            Fault::IsolateEdge(index) => {
                let edge = hosts::edge(*index);
                Struck::Cut(
                    (0..all)
                        .map(|other| (edge.clone(), hosts::node(other)))
                        .collect(),
                )
            }
            Fault::CrashEdge(index) => Struck::EdgeDown(self.running_edge(*index)?, false),
            Fault::EdgeRot(index) => Struck::EdgeDown(self.running_edge(*index)?, true),
            Fault::EdgeDies(index, after) => Struck::EdgeDying(self.running_edge(*index)?, *after),
            Fault::EdgeDiskFull(index) => Struck::EdgeDiskFull(*index),
            Fault::BadPublisher(badness) => {
                let edges = (0..fleet.options().edges).map(hosts::edge);
                let edges = edges.chain((fleet.options().herd > 0).then(|| HERD.to_owned()));
                let links = edges
                    .flat_map(|edge| (0..all).map(move |other| (edge.clone(), hosts::node(other))));
                Struck::BadPublisher(*badness, links.collect())
            }
            Fault::Receiver(index, behaviour) => Struck::Receiver(*index, *behaviour),
            Fault::CrashOrigin => Struck::Down(ORIGIN),
        })
    }

    /// A node whose disk may fail: of those that do, and those that are lost, there is a minority.
    fn failing(&self, index: usize) -> Option<usize> {
        let mut failing: Vec<usize> = self
            .active
            .iter()
            .filter_map(|active| match active.struck {
                Struck::DiskFull(index) | Struck::DiskError(index, ..) => Some(index),
                _ => None,
            })
            .collect();
        failing.retain(|other| *other != index);
        failing.dedup();
        (failing.len() < self.supervisor.minority()).then_some(index)
    }

    /// A node that may lose what is on its disk: a minority does, and none while voters change. With a
    /// vote less, one that is lost could be one too many.
    fn losing(&self, index: usize, fleet: &Fleet) -> Option<usize> {
        let changing =
            |planned: &Planned| matches!(planned.fault, Fault::Demote(_) | Fault::Change(_));
        if fleet.options().faults.iter().any(changing) {
            return None;
        }
        self.supervisor.may_rot(index).then_some(index)
    }

    fn running_edge(&self, index: usize) -> Option<usize> {
        let down = self.active.iter().any(|active| match &active.struck {
            Struck::EdgeDown(other, _) | Struck::EdgeDying(other, _) => *other == index,
            _ => false,
        });
        (!down).then_some(index)
    }
}

fn who(whom: Whom, fleet: &Fleet) -> Option<usize> {
    match whom {
        Whom::Leader => fleet.leader(),
        Whom::Node(index) => fleet.some_node(index),
    }
}

fn nodes(a: usize, b: usize) -> (String, String) {
    (hosts::node(a), hosts::node(b))
}

/// All pairs of nodes.
fn pairs(count: usize) -> Vec<(String, String)> {
    let of = |a| (a + 1..count).map(move |b| nodes(a, b));
    (0..count).flat_map(of).collect()
}
