//! A shift: the weight of one target of an upstream goes to another one, step by step.
//!
//! ```text
//!           a step is due                all steps taken, and watched
//!   running ─────────────▶ running ──────────────────────────────────▶ completed
//!      │ somebody ends it: the weights stay as they are, or go back  ─▶ cancelled
//!      └ what it is to be aborted on: the weights go back            ─▶ aborted
//! ```
//!
//! The first step is taken as the shift starts, each further one an interval after the one before, and
//! the last is watched for an interval, too.

use serde::{Deserialize, Serialize};

use super::Target;
use crate::id::{ApiKeyId, EnvironmentId, TargetId, UpstreamId};
use crate::time::{Revision, Timestamp};

/// A whole share, in millionths.
pub const SHARE_WHOLE: u32 = 1_000_000;

/// The latest shift of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// The environment that the upstream lives in.
    pub environment_id: EnvironmentId,
    /// The upstream.
    pub upstream_id: UpstreamId,
    /// Which target's weight goes.
    pub from: TargetId,
    /// Which target gets it.
    pub to: TargetId,
    /// What they weighed before.
    pub start: ShiftWeights,
    /// In how many steps.
    pub steps: u32,
    /// How long each step is watched, in seconds.
    pub interval_s: u32,
    /// What takes it back.
    pub abort_on: AbortOn,
    /// How many steps were taken.
    pub taken: u32,
    /// When the last of them was.
    pub stepped_at: Timestamp,
    /// How far it is.
    pub state: ShiftState,
    /// When it started.
    pub started_at: Timestamp,
    /// Who started it.
    pub started_by: ApiKeyId,
    /// The entry that started it, which tells it from others of the upstream.
    pub began: Revision,
}

/// What two targets weigh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftWeights {
    /// The one whose weight goes.
    pub from: u32,
    /// The one that gets it.
    pub to: u32,
}

/// When a shift is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbortOn {
    /// When the upstream goes out of use in a region.
    pub upstream_failed: bool,
    /// When more than this share of the requests to the target that gets the weight fail, in
    /// millionths.
    pub error_rate: Option<u32>,
    /// How many requests there must be for a share to say anything.
    pub min_requests: u32,
}

/// How far a shift is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShiftState {
    /// It goes on.
    Running,
    /// All steps were taken.
    Completed {
        /// When that was found good.
        at: Timestamp,
    },
    /// Somebody ended it.
    Cancelled {
        /// When.
        at: Timestamp,
        /// Whether the weights went back.
        reverted: bool,
    },
    /// What it was to be aborted on held, and the weights went back.
    Aborted {
        /// When.
        at: Timestamp,
        /// What held.
        cause: AbortCause,
    },
}

/// Why a shift was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AbortCause {
    /// The upstream went out of use.
    UpstreamFailed {
        /// In this region, or here first.
        region: String,
    },
    /// Too many requests to the target that gets the weight failed.
    ErrorRate {
        /// Of so many since the last step.
        requests: u64,
        /// So many.
        errors: u64,
    },
}

impl ShiftState {
    /// The names as the API shows them.
    pub const NAMES: [&'static str; 4] = ["running", "completed", "cancelled", "aborted"];

    /// The name as the API shows it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Running => Self::NAMES[0],
            Self::Completed { .. } => Self::NAMES[1],
            Self::Cancelled { .. } => Self::NAMES[2],
            Self::Aborted { .. } => Self::NAMES[3],
        }
    }
}

impl AbortCause {
    /// The names as the API shows them.
    pub const NAMES: [&'static str; 2] = ["upstream_failed", "error_rate"];

    /// The name as the API shows it: that of the condition.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::UpstreamFailed { .. } => Self::NAMES[0],
            Self::ErrorRate { .. } => Self::NAMES[1],
        }
    }
}

impl AbortOn {
    /// Whether so many failures among so many requests are too many.
    #[must_use]
    pub fn is_exceeded(&self, requests: u64, errors: u64) -> bool {
        let Some(share) = self.error_rate else {
            return false;
        };
        let (requests_wide, errors) = (u128::from(requests), u128::from(errors));
        requests >= u64::from(self.min_requests)
            && errors * u128::from(SHARE_WHOLE) > requests_wide * u128::from(share)
    }
}

impl Shift {
    /// Whether it goes on.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == ShiftState::Running
    }

    /// When the next step is due, or the last one has been watched.
    #[must_use]
    pub fn due_at(&self) -> Timestamp {
        self.stepped_at.plus_ms(u64::from(self.interval_s) * 1000)
    }

    /// When it ended.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self.state {
            ShiftState::Running => None,
            ShiftState::Completed { at }
            | ShiftState::Cancelled { at, .. }
            | ShiftState::Aborted { at, .. } => Some(at),
        }
    }

    /// What it has the targets weigh.
    #[must_use]
    pub fn weights(&self) -> ShiftWeights {
        match self.state {
            ShiftState::Cancelled { reverted: true, .. } | ShiftState::Aborted { .. } => self.start,
            _ => self.weights_after(self.taken),
        }
    }

    /// What the targets in a list weigh, if both are there.
    #[must_use]
    pub fn weights_in(&self, targets: &[Target]) -> Option<ShiftWeights> {
        let weight = |id: &TargetId| {
            let target = targets.iter().find(|target| target.id == *id)?;
            Some(target.weight)
        };
        Some(ShiftWeights {
            from: weight(&self.from)?,
            to: weight(&self.to)?,
        })
    }

    /// Has the targets in a list weigh this.
    pub fn weigh(&self, targets: &mut [Target], weights: ShiftWeights) {
        for target in targets {
            if target.id == self.from {
                target.weight = weights.from;
            } else if target.id == self.to {
                target.weight = weights.to;
            }
        }
    }

    /// After the last step nothing is left; until then what cannot be divided stays.
    fn weights_after(&self, steps: u32) -> ShiftWeights {
        let whole = u64::from(self.start.from) * u64::from(steps.min(self.steps));
        let gone = whole.checked_div(self.steps.into()).unwrap_or(0);
        let gone = u32::try_from(gone).unwrap_or(self.start.from);
        ShiftWeights {
            from: self.start.from - gone,
            to: self.start.to + gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Seed;

    fn seed(random: u64) -> Seed {
        Seed { unix_ms: 1, random }
    }

    fn shift(from: u32, to: u32, steps: u32) -> Shift {
        Shift {
            environment_id: EnvironmentId::new(seed(0)),
            upstream_id: UpstreamId::new(seed(1)),
            from: TargetId::new(seed(2)),
            to: TargetId::new(seed(3)),
            start: ShiftWeights { from, to },
            steps,
            interval_s: 60,
            abort_on: AbortOn {
                upstream_failed: true,
                error_rate: Some(50_000),
                min_requests: 100,
            },
            taken: 0,
            stepped_at: Timestamp(5),
            state: ShiftState::Running,
            started_at: Timestamp(5),
            started_by: ApiKeyId::new(seed(4)),
            began: Revision(1),
        }
    }

    #[test]
    fn steps_are_alike_as_far_as_whole_numbers_can_be_and_the_last_leaves_nothing() {
        for (from, to, steps, weights) in [
            (
                100,
                0,
                4,
                &[(100, 0), (75, 25), (50, 50), (25, 75), (0, 100)][..],
            ),
            (10, 5, 3, &[(10, 5), (7, 8), (4, 11), (0, 15)]),
            (1, 0, 1, &[(1, 0), (0, 1)]),
            (1000, 0, 7, &[(1000, 0), (858, 142), (715, 285)]),
        ] {
            let shift = shift(from, to, steps);
            for (taken, (from, to)) in (0..).zip(weights) {
                let expected = ShiftWeights {
                    from: *from,
                    to: *to,
                };
                let shift = Shift {
                    taken,
                    ..shift.clone()
                };
                assert_eq!(shift.weights(), expected, "{taken} of {steps}");
            }
        }
    }

    #[test]
    fn what_is_taken_back_weighs_what_it_weighed_before() {
        let at = Timestamp(9);
        let region = "eu".to_owned();
        let halfway = ShiftWeights { from: 5, to: 5 };
        let cause = AbortCause::UpstreamFailed { region };
        for (state, weights) in [
            (ShiftState::Running, halfway),
            (ShiftState::Completed { at }, halfway),
            (
                ShiftState::Cancelled {
                    at,
                    reverted: false,
                },
                halfway,
            ),
            (
                ShiftState::Cancelled { at, reverted: true },
                ShiftWeights { from: 10, to: 0 },
            ),
            (
                ShiftState::Aborted { at, cause },
                ShiftWeights { from: 10, to: 0 },
            ),
        ] {
            let shift = Shift {
                taken: 1,
                state: state.clone(),
                ..shift(10, 0, 2)
            };
            assert_eq!(shift.weights(), weights, "{state:?}");
            let ended = (state != ShiftState::Running).then_some(at);
            assert_eq!(shift.ended_at(), ended);
        }
    }

    #[test]
    fn failures_are_too_many_beyond_their_share_of_enough_requests() {
        let abort_on = shift(1, 0, 1).abort_on;
        for (requests, errors, exceeded) in [
            (0, 0, false),
            (99, 99, false),
            (100, 5, false),
            (100, 6, true),
            (10_000, 500, false),
            (u64::MAX, u64::MAX, true),
        ] {
            let found = abort_on.is_exceeded(requests, errors);
            assert_eq!(found, exceeded, "{errors} of {requests}");
        }
        let never = AbortOn {
            error_rate: None,
            ..abort_on
        };
        assert!(!never.is_exceeded(1000, 1000));
        let any = AbortOn {
            error_rate: Some(0),
            ..abort_on
        };
        assert_eq!(
            [0, 1].map(|errors| any.is_exceeded(100, errors)),
            [false, true]
        );
    }
}
