//! Watches nodes' consensus and writes down what changed since the last look. It is made to be
//! asked often: a look at a node where nothing happened costs a comparison.

use std::collections::BTreeMap;

use node::consensus::{Consensus, Observation};
use raft_store::codec;
use raft_store::types::{Entry, LeaderId, LogId};

use crate::history::{
    AppliedSight, Ballot, EntrySight, History, Leader, LeaderChange, NodeSight, Place, short_hash,
};

/// A leader that no quorum acknowledged for longer is one in name alone, in microseconds.
const ACKNOWLEDGED_WITHIN_US: u64 = 1_000_000;

/// Remembers what was seen of each node.
#[derive(Debug, Default)]
pub struct Observer {
    nodes: BTreeMap<usize, Seen>,
    newest: Option<Leader>,
}

/// What was seen of a node in its present life.
#[derive(Debug, Default)]
struct Seen {
    life: u64,
    before: Option<Observation>,
    /// When its quorum's last acknowledgement was first seen.
    acknowledged_us: u64,
    acting: bool,
    /// What its log was seen to hold last.
    logged: Option<Place>,
    /// The last entry that was seen to be applied.
    applied: u64,
    /// What its log held when it was last read, by index, from the last applied entry on: whose
    /// entry, and what it carries.
    log: BTreeMap<u64, (Leader, u64)>,
}

impl Observer {
    /// Looks at a node that runs, counted from 1, in a life, counted likewise.
    pub fn look(
        &mut self,
        (node, life): (usize, u64),
        at_us: u64,
        consensus: &Consensus,
        history: &mut History,
    ) {
        let seen = self.nodes.entry(node).or_default();
        if seen.life != life {
            *seen = Seen {
                life,
                ..Seen::default()
            };
        }
        let now = consensus.observe();
        let acting = seen.acting(&now, at_us);
        let changed = acting != seen.acting
            || seen
                .before
                .as_ref()
                .is_none_or(|before| differs(before, &now));
        if !changed {
            seen.before = Some(now);
            return;
        }
        seen.acting = acting;
        seen.read_log(node, at_us, &now, consensus, history);
        history.nodes.push(sight(node, seen, at_us, &now));
        if let Some(leader) = elected(&now)
            && self.newest.is_none_or(|newest| newest < leader)
        {
            self.newest = Some(leader);
            history.leaders.push(LeaderChange {
                at_us,
                leader,
                revision: now.applied.map_or(0, |applied| applied.index),
            });
        }
        seen.before = Some(now);
    }
}

impl Seen {
    /// Whether a leader is one in more than name.
    fn acting(&mut self, now: &Observation, at_us: u64) -> bool {
        let before = self.before.as_ref().and_then(|before| before.acknowledged);
        if now.acknowledged != before {
            self.acknowledged_us = at_us;
        }
        let age = at_us.saturating_sub(self.acknowledged_us);
        now.leads && now.acknowledged.is_some() && age < ACKNOWLEDGED_WITHIN_US
    }

    /// Notes entries that are new in the log, and those that are newly applied.
    fn read_log(
        &mut self,
        node: usize,
        at_us: u64,
        now: &Observation,
        consensus: &Consensus,
        history: &mut History,
    ) {
        let last = now.last.map(|last| place(&last));
        if last != self.logged {
            self.note_entries((node, at_us), last, consensus, history);
            self.logged = last;
        }
        let Some(applied) = now.applied.map(|applied| applied.index) else {
            return;
        };
        let fresh = self
            .log
            .range(self.applied + 1..=applied.max(self.applied + 1));
        history
            .applied
            .extend(fresh.filter(|(index, _)| **index <= applied).map(
                |(&index, &(leader, hash))| AppliedSight {
                    node,
                    life: self.life,
                    at_us,
                    place: Place { leader, index },
                    hash,
                },
            ));
        self.applied = self.applied.max(applied);
        self.log = self.log.split_off(&applied);
    }

    /// Reads what may be new: what follows, where the same leader goes on, otherwise all that is
    /// not applied, which another leader may have replaced.
    fn note_entries(
        &mut self,
        (node, at_us): (usize, u64),
        last: Option<Place>,
        consensus: &Consensus,
        history: &mut History,
    ) {
        let goes_on = self.logged.filter(|logged| {
            last.is_some_and(|last| last.leader == logged.leader && last.index >= logged.index)
        });
        let from = goes_on.map_or(self.applied, |logged| logged.index) + 1;
        let mut replaced = self.log.split_off(&from);
        let until = last.map_or(0, |last| last.index);
        for entry in consensus.logged(from..=until) {
            let place = place(&entry.log_id);
            let held = (place.leader, hash(&entry));
            let before = place.index.checked_sub(1);
            let before = before.and_then(|index| self.log.get(&index));
            if replaced.remove(&place.index) != Some(held) {
                history.entries.push(EntrySight {
                    node,
                    life: self.life,
                    at_us,
                    place,
                    before: before.map(|(leader, _)| *leader),
                    hash: held.1,
                });
            }
            self.log.insert(place.index, held);
        }
    }
}

/// Whether anything is different that is worth a record.
fn differs(before: &Observation, now: &Observation) -> bool {
    Observation {
        acknowledged: now.acknowledged,
        ..before.clone()
    } != *now
}

fn sight(node: usize, seen: &Seen, at_us: u64, now: &Observation) -> NodeSight {
    let at = |log_id: Option<LogId>| log_id.map(|log_id| place(&log_id));
    NodeSight {
        node,
        life: seen.life,
        at_us,
        term: now.term,
        vote: Ballot {
            leader: leader(&now.vote.leader_id),
            elected: now.vote.committed,
        },
        leads: now.leads,
        acting: seen.acting,
        leader: now.leader,
        last: at(now.last),
        committed: at(now.committed),
        applied: at(now.applied),
        checkpoint: at(now.checkpoint),
        purged: at(now.purged),
        membership: at(now.membership),
        voters: now
            .voters
            .iter()
            .map(|voters| voters.iter().copied().collect())
            .collect(),
        learners: now.learners.iter().copied().collect(),
    }
}

/// The leader that a quorum elected, as the node knows.
fn elected(now: &Observation) -> Option<Leader> {
    (now.vote.committed && now.leader.is_some()).then(|| leader(&now.vote.leader_id))
}

fn place(log_id: &LogId) -> Place {
    Place {
        leader: leader(&log_id.leader_id),
        index: log_id.index,
    }
}

fn leader(id: &LeaderId) -> Leader {
    Leader {
        term: id.term,
        node: id.node_id,
    }
}

fn hash(entry: &Entry) -> u64 {
    short_hash(&codec::encode_entry(entry))
}
