//! What checks say of a target: up or down, after as many results in a row as the thresholds ask.
//!
//! ```text
//!         unhealthy_threshold failures in a row
//!    Up ───────────────────────────────────────▶ Down
//!     ▲                                            │
//!     └────────────────────────────────────────────┘
//!         healthy_threshold successes in a row
//! ```

use domain::model::Check;

/// How many results in a row count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Successes that bring a target back.
    pub healthy: u32,
    /// Failures that take a target out.
    pub unhealthy: u32,
}

impl Thresholds {
    /// Those of a check.
    #[must_use]
    pub fn of(check: &Check) -> Self {
        Self {
            healthy: check.healthy_threshold,
            unhealthy: check.unhealthy_threshold,
        }
    }
}

/// A target as checks see it. It is up until they say otherwise: a target that is new would take
/// no requests for want of checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckState {
    down: bool,
    /// Results in a row that speak against the state.
    against: u32,
}

impl CheckState {
    /// Whether it takes requests.
    #[must_use]
    pub fn is_up(&self) -> bool {
        !self.down
    }

    /// Takes a result. Says whether the state has changed by it.
    pub fn observe(&mut self, success: bool, thresholds: Thresholds) -> bool {
        if success != self.down {
            self.against = 0;
            return false;
        }
        self.against = self.against.saturating_add(1);
        let needed = if self.down {
            thresholds.healthy
        } else {
            thresholds.unhealthy
        };
        if self.against < needed {
            return false;
        }
        self.down = !self.down;
        self.against = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEFAULT: Thresholds = Thresholds {
        healthy: 2,
        unhealthy: 3,
    };

    /// `+` and `-` are results; the answer has `U` or `D` for the state after each.
    fn states(results: &str, thresholds: Thresholds) -> String {
        let mut state = CheckState::default();
        let mut seen = String::new();
        for result in results.chars() {
            let before = state.is_up();
            let changed = state.observe(result == '+', thresholds);
            assert_eq!(changed, before != state.is_up());
            seen.push(if state.is_up() { 'U' } else { 'D' });
        }
        seen
    }

    #[test]
    fn results_in_a_row_change_the_state_and_others_do_not() {
        for (results, expect) in [
            ("", ""),
            ("+++", "UUU"),
            ("--+--+--", "UUUUUUUU"),
            ("---", "UUD"),
            ("---+-+-", "UUDDDDD"),
            ("---++", "UUDDU"),
            ("---++---", "UUDDUUUD"),
            ("------", "UUDDDD"),
        ] {
            assert_eq!(states(results, DEFAULT), expect, "{results}");
        }
        let one = Thresholds {
            healthy: 1,
            unhealthy: 1,
        };
        assert_eq!(states("-+-+", one), "DUDU");
    }

    proptest! {
        /// The oracle looks back over all results instead of counting.
        #[test]
        fn the_state_is_what_the_last_run_of_enough_results_said(
            results in proptest::collection::vec(any::<bool>(), 0..60),
            healthy in 1_u32..5,
            unhealthy in 1_u32..5,
        ) {
            let thresholds = Thresholds { healthy, unhealthy };
            let mut state = CheckState::default();
            let mut expected = true;
            for length in 1..=results.len() {
                let last = results[length - 1];
                state.observe(last, thresholds);
                let run = results[..length].iter().rev().take_while(|result| **result == last).count();
                let needed = if last { healthy } else { unhealthy } as usize;
                if run >= needed {
                    expected = last;
                }
                prop_assert_eq!(state.is_up(), expected);
            }
        }
    }
}
