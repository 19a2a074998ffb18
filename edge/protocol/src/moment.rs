//! Time as the state machines are given it: how long the driver has been running.

use std::time::Duration;

/// A point on the driver's monotonic clock. Only differences mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The moment at which so much time has passed since the driver started.
    #[must_use]
    pub fn after_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How much time had passed since the driver started.
    #[must_use]
    pub fn since_start(self) -> Duration {
        self.0
    }

    /// How long ago `earlier` was; nothing if it was not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `wait` later.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }
}
