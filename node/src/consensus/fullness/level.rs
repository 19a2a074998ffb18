//! Steps of fullness, and how many full disks are too many.

use std::collections::{BTreeMap, BTreeSet};

use raft_store::types::NodeId;

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

/// Whether the voters whose disks are not full are no majority: were the full ones to end, nothing could be agreed on any
/// more. One that does not answer takes nothing, so nothing fills its disk. `voters` is one set, or two while they change.
pub(super) fn too_few_have_room(
    voters: &[BTreeSet<NodeId>],
    seen: &BTreeMap<NodeId, Option<Fullness>>,
) -> bool {
    let is_full = |id: &&NodeId| seen.get(*id).copied().flatten() == Some(Fullness::Full);
    voters.iter().any(|voters| {
        let full = voters.iter().filter(&is_full).count();
        full > 0 && 2 * (voters.len() - full) <= voters.len()
    })
}

#[cfg(test)]
mod tests {
    use super::Fullness::{self, Full, Noted, Roomy, Warned};
    use super::{BTreeSet, NodeId, too_few_have_room};

    /// `seen` of each member from 1 on: `r` has room, `f` is full, `-` did not answer.
    fn check(voters: &[&[NodeId]], seen: &str, expected: bool) {
        let sets: Vec<BTreeSet<_>> = voters
            .iter()
            .map(|voters| voters.iter().copied().collect())
            .collect();
        let step = |letter| match letter {
            'r' => Some(Warned),
            'f' => Some(Full),
            _ => None,
        };
        let seen_by = (1..).zip(seen.chars().map(step)).collect();
        assert_eq!(
            too_few_have_room(&sets, &seen_by),
            expected,
            "{voters:?} {seen}"
        );
    }

    #[test]
    fn a_full_disk_is_one_too_many_where_the_others_are_no_majority() {
        let three: &[&[NodeId]] = &[&[1, 2, 3]];
        check(three, "rrr", false);
        check(three, "rrf", false);
        check(three, "rff", true);
        check(three, "fff", true);
        check(three, "rf-", false);
        check(three, "ff-", true);
        check(three, "---", false);
        check(&[&[1]], "f", true);
        check(&[&[1, 2]], "rf", true);
        check(&[&[1, 2, 3, 4, 5]], "rrrff", false);
        check(&[&[1, 2, 3, 4, 5]], "rrfff", true);
        check(&[&[1, 2, 3], &[3, 4, 5]], "rrrff", true);
        check(&[&[1, 2, 3], &[3, 4, 5]], "rrrrf", false);
        // A learner does not count.
        check(&[&[1, 2, 3]], "rrrf", false);
    }

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
