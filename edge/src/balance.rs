//! Smooth weighted round robin, the algorithm of nginx: of a sum of weights `n`, any `n`
//! consecutive choices hold each entry exactly as often as its weight says, spread as evenly as
//! that allows. Pure; who shares a balancer with whom is the caller's matter.

pub mod rendezvous;

/// A weight counts this much, so that a share of the weight 1 is a whole number still.
const SCALE: i64 = 1000;

/// A share that is the whole of a weight.
pub const SHARE_WHOLE: u32 = 1000;

/// Entries with weights, and where the rotation stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmoothWeighted {
    entries: Vec<Entry>,
    total: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// In [`SCALE`]ths.
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
                weight: i64::from(weight) * SCALE,
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

    /// The next choice where entries have, for now, only a share of their weight, up to
    /// [`SHARE_WHOLE`], or none of it; none where nothing is left. Ratios among those that have a
    /// share follow their weights times their shares.
    pub fn next_by(&mut self, share: impl Fn(usize) -> u32) -> Option<usize> {
        let mut best: Option<(usize, i64)> = None;
        let mut total = 0;
        for (place, entry) in self.entries.iter_mut().enumerate() {
            let weight = entry.weight / i64::from(SHARE_WHOLE) * i64::from(share(place));
            if weight == 0 {
                continue;
            }
            total += weight;
            entry.owed += weight;
            if best.is_none_or(|(_, owed)| entry.owed > owed) {
                best = Some((place, entry.owed));
            }
        }
        let (place, _) = best?;
        self.entries[place].owed -= total;
        Some(place)
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

    #[test]
    fn what_has_no_share_is_left_out_and_comes_back_to_exact_ratios() {
        let mut balance = SmoothWeighted::new([3, 1, 2]);
        take(&mut balance, 4);
        let without: Vec<_> = (0..4_000)
            .map(|_| {
                balance
                    .next_by(|place| if place == 2 { 0 } else { SHARE_WHOLE })
                    .unwrap()
            })
            .collect();
        assert_eq!(counts(&without, 3), [3_000, 1_000, 0]);
        let slow: Vec<_> = (0..3_100)
            .map(|_| {
                balance
                    .next_by(|place| if place == 1 { 100 } else { 1000 })
                    .unwrap()
            })
            .collect();
        let [first, second, third] = counts(&slow, 3)[..] else {
            panic!("three entries")
        };
        assert!(first.abs_diff(1_823) < 4 && second.abs_diff(61) < 4 && third.abs_diff(1_216) < 4);
        assert_eq!(counts(&take(&mut balance, 6_000), 3), [3_000, 1_000, 2_000]);
        assert_eq!(balance.next_by(|_| 0), None);
    }

    proptest! {
        /// The oracle is a rotation of the shares' weights alone.
        #[test]
        fn shares_are_kept_from_any_state(
            entries in proptest::collection::vec((0_u32..20, 0_u32..=3), 1..6),
            before in 0_usize..50,
        ) {
            let mut balance = SmoothWeighted::new(entries.iter().map(|(weight, _)| *weight));
            for _ in 0..before {
                balance.next();
            }
            let weights: Vec<_> = entries.iter().map(|(weight, share)| weight * share * 100).collect();
            let total: u32 = weights.iter().sum();
            prop_assume!(total > 0);
            let rounds = 100;
            let length = usize::try_from(total / 100).unwrap() * rounds;
            let choices: Vec<_> = (0..length)
                .map(|_| balance.next_by(|place| entries[place].1 * 100).unwrap())
                .collect();
            for (place, count) in counts(&choices, entries.len()).into_iter().enumerate() {
                let expected = usize::try_from(weights[place] / 100).unwrap() * rounds;
                // What was owed before is paid once.
                let slack = 2 * entries.len() + 2 * 100;
                prop_assert!(count.abs_diff(expected) <= slack, "{count} instead of {expected}");
                prop_assert!(weights[place] > 0 || count == 0);
            }
        }

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
