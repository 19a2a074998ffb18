//! A sliding window over one minute: how much of a limit was used, and when it comes back. Pure: the
//! time is passed in, as milliseconds since the node started. Who keeps a window, and for whom, is
//! decided elsewhere.
//!
//! The minute is cut into buckets of half a second, and a bucket counts until all of it is more than
//! a minute old. So nothing is ever forgotten early: in no span of 60 s is more taken than the limit.
//! The price is that a request may count for up to half a second longer than a minute, which costs a
//! client that always asks for everything less than one percent. The scheme with two buckets, which
//! weighs the minute before by its overlap, is smaller but assumes that requests were spread evenly:
//! two bursts around a minute's end pass with half as much again. A log of all times is exact, and
//! has no bound for large limits.

/// How long a request counts, at least.
pub(crate) const SPAN_MS: u64 = 60_000;

/// How long a bucket is.
pub(crate) const BUCKET_MS: u64 = 500;

/// The bucket that is being filled, and those that still count.
const BUCKETS: usize = (SPAN_MS / BUCKET_MS) as usize + 1;

/// How long a request counts, at most.
pub(crate) const SPAN_MS_MAX: u64 = SPAN_MS + BUCKET_MS;

/// What was taken in the last minute.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// By bucket number, modulo their number. Some 500 bytes.
    counts: Box<[u32; BUCKETS]>,
    /// The number of the bucket that is being filled.
    newest: u64,
    /// The sum of all buckets.
    total: u64,
}

/// What a window gave, and how it stands afterwards. Durations, because nodes' clocks differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// How much of what was wanted.
    pub(crate) granted: u32,
    /// How much is left.
    pub(crate) remaining: u32,
    /// In how long the full limit is back, if nothing more is taken.
    pub(crate) reset_in_ms: u64,
    /// In how long one more can be had; 0 while there is something left.
    pub(crate) retry_in_ms: u64,
}

impl Window {
    /// An empty window.
    pub(crate) fn new() -> Self {
        Self {
            counts: Box::new([0; BUCKETS]),
            newest: 0,
            total: 0,
        }
    }

    /// Takes as much of `wanted` as `limit` leaves.
    pub(crate) fn take(&mut self, now_ms: u64, limit: u32, wanted: u32) -> Taken {
        self.advance(now_ms);
        let granted = wanted.min(self.left(limit));
        self.put(self.newest, granted);
        Taken {
            granted,
            remaining: self.left(limit),
            reset_in_ms: self.reset_at_ms().saturating_sub(now_ms),
            retry_in_ms: self.retry_at_ms(limit).saturating_sub(now_ms),
        }
    }

    /// Counts what somebody else granted so long ago, even beyond the limit.
    pub(crate) fn note(&mut self, now_ms: u64, age_ms: u64, count: u32) {
        self.advance(now_ms);
        let bucket = (now_ms.saturating_sub(age_ms) / BUCKET_MS).min(self.newest);
        if self.newest - bucket < BUCKETS as u64 {
            self.put(bucket, count);
        }
    }

    /// Forgets what no longer counts. Time that goes back counts as standing still.
    fn advance(&mut self, now_ms: u64) {
        let bucket = now_ms / BUCKET_MS;
        let steps = bucket.saturating_sub(self.newest).min(BUCKETS as u64);
        for step in 1..=steps {
            let count = &mut self.counts[slot(self.newest + step)];
            self.total -= u64::from(*count);
            *count = 0;
        }
        self.newest = self.newest.max(bucket);
    }

    fn put(&mut self, bucket: u64, count: u32) {
        let counted = &mut self.counts[slot(bucket)];
        let before = *counted;
        *counted = before.saturating_add(count);
        self.total += u64::from(*counted - before);
    }

    fn left(&self, limit: u32) -> u32 {
        u32::try_from(u64::from(limit).saturating_sub(self.total)).unwrap_or(u32::MAX)
    }

    /// When the last bucket that counts something is forgotten; 0 if none does.
    fn reset_at_ms(&self) -> u64 {
        self.used()
            .last()
            .map_or(0, |(bucket, _)| gone_at_ms(bucket))
    }

    /// When the count falls below `limit`; 0 if it is.
    fn retry_at_ms(&self, limit: u32) -> u64 {
        let mut total = self.total;
        let mut at_ms = 0;
        for (bucket, count) in self.used() {
            if total < u64::from(limit) {
                break;
            }
            total -= u64::from(count);
            at_ms = gone_at_ms(bucket);
        }
        at_ms
    }

    /// The buckets that count something, the oldest first.
    fn used(&self) -> impl DoubleEndedIterator<Item = (u64, u32)> + '_ {
        let oldest = (self.newest + 1).saturating_sub(BUCKETS as u64);
        (oldest..=self.newest)
            .map(|bucket| (bucket, self.counts[slot(bucket)]))
            .filter(|(_, count)| *count > 0)
    }
}

/// Where a bucket is kept.
fn slot(bucket: u64) -> usize {
    usize::try_from(bucket % BUCKETS as u64).unwrap_or(0)
}

/// When all of a bucket is a minute old.
fn gone_at_ms(bucket: u64) -> u64 {
    (bucket + BUCKETS as u64) * BUCKET_MS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_is_let_through_up_to_the_limit_and_once_more_a_minute_later() {
        let mut window = Window::new();
        let start = 1_700;
        for used in 1..=60 {
            let taken = window.take(start, 60, 1);
            assert_eq!((taken.granted, taken.remaining), (1, 60 - used));
        }
        let refused = window.take(start, 60, 1);
        assert_eq!((refused.granted, refused.remaining), (0, 0));
        assert_eq!(refused.retry_in_ms, 60_300);
        assert_eq!(refused.reset_in_ms, refused.retry_in_ms);
        assert_eq!(window.take(start + 60_299, 60, 1).granted, 0);
        assert_eq!(window.take(start + 60_300, 60, 100).granted, 60);
    }

    /// Contract: R-70.
    #[test]
    fn two_bursts_around_the_end_of_a_minute_share_one_limit() {
        let mut window = Window::new();
        assert_eq!(window.take(59_900, 60, 60).granted, 60);
        assert_eq!(window.take(60_100, 60, 60).granted, 0);
        assert_eq!(window.take(90_000, 60, 60).granted, 0);
    }

    #[test]
    fn what_others_granted_counts_even_beyond_the_limit_and_a_clock_may_stand_still() {
        let mut window = Window::new();
        window.note(1_000, 0, 70);
        assert_eq!(window.take(500, 60, 1).granted, 0);
        // Ten too many have to go before one more can be had: all of that bucket goes at once.
        assert_eq!(window.take(1_000, 60, 1).retry_in_ms, 60_500);
        window.note(1_000, 0, u32::MAX);
        window.note(1_000, 0, u32::MAX);
        assert_eq!(window.take(1_000 + SPAN_MS_MAX, 60, 1).granted, 1);
    }

    #[test]
    fn what_others_granted_some_time_ago_counts_no_longer_than_where_it_was_granted() {
        let mut window = Window::new();
        window.note(100_000, 20_000, 60);
        let refused = window.take(100_000, 60, 1);
        assert_eq!((refused.granted, refused.retry_in_ms), (0, 40_500));
        assert_eq!(window.take(140_500, 60, 60).granted, 60);
        // Older than anything that counts, and older than the node.
        window.note(300_000, SPAN_MS_MAX, 60);
        assert_eq!(window.take(300_000, 60, 0).remaining, 60);
        let mut young = Window::new();
        young.note(1_000, 5_000, 60);
        assert_eq!(young.take(1_000, 60, 1).granted, 0);
    }

    #[test]
    fn a_window_that_was_left_alone_is_whole_again() {
        let mut window = Window::new();
        window.note(0, 0, 60);
        let taken = window.take(10_000_000, 60, 0);
        assert_eq!(
            (taken.remaining, taken.reset_in_ms, taken.retry_in_ms),
            (60, 0, 0)
        );
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_log_of_all_times(
            limit in 1_u32..80,
            steps in prop::collection::vec((0_u64..9_000, 0_u32..12), 1..200),
        ) {
            let mut window = Window::new();
            let mut log: Vec<(u64, u32)> = Vec::new();
            let mut now = 12_345;
            for (pause, wanted) in steps {
                now += pause;
                let taken = window.take(now, limit, wanted);
                let since = |span: u64| -> u32 {
                    log.iter().filter(|(at, _)| now - at < span).map(|(_, count)| count).sum()
                };
                // Never more than the limit in 60 s, and all that an exact log of 60.5 s would give.
                prop_assert!(since(SPAN_MS) + taken.granted <= limit);
                prop_assert!(taken.granted >= wanted.min(limit - since(SPAN_MS_MAX).min(limit)));
                log.push((now, taken.granted));
                // What it says about the future is so.
                let mut later = window.clone();
                if taken.retry_in_ms > 0 {
                    prop_assert_eq!(later.take(now + taken.retry_in_ms - 1, limit, 1).granted, 0);
                }
                prop_assert_eq!(later.take(now + taken.retry_in_ms, limit, 1).granted, 1);
                let whole = window.clone().take(now + taken.reset_in_ms, limit, 0).remaining;
                prop_assert_eq!(whole, limit);
            }
        }
    }
}
