//! Who had a vote when. While voters change there may be several sets of them, each of which has to agree.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{History, Place};

/// The voters, over time.
pub(super) struct Memberships<'a> {
    /// What each node held, whenever that changed, in the order of time.
    held: Vec<Held<'a>>,
}

/// A membership that a node held, from a moment on.
#[derive(PartialEq)]
struct Held<'a> {
    at_us: u64,
    node: usize,
    place: Option<Place>,
    voters: &'a [Vec<u64>],
    is_committed: bool,
}

impl<'a> Memberships<'a> {
    pub(super) fn new(history: &'a History) -> Self {
        let mut held: Vec<Held<'a>> = Vec::new();
        let mut last: BTreeMap<usize, usize> = BTreeMap::new();
        for sight in history.nodes.iter().filter(|it| !it.voters.is_empty()) {
            let now = Held {
                at_us: sight.at_us,
                node: sight.node,
                place: sight.membership,
                voters: &sight.voters,
                is_committed: sight.membership <= sight.committed,
            };
            let before = last.get(&sight.node).and_then(|place| held.get(*place));
            let same = |before: &Held<'_>| {
                before.place == now.place && before.is_committed == now.is_committed
            };
            if !before.is_some_and(same) {
                last.insert(sight.node, held.len());
                held.push(now);
            }
        }
        Self { held }
    }

    /// The sets of voters that had to agree at some time between the two: those of the newest membership that was committed
    /// before, and of all newer ones that some node held meanwhile, committed or not.
    pub(super) fn voters(&self, from_us: u64, until_us: u64) -> Vec<BTreeSet<usize>> {
        let started = self.held.partition_point(|held| held.at_us <= from_us);
        let ended = self.held.partition_point(|held| held.at_us <= until_us);
        let mut in_force: BTreeMap<usize, &Held<'a>> = BTreeMap::new();
        let mut committed: Option<&Held<'a>> = None;
        for held in &self.held[..started] {
            in_force.insert(held.node, held);
            if held.is_committed && committed.is_none_or(|known| held.place > known.place) {
                committed = Some(held);
            }
        }
        // Who holds a newer one may be alone in that: the committed one is asked until then.
        let before = in_force.into_values().chain(committed);
        let committed = committed.and_then(|held| held.place);
        let meanwhile = self.held[started..ended].iter();
        let sets: BTreeSet<BTreeSet<usize>> = before
            .chain(meanwhile)
            .filter(|held| held.place >= committed)
            .flat_map(|held| held.voters)
            .map(|voters| {
                voters
                    .iter()
                    .filter_map(|voter| usize::try_from(*voter).ok())
            })
            .map(Iterator::collect)
            .collect();
        sets.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::made_up::{place, sight};
    use crate::history::NodeSight;

    fn holds(node: usize, at_us: u64, index: u64, committed: u64, voters: &[&[u64]]) -> NodeSight {
        NodeSight {
            membership: Some(place(1, 1, index)),
            committed: Some(place(1, 1, committed)),
            voters: voters.iter().map(|voters| voters.to_vec()).collect(),
            ..sight(node, at_us, 1, 1)
        }
    }

    #[track_caller]
    fn in_force(sights: Vec<NodeSight>, (from, until): (u64, u64), expected: &[&[usize]]) {
        let history = History {
            nodes: sights,
            ..History::default()
        };
        let found = Memberships::new(&history).voters(from, until);
        let expected: Vec<BTreeSet<usize>> = expected
            .iter()
            .map(|set| set.iter().copied().collect())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_change_is_in_force_from_when_it_is_held_and_ends_the_one_before_once_it_is_committed() {
        let sights = || {
            vec![
                holds(1, 10, 1, 1, &[&[1, 2, 3]]),
                holds(2, 10, 1, 1, &[&[1, 2, 3]]),
                holds(1, 20, 5, 4, &[&[1, 2, 3], &[1, 2]]),
                holds(1, 30, 6, 6, &[&[1, 2]]),
            ]
        };
        in_force(sights(), (12, 15), &[&[1, 2, 3]]);
        in_force(sights(), (12, 25), &[&[1, 2], &[1, 2, 3]]);
        in_force(sights(), (25, 40), &[&[1, 2], &[1, 2, 3]]);
        in_force(sights(), (31, 40), &[&[1, 2]]);
    }

    #[test]
    fn what_a_node_held_that_lost_it_again_is_in_force_no_more() {
        let sights = || {
            vec![
                holds(1, 10, 1, 1, &[&[1, 2, 3]]),
                holds(1, 20, 5, 4, &[&[1, 2, 3, 4]]),
                holds(1, 30, 1, 6, &[&[1, 2, 3]]),
            ]
        };
        in_force(sights(), (21, 25), &[&[1, 2, 3], &[1, 2, 3, 4]]);
        in_force(sights(), (31, 35), &[&[1, 2, 3]]);
    }
}
