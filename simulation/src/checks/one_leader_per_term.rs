//! A term and a node name a leader: nobody leads under another one's name, nobody leads that no
//! quorum elected, and of two that led in one term the later one has the greater name, so that the
//! earlier one can commit nothing any more.

use std::collections::BTreeMap;

use crate::history::{History, NodeSight};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    let mut committing: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for sight in history.nodes.iter().filter(|sight| sight.leads) {
        let leader = sight.vote.leader;
        if leader.node != sight.node as u64 || !sight.vote.elected {
            found.push(format!("{sight:?} leads by a vote that makes it no leader"));
        }
        if let Some(index) = committed_by_itself(sight) {
            let newest = committing
                .entry(leader.term)
                .or_insert((leader.node, index));
            if leader.node < newest.0 && index > newest.1 {
                found.push(format!(
                    "{sight:?} commits in a term in which node {} committed up to {} by then",
                    newest.0, newest.1
                ));
            }
            if leader.node >= newest.0 {
                *newest = (leader.node, index);
            }
        }
    }
    found
}

/// What a leader committed of its own entries.
fn committed_by_itself(sight: &NodeSight) -> Option<u64> {
    let committed = sight.committed?;
    (committed.leader == sight.vote.leader).then_some(committed.index)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{place, sight};
    use crate::history::{History, NodeSight};

    #[track_caller]
    fn found(nodes: Vec<NodeSight>, violations: usize) {
        let history = History {
            nodes,
            ..History::default()
        };
        assert_eq!(check(&history).len(), violations);
    }

    fn leads(node: usize, at_us: u64, term: u64, committed: u64) -> NodeSight {
        let mut sight = sight(node, at_us, term, node as u64);
        sight.leads = true;
        sight.vote.elected = true;
        sight.committed = Some(place(term, node as u64, committed));
        sight
    }

    #[test]
    fn leaders_of_different_terms_are_fine() {
        found(
            vec![leads(1, 10, 1, 5), leads(2, 20, 2, 9), leads(1, 21, 1, 5)],
            0,
        );
    }

    #[test]
    fn a_leader_that_nobody_elected_is_found() {
        let mut unelected = leads(1, 10, 1, 5);
        unelected.vote.elected = false;
        found(vec![unelected], 1);
        let mut under_another_name = leads(1, 10, 1, 5);
        under_another_name.vote.leader.node = 2;
        found(vec![under_another_name], 1);
    }

    #[test]
    fn two_that_commit_in_one_term_are_found() {
        found(vec![leads(2, 10, 3, 5), leads(1, 20, 3, 8)], 1);
        found(vec![leads(1, 10, 3, 5), leads(2, 20, 3, 8)], 0);
    }
}
