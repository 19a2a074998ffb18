//! When a name is to be asked for again. Pure: time is passed in.

use std::time::Duration;

use tokio::time::Instant;

/// Asked for no more often, however short an answer holds.
const TTL_MIN: Duration = Duration::from_secs(5);

/// Asked for at least so often, so that a mistake of an hour ago is not believed for a day.
const TTL_MAX: Duration = Duration::from_secs(300);

/// Where no answer comes: the first wait, and the longest.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What is known of one name's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// When it is to be asked for; nothing while an answer is awaited.
    due: Option<Instant>,
    retry: Duration,
}

impl Resolution {
    /// A name that is to be asked for at once.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            due: Some(now),
            retry: RETRY_MIN,
        }
    }

    /// When it is to be asked for; nothing while an answer is awaited.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether an answer is awaited.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.due.is_none()
    }

    /// Whether it is to be asked for now, which is done then.
    pub fn poll(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    /// An answer came that holds for `ttl`.
    pub fn answered(&mut self, now: Instant, ttl: Duration) {
        self.retry = RETRY_MIN;
        self.due = Some(now + ttl.clamp(TTL_MIN, TTL_MAX));
    }

    /// No answer came. Says whether it is the first time in a row.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.due = Some(now + self.retry);
        let first = self.retry == RETRY_MIN;
        self.retry = (self.retry * 2).min(RETRY_MAX);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_hold_within_bounds_and_failures_are_repeated_ever_later() {
        let now = Instant::now();
        let mut name = Resolution::new(now);
        assert!(name.poll(now) && name.is_asked() && !name.poll(now));
        for (ttl, wait) in [(0, 5), (60, 60), (86_400, 300)] {
            name.answered(now, Duration::from_secs(ttl));
            assert_eq!(name.due(), Some(now + Duration::from_secs(wait)), "{ttl}");
        }
        assert!(!name.poll(now + Duration::from_secs(299)));
        assert!(name.poll(now + Duration::from_secs(300)));
        let mut waits = Vec::new();
        for number in 0..7 {
            assert_eq!(name.failed(now), number == 0);
            waits.push((name.due().unwrap() - now).as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        name.answered(now, Duration::from_secs(60));
        assert!(name.failed(now));
    }
}
