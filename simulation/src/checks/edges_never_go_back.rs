//! The (epoch, version) that an edge holds never decreases, restarts included, and one pair never
//! stands for two roots.

use std::collections::BTreeMap;

use crate::history::History;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut newest: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    let mut roots: BTreeMap<(u64, u64), [u8; 32]> = BTreeMap::new();
    let mut found = Vec::new();
    for sight in &history.sights {
        let held = (sight.epoch, sight.version);
        let before = newest.entry(sight.edge).or_insert(held);
        if held < *before {
            found.push(format!(
                "edge {} went from {before:?} back to {held:?}",
                sight.edge
            ));
        }
        *before = held;
        if *roots.entry(held).or_insert(sight.root) != sight.root {
            found.push(format!(
                "edge {} holds another content as {held:?}",
                sight.edge
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::{EdgeSight, History};

    fn sight(version: u64, root: u8) -> EdgeSight {
        EdgeSight {
            edge: 1,
            at_us: 0,
            epoch: 1,
            version,
            root: [root; 32],
        }
    }

    fn found(sights: Vec<EdgeSight>) -> usize {
        check(&History {
            sights,
            ..History::default()
        })
        .len()
    }

    #[test]
    fn going_back_and_equivocation_are_found() {
        assert_eq!(found(vec![sight(1, 1), sight(2, 2), sight(2, 2)]), 0);
        assert_eq!(found(vec![sight(2, 2), sight(1, 1)]), 1);
        assert_eq!(found(vec![sight(2, 2), sight(2, 3)]), 1);
    }
}
