//! What a node knows to be committed is on a majority of the voters, of both sets of them while
//! they change.
//!
//! A node's membership is the last one in its log, committed or not, and may be younger than the
//! entry. A leader commits by the membership that it has at the moment: that in force at the
//! entry, or a younger one.

use std::collections::{BTreeMap, BTreeSet};

use super::logs::Logs;
use crate::history::{History, Host, NodeSight, Place};

/// What nodes hold is looked at so often, with the coarsest time. Of one that dies in between, in the middle of a write, its
/// last entries are not known.
const LOOKS_APART_US: u64 = 9_000;

/// Memberships by the entries that they are of.
type Memberships<'a> = BTreeMap<Option<Place>, &'a [Vec<u64>]>;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let memberships: Memberships<'_> = history
        .nodes
        .iter()
        .map(|sight| (sight.membership, sight.voters.as_slice()))
        .collect();
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
        let died = died_just_now(history, sight.at_us);
        found.extend(missing((&logs, &died), &memberships, sight));
    }
    found
}

/// Nodes whose processes died since what they hold was last looked at.
fn died_just_now(history: &History, at_us: u64) -> BTreeSet<u64> {
    let lives = history.lives.iter().filter(|life| {
        life.ended_us
            .is_some_and(|ended| (at_us.saturating_sub(LOOKS_APART_US)..=at_us).contains(&ended))
    });
    lives
        .filter_map(|life| match life.host {
            Host::Node(node) => Some(node as u64),
            _ => None,
        })
        .collect()
}

fn missing(
    (logs, died): (&Logs<'_>, &BTreeSet<u64>),
    memberships: &Memberships<'_>,
    sight: &NodeSight,
) -> Option<String> {
    let committed = sight.committed?;
    let holds = |voters: &Vec<u64>| {
        let having = voters
            .iter()
            .filter(|voter| logs.has(**voter, committed) || died.contains(voter));
        having.count() > voters.len() / 2
    };
    let candidates = candidates(logs, memberships, sight, committed);
    if candidates.iter().any(|voters| voters.iter().all(holds)) {
        return None;
    }
    Some(format!(
        "{sight:?} knows {committed:?} to be committed, which is not on a majority of {candidates:?}"
    ))
}

/// The memberships in the node's log from that on which was in force at an entry.
fn candidates<'a>(
    logs: &Logs<'_>,
    memberships: &Memberships<'a>,
    sight: &'a NodeSight,
    committed: Place,
) -> Vec<&'a [Vec<u64>]> {
    let mut candidates = vec![sight.voters.as_slice()];
    let older = memberships.range(..sight.membership).rev();
    let held =
        older.filter(|(place, _)| place.is_none_or(|place| logs.has(sight.node as u64, place)));
    let mut from = sight.membership;
    for (place, voters) in held {
        if from.is_none_or(|from| from <= committed) {
            break;
        }
        candidates.push(*voters);
        from = *place;
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{entry, place, sight};
    use crate::history::{History, Place};

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

    #[test]
    fn an_entry_before_a_change_of_voters_is_judged_by_those_before_it() {
        let both: &[&[u64]] = &[&[1, 2, 3], &[1, 2]];
        let mut before = sight(1, 1, 1, 1);
        before.membership = Some(place(1, 1, 1));
        before.last = before.membership;
        let judge = |holders: &[usize], changed: Place| {
            let mut history = history(holders, both);
            history.nodes[0].membership = Some(changed);
            history.nodes[0].last = Some(place(1, 1, 6));
            history.nodes.insert(0, before.clone());
            history.entries.insert(0, entry(1, 1, place(1, 1, 1), 11));
            check(&history).len()
        };
        // The joint membership comes after the entry, or before it.
        assert_eq!(judge(&[1, 3], place(1, 1, 6)), 0);
        assert_eq!(judge(&[1, 3], place(1, 1, 4)), 1);
        assert_eq!(judge(&[1, 2], place(1, 1, 4)), 0);
        assert_eq!(judge(&[1], place(1, 1, 6)), 1);
    }
}
