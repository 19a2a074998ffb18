//! Changes of who belongs to the cluster and of what it signs with, and when an operator makes them: drawn apart from the other faults, between which
//! they fall. Some are begun at the same moment as another one.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fault::{Fault, Whom};
use super::{CALM, Planned};

/// How many more nodes than at first there can be in a run with changes: each joins once, and three voters can become seven.
pub(super) const SPARES: usize = 4;

/// A change of the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new node joins as a learner, and votes after so long.
    Join(Duration),
    /// A new node takes a voter's place.
    Replace(Whom),
    /// A voter leaves.
    Remove(Whom),
    /// Another key signs what edges follow; the one before is retired after so long, if at all.
    Rotate(Option<Duration>),
}

/// Draws a run's changes: the first soon, each later one 5 to 25 s after the one before.
pub(super) fn draw(seed: u64, duration: Duration, voters: usize) -> Vec<Planned> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0c4a_9e5f);
    let mut spares = SPARES;
    let mut changes = Vec::new();
    let mut at = CALM + Duration::from_millis(rng.random_range(500..=6_000));
    while at < CALM + duration {
        let at_once = if rng.random_bool(0.3) { 2 } else { 1 };
        for _ in 0..at_once {
            let change = draw_one(&mut spares, voters, &mut rng);
            changes.push(Planned {
                at,
                lasts: Duration::from_secs(1),
                fault: Fault::Change(change),
            });
        }
        at += Duration::from_millis(rng.random_range(5_000..=25_000));
    }
    changes
}

fn draw_one(spares: &mut usize, voters: usize, rng: &mut ChaCha8Rng) -> Change {
    let whom = if rng.random_bool(0.4) {
        Whom::Leader
    } else {
        Whom::Node(rng.random_range(0..voters))
    };
    let learns = Duration::from_millis(rng.random_range(0..=4_000));
    let retires = Duration::from_millis(rng.random_range(0..=6_000));
    match rng.random_range(0..10) {
        0..3 if *spares > 0 => {
            *spares -= 1;
            Change::Join(learns)
        }
        3..6 if *spares > 0 => {
            *spares -= 1;
            Change::Replace(whom)
        }
        6..8 => Change::Rotate(rng.random_bool(0.7).then_some(retires)),
        _ => Change::Remove(whom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_all_kinds_are_drawn_some_of_them_at_once_and_no_more_nodes_than_there_are() {
        let (mut joins, mut replacements, mut removals, mut of_leaders, mut at_once) =
            (0, 0, 0, 0, 0);
        let (mut rotations, mut retirements) = (0, 0);
        for seed in 0..200 {
            let changes = draw(seed, Duration::from_secs(60), 3);
            assert!(!changes.is_empty());
            let mut new = 0;
            for planned in &changes {
                assert!(planned.at >= CALM);
                let Fault::Change(change) = planned.fault else {
                    panic!("{planned:?} is no change");
                };
                match change {
                    Change::Join(_) => joins += 1,
                    Change::Replace(_) => replacements += 1,
                    Change::Remove(_) => removals += 1,
                    Change::Rotate(retires) => {
                        rotations += 1;
                        retirements += usize::from(retires.is_some());
                    }
                }
                new += usize::from(matches!(change, Change::Join(_) | Change::Replace(_)));
                let leader = matches!(
                    change,
                    Change::Replace(Whom::Leader) | Change::Remove(Whom::Leader)
                );
                of_leaders += usize::from(leader);
            }
            assert!(new <= SPARES);
            at_once += changes
                .windows(2)
                .filter(|two| two[0].at == two[1].at)
                .count();
        }
        let counts = [
            joins,
            replacements,
            removals,
            of_leaders,
            at_once,
            rotations,
            retirements,
        ];
        assert!(counts.iter().all(|count| *count >= 60), "{counts:?}");
    }
}
