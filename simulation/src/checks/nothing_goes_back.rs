//! A node's vote never goes back, restarts included: it is on its disk before anybody hears of it.
//! The term that it is in, what it knows to be committed and what it applied never go back while
//! its process lives; a process that starts anew may begin further back, since it applies again
//! what its disk lost of the state, but never before its last checkpoint. What a node may do whose
//! whole disk is lost is said elsewhere.

use std::collections::BTreeMap;

use crate::history::{Effect, History, Host, NodeSight};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut newest: BTreeMap<usize, &NodeSight> = BTreeMap::new();
    let mut found = Vec::new();
    for sight in &history.nodes {
        let before = newest
            .insert(sight.node, sight)
            .filter(|before| !lost_its_disk(history, before, sight));
        if let Some(before) = before {
            found.extend(
                went_back(before, sight)
                    .map(|what| format!("{what} went back from {before:?} to {sight:?}")),
            );
        }
    }
    found
}

/// Whether a node's disk was lost between two looks at it.
fn lost_its_disk(history: &History, before: &NodeSight, now: &NodeSight) -> bool {
    before.life != now.life
        && history.faults.iter().any(|fault| {
            fault.effect == Effect::DiskLost(Host::Node(now.node))
                && (before.at_us..=now.at_us).contains(&fault.began_us)
        })
}

fn went_back<'a>(before: &'a NodeSight, now: &'a NodeSight) -> impl Iterator<Item = &'static str> {
    let same_life = before.life == now.life;
    [
        // A node is in a new term while it still writes its vote for it.
        ("the term", same_life && now.term < before.term),
        ("the vote", now.vote < before.vote),
        ("the checkpoint", now.checkpoint < before.checkpoint),
        (
            "what is committed",
            same_life && now.committed < before.committed,
        ),
        ("what is applied", same_life && now.applied < before.applied),
        (
            "what is applied, behind the checkpoint",
            now.applied < before.checkpoint,
        ),
    ]
    .into_iter()
    .filter_map(|(what, back)| back.then_some(what))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{fault, place, sight};
    use crate::history::{Effect, History, Host, NodeSight};

    #[track_caller]
    fn found(change: impl FnOnce(&mut NodeSight), violations: usize) {
        let mut before = sight(1, 10, 2, 1);
        before.committed = Some(place(1, 1, 8));
        before.applied = Some(place(1, 1, 7));
        before.checkpoint = Some(place(1, 1, 5));
        let mut after = before.clone();
        change(&mut after);
        let history = History {
            nodes: vec![before, after],
            ..History::default()
        };
        assert_eq!(check(&history).len(), violations);
    }

    #[test]
    fn moving_on_is_fine() {
        found(|_| (), 0);
        found(|sight| sight.term = 3, 0);
        found(|sight| sight.vote.leader.term = 3, 0);
        found(|sight| sight.committed = Some(place(2, 3, 9)), 0);
    }

    #[test]
    fn whatever_goes_back_is_found() {
        found(|sight| sight.term = 1, 1);
        found(|sight| sight.vote.leader.node = 0, 1);
        found(|sight| sight.committed = Some(place(1, 1, 7)), 1);
        found(|sight| sight.applied = Some(place(1, 1, 6)), 1);
        found(|sight| sight.checkpoint = None, 1);
    }

    #[test]
    fn a_disk_that_is_lost_takes_all_with_it_once() {
        let before = sight(1, 10, 2, 1);
        let mut empty = sight(1, 100, 0, 0);
        empty.life = 2;
        let mut history = History {
            nodes: vec![before.clone(), empty.clone(), before, empty],
            faults: vec![fault(Effect::DiskLost(Host::Node(1)), 50, 60)],
            ..History::default()
        };
        (history.nodes[2].at_us, history.nodes[3].at_us) = (200, 300);
        assert_eq!(check(&history).len(), 1);
        history.faults.clear();
        assert_eq!(check(&history).len(), 2);
    }

    #[test]
    fn a_new_life_may_apply_again_but_not_forget_its_vote_or_checkpoint() {
        found(
            |sight| {
                sight.life = 2;
                sight.applied = Some(place(1, 1, 5));
                sight.committed = None;
            },
            0,
        );
        found(
            |sight| {
                sight.life = 2;
                sight.term = 1;
            },
            0,
        );
        found(
            |sight| {
                sight.life = 2;
                sight.applied = Some(place(1, 1, 4));
            },
            1,
        );
        found(
            |sight| {
                sight.life = 2;
                sight.vote.leader.term = 1;
            },
            1,
        );
    }
}
