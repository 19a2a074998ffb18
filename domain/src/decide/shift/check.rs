//! What must hold for a shift to start.

use crate::command::StartShift;
use crate::decide::Context;
use crate::decide::freeze::live_upstream;
use crate::decide::rollback::not_publishable;
use crate::decide::upstream::users;
use crate::model::{SHARE_WHOLE, Shift, ShiftWeights, Target, Upstream, WEIGHT_MAX};
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{ROUTES, RUNNING_SHIFTS};

/// The most steps of a shift: each publishes every route that uses the upstream.
pub const SHIFT_STEPS_MAX: u32 = 100;

/// The shortest time between two steps, in seconds: edges have said by then how the last one went.
pub const SHIFT_INTERVAL_S_MIN: u32 = 10;

/// The longest, in seconds: a day.
pub const SHIFT_INTERVAL_S_MAX: u32 = 86_400;

/// The most requests that may be asked for before failures among them count.
pub const SHIFT_REQUESTS_MAX: u32 = 1_000_000;

/// The most routes whose active snapshots have an upstream that shifts: one entry publishes them all,
/// while others wait.
pub const SHIFT_ROUTES_MAX: usize = 100;

/// The most shifts that run in an environment: the node that leads asks all nodes about each of them
/// every few seconds.
pub const SHIFTS_MAX: usize = 20;

/// The numbers of a command.
pub(super) fn numbers(command: &StartShift) -> Result<(), Rejection> {
    let abort_on = &command.abort_on;
    let within = |param: &str, number: u32, min: u32, max: u32| {
        if (min..=max).contains(&number) {
            return Ok(());
        }
        Err(Rejection::InvalidParameter {
            param: param.to_owned(),
            message: format!("Must be an integer from {min} to {max}."),
        })
    };
    within("steps", command.steps, 1, SHIFT_STEPS_MAX)?;
    within(
        "interval_s",
        command.interval_s,
        SHIFT_INTERVAL_S_MIN,
        SHIFT_INTERVAL_S_MAX,
    )?;
    within(
        "abort_on.min_requests",
        abort_on.min_requests,
        1,
        SHIFT_REQUESTS_MAX,
    )?;
    if abort_on
        .error_rate
        .is_some_and(|share| share >= SHARE_WHOLE)
    {
        return Err(Rejection::InvalidParameter {
            param: "abort_on.error_rate".to_owned(),
            message: "Must be a number from 0 to less than 1.".to_owned(),
        });
    }
    Ok(())
}

/// What the two targets weigh, if that can be shifted so.
pub(super) fn weights(
    upstream: &Upstream,
    command: &StartShift,
) -> Result<ShiftWeights, Rejection> {
    let from = target(upstream, command, "from")?;
    let to = target(upstream, command, "to")?;
    let refuse = |param: &str, message: String| {
        let param = param.to_owned();
        Err(Rejection::InvalidConfig { param, message })
    };
    if from.id == to.id {
        return refuse("to", "Weight goes from one target to another.".to_owned());
    }
    if to.drain {
        return refuse("to", "The target drains: it takes no requests.".to_owned());
    }
    if from.weight == 0 {
        return refuse("from", "The target has no weight to give.".to_owned());
    }
    if command.steps > from.weight {
        let message = format!(
            "The weight {} cannot go in {} steps; take fewer, or larger weights.",
            from.weight, command.steps
        );
        return refuse("steps", message);
    }
    if from.weight + to.weight > WEIGHT_MAX {
        let message = format!(
            "The weights {} and {} together are more than {WEIGHT_MAX}.",
            from.weight, to.weight
        );
        return refuse("to", message);
    }
    Ok(ShiftWeights {
        from: from.weight,
        to: to.weight,
    })
}

fn target<'u>(
    upstream: &'u Upstream,
    command: &StartShift,
    param: &str,
) -> Result<&'u Target, Rejection> {
    let id = if param == "from" {
        &command.from
    } else {
        &command.to
    };
    let found = upstream.targets.iter().find(|target| target.id == *id);
    found.ok_or_else(|| Rejection::NotFound {
        object: "target".to_owned(),
        id: id.to_string(),
        param: Some(param.to_owned()),
    })
}

/// There must be room for one more.
pub(super) fn room<V: View + ?Sized>(
    context: &Context<'_, V>,
    shift: &Shift,
) -> Result<(), Rejection> {
    let span = RUNNING_SHIFTS.under((&shift.environment_id,));
    if RUNNING_SHIFTS.scan(context.view, &span, SHIFTS_MAX).len() == SHIFTS_MAX {
        return Err(Rejection::LimitExceeded {
            param: "id".to_owned(),
            message: format!("{SHIFTS_MAX} shifts may run in an environment."),
        });
    }
    Ok(())
}

/// What is to be aborted on must not hold already.
pub(super) fn is_in_use<V: View + ?Sized>(
    context: &Context<'_, V>,
    shift: &Shift,
) -> Result<(), Rejection> {
    match super::outage(context, shift) {
        Some(region) if shift.abort_on.upstream_failed => Err(Rejection::InvalidConfig {
            param: "abort_on.upstream_failed".to_owned(),
            message: format!("The upstream is out of use in {region} already."),
        }),
        _ => Ok(()),
    }
}

/// Every route must serve by the weights that the record has: what is pending of them would go live
/// with the first step, or be lost when the shift is taken back.
pub(super) fn is_live_so<V: View + ?Sized>(
    context: &Context<'_, V>,
    shift: &Shift,
) -> Result<(), Rejection> {
    let (environment, id) = (&shift.environment_id, &shift.upstream_id);
    let mut live = 0;
    for route in users(context, environment, id) {
        let Some(route) = ROUTES.get(context.view, (environment, &route)) else {
            continue;
        };
        let Some(content) = live_upstream(context, &route, id)? else {
            continue;
        };
        if shift.weights_in(&content.targets) != Some(shift.start) {
            return Err(not_publishable(&format!(
                "The route {} serves by other weights of these targets; publish it first.",
                route.id
            )));
        }
        live += 1;
    }
    if live > SHIFT_ROUTES_MAX {
        return Err(Rejection::LimitExceeded {
            param: "id".to_owned(),
            message: format!("{SHIFT_ROUTES_MAX} routes may have an upstream live that shifts."),
        });
    }
    Ok(())
}
