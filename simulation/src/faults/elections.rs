//! Faults that strike elections: power is cut where a vote was just given, and where somebody stands
//! for election who may lack what was committed.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;

use super::struck::Struck;
use super::supervisor::Crash;
use super::{Faults, Stage};
use crate::history::Leader;
use crate::world::Fleet;

/// How long whoever dies over an election is down, in milliseconds.
const DOWN_MS: std::ops::RangeInclusive<u64> = 300..=3_000;

impl Faults {
    /// Notes whom each node has voted for.
    pub(super) fn count_votes(&mut self, fleet: &Fleet) {
        self.votes = votes(fleet);
    }

    /// Cuts the power of nodes that have given a vote since the last look, while the fault lasts that
    /// does so.
    pub(super) fn strike_voters(&mut self, stage: &mut Stage<'_, '_>) {
        let struck = |active: &super::Active| matches!(active.struck, Struck::Electing(_));
        if !self.active.iter().any(struck) {
            return;
        }
        let before = std::mem::replace(&mut self.votes, votes(stage.fleet));
        for (index, vote) in self.votes.clone() {
            // A process that has just started shows a vote that is not new.
            let voted = before.get(&index).is_some_and(|before| *before != vote);
            if voted && self.supervisor.is_up(index) {
                stage.tell(format_args!("node {} dies after it voted", index + 1));
                self.count("voters_died");
                let until = self.soon(stage);
                self.crash_node(index, until, Crash::PowerCut, stage);
            }
        }
    }

    /// Cuts the leader's power, unless the faults are over.
    pub(super) fn leader_dies(&mut self, stage: &mut Stage<'_, '_>) {
        if self.healing {
            return;
        }
        let leader = stage.fleet.leader();
        if let Some(index) = leader.filter(|index| self.supervisor.is_up(*index)) {
            let until = self.soon(stage);
            self.crash_node(index, until, Crash::PowerCut, stage);
        }
    }

    fn soon(&mut self, stage: &Stage<'_, '_>) -> Duration {
        let down = Duration::from_millis(self.rng.random_range(DOWN_MS));
        stage.sim.elapsed() + down
    }
}

/// Whom each node that runs has voted for, whether he was elected or not.
fn votes(fleet: &Fleet) -> BTreeMap<usize, Leader> {
    let mut votes = BTreeMap::new();
    fleet.each_consensus(|index, consensus| {
        let leader = consensus.observe().vote.leader_id;
        let leader = Leader {
            term: leader.term,
            node: leader.node_id,
        };
        votes.insert(index, leader);
    });
    votes
}
