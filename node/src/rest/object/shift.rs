//! A shift of weight between two targets, as part of the upstream object.

use domain::model::{AbortCause, AbortOn, SHARE_WHOLE, Shift, ShiftState, ShiftWeights};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::openapi::shape;
use super::super::render::{Seconds, seconds};

/// A shift as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Shift)]
pub(crate) struct ShiftObject<'a> {
    #[schema(value_type = shape::ShiftStatus)]
    status: &'static str,
    /// Whose weight goes.
    #[schema(value_type = shape::TargetId)]
    from: &'a str,
    /// Who gets it.
    #[schema(value_type = shape::TargetId)]
    to: &'a str,
    steps: u32,
    steps_taken: u32,
    interval_s: u32,
    abort_on: AbortConditions,
    /// What they weighed before.
    start_weights: Weights,
    /// What they weigh by it; those before where it was taken back.
    weights: Weights,
    #[schema(value_type = shape::ApiKeyId)]
    started_by: &'a str,
    started_at: Seconds,
    /// When the next step is due, or after the last one, when it is complete. None once it has ended.
    next_step_at: Option<u64>,
    ended_at: Option<u64>,
    /// What aborted it.
    aborted_by: Option<AbortedBy<'a>>,
}

/// When a shift is taken back.
#[derive(Serialize, ToSchema)]
#[schema(as = ShiftAbortConditions)]
struct AbortConditions {
    upstream_failed: bool,
    error_rate: Option<f64>,
    min_requests: u32,
}

/// What two targets weigh.
#[derive(Serialize, ToSchema)]
#[schema(as = ShiftWeights)]
struct Weights {
    from: u32,
    to: u32,
}

/// Why a shift was taken back.
#[derive(Serialize, ToSchema)]
#[schema(as = ShiftAbortCause)]
struct AbortedBy<'a> {
    #[schema(value_type = shape::ShiftAbortCondition)]
    condition: &'static str,
    /// Where the upstream went out of use.
    region: Option<&'a str>,
    /// How many requests the target had got since the last step.
    requests: Option<u64>,
    /// How many of them failed.
    errors: Option<u64>,
}

impl<'a> ShiftObject<'a> {
    /// Shows a shift.
    pub(crate) fn new(shift: &'a Shift) -> Self {
        let cause = match &shift.state {
            ShiftState::Aborted { cause, .. } => Some(cause),
            _ => None,
        };
        Self {
            status: shift.state.as_str(),
            from: shift.from.as_str(),
            to: shift.to.as_str(),
            steps: shift.steps,
            steps_taken: shift.taken,
            interval_s: shift.interval_s,
            abort_on: AbortConditions::new(shift.abort_on),
            start_weights: Weights::new(shift.start),
            weights: Weights::new(shift.weights()),
            started_by: shift.started_by.as_str(),
            started_at: Seconds(shift.started_at),
            next_step_at: seconds(shift.is_running().then(|| shift.due_at())),
            ended_at: seconds(shift.ended_at()),
            aborted_by: cause.map(AbortedBy::new),
        }
    }
}

impl AbortConditions {
    fn new(abort_on: AbortOn) -> Self {
        let share = |millionths: u32| f64::from(millionths) / f64::from(SHARE_WHOLE);
        Self {
            upstream_failed: abort_on.upstream_failed,
            error_rate: abort_on.error_rate.map(share),
            min_requests: abort_on.min_requests,
        }
    }
}

impl Weights {
    fn new(weights: ShiftWeights) -> Self {
        let ShiftWeights { from, to } = weights;
        Self { from, to }
    }
}

impl<'a> AbortedBy<'a> {
    fn new(cause: &'a AbortCause) -> Self {
        let condition = cause.as_str();
        match cause {
            AbortCause::UpstreamFailed { region } => Self {
                condition,
                region: Some(region),
                requests: None,
                errors: None,
            },
            AbortCause::ErrorRate { requests, errors } => Self {
                condition,
                region: None,
                requests: Some(*requests),
                errors: Some(*errors),
            },
        }
    }
}
