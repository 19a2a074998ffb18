//! How fast a client goes while nothing else is waited for. A client that gives or takes a little
//! before each deadline would hold what it occupies for ever; this looks at how much it was in all.
//!
//! Only time in which the client was what was waited for is counted: an origin that has nothing to
//! say, or takes nothing, makes no client slow. Who asks is told at the next opportunity; there is no
//! timer here.

use std::time::Duration;

use tokio::time::Instant;

/// What is asked of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// For how long a client is waited for before it is judged.
    pub period: Duration,
    /// How much must have come in each second of that; 0 asks for nothing.
    pub bytes_per_s: u64,
}

/// A client's pace, over one period after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// Since when the client is waited for, if it is.
    since: Option<Instant>,
    /// For how long it was, in this period.
    waited: Duration,
    /// What has come in this period.
    bytes: u64,
}

impl Pace {
    /// The client is what is waited for.
    pub fn waits(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// So much has come, or gone; the client is not waited for any more.
    pub fn moved(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        if let Some(since) = self.since.take() {
            self.waited += now().saturating_duration_since(since);
        }
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// Whether less has come in a whole period than should have; the next period begins with that.
    pub fn is_too_slow(&mut self, rate: Rate) -> bool {
        if self.waited < rate.period {
            return false;
        }
        let due = u128::from(rate.bytes_per_s) * self.waited.as_millis() / 1000;
        let is_slow = u128::from(self.bytes) < due;
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        is_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        period: Duration::from_secs(60),
        bytes_per_s: 1024,
    };

    /// Whether pieces of `bytes`, each after a wait of so many seconds, are too slow before `count`
    /// of them have come.
    fn is_slow(rate: Rate, bytes: usize, wait_s: u64, count: usize) -> bool {
        let mut now = Instant::now();
        let mut pace = Pace::default();
        (0..count).any(|_| {
            pace.waits(now);
            now += Duration::from_secs(wait_s);
            pace.moved(bytes, || now);
            pace.is_too_slow(rate)
        })
    }

    #[tokio::test]
    async fn a_period_has_its_bytes_or_the_client_is_slow() {
        for (bytes, wait_s, count, expect) in [
            (1, 59, 1, false),
            (1, 59, 2, true),
            (1, 1, 59, false),
            (1, 1, 60, true),
            (1024, 1, 1000, false),
            (1023, 1, 60, true),
            (59 * 1024, 59, 100, false),
            (60 * 1024, 60, 100, false),
            (1, 0, 10_000, false),
        ] {
            assert_eq!(
                is_slow(RATE, bytes, wait_s, count),
                expect,
                "{bytes} {wait_s}"
            );
        }
        let any = Rate {
            bytes_per_s: 0,
            ..RATE
        };
        assert!(!is_slow(any, 0, 59, 100));
    }

    #[tokio::test]
    async fn time_in_which_nobody_waits_for_the_client_does_not_count() {
        let mut now = Instant::now();
        let mut pace = Pace::default();
        for _ in 0..100 {
            now += Duration::from_secs(1000);
            pace.moved(1, || now);
            assert!(!pace.is_too_slow(RATE));
        }
    }

    #[tokio::test]
    async fn who_was_fast_once_is_not_slow_for_ever_after() {
        let mut now = Instant::now();
        let mut pace = Pace::default();
        pace.moved(1 << 40, || now);
        let slow = (0..4).position(|_| {
            pace.waits(now);
            now += Duration::from_secs(60);
            pace.moved(1, || now);
            pace.is_too_slow(RATE)
        });
        assert_eq!(slow, Some(1));
    }
}
