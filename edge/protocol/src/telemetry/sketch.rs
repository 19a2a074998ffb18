//! Durations as counts by size: a fixed-layout, log-linear histogram, as HdrHistogram has it
//! (<http://hdrhistogram.org>). Each power of two is cut into [`STEPS`] equal parts, so what a
//! percentile gives is off by at most one half of a part: [`ERROR_MAX`].
//!
//! ```text
//! µs       0 … 63   64 … 127        128 … 255       …   up to VALUE_MAX
//! bucket   0 … 63   64 … 95         96 … 127        …   1 055
//! width    1        2               4
//! ```
//!
//! All sketches have the same buckets, so merging adds counts: in any order, in any grouping, with
//! the same result. Everything is whole numbers, so every machine gives the same bytes. Whose
//! durations these are is left to others.

use serde::{Deserialize, Serialize};

/// Parts of a power of two. 32 keep the error at 1/64 and a sketch of usual traffic, which spans
/// a few powers of two, at one or two hundred bytes.
const STEPS: u64 = 1 << STEP_BITS;

const STEP_BITS: u32 = 5;

/// By how much, relatively, a percentile may be off: half a part of the smallest value in it.
pub const ERROR_MAX: f64 = 1.0 / 64.0;

/// The longest duration that is told apart, in microseconds: 38 hours, beyond every deadline that
/// may be set. Longer ones count as this.
pub const VALUE_MAX: u64 = (1 << 37) - 1;

/// How many buckets there are.
const BUCKETS: usize = bucket(VALUE_MAX) + 1;

/// Counts of durations, in microseconds.
///
/// Only the buckets between the smallest and the largest duration are held, so equal counts are
/// equal values. Counts stop at their largest value instead of starting again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    /// The bucket of the first count.
    first: u16,
    /// Of the buckets from there on. Neither the first nor the last is 0.
    counts: Vec<u32>,
    /// The sum of all durations.
    sum: u64,
    /// The longest one.
    max: u64,
}

/// The bucket of a duration that is not above [`VALUE_MAX`].
const fn bucket(value: u64) -> usize {
    if value < 2 * STEPS {
        return value as usize;
    }
    let shift = value.ilog2() - STEP_BITS;
    (shift as u64 * STEPS + (value >> shift)) as usize
}

/// The durations of a bucket: the first, and the first beyond.
const fn bounds(bucket: usize) -> (u64, u64) {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return (bucket, bucket + 1);
    }
    let shift = bucket / STEPS - 1;
    let start = (STEPS + bucket % STEPS) << shift;
    (start, start + (1 << shift))
}

/// What stands for a bucket's durations: the one in the middle.
const fn middle(bucket: usize) -> u64 {
    let (start, end) = bounds(bucket);
    start + (end - start) / 2
}

impl Sketch {
    /// Adds a duration, in microseconds.
    pub fn record(&mut self, micros: u64) {
        let value = micros.min(VALUE_MAX);
        let count = self.count_mut(bucket(value));
        *count = count.saturating_add(1);
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        let (Some(first), Some(last)) = (other.buckets().next(), other.buckets().next_back())
        else {
            return;
        };
        self.count_mut(first.0);
        self.count_mut(last.0);
        let offset = usize::from(other.first - self.first);
        for (count, more) in self.counts[offset..].iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// Forgets everything, and keeps the room.
    pub fn clear(&mut self) {
        self.first = 0;
        self.counts.clear();
        self.sum = 0;
        self.max = 0;
    }

    /// How many durations were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The sum of all durations, in microseconds.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The longest duration, in microseconds.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The duration that so many thousandths of all do not exceed (the nearest-rank percentile),
    /// in microseconds, off by at most [`ERROR_MAX`]. Nothing where there is none.
    #[must_use]
    pub fn quantile(&self, permille: u16) -> Option<u64> {
        let all = self.count();
        let rank = (u128::from(all) * u128::from(permille.min(1000)))
            .div_ceil(1000)
            .max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets() {
            seen += u128::from(count);
            if seen >= rank {
                return Some(middle(bucket).min(self.max));
            }
        }
        None
    }

    /// How many durations are below a limit, as far as buckets tell: one that the limit cuts is
    /// counted by its middle.
    #[must_use]
    pub fn count_below(&self, limit: u64) -> u64 {
        self.buckets()
            .take_while(|(bucket, _)| middle(*bucket) < limit)
            .map(|(_, count)| u64::from(count))
            .sum()
    }

    /// Whether this is what [`Self::record`] and [`Self::merge`] make: for what came over a wire.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let ends = (self.counts.first(), self.counts.last());
        usize::from(self.first) + self.counts.len() <= BUCKETS
            && self.max <= VALUE_MAX
            && match ends {
                (Some(first), Some(last)) => *first > 0 && *last > 0,
                _ => *self == Self::default(),
            }
    }

    fn buckets(&self) -> impl DoubleEndedIterator<Item = (usize, u32)> {
        let first = usize::from(self.first);
        self.counts
            .iter()
            .enumerate()
            .map(move |(place, count)| (first + place, *count))
    }

    /// A bucket's count. Whoever asks for one at an end leaves more than 0 there.
    fn count_mut(&mut self, bucket: usize) -> &mut u32 {
        if self.counts.is_empty() {
            self.first = narrow(bucket);
        }
        let first = usize::from(self.first);
        if bucket < first {
            self.counts
                .splice(0..0, std::iter::repeat_n(0, first - bucket));
            self.first = narrow(bucket);
        }
        let place = bucket - usize::from(self.first);
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        &mut self.counts[place]
    }
}

/// There are fewer buckets than a `u16` counts.
fn narrow(bucket: usize) -> u16 {
    u16::try_from(bucket).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(values: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        for value in values {
            sketch.record(*value);
        }
        sketch
    }

    fn merged(some: &Sketch, others: &Sketch) -> Sketch {
        let mut merged = some.clone();
        merged.merge(others);
        merged
    }

    /// Durations of every size, not only of the largest.
    fn values() -> impl Strategy<Value = Vec<u64>> {
        let value = (0_u32..40, any::<u64>()).prop_map(|(bits, value)| value % (1 << bits));
        prop::collection::vec(value, 0..60)
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut next = 0;
        for place in 0..BUCKETS {
            let (start, end) = bounds(place);
            assert_eq!(start, next, "bucket {place}");
            assert_eq!((bucket(start), bucket(end - 1)), (place, place));
            next = end;
        }
        assert_eq!((next, BUCKETS), (VALUE_MAX + 1, 1056));
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).collect();
        let sketch = sketch(&hundred);
        for (permille, expect) in [(0, 1), (10, 1), (500, 50), (630, 63), (1000, 100)] {
            assert_eq!(sketch.quantile(permille), Some(expect), "{permille}");
        }
        assert_eq!(Sketch::default().quantile(500), None);
        assert_eq!(
            (sketch.count(), sketch.sum(), sketch.max()),
            (100, 5050, 100)
        );
        assert_eq!((sketch.count_below(64), sketch.count_below(1)), (63, 0));
    }

    #[test]
    fn a_duration_beyond_all_counts_as_the_longest() {
        let sketch = sketch(&[u64::MAX]);
        assert_eq!((sketch.max(), sketch.count()), (VALUE_MAX, 1));
        assert!(sketch.is_well_formed());
    }

    #[test]
    fn what_nobody_recorded_is_not_well_formed() {
        let good = sketch(&[3, 900]);
        let [mut zero, mut far, mut empty, mut long] = std::array::from_fn(|_| good.clone());
        zero.counts.push(0);
        far.first = 1055;
        empty.counts.clear();
        long.max = VALUE_MAX + 1;
        for bad in [zero, far, empty, long] {
            assert!(!bad.is_well_formed(), "{bad:?}");
        }
        assert!(good.is_well_formed() && Sketch::default().is_well_formed());
    }

    #[test]
    fn a_sketch_keeps_its_bytes() {
        let bytes = postcard::to_stdvec(&sketch(&[5, 7, 7, 100])).unwrap();
        let mut expect = vec![5, 78, 1, 0, 2];
        expect.extend([0; 74]);
        expect.extend([1, 119, 100]);
        assert_eq!(bytes, expect);
    }

    proptest! {
        #[test]
        fn merging_is_commutative_and_associative_and_counts_everything(
            a in values(), b in values(), c in values(),
        ) {
            let (one, two, three) = (sketch(&a), sketch(&b), sketch(&c));
            let together = merged(&merged(&one, &two), &three);
            prop_assert_eq!(&merged(&one, &two), &merged(&two, &one));
            prop_assert_eq!(&together, &merged(&one, &merged(&two, &three)));
            prop_assert_eq!(&together, &sketch(&[a, b, c].concat()));
            prop_assert!(together.is_well_formed());
        }

        #[test]
        fn percentiles_are_within_the_error(values in values(), permille in 0_u16..=1000) {
            prop_assume!(!values.is_empty());
            let given = sketch(&values).quantile(permille).unwrap() as f64;
            let mut sorted: Vec<u64> = values.iter().map(|value| *value.min(&VALUE_MAX)).collect();
            sorted.sort_unstable();
            let rank = (sorted.len() * usize::from(permille)).div_ceil(1000).max(1);
            let exact = sorted[rank - 1] as f64;
            prop_assert!((given - exact).abs() <= exact * ERROR_MAX, "{} for {}", given, exact);
        }

        #[test]
        fn bytes_read_back(values in values()) {
            let sketch = sketch(&values);
            let bytes = postcard::to_stdvec(&sketch).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Sketch>(&bytes).unwrap(), sketch);
        }

        #[test]
        fn a_cleared_sketch_is_a_new_one(values in values()) {
            let mut sketch = sketch(&values);
            sketch.clear();
            prop_assert_eq!(sketch, Sketch::default());
        }
    }
}
