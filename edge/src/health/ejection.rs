//! Leaving out a target that fails requests, for a while that grows when it does so again. How many
//! of an upstream's targets may be out at once is the keeper's matter.

use std::time::Duration;

use domain::model::Ejection;
use tokio::time::Instant;

/// More repeats than double any time beyond any bound.
const REPEATS_MAX: u32 = 16;

/// A target as requests tell of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EjectionState {
    /// Until when it is out.
    until: Option<Instant>,
    /// When it last came back.
    back: Option<Instant>,
    /// How often it was out in short succession.
    repeats: u32,
}

impl EjectionState {
    /// When it comes back, while it is out.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Puts it out. The time doubles with each repeat, up to the bound; a target that was in for as
    /// long as that bound begins anew.
    pub fn eject(&mut self, now: Instant, policy: &Ejection) {
        let max = Duration::from_secs(policy.max_s.into());
        if self.back.is_some_and(|back| now >= back + max) {
            self.repeats = 0;
        }
        let base = Duration::from_secs(policy.base_s.into());
        let time = base.saturating_mul(1 << self.repeats).min(max);
        self.repeats = (self.repeats + 1).min(REPEATS_MAX);
        self.until = Some(now + time);
    }

    /// Lets it back in once its time is over. Says whether that is so now.
    pub fn poll(&mut self, now: Instant) -> bool {
        let Some(until) = self.until.filter(|until| *until <= now) else {
            return false;
        };
        self.until = None;
        self.back = Some(until);
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Ejection = Ejection {
        failures: 5,
        base_s: 10,
        max_s: 60,
    };

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// Ejects, and lets time pass until it is back; says how long that took.
    fn time_out(state: &mut EjectionState, now: &mut Instant) -> u64 {
        state.eject(*now, &POLICY);
        let until = state.until().unwrap();
        let took = (until - *now).as_secs();
        assert!(!state.poll(until - Duration::from_millis(1)));
        assert!(state.poll(until) && !state.poll(until));
        *now = until;
        took
    }

    #[test]
    fn times_double_up_to_the_bound_and_are_forgotten() {
        let (mut state, mut now) = (EjectionState::default(), Instant::now());
        let mut times = Vec::new();
        for _ in 0..5 {
            times.push(time_out(&mut state, &mut now));
            now += seconds(1);
        }
        assert_eq!(times, [10, 20, 40, 60, 60]);
        now += seconds(60);
        assert_eq!(time_out(&mut state, &mut now), 10);
        now += seconds(59);
        assert_eq!(time_out(&mut state, &mut now), 20);
    }

    proptest! {
        #[test]
        fn no_time_is_shorter_than_the_first_or_longer_than_the_bound(
            pauses in proptest::collection::vec(0_u64..200, 1..60),
        ) {
            let (mut state, mut now) = (EjectionState::default(), Instant::now());
            let mut last = 0;
            for pause in pauses {
                now += seconds(pause);
                let time = time_out(&mut state, &mut now);
                prop_assert!((10..=60).contains(&time));
                prop_assert!(time == 10 || time == 60 || time == 2 * last);
                last = time;
            }
        }
    }
}
