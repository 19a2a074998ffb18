//! Randomness for identifiers, secrets and jitter.

use domain::id::Seed;
use domain::time::Timestamp;

/// A source of unpredictable bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `buffer`.
    fn fill(&self, buffer: &mut [u8]);

    /// 64 random bits.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// What an identifier made at `now` is made of.
    fn seed(&self, now: Timestamp) -> Seed {
        Seed {
            unix_ms: now.0,
            random: self.next_u64(),
        }
    }
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    /// When the operating system gives no randomness, without which nothing safe can be done.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one adapter that may ask"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system gives randomness");
    }
}
