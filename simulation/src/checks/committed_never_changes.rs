//! What was applied at an index on one node, and so was committed, is what every node ever applies
//! there.

use std::collections::BTreeMap;

use crate::history::{AppliedSight, History};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut known: BTreeMap<u64, &AppliedSight> = BTreeMap::new();
    let mut found = Vec::new();
    for sight in &history.applied {
        let first = *known.entry(sight.place.index).or_insert(sight);
        if (first.place, first.hash) != (sight.place, sight.hash) {
            found.push(format!("{sight:?} is not what was committed: {first:?}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{applied, place};
    use crate::history::History;

    #[test]
    fn another_entry_at_an_applied_index_is_found() {
        let mut history = History {
            applied: vec![
                applied(1, 10, place(1, 1, 5), 55),
                applied(2, 20, place(1, 1, 5), 55),
            ],
            ..History::default()
        };
        assert!(check(&history).is_empty());
        history.applied.push(applied(3, 30, place(2, 3, 5), 55));
        history.applied.push(applied(3, 30, place(1, 1, 5), 56));
        assert_eq!(check(&history).len(), 2);
    }
}
