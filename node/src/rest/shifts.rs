//! Shifts of weight between two targets of an upstream: starting one, and ending it. How far it is, the
//! upstream shows.

use std::sync::Arc;

use domain::command::{CancelShift, Command, StartShift};
use domain::id::{TargetId, UpstreamId};
use domain::limits::{
    SHIFT_INTERVAL_S_MAX, SHIFT_INTERVAL_S_MIN, SHIFT_REQUESTS_MAX, SHIFT_STEPS_MAX,
};
use domain::model::{AbortOn, Grant, Resource, SHARE_WHOLE};
use domain::query;
use domain::rows::View;
use http::StatusCode;
use serde_json::Value;

use super::answer::Answered;
use super::auth::Caller;
use super::error::ApiError;
use super::fields::Fields;
use super::pipeline::{Call, Presence};
use super::upstreams::{answer, draft_seed};
use super::{Api, authorize};

/// What a shift is made of.
pub(crate) const FIELDS: [&str; 5] = ["from", "to", "steps", "interval_s", "abort_on"];

/// What it is aborted on.
pub(crate) const ABORT_FIELDS: [&str; 3] = ["upstream_failed", "error_rate", "min_requests"];

/// How many requests there must be for a share of failures to say anything, unless the client says.
pub(crate) const MIN_REQUESTS_DEFAULT: u32 = 100;

pub(crate) async fn start(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let upstream_id = call.id("upstream", UpstreamId::parse)?;
    may_publish(&api, &caller, &call, &upstream_id).await?;
    let body = call.object(Presence::Required).await?;
    let mut fields = Fields::new(body, &FIELDS)?;
    let (from, to) = (
        fields.id("from", "target", TargetId::parse)?,
        fields.id("to", "target", TargetId::parse)?,
    );
    let steps = number(&mut fields, "steps", 1, SHIFT_STEPS_MAX)?;
    let (min, max) = (SHIFT_INTERVAL_S_MIN, SHIFT_INTERVAL_S_MAX);
    let interval_s = number(&mut fields, "interval_s", min, max)?;
    let shift = StartShift {
        upstream_id,
        from: fields.required("from", from)?,
        to: fields.required("to", to)?,
        steps: fields.required("steps", steps)?,
        interval_s: fields.required("interval_s", interval_s)?,
        abort_on: abort_on(&mut fields)?,
        seed: draft_seed(&api),
    };
    let applied = api
        .propose(&caller, &call, |actor| Command::StartShift(actor, shift))
        .await?;
    answer(applied, StatusCode::OK, &caller)
}

pub(crate) async fn cancel(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let upstream_id = call.id("upstream", UpstreamId::parse)?;
    let revert = call.query.boolean("revert")?.unwrap_or(false);
    if revert {
        may_publish(&api, &caller, &call, &upstream_id).await?;
    }
    call.object(Presence::None).await?;
    let shift = CancelShift {
        upstream_id,
        revert,
        seed: draft_seed(&api),
    };
    let applied = api
        .propose(&caller, &call, |actor| Command::CancelShift(actor, shift))
        .await?;
    answer(applied, StatusCode::OK, &caller)
}

/// Weights that change by a shift are live at once, on all routes that use the upstream. Of others'
/// upstreams nobody learns by a refusal.
async fn may_publish(
    api: &Api,
    caller: &Caller,
    call: &Call,
    upstream: &UpstreamId,
) -> Result<(), ApiError> {
    let Err(lacking) = authorize::also(caller, Resource::Snapshots, Grant::Write) else {
        return Ok(());
    };
    let find = |view: &dyn View| query::upstream(view, &caller.environment_id, upstream).is_some();
    let is_there = api.read(call.consistency, find).await?.value;
    Err(if is_there {
        lacking
    } else {
        ApiError::not_found("upstream")
    })
}

/// What takes a shift back; an upstream that fails does unless the client says otherwise.
fn abort_on(fields: &mut Fields) -> Result<AbortOn, ApiError> {
    let mut abort_on = AbortOn {
        upstream_failed: true,
        error_rate: None,
        min_requests: MIN_REQUESTS_DEFAULT,
    };
    let Some(given) = fields.value("abort_on") else {
        return Ok(abort_on);
    };
    let mut given = Fields::of(given, "abort_on", &ABORT_FIELDS)?;
    if let Some(wanted) = given.boolean("upstream_failed")? {
        abort_on.upstream_failed = wanted;
    }
    abort_on.error_rate = share(&mut given, "error_rate")?;
    if let Some(requests) = number(&mut given, "min_requests", 1, SHIFT_REQUESTS_MAX)? {
        if abort_on.error_rate.is_none() {
            let message = "This is about error_rate; give both.";
            return Err(ApiError::invalid(given.path("min_requests"), message));
        }
        abort_on.min_requests = requests;
    }
    Ok(abort_on)
}

fn number(fields: &mut Fields, name: &str, min: u32, max: u32) -> Result<Option<u32>, ApiError> {
    let number = fields.integer(name, min.into(), max.into())?;
    Ok(number.map(|number| u32::try_from(number).unwrap_or(max)))
}

/// A share of a whole, in millionths.
fn share(fields: &mut Fields, name: &str) -> Result<Option<u32>, ApiError> {
    let Some(value) = fields.value(name) else {
        return Ok(None);
    };
    match millionths(&value) {
        Some(share) => Ok(Some(share)),
        None => Err(ApiError::invalid(
            fields.path(name),
            "Must be a number from 0 to less than 1.",
        )),
    }
}

fn millionths(value: &Value) -> Option<u32> {
    let share = value.as_f64().filter(|share| (0.0..1.0).contains(share))?;
    let whole = f64::from(SHARE_WHOLE);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 0 to a million"
    )]
    let share = (share * whole).round() as u32;
    (share < SHARE_WHOLE).then_some(share)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_share_is_a_number_below_one() {
        for (value, expected) in [
            (json!(0), Some(0)),
            (json!(0.05), Some(50_000)),
            (json!(0.000_001), Some(1)),
            (json!(0.999_999), Some(999_999)),
            (json!(0.999_999_9), None),
            (json!(1), None),
            (json!(-0.1), None),
            (json!("0.1"), None),
            (json!(null), None),
        ] {
            assert_eq!(millionths(&value), expected, "{value}");
        }
    }
}
