//! How often a client does what, drawn from the seed: each client has inclinations of its own, and
//! leaves some things out altogether.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Something that a client does now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Create,
    Rename,
    Prioritise,
    Archive,
    Pause,
    Batch,
    Reorder,
    ChangeRoute,
    Read,
    List,
    ReadRoute,
    ReadSnapshots,
    ReadDiff,
    ReadJournal,
    Publish,
    RollBack,
    Race,
    Purge,
    Bad,
    Endpoint,
    Key,
    KeyInBoth,
}

/// How often each is done on average, and whether a client may leave it out.
const USUAL: [(Step, u32, bool); 22] = [
    (Step::Create, 22, false),
    (Step::Rename, 12, false),
    (Step::Prioritise, 5, true),
    (Step::Archive, 7, true),
    (Step::Pause, 4, true),
    (Step::Batch, 4, true),
    (Step::Reorder, 3, true),
    (Step::ChangeRoute, 2, true),
    (Step::Read, 20, false),
    (Step::List, 6, true),
    (Step::ReadRoute, 3, true),
    (Step::ReadSnapshots, 3, true),
    (Step::ReadDiff, 2, true),
    (Step::ReadJournal, 3, true),
    (Step::Publish, 7, false),
    (Step::RollBack, 3, true),
    (Step::Race, 2, true),
    (Step::Purge, 4, true),
    (Step::Bad, 6, true),
    (Step::Endpoint, 2, true),
    (Step::Key, 2, true),
    (Step::KeyInBoth, 2, true),
];

/// A client's inclinations.
#[derive(Clone, Debug)]
pub(super) struct Mix {
    steps: Vec<(Step, u32)>,
    total: u32,
    /// Of 100 changes, how many are asked for at several nodes at once.
    pub(super) at_once: u32,
    /// Of 100 reads, how many take what the node has applied.
    pub(super) stale: u32,
    /// Whether it asks for more than its limit instead.
    pub(super) hurries: bool,
    /// The longest pause between two steps, in milliseconds.
    pub(super) pause_ms_max: u64,
}

impl Mix {
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let steps: Vec<(Step, u32)> = USUAL
            .into_iter()
            .filter_map(|(step, usual, optional)| {
                let left_out = optional && rng.random_range(0..4) == 0;
                let weight = rng.random_range(usual..=3 * usual);
                (!left_out).then_some((step, weight))
            })
            .collect();
        Self {
            total: steps.iter().map(|(_, weight)| weight).sum(),
            steps,
            at_once: rng.random_range(0..30),
            stale: rng.random_range(0..20),
            hurries: rng.random_range(0..8) == 0,
            pause_ms_max: rng.random_range(60..=200),
        }
    }

    pub(super) fn next(&self, rng: &mut ChaCha8Rng) -> Step {
        let mut left = rng.random_range(0..self.total.max(1));
        for (step, weight) in &self.steps {
            if left < *weight {
                return *step;
            }
            left -= weight;
        }
        Step::Read
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn clients_differ_and_together_leave_nothing_out() {
        let mut done = BTreeSet::new();
        let mut mixes = BTreeSet::new();
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mix = Mix::draw(&mut rng);
            mixes.insert(format!("{mix:?}"));
            done.extend((0..200).map(|_| mix.next(&mut rng)));
        }
        assert_eq!(mixes.len(), 20);
        assert_eq!(done.len(), USUAL.len());
    }
}
