//! Smooth weighted round robin, the algorithm of nginx: of a sum of weights `n`, any `n`
//! consecutive choices hold each entry exactly as often as its weight says, spread as evenly as
//! that allows. Pure; who shares a balancer with whom is the caller's matter.

/// Entries with weights, and where the rotation stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmoothWeighted {
    entries: Vec<Entry>,
    total: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    weight: i64,
    /// How much the entry is behind its share. The sum over all entries is always zero.
    owed: i64,
}

impl SmoothWeighted {
    /// A rotation at its beginning. Entries of weight 0 are never chosen.
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let entries: Vec<_> = weights
            .into_iter()
            .map(|weight| Entry {
                weight: i64::from(weight),
                owed: 0,
            })
            .collect();
        let total = entries.iter().map(|entry| entry.weight).sum();
        Self { entries, total }
    }

    /// A rotation that goes on where another stood, although entries came, went or changed their
    /// weight: without that, a configuration that is published often would always begin anew
    /// and never reach the entries with small weights.
    pub fn continuing(
        weights: impl IntoIterator<Item = u32>,
        previous: &Self,
        was: impl Fn(usize) -> Option<usize>,
    ) -> Self {
        let mut next = Self::new(weights);
        if next.total == 0 || previous.total == 0 {
            return next;
        }
        for (place, entry) in next
            .entries
            .iter_mut()
            .enumerate()
            .filter(|(_, entry)| entry.weight > 0)
        {
            let before = was(place).and_then(|place| previous.entries.get(place));
            entry.owed = before.map_or(0, |before| before.owed * next.total / previous.total);
        }
        next.settle();
        next
    }

    /// The next choice; none where all weights are 0.
    #[allow(
        clippy::should_implement_trait,
        reason = "it is endless, and not for `for`"
    )]
    pub fn next(&mut self) -> Option<usize> {
        let mut best: Option<(usize, i64)> = None;
        for (place, entry) in self
            .entries
            .iter_mut()
            .enumerate()
            .filter(|(_, entry)| entry.weight > 0)
        {
            entry.owed += entry.weight;
            if best.is_none_or(|(_, owed)| entry.owed > owed) {
                best = Some((place, entry.owed));
            }
        }
        let (place, _) = best?;
        self.entries[place].owed -= self.total;
        Some(place)
    }

    /// The sum of the weights.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.unsigned_abs()
    }

    /// Makes the sum of what is owed zero again, each entry by its share.
    fn settle(&mut self) {
        let surplus: i64 = self.entries.iter().map(|entry| entry.owed).sum();
        let mut left = surplus;
        for entry in &mut self.entries {
            let share = surplus * entry.weight / self.total;
            entry.owed -= share;
            left -= share;
        }
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.weight > 0) {
            entry.owed -= left;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(balance: &mut SmoothWeighted, count: usize) -> Vec<usize> {
        (0..count).map(|_| balance.next().unwrap()).collect()
    }

    fn counts(choices: &[usize], entries: usize) -> Vec<usize> {
        (0..entries)
            .map(|entry| choices.iter().filter(|choice| **choice == entry).count())
            .collect()
    }

    #[test]
    fn the_order_is_that_of_nginx() {
        assert_eq!(
            take(&mut SmoothWeighted::new([5, 1, 1]), 7),
            [0, 0, 1, 0, 2, 0, 0]
        );
        assert_eq!(
            take(&mut SmoothWeighted::new([1, 1, 1]), 6),
            [0, 1, 2, 0, 1, 2]
        );
        assert_eq!(
            take(&mut SmoothWeighted::new([3, 1]), 8),
            [0, 0, 1, 0, 0, 0, 1, 0]
        );
    }

    #[test]
    fn five_percent_is_one_in_twenty_and_never_twice_in_a_row() {
        let choices = take(&mut SmoothWeighted::new([95, 5]), 10_000);
        assert_eq!(counts(&choices, 2), [9_500, 500]);
        let gaps: Vec<_> = choices
            .iter()
            .enumerate()
            .filter(|(_, choice)| **choice == 1)
            .map(|(at, _)| at)
            .collect();
        assert!(gaps.windows(2).all(|pair| pair[1] - pair[0] == 20));
    }

    #[test]
    fn weight_zero_takes_nothing_and_only_zeroes_choose_nothing() {
        assert_eq!(
            counts(&take(&mut SmoothWeighted::new([0, 2, 0, 1]), 300), 4),
            [0, 200, 0, 100]
        );
        assert_eq!(SmoothWeighted::new([0, 0]).next(), None);
        assert_eq!(SmoothWeighted::new([]).next(), None);
    }

    #[test]
    fn a_rotation_that_is_replaced_at_every_step_still_reaches_the_small_weights() {
        let mut balance = SmoothWeighted::new([999, 1]);
        let mut choices = Vec::new();
        for _ in 0..2_000 {
            choices.push(balance.next().unwrap());
            balance = SmoothWeighted::continuing([999, 1], &balance, Some);
        }
        assert_eq!(counts(&choices, 2), [1_998, 2]);
    }

    #[test]
    fn entries_that_come_and_go_leave_the_ratio_of_the_rest() {
        let mut balance = SmoothWeighted::new([2, 1]);
        take(&mut balance, 2);
        // The first goes, a new one comes, the second stays in another place.
        let mut balance =
            SmoothWeighted::continuing([3, 1], &balance, |place| (place == 1).then_some(1));
        assert_eq!(counts(&take(&mut balance, 4_000), 2), [3_000, 1_000]);
    }

    proptest! {
        #[test]
        fn every_window_of_the_total_is_exact(weights in proptest::collection::vec(0_u32..20, 1..8), windows in 1_usize..4) {
            let total: u32 = weights.iter().sum();
            let mut balance = SmoothWeighted::new(weights.clone());
            prop_assume!(total > 0);
            let start = balance.clone();
            for _ in 0..windows {
                let choices = take(&mut balance, total as usize);
                let expected: Vec<_> = weights.iter().map(|weight| *weight as usize).collect();
                prop_assert_eq!(counts(&choices, weights.len()), expected);
                prop_assert_eq!(&balance, &start);
            }
        }

        #[test]
        fn no_prefix_strays_far_from_its_share(weights in proptest::collection::vec(1_u32..50, 2..6)) {
            let total: u32 = weights.iter().sum();
            let mut balance = SmoothWeighted::new(weights.clone());
            let mut counts = vec![0_u32; weights.len()];
            for length in 1..=total {
                counts[balance.next().unwrap()] += 1;
                for (entry, count) in counts.iter().enumerate() {
                    let share = f64::from(length) * f64::from(weights[entry]) / f64::from(total);
                    let strays = (f64::from(*count) - share).abs();
                    prop_assert!(strays < weights.len() as f64, "{} of {:?} at {}", entry, weights, length);
                }
            }
        }

        #[test]
        fn continuing_owes_nothing_in_sum(
            before in proptest::collection::vec(0_u32..1000, 1..8),
            after in proptest::collection::vec(0_u32..1000, 1..8),
            steps in 0_usize..500,
        ) {
            let mut balance = SmoothWeighted::new(before);
            for _ in 0..steps {
                balance.next();
            }
            let next = SmoothWeighted::continuing(after, &balance, Some);
            prop_assert_eq!(next.entries.iter().map(|entry| entry.owed).sum::<i64>(), 0);
            prop_assert!(next.entries.iter().all(|entry| entry.weight > 0 || entry.owed == 0));
        }
    }
}
