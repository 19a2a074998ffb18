//! Shifts: starting one, taking it on or back, ending it. Each of these changes what two targets weigh
//! in the upstream's record and in what is live of it, in one entry: a step is nothing that somebody
//! has yet to publish.
//!
//! What is live is changed in the weights alone; what else is pending stays pending. A route that
//! serves by other weights than the shift has given, because somebody took it back, is left as it is.

mod check;
mod weigh;

use super::upstream::find;
use super::{Context, Judgement, nothing};
use crate::command::{Actor, CancelShift, ShiftTurn, StartShift, StepShift};
use crate::id::{EnvironmentId, UpstreamId};
use crate::model::{AbortCause, Shift, ShiftState, Upstream};
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{RUNNING_SHIFTS, UPSTREAM_OUTAGES, UPSTREAM_SHIFTS};

pub use check::{
    SHIFT_INTERVAL_S_MAX, SHIFT_INTERVAL_S_MIN, SHIFT_REQUESTS_MAX, SHIFT_ROUTES_MAX,
    SHIFT_STEPS_MAX, SHIFTS_MAX,
};

use weigh::{Turn, weigh};

pub(super) fn start<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &StartShift,
) -> Judgement {
    let upstream = find(context, &actor.environment_id, &command.upstream_id)?;
    if let Some(shift) = running(context, &actor.environment_id, &command.upstream_id) {
        return Err(in_progress(&shift));
    }
    check::numbers(command)?;
    let start = check::weights(&upstream, command)?;
    let before = Shift {
        environment_id: actor.environment_id.clone(),
        upstream_id: command.upstream_id.clone(),
        from: command.from.clone(),
        to: command.to.clone(),
        start,
        steps: command.steps,
        interval_s: command.interval_s,
        abort_on: command.abort_on,
        taken: 0,
        stepped_at: context.at,
        state: ShiftState::Running,
        started_at: context.at,
        started_by: actor.api_key_id.clone(),
        began: context.revision,
    };
    check::room(context, &before)?;
    check::is_in_use(context, &before)?;
    check::is_live_so(context, &before)?;
    let after = Shift {
        taken: 1,
        ..before.clone()
    };
    let turn = Turn {
        before,
        after,
        seed: command.seed,
    };
    weigh(context, actor, upstream, turn)
}

pub(super) fn cancel<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &CancelShift,
) -> Judgement {
    let upstream = find(context, &actor.environment_id, &command.upstream_id)?;
    let before = running(context, &actor.environment_id, &command.upstream_id)
        .ok_or(Rejection::ShiftNotRunning)?;
    let state = ShiftState::Cancelled {
        at: context.at,
        reverted: command.revert,
    };
    let after = Shift {
        state,
        ..before.clone()
    };
    let turn = Turn {
        before,
        after,
        seed: command.seed,
    };
    weigh(context, actor, upstream, turn)
}

/// Of a step that was taken already, a shift that has ended or another one of the same upstream,
/// nothing comes: whoever leads may have decided on an earlier state, and asks again.
pub(super) fn step<V: View + ?Sized>(context: &Context<'_, V>, command: &StepShift) -> Judgement {
    let found = running(context, &command.environment_id, &command.upstream_id);
    let is_meant = |shift: &Shift| (shift.began, shift.taken) == (command.began, command.taken);
    let Some(before) = found.filter(is_meant) else {
        return nothing(Outcome::Recorded);
    };
    let Some(after) = turned(context, &before, &command.turn) else {
        return nothing(Outcome::Recorded);
    };
    let upstream = find(context, &command.environment_id, &command.upstream_id)?;
    // It is done in the name of whoever started it.
    let actor = Actor {
        workspace_id: upstream.workspace_id.clone(),
        environment_id: command.environment_id.clone(),
        api_key_id: before.started_by.clone(),
    };
    let turn = Turn {
        before,
        after,
        seed: command.seed,
    };
    let mut decision = weigh(context, &actor, upstream, turn)?;
    decision.outcome = Outcome::Recorded;
    Ok(decision)
}

/// What a shift becomes by a turn, if anything is due.
fn turned<V: View + ?Sized>(
    context: &Context<'_, V>,
    before: &Shift,
    turn: &ShiftTurn,
) -> Option<Shift> {
    let at = context.at;
    let ended = |state| Shift {
        state,
        ..before.clone()
    };
    // The entry that writes down an outage may have come in between.
    let failed = outage(context, before).filter(|_| before.abort_on.upstream_failed);
    match (turn, failed) {
        (ShiftTurn::Abort(cause), _) => {
            let cause = cause.clone();
            Some(ended(ShiftState::Aborted { at, cause }))
        }
        (ShiftTurn::Advance, _) if at < before.due_at() => None,
        (ShiftTurn::Advance, Some(region)) => {
            let cause = AbortCause::UpstreamFailed { region };
            Some(ended(ShiftState::Aborted { at, cause }))
        }
        (ShiftTurn::Advance, None) if before.taken == before.steps => {
            Some(ended(ShiftState::Completed { at }))
        }
        (ShiftTurn::Advance, None) => Some(Shift {
            taken: before.taken + 1,
            stepped_at: at,
            ..before.clone()
        }),
    }
}

/// A region in which the upstream is out of use.
fn outage<V: View + ?Sized>(context: &Context<'_, V>, shift: &Shift) -> Option<String> {
    let span = UPSTREAM_OUTAGES.under((&shift.environment_id, &shift.upstream_id));
    let mut rows = UPSTREAM_OUTAGES.walk(context.view, span);
    rows.next().map(|((_, _, region), _)| region)
}

fn running<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    upstream: &UpstreamId,
) -> Option<Shift> {
    if !RUNNING_SHIFTS.has(context.view, (environment, upstream)) {
        return None;
    }
    UPSTREAM_SHIFTS.get(context.view, (environment, upstream))
}

fn in_progress(shift: &Shift) -> Rejection {
    Rejection::ShiftInProgress {
        from: shift.from.to_string(),
        to: shift.to.to_string(),
    }
}

/// While a shift runs, what its two targets weigh is its own.
pub(super) fn check_untouched<V: View + ?Sized>(
    context: &Context<'_, V>,
    before: &Upstream,
    after: &Upstream,
) -> Result<(), Rejection> {
    let Some(shift) = running(context, &before.environment_id, &before.id) else {
        return Ok(());
    };
    if shift.weights_in(&before.targets) == shift.weights_in(&after.targets) {
        return Ok(());
    }
    Err(in_progress(&shift))
}

/// An upstream as clients see it: with its latest shift.
pub(super) fn shown<V: View + ?Sized>(context: &Context<'_, V>, upstream: Upstream) -> Outcome {
    let key = (&upstream.environment_id, &upstream.id);
    match UPSTREAM_SHIFTS.get(context.view, key) {
        Some(shift) => Outcome::ShiftedUpstream(upstream, shift),
        None => Outcome::Upstream(upstream),
    }
}
