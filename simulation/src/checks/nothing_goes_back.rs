//! A node's vote never goes back, restarts included: it is on its disk before anybody hears of it.
//! The term that it is in, what it knows to be committed and what it applied never go back while
//! its process lives; a process that starts anew may begin further back, since it applies again
//! what its disk lost of the state, but never before its last checkpoint.

use std::collections::BTreeMap;

use crate::history::{History, NodeSight};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut newest: BTreeMap<usize, &NodeSight> = BTreeMap::new();
    let mut found = Vec::new();
    for sight in &history.nodes {
        if let Some(before) = newest.insert(sight.node, sight) {
            found.extend(
                went_back(before, sight)
                    .map(|what| format!("{what} went back from {before:?} to {sight:?}")),
            );
        }
    }
    found
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
    use crate::checks::made_up::{place, sight};
    use crate::history::{History, NodeSight};

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
