//! When edges began anew on disks that had rotted: what such an edge finds may be older than what it
//! had, or nothing. What rotted stays so, and may be read for the first time much later.

use crate::history::{Effect, History, Host};

/// When an edge's process began after its disk had rotted, in order.
pub(super) fn began(history: &History, edge: usize) -> Vec<u64> {
    let host = Host::Edge(edge);
    let rots = history.faults.iter();
    let rotted = rots
        .filter(|fault| matches!(&fault.effect, Effect::Rot(rotten) if *rotten == host))
        .map(|fault| fault.began_us)
        .min();
    let Some(rotted) = rotted else {
        return Vec::new();
    };
    let lives = history.lives.iter();
    let mut began: Vec<u64> = lives
        .filter(|life| life.host == host && life.began_us >= rotted)
        .map(|life| life.began_us)
        .collect();
    began.sort_unstable();
    began
}

/// Whether one of these was after the first time and not after the second.
pub(super) fn any_between(began: &[u64], after_us: u64, until_us: u64) -> bool {
    began
        .iter()
        .any(|began| (after_us + 1..=until_us).contains(began))
}

#[cfg(test)]
mod tests {
    use super::{any_between, began};
    use crate::checks::made_up::{fault, life};
    use crate::history::{Effect, History, Host};

    #[test]
    fn what_began_after_the_rot_is_told() {
        let edge = |began| life(Host::Edge(1), began, None);
        let history = History {
            faults: vec![fault(Effect::Rot(Host::Edge(1)), 20, 30)],
            lives: vec![edge(0), edge(30), life(Host::Edge(2), 40, None), edge(50)],
            ..History::default()
        };
        assert_eq!(began(&history, 1), [30, 50]);
        assert_eq!(began(&history, 2), [0; 0]);
        assert!(any_between(&[30, 50], 29, 30));
        assert!(!any_between(&[30, 50], 30, 49));
    }
}
