//! What a node knows to be committed is on a majority of the voters, of both sets of them while
//! they change.

use super::logs::Logs;
use crate::history::{History, NodeSight, Place};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut logs = Logs::new(history);
    let mut newest: Option<Place> = None;
    let mut found = Vec::new();
    while let Some(seen) = logs.next_moment() {
        let Some(sight) = seen
            .into_iter()
            .filter(|sight| sight.committed > newest)
            .max_by_key(|sight| sight.committed)
        else {
            continue;
        };
        newest = sight.committed;
        found.extend(missing(&logs, sight));
    }
    found
}

fn missing(logs: &Logs<'_>, sight: &NodeSight) -> Option<String> {
    let committed = sight.committed?;
    let lacking = sight.voters.iter().find(|voters| {
        let having = voters.iter().filter(|voter| logs.has(**voter, committed));
        having.count() <= voters.len() / 2
    })?;
    Some(format!(
        "{sight:?} knows {committed:?} to be committed, which is not on a majority of {lacking:?}"
    ))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{entry, place, sight};
    use crate::history::History;

    fn history(holders: &[usize], voters: &[&[u64]]) -> History {
        let mut knows = sight(1, 10, 1, 1);
        knows.committed = Some(place(1, 1, 5));
        knows.last = knows.committed;
        knows.voters = voters.iter().map(|voters| voters.to_vec()).collect();
        History {
            entries: holders
                .iter()
                .map(|node| entry(*node, 9, place(1, 1, 5), 55))
                .collect(),
            nodes: vec![knows],
            ..History::default()
        }
    }

    #[test]
    fn a_majority_is_enough_and_less_is_found() {
        assert!(check(&history(&[1, 2], &[&[1, 2, 3]])).is_empty());
        assert_eq!(check(&history(&[1], &[&[1, 2, 3]])).len(), 1);
    }

    #[test]
    fn while_voters_change_it_takes_majorities_of_both() {
        let joint: &[&[u64]] = &[&[1, 2, 3], &[3, 4, 5]];
        assert_eq!(check(&history(&[1, 2], joint)).len(), 1);
        assert!(check(&history(&[1, 2, 4, 5], joint)).is_empty());
    }
}
