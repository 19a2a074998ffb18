//! Two logs that hold an entry of one leader at one index hold the same entry there and the same
//! entries before it. By induction it is enough that the entry itself and whose entry stands right
//! before it are the same wherever they are seen.

use std::collections::BTreeMap;

use crate::history::{History, Leader, Place};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut known: BTreeMap<Place, (usize, u64)> = BTreeMap::new();
    let mut before: BTreeMap<Place, (usize, Leader)> = BTreeMap::new();
    let mut found = Vec::new();
    for entry in &history.entries {
        let (node, hash) = *known.entry(entry.place).or_insert((entry.node, entry.hash));
        if hash != entry.hash {
            found.push(format!(
                "nodes {node} and {} hold different entries at {:?}",
                entry.node, entry.place
            ));
        }
        let Some(follows) = entry.before else {
            continue;
        };
        let (node, other) = *before.entry(entry.place).or_insert((entry.node, follows));
        if other != follows {
            found.push(format!(
                "before {:?} node {node} holds an entry of {other:?}, node {} one of {follows:?}",
                entry.place, entry.node
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{entry, leader, place};
    use crate::history::{EntrySight, History};

    #[track_caller]
    fn found(entries: Vec<EntrySight>, violations: usize) {
        let history = History {
            entries,
            ..History::default()
        };
        assert_eq!(check(&history).len(), violations);
    }

    #[test]
    fn the_same_log_on_two_nodes_is_fine_and_so_is_one_that_was_replaced() {
        found(
            vec![
                entry(1, 10, place(1, 1, 5), 55),
                entry(2, 11, place(1, 1, 5), 55),
                entry(1, 12, place(1, 1, 6), 61),
                entry(2, 20, place(2, 2, 6), 62),
                entry(1, 21, place(2, 2, 6), 62),
            ],
            0,
        );
    }

    #[test]
    fn two_entries_of_one_name_are_found() {
        found(
            vec![
                entry(1, 10, place(1, 1, 5), 55),
                entry(2, 11, place(1, 1, 5), 56),
            ],
            1,
        );
    }

    #[test]
    fn another_entry_before_the_same_one_is_found() {
        let mut one = entry(1, 10, place(3, 1, 7), 70);
        let mut other = entry(2, 10, place(3, 1, 7), 70);
        one.before = Some(leader(1, 1));
        other.before = Some(leader(2, 2));
        found(vec![one, other], 1);
    }
}
