//! A node whose disk was lost takes no part any more under its number: what it voted and what it had
//! promised to keep went with the disk, so that it neither votes nor holds entries nor leads. Only
//! another node can take its place.

use crate::history::{Effect, History, Host};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let lost = history
        .faults
        .iter()
        .filter_map(|fault| match fault.effect {
            Effect::DiskLost(Host::Node(node)) => Some((node, fault.began_us)),
            _ => None,
        });
    lost.filter_map(|(node, since_us)| {
        let mut since = history
            .nodes
            .iter()
            .filter(|sight| sight.node == node && sight.at_us > since_us);
        let sight = since
            .find(|sight| sight.leads || sight.last.is_some() || sight.vote.leader.term > 0)?;
        Some(format!(
            "{sight:?} takes part, and lost its disk at {since_us} µs"
        ))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{fault, place, sight};
    use crate::history::{Effect, History, Host, Leader, NodeSight};

    #[track_caller]
    fn found(after: NodeSight, violations: usize) {
        let history = History {
            nodes: vec![sight(1, 10, 2, 1), after],
            faults: vec![fault(Effect::DiskLost(Host::Node(1)), 50, 60)],
            ..History::default()
        };
        assert_eq!(check(&history).len(), violations);
    }

    /// A node with an empty disk.
    fn empty(node: usize) -> NodeSight {
        let mut sight = sight(node, 100, 0, 0);
        sight.vote.leader = Leader { term: 0, node: 0 };
        sight.vote.elected = false;
        sight.leader = None;
        sight
    }

    #[test]
    fn a_node_that_waits_with_its_empty_disk_is_fine() {
        found(empty(1), 0);
    }

    #[test]
    fn one_that_votes_or_holds_entries_is_found_and_the_others_may() {
        let mut votes = empty(1);
        votes.vote.leader.term = 3;
        found(votes.clone(), 1);
        votes.node = 2;
        found(votes, 0);
        let mut holds = empty(1);
        holds.last = Some(place(1, 2, 4));
        found(holds, 1);
    }
}
