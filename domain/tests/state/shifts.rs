//! Shifts: samples of their bytes, and commands about them at random.

use domain::command::{CancelShift, Command, DraftSeed, ShiftTurn, Stamped, StartShift, StepShift};
use domain::id::{TargetId, UpstreamId};
use domain::model::{AbortCause, AbortOn, Shift, ShiftState, ShiftWeights};
use domain::outcome::Outcome;
use domain::rejection::Rejection;
use domain::time::{Revision, Timestamp};
use proptest::prelude::*;

use crate::commands::{self, actor, who};
use crate::samples::{api_key_id, environment_id, seed, upstream, upstream_id};

/// The shortest time between two steps.
const INTERVAL_S: u32 = 10;

fn abort_on() -> AbortOn {
    AbortOn {
        upstream_failed: true,
        error_rate: Some(50_000),
        min_requests: 100,
    }
}

fn draft_seed(random: u64) -> DraftSeed {
    DraftSeed { unix_ms: 1, random }
}

pub(crate) fn shift() -> Shift {
    Shift {
        environment_id: environment_id(),
        upstream_id: upstream_id(),
        from: TargetId::new(seed(10)),
        to: TargetId::new(seed(11)),
        start: ShiftWeights { from: 300, to: 5 },
        steps: 10,
        interval_s: 600,
        abort_on: abort_on(),
        taken: 3,
        stepped_at: Timestamp(1_714_320_000_123),
        state: ShiftState::Running,
        started_at: Timestamp(1_714_320_000_122),
        started_by: api_key_id(),
        began: Revision(7),
    }
}

fn ended(state: ShiftState) -> Outcome {
    Outcome::ShiftedUpstream(upstream(), Shift { state, ..shift() })
}

pub(crate) fn outcomes() -> Vec<(&'static str, Outcome)> {
    let at = Timestamp(1);
    let failed = AbortCause::UpstreamFailed {
        region: "eu".to_owned(),
    };
    let erred = AbortCause::ErrorRate {
        requests: 200,
        errors: 11,
    };
    let cancelled = ShiftState::Cancelled { at, reverted: true };
    vec![
        ("shift_running", ended(ShiftState::Running)),
        ("shift_completed", ended(ShiftState::Completed { at })),
        ("shift_cancelled", ended(cancelled)),
        (
            "shift_failed",
            ended(ShiftState::Aborted { at, cause: failed }),
        ),
        (
            "shift_erred",
            ended(ShiftState::Aborted { at, cause: erred }),
        ),
    ]
}

pub(crate) fn rejections() -> [Rejection; 2] {
    let in_progress = Rejection::ShiftInProgress {
        from: "tgt_1".to_owned(),
        to: "tgt_2".to_owned(),
    };
    [Rejection::ShiftNotRunning, in_progress]
}

/// One of each command.
pub(crate) fn commands() -> Vec<Command> {
    let step = |turn| {
        Command::StepShift(StepShift {
            environment_id: environment_id(),
            upstream_id: upstream_id(),
            began: Revision(7),
            taken: 3,
            turn,
            seed: draft_seed(2),
        })
    };
    vec![
        Command::StartShift(
            actor(0),
            StartShift {
                upstream_id: upstream_id(),
                from: TargetId::new(seed(10)),
                to: TargetId::new(seed(11)),
                steps: 10,
                interval_s: 600,
                abort_on: abort_on(),
                seed: draft_seed(2),
            },
        ),
        Command::CancelShift(
            actor(0),
            CancelShift {
                upstream_id: upstream_id(),
                revert: true,
                seed: draft_seed(2),
            },
        ),
        step(ShiftTurn::Advance),
        step(ShiftTurn::Abort(AbortCause::ErrorRate {
            requests: 200,
            errors: 11,
        })),
    ]
}

/// Commands about shifts of few upstreams. Which shift is meant, [`aim`] says.
pub(crate) fn arbitrary() -> impl Strategy<Value = Command> {
    let which = || (0..2_u64).prop_map(|number| UpstreamId::new(commands::seed(number)));
    let target = |number| TargetId::new(commands::seed(number));
    let targets = prop_oneof![4 => Just((0, 1)), 4 => Just((1, 0)), 1 => Just((0, 2))];
    let targets = targets.prop_map(move |(from, to)| (target(from), target(to)));
    let random = || 0..4_000_u64;
    let turn = prop_oneof![
        5 => Just(ShiftTurn::Advance),
        1 => Just(ShiftTurn::Abort(AbortCause::ErrorRate { requests: 200, errors: 11 })),
    ];
    let started = (who(), which(), targets, 1..3_u32, random());
    let start = started.prop_map(|(actor, upstream_id, (from, to), steps, random)| {
        let start = StartShift {
            upstream_id,
            from,
            to,
            steps,
            interval_s: INTERVAL_S,
            abort_on: abort_on(),
            seed: draft_seed(random),
        };
        Command::StartShift(actor, start)
    });
    let cancel = (who(), which(), any::<bool>(), random());
    let cancel = cancel.prop_map(|(actor, upstream_id, revert, random)| {
        let cancel = CancelShift {
            upstream_id,
            revert,
            seed: draft_seed(random),
        };
        Command::CancelShift(actor, cancel)
    });
    let step = (who(), which(), turn, random());
    let step = step.prop_map(|(actor, upstream_id, turn, random)| {
        Command::StepShift(StepShift {
            environment_id: actor.environment_id,
            upstream_id,
            began: Revision(1),
            taken: 1,
            turn,
            seed: draft_seed(random),
        })
    });
    prop_oneof![8 => start, 3 => cancel, 8 => step]
}

/// Makes what ends a log, if it goes on with a shift or ends one, be about the latest that the log may
/// have started; and a step one that is due.
pub(crate) fn aim(log: &mut [Stamped]) {
    let Some((last, earlier)) = log.split_last_mut() else {
        return;
    };
    let starts = earlier.iter().enumerate().rev();
    let mut latest = starts.filter_map(|(place, stamped)| match &stamped.command {
        Command::StartShift(actor, start) => Some((place, actor, &start.upstream_id)),
        _ => None,
    });
    let Some((place, actor, upstream)) = latest.next() else {
        return;
    };
    match &mut last.command {
        Command::StepShift(step) => {
            step.environment_id = actor.environment_id.clone();
            step.upstream_id = upstream.clone();
            step.began = Revision(place as u64 + 1);
            let is_step = |stamped: &&Stamped| matches!(stamped.command, Command::StepShift(_));
            let steps = earlier[place..].iter().filter(is_step).count();
            step.taken = 1 + u32::try_from(steps).unwrap();
            last.at.0 += u64::from(INTERVAL_S) * 1000;
        }
        Command::CancelShift(by, cancel) => {
            *by = actor.clone();
            cancel.upstream_id = upstream.clone();
        }
        _ => {}
    }
}
