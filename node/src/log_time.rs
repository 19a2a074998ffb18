//! The log's time between two entries. When something is due is written down in the log's time,
//! which goes ahead of a node's clock as far as the fastest clock in the cluster does, and stands still
//! while nothing is written. So it goes on here by as much as has passed since it was last seen to move.
//! Pure: the time is passed in.

use std::time::Duration;

use domain::time::Timestamp;

/// The log's time as one node knows it.
#[derive(Debug)]
pub(crate) struct LogTime {
    last: Timestamp,
    /// When `last` was first seen, on a clock that only goes on.
    seen: Duration,
}

impl LogTime {
    /// Before anything was seen.
    pub(crate) fn new() -> Self {
        Self {
            last: Timestamp(0),
            seen: Duration::ZERO,
        }
    }

    /// The last entry was written at `last`; `now` is the present on a clock that only goes on.
    pub(crate) fn saw(&mut self, last: Timestamp, now: Duration) {
        if last > self.last {
            *self = Self { last, seen: now };
        }
    }

    /// What an entry's time would be now, where the wall clock says `wall`.
    pub(crate) fn at(&self, wall: Timestamp, now: Duration) -> Timestamp {
        if wall >= self.last {
            return wall;
        }
        let passed = now.saturating_sub(self.seen).as_millis();
        let ahead = self.last.plus_ms(u64::try_from(passed).unwrap_or(u64::MAX));
        wall.max(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_wall_clock_s_unless_the_log_is_ahead_and_then_it_goes_on_from_there() {
        let seconds = Duration::from_secs;
        let mut time = LogTime::new();
        assert_eq!(time.at(Timestamp(5_000), seconds(1)), Timestamp(5_000));
        time.saw(Timestamp(5_000), seconds(1));
        assert_eq!(time.at(Timestamp(6_000), seconds(9)), Timestamp(6_000));
        time.saw(Timestamp(3_600_000), seconds(9));
        assert_eq!(time.at(Timestamp(6_000), seconds(9)), Timestamp(3_600_000));
        // The same entry again, a little later.
        time.saw(Timestamp(3_600_000), seconds(12));
        assert_eq!(time.at(Timestamp(9_000), seconds(12)), Timestamp(3_603_000));
        time.saw(Timestamp(3_601_000), seconds(13));
        assert_eq!(time.at(Timestamp(9_000), seconds(14)), Timestamp(3_602_000));
        assert_eq!(
            time.at(Timestamp(4_000_000), seconds(14)),
            Timestamp(4_000_000)
        );
    }
}
