//! Seeded clock and entropy: what a simulated process gets instead of the operating system.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::time::Timestamp;
use parking_lot::Mutex;
use platform::{Clock, Entropy};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::options::ClockOptions;

/// The wall-clock time at which every run starts: 2026-01-01T00:00:00Z.
pub const START_UNIX_MS: u64 = 1_767_225_600_000;

/// A host's wall clock: turmoil's virtual time, which goes too fast or too slow and is off. Clones
/// are the same clock, so that it can be set from outside while a process reads it.
///
/// Only the wall clock is wrong. All hosts have turmoil's one monotonic time, which their timers go
/// by; that timers of two machines run at different rates is not simulated.
#[derive(Clone, Debug, Default)]
pub struct SimClock {
    drift_ppm: i64,
    offset_ms: Arc<AtomicI64>,
}

impl SimClock {
    /// A clock that is wrong in this way.
    #[must_use]
    pub fn new(options: ClockOptions) -> Self {
        Self {
            drift_ppm: options.drift_ppm,
            offset_ms: Arc::new(AtomicI64::new(options.skew_ms)),
        }
    }

    /// Sets it forward by `by_ms`, or back where that is negative.
    pub fn jump(&self, by_ms: i64) {
        self.offset_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        let elapsed_ms = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        let drifted = elapsed_ms.saturating_mul(self.drift_ppm) / 1_000_000;
        let shown = elapsed_ms + drifted + self.offset_ms.load(Ordering::Relaxed);
        Timestamp(START_UNIX_MS.saturating_add_signed(shown))
    }
}

/// Entropy from a seed.
#[derive(Debug)]
pub struct SimEntropy {
    rng: Mutex<ChaCha8Rng>,
}

impl SimEntropy {
    /// A stream of its own for each (seed, name).
    #[must_use]
    pub fn new(seed: u64, name: &str) -> Self {
        let stream = domain::tree::Hash::of(format!("{seed}/{name}").as_bytes());
        Self {
            rng: Mutex::new(ChaCha8Rng::from_seed(stream.0)),
        }
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        self.rng.lock().fill_bytes(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_jumps_and_drifts() {
        let clock = SimClock::new(ClockOptions {
            skew_ms: -500,
            drift_ppm: 50_000,
        });
        assert_eq!(clock.now(), Timestamp(START_UNIX_MS - 500));
        clock.clone().jump(3_600_000);
        assert_eq!(clock.now(), Timestamp(START_UNIX_MS + 3_599_500));
        let mut sim = turmoil::Builder::new().build();
        sim.client("host", async move {
            let before = clock.now().0;
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
            assert_eq!(clock.now().0 - before, 10_500);
            Ok(())
        });
        sim.run().unwrap();
    }
}
