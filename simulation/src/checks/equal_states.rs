//! The same applied revision means the same state, byte for byte, on every node.

use std::collections::BTreeMap;

use crate::history::History;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let finals = history
        .finals
        .iter()
        .map(|(node, state)| (*node, state.applied, state.hash));
    let mut first: BTreeMap<u64, (usize, [u8; 32])> = BTreeMap::new();
    let mut found = Vec::new();
    for (node, revision, hash) in history.hashes.iter().copied().chain(finals) {
        let (other, expected) = *first.entry(revision).or_insert((node, hash));
        if hash != expected {
            found.push(format!(
                "nodes {other} and {node} differ at revision {revision}"
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::History;

    #[test]
    fn different_hashes_at_one_revision_are_found() {
        let mut history = History {
            hashes: vec![(1, 5, [1; 32]), (2, 5, [1; 32]), (2, 6, [2; 32])],
            ..History::default()
        };
        assert!(check(&history).is_empty());
        history.hashes.push((3, 6, [3; 32]));
        assert_eq!(check(&history).len(), 1);
    }
}
