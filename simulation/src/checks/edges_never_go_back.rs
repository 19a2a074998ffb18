//! The (epoch, version) that an edge holds never decreases, restarts included, and one pair never
//! stands for two roots. An edge that begins anew on a disk that rotted may fall back to what is left.

use std::collections::BTreeMap;

use super::rotten;
use crate::history::History;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut newest: BTreeMap<usize, ((u64, u64), u64)> = BTreeMap::new();
    let mut roots: BTreeMap<(u64, u64), [u8; 32]> = BTreeMap::new();
    let mut found = Vec::new();
    for sight in &history.sights {
        let held = (sight.epoch, sight.version);
        let (before, at_us) = newest
            .insert(sight.edge, (held, sight.at_us))
            .unwrap_or((held, 0));
        let fell_back = || {
            let began = rotten::began(history, sight.edge);
            rotten::any_between(&began, at_us, sight.at_us)
        };
        if held < before && !fell_back() {
            found.push(format!(
                "edge {} went from {before:?} back to {held:?}",
                sight.edge
            ));
        }
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
    use crate::checks::made_up::{fault, life};
    use crate::history::{EdgeSight, Effect, History, Host};

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

    #[test]
    fn one_falls_back_only_when_it_begins_anew_on_a_rotten_disk() {
        let judge = |began, rotted| {
            let at = |at_us, version| EdgeSight {
                at_us,
                ..sight(version, 1)
            };
            let rot = Effect::Rot(Host::Edge(rotted));
            let mut history = History {
                sights: vec![at(10, 2), at(40, 1)],
                faults: vec![fault(rot, 20, 30)],
                lives: vec![life(Host::Edge(1), began, None)],
                ..History::default()
            };
            history.sights[1].root = [2; 32];
            check(&history).len()
        };
        assert_eq!(judge(30, 1), 0);
        assert_eq!(judge(0, 1), 1);
        assert_eq!(judge(30, 2), 1);
    }
}
