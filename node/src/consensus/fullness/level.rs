//! Steps of fullness.

/// How full a disk may be, in percent, before it falls back by a step: so much less than where the step begins, so that a disk
/// that stands at the edge of one is not told of again and again.
const BACK_PERCENT: u64 = 2;

/// How full a disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fullness {
    /// There is nothing to say of it.
    #[default]
    Roomy,
    /// Worth knowing.
    Noted,
    /// Time to act.
    Warned,
    /// What grows is not taken any more.
    Full,
}

/// Where each step begins, in percent, the highest first.
const STEPS: [(Fullness, u64); 3] = [
    (Fullness::Full, 95),
    (Fullness::Warned, 85),
    (Fullness::Noted, 70),
];

impl Fullness {
    /// Where the step begins.
    pub(super) fn percent(self) -> u64 {
        let mut steps = STEPS.iter();
        let found = steps.find(|(step, _)| *step == self);
        found.map_or(0, |(_, percent)| *percent)
    }

    /// The step after so many percent were seen. It rises at once, and falls with delay.
    pub(super) fn after(self, percent: u64) -> Self {
        let rising = Self::at(percent);
        let falling = Self::at(percent + BACK_PERCENT);
        rising.max(self.min(falling))
    }

    fn at(percent: u64) -> Self {
        let mut steps = STEPS.iter();
        let found = steps.find(|(_, from)| percent >= *from);
        found.map_or(Self::Roomy, |(step, _)| *step)
    }
}

#[cfg(test)]
mod tests {
    use super::Fullness::{self, Full, Noted, Roomy, Warned};

    #[test]
    fn steps_are_taken_up_at_once_and_down_with_delay() {
        let check = |seen: &[(u64, Fullness)]| {
            let mut now = Fullness::default();
            for (percent, expected) in seen {
                now = now.after(*percent);
                assert_eq!(now, *expected, "{percent} of {seen:?}");
            }
        };
        check(&[
            (0, Roomy),
            (69, Roomy),
            (70, Noted),
            (85, Warned),
            (95, Full),
            (100, Full),
        ]);
        check(&[
            (95, Full),
            (94, Full),
            (93, Full),
            (92, Warned),
            (94, Warned),
            (95, Full),
        ]);
        check(&[(85, Warned), (83, Warned), (82, Noted), (84, Noted)]);
        check(&[
            (70, Noted),
            (69, Noted),
            (68, Noted),
            (67, Roomy),
            (69, Roomy),
        ]);
        // From top to bottom, and back, without a step between.
        check(&[(99, Full), (10, Roomy), (99, Full), (90, Warned)]);
    }

    #[test]
    fn a_step_knows_where_it_begins() {
        for step in [Noted, Warned, Full] {
            assert_eq!(Roomy.after(step.percent()), step);
            assert_ne!(Roomy.after(step.percent() - 1), step);
        }
        assert_eq!(Roomy.percent(), 0);
    }
}
