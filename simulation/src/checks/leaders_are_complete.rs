//! Whoever begins to lead has every entry that was committed before, in its log or in what it
//! applied. By log matching it is enough to look for the newest of them.

use std::collections::BTreeMap;

use super::logs::Logs;
use crate::history::{History, Leader, Place};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut logs = Logs::new(history);
    let mut newest: Option<Place> = None;
    let mut led: BTreeMap<usize, Leader> = BTreeMap::new();
    let mut found = Vec::new();
    while let Some(seen) = logs.next_moment() {
        let before = newest;
        for sight in seen {
            newest = newest.max(sight.committed);
            let leader = sight.vote.leader;
            if !sight.leads || led.insert(sight.node, leader) == Some(leader) {
                continue;
            }
            let lacks = |place: &Place| place.leader < leader && !logs.has(leader.node, *place);
            if let Some(place) = before.filter(lacks) {
                found.push(format!("{sight:?} begins to lead and lacks {place:?}"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{entry, place, sight};
    use crate::history::{EntrySight, History, NodeSight};

    fn leads(node: usize, at_us: u64, term: u64) -> NodeSight {
        let mut sight = sight(node, at_us, term, node as u64);
        sight.leads = true;
        sight.vote.elected = true;
        sight
    }

    fn history(of_the_second: EntrySight, purged: Option<u64>) -> History {
        let mut first = leads(1, 10, 1);
        first.committed = Some(place(1, 1, 5));
        first.last = first.committed;
        let mut second = leads(2, 20, 2);
        second.last = Some(place(2, 2, 6));
        second.purged = purged.map(|index| place(1, 1, index));
        History {
            entries: vec![entry(1, 9, place(1, 1, 5), 55), of_the_second],
            nodes: vec![first, second],
            ..History::default()
        }
    }

    #[test]
    fn a_leader_with_what_was_committed_is_fine() {
        let has = entry(2, 19, place(1, 1, 5), 55);
        assert!(check(&history(has, None)).is_empty());
    }

    #[test]
    fn a_leader_that_applied_and_purged_it_is_fine() {
        let newer = entry(2, 19, place(2, 2, 6), 66);
        assert!(check(&history(newer, Some(5))).is_empty());
    }

    #[test]
    fn a_leader_without_it_or_with_another_entry_is_found() {
        let lacks = entry(2, 19, place(1, 1, 4), 44);
        assert_eq!(check(&history(lacks, None)).len(), 1);
        let another = entry(2, 19, place(2, 2, 5), 56);
        assert_eq!(check(&history(another, None)).len(), 1);
    }
}
