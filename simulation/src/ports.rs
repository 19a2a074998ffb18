//! Seeded clock and entropy: what a simulated process gets instead of the operating system.

use domain::time::Timestamp;
use parking_lot::Mutex;
use platform::{Clock, Entropy};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The wall-clock time at which every run starts: 2026-01-01T00:00:00Z.
pub const START_UNIX_MS: u64 = 1_767_225_600_000;

/// A host's wall clock: turmoil's virtual time plus an offset.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimClock {
    skew_ms: i64,
}

impl SimClock {
    /// A clock that is `skew_ms` ahead (or behind, if negative).
    #[must_use]
    pub fn new(skew_ms: i64) -> Self {
        Self { skew_ms }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Timestamp((START_UNIX_MS + elapsed_ms).saturating_add_signed(self.skew_ms))
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
