//! URLs whose answers are not kept, so that nobody waits for another's answer to them in vain.
//!
//! A fixed table without locks: a URL has one place, and whoever comes to a place last has it.
//! A mark that was lost to another URL, or is read while it is written, costs one more look at an
//! answer.
//!
//! ```text
//!   marked                    + PROBE_S                      + PROBE_S + FORGET_S
//!     |--- straight to origin ---|-- one looks, and marks anew --|--- unknown again
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

/// How many places there are: half a MiB, and more URLs than an edge mostly sees in a minute.
const PLACES: usize = 1 << 16;

/// How long nobody looks whether a URL's answers can be kept now.
const PROBE_S: u64 = 10;

/// How long after that it is still known not to be waited for.
const FORGET_S: u64 = 60;

/// The part of a place that is a time, in seconds.
const TIME_MASK: u64 = 0xFFFF_FFFF;

/// What is known of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    Nothing,
    /// Its answers are not kept.
    NotKept,
    /// Its answers were not kept; this one should look again.
    Probe,
}

/// The marks of all threads.
#[derive(Debug)]
pub struct Marks(Box<[AtomicU64]>);

impl Default for Marks {
    fn default() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Marks {
    /// What is known of a URL by its hash.
    #[must_use]
    pub fn check(&self, hash: u64, now_ms: u64) -> Known {
        let place = self.place(hash);
        let found = place.load(Ordering::Relaxed);
        if found & !TIME_MASK != hash & !TIME_MASK || found & TIME_MASK == 0 {
            return Known::Nothing;
        }
        let since_s = (now_ms / 1000).saturating_sub(found & TIME_MASK);
        if since_s < PROBE_S {
            return Known::NotKept;
        }
        if since_s >= PROBE_S + FORGET_S {
            return Known::Nothing;
        }
        let anew = place.compare_exchange(
            found,
            value(hash, now_ms),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if anew.is_ok() {
            Known::Probe
        } else {
            Known::NotKept
        }
    }

    /// A URL's answer was not kept.
    pub fn mark(&self, hash: u64, now_ms: u64) {
        self.place(hash)
            .store(value(hash, now_ms), Ordering::Relaxed);
    }

    /// A URL's answer was kept.
    pub fn clear(&self, hash: u64) {
        let place = self.place(hash);
        let found = place.load(Ordering::Relaxed);
        if found & !TIME_MASK == hash & !TIME_MASK {
            let _ = place.compare_exchange(found, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn place(&self, hash: u64) -> &AtomicU64 {
        let place = usize::try_from(hash).unwrap_or_default();
        &self.0[place % PLACES]
    }
}

/// The hash's upper half and the time. The lower half has chosen the place.
fn value(hash: u64, now_ms: u64) -> u64 {
    (hash & !TIME_MASK) | ((now_ms / 1000) & TIME_MASK).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: u64 = 0xABCD_EF01_2345_6789;
    const NOW_MS: u64 = 1_700_000_000_000;

    #[test]
    fn one_looks_again_after_a_while_and_in_the_end_it_is_forgotten() {
        let marks = Marks::default();
        let at = |seconds: u64| marks.check(HASH, NOW_MS + seconds * 1000);
        assert_eq!(at(0), Known::Nothing);
        marks.mark(HASH, NOW_MS);
        assert_eq!((at(0), at(9)), (Known::NotKept, Known::NotKept));
        assert_eq!((at(10), at(10)), (Known::Probe, Known::NotKept));
        assert_eq!((at(19), at(20)), (Known::NotKept, Known::Probe));
        assert_eq!((at(90), at(0)), (Known::Nothing, Known::NotKept));
        marks.clear(HASH);
        assert_eq!(at(0), Known::Nothing);
    }

    #[test]
    fn urls_are_told_apart_and_the_last_has_the_place() {
        let marks = Marks::default();
        let other = HASH ^ (1 << 63);
        marks.mark(HASH, NOW_MS);
        assert_eq!(marks.check(other, NOW_MS), Known::Nothing);
        marks.clear(other);
        assert_eq!(marks.check(HASH, NOW_MS), Known::NotKept);
        marks.mark(other, NOW_MS);
        assert_eq!(marks.check(HASH, NOW_MS), Known::Nothing);
        assert_eq!(marks.check(other, NOW_MS), Known::NotKept);
    }
}
