//! Sparing a target that has come back: its share of requests grows over half a minute, because
//! caches are cold and everybody would otherwise come at once.

use std::time::Duration;

use tokio::time::Instant;

use crate::balance::SHARE_WHOLE;

/// How long it takes until a target has its whole share again.
const RAMP: Duration = Duration::from_secs(30);

/// How often the share grows.
const STEP: Duration = Duration::from_secs(1);

/// The share to begin with, of [`SHARE_WHOLE`]: less would leave a target with few requests none.
const SHARE_MIN: u32 = SHARE_WHOLE / 10;

/// A target's way back to its whole share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowStart {
    since: Instant,
}

impl SlowStart {
    /// It begins.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { since: now }
    }

    /// The target's share of its weight now; nothing once it has all of it.
    #[must_use]
    pub fn share(&self, now: Instant) -> Option<u32> {
        let passed = now.saturating_duration_since(self.since);
        if passed >= RAMP {
            return None;
        }
        let grown = u128::from(SHARE_WHOLE - SHARE_MIN) * passed.as_millis() / RAMP.as_millis();
        Some(SHARE_MIN + u32::try_from(grown).unwrap_or(SHARE_WHOLE))
    }

    /// When it is to be looked at next.
    #[must_use]
    pub fn next(&self, now: Instant) -> Instant {
        (now + STEP).min(self.since + RAMP).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_from_a_tenth_to_the_whole() {
        let begun = Instant::now();
        let start = SlowStart::new(begun);
        for (seconds, share) in [
            (0, Some(100)),
            (10, Some(400)),
            (20, Some(700)),
            (29, Some(970)),
            (30, None),
            (99, None),
        ] {
            let now = begun + Duration::from_secs(seconds);
            assert_eq!(start.share(now), share, "{seconds}");
        }
        assert_eq!(start.next(begun), begun + STEP);
        let late = begun + RAMP - Duration::from_millis(1);
        assert_eq!(start.next(late), begun + RAMP);
    }
}
