//! The wall clock and entropy of a test: moved by hand, and counting.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::time::Timestamp;
use platform::{Clock, Entropy};

/// Stands still until it is moved.
pub(super) struct HandClock(AtomicU64);

impl HandClock {
    pub(super) fn new(unix_ms: u64) -> Self {
        Self(AtomicU64::new(unix_ms))
    }

    pub(super) fn advance_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Counts.
pub(super) struct Counting(AtomicU64);

impl Default for Counting {
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let next = self
                .0
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .to_le_bytes();
            chunk.copy_from_slice(&next[..chunk.len()]);
        }
    }
}
