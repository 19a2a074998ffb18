//! Whether this node was there all the time: how long it may still have missed something that counts.
//! Pure: it is told, twice a second, how the node stands.
//!
//! A node misses what is granted elsewhere before it starts, before it is a member, while it is cut
//! off, and while it stands still: a process that was stopped for a while does not see it otherwise
//! than by what the clock says.

use super::cluster::CONTACT_AGE_MAX;
use super::window::SPAN_MS_MAX;

/// How long after it missed something a node is only asked if nobody else is there: what was granted
/// before counts that long, and notes of what was granted since take a moment to come.
const FRESH_MS: u64 = SPAN_MS_MAX + 1_500;

/// How far apart two looks may be before the node has stood still: as long as it takes itself for one
/// of the many without hearing from them.
const STILL_MS: u64 = CONTACT_AGE_MAX.as_secs() * 1_000;

/// How this node was there.
#[derive(Debug)]
pub(super) struct Presence {
    looked_at_ms: u64,
    fresh_until_ms: u64,
}

impl Presence {
    /// That of a node that starts.
    pub(super) fn new() -> Self {
        Self {
            looked_at_ms: 0,
            fresh_until_ms: FRESH_MS,
        }
    }

    /// The node is a member that is in contact with a quorum, or it is not.
    pub(super) fn saw(&mut self, now_ms: u64, there: bool) {
        if !there {
            self.missed(now_ms);
        }
        self.goes_on(now_ms);
        self.looked_at_ms = self.looked_at_ms.max(now_ms);
    }

    /// How long this node may still have missed something; 0 once it has not.
    pub(super) fn fresh_for_ms(&mut self, now_ms: u64) -> u64 {
        self.goes_on(now_ms);
        self.fresh_until_ms.saturating_sub(now_ms)
    }

    fn goes_on(&mut self, now_ms: u64) {
        if now_ms >= self.looked_at_ms + STILL_MS {
            self.missed(now_ms);
        }
    }

    fn missed(&mut self, now_ms: u64) {
        self.fresh_until_ms = self.fresh_until_ms.max(now_ms + FRESH_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks twice a second, as long as that is so.
    fn pass(presence: &mut Presence, span_ms: std::ops::Range<u64>, there: bool) {
        for now_ms in span_ms.step_by(500) {
            presence.saw(now_ms, there);
        }
    }

    #[test]
    fn a_node_is_fresh_after_its_start_and_again_after_each_absence() {
        let mut presence = Presence::new();
        pass(&mut presence, 0..70_000, true);
        assert_eq!(presence.fresh_for_ms(0), FRESH_MS);
        assert_eq!(presence.fresh_for_ms(FRESH_MS), 0);
        pass(&mut presence, 70_000..90_000, false);
        assert_eq!(presence.fresh_for_ms(89_500), FRESH_MS);
        pass(&mut presence, 90_000..120_000, true);
        let until = 89_500 + FRESH_MS;
        assert_eq!(presence.fresh_for_ms(120_000), until - 120_000);
        pass(&mut presence, 120_000..until + 1_000, true);
        assert_eq!(presence.fresh_for_ms(until), 0);
    }

    #[test]
    fn a_node_that_becomes_a_member_late_is_fresh_then() {
        let mut presence = Presence::new();
        pass(&mut presence, 0..200_000, false);
        presence.saw(200_000, true);
        assert!(presence.fresh_for_ms(200_000) >= SPAN_MS_MAX);
    }

    #[test]
    fn a_node_that_stood_still_is_fresh_whoever_asks_first() {
        for asked_first in [true, false] {
            let mut presence = Presence::new();
            pass(&mut presence, 0..100_000, true);
            assert_eq!(presence.fresh_for_ms(100_000 + STILL_MS - 501), 0);
            if !asked_first {
                presence.saw(120_000, true);
            }
            assert_eq!(presence.fresh_for_ms(120_000), FRESH_MS);
        }
    }
}
