//! Shifts of weight: while one runs, what it is to be aborted on is looked for, and its steps are taken
//! when they are due.
//!
//! What edges counted of the target that gets the weight is remembered by the minute, and so the
//! minutes since the last step are asked for, the one of the step included.

use domain::command::{Command, DraftSeed, ShiftTurn, StepShift};
use domain::id::TargetId;
use domain::model::{AbortCause, Shift};
use domain::query;
use domain::rows::View;
use domain::time::Timestamp;
use edge_protocol::telemetry::Counts;

use super::Runner;
use crate::rest::{Grouping, TELEMETRY_MINUTES_MAX, TelemetryQuery, TelemetryView};

/// A shift that is running, and a region in which its upstream is out of use.
type Seen = (Shift, Option<String>);

impl Runner {
    pub(super) async fn shifts(&mut self) {
        let Some((shifts, now)) = self.read(running) else {
            return;
        };
        for (shift, failed) in shifts {
            if let Some(turn) = self.turn(&shift, failed, now).await {
                self.take(shift, turn, now).await;
            }
        }
    }

    /// What becomes of a shift now, if anything does.
    async fn turn(
        &self,
        shift: &Shift,
        failed: Option<String>,
        now: Timestamp,
    ) -> Option<ShiftTurn> {
        if let Some(region) = failed.filter(|_| shift.abort_on.upstream_failed) {
            return Some(ShiftTurn::Abort(AbortCause::UpstreamFailed { region }));
        }
        if shift.abort_on.error_rate.is_some() {
            let traffic = self.parts.fleet.telemetry(&question(shift, now)).await;
            let (requests, errors) = ended(&counted(&traffic, &shift.to));
            if shift.abort_on.is_exceeded(requests, errors) {
                return Some(ShiftTurn::Abort(AbortCause::ErrorRate { requests, errors }));
            }
        }
        (now >= shift.due_at()).then_some(ShiftTurn::Advance)
    }

    async fn take(&self, shift: Shift, turn: ShiftTurn, now: Timestamp) {
        let upstream_id = shift.upstream_id;
        tracing::info!(%upstream_id, taken = shift.taken, ?turn, "a shift goes on");
        let seed = self.parts.entropy.seed(now);
        let step = StepShift {
            environment_id: shift.environment_id,
            upstream_id,
            began: shift.began,
            taken: shift.taken,
            turn,
            seed: DraftSeed {
                unix_ms: seed.unix_ms,
                random: seed.random,
            },
        };
        self.parts.propose(now, Command::StepShift(step)).await;
    }
}

fn running(view: &dyn View) -> Vec<Seen> {
    let failed = |shift: &Shift| {
        let outages = query::upstream_outages(view, &shift.environment_id, &shift.upstream_id);
        outages.into_keys().next()
    };
    let shifts = query::running_shifts(view).into_iter();
    let seen = shifts.map(|shift| {
        let failed = failed(&shift);
        (shift, failed)
    });
    seen.collect()
}

/// The minutes since the last step.
fn question(shift: &Shift, now: Timestamp) -> TelemetryQuery {
    let minutes = now.0.saturating_sub(shift.stepped_at.0) / 60_000 + 1;
    let minutes = u16::try_from(minutes).unwrap_or(TELEMETRY_MINUTES_MAX);
    TelemetryQuery {
        environment_id: shift.environment_id.clone(),
        routes: Vec::new(),
        rule: None,
        upstream: Some(shift.upstream_id.clone()),
        region: None,
        minutes: minutes.min(TELEMETRY_MINUTES_MAX),
        by: Grouping::Target,
        samples: 0,
    }
}

/// What was counted of a target in all regions.
fn counted(traffic: &TelemetryView, target: &TargetId) -> Counts {
    let mut all = Counts::default();
    let rows = traffic.rows.iter().filter(|(key, _)| {
        let asked = key.target.as_ref();
        asked.is_some_and(|key| key.target == *target)
    });
    rows.for_each(|(_, counts)| all.merge(counts));
    all
}

/// How many requests there were, and how many of them failed. A target that gives no answer makes the
/// edge give one, a 5xx, unless another target answers: so what is counted twice is not added up.
fn ended(counts: &Counts) -> (u64, u64) {
    let errors = counts.statuses[4].max(counts.failures);
    let good = counts.answers() - counts.statuses[4];
    (good.saturating_add(errors), errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_failed_is_counted_once() {
        for (good, server_errors, failures, expected) in [
            (0, 0, 0, (0, 0)),
            (90, 10, 0, (100, 10)),
            // No answer, and another target gave one.
            (90, 0, 10, (100, 10)),
            // No answer, so the edge gave one.
            (90, 10, 10, (100, 10)),
            (0, 0, 50, (50, 50)),
        ] {
            let counts = Counts {
                statuses: [0, good, 0, 0, server_errors],
                failures,
                ..Counts::default()
            };
            let case = format!("{good} {server_errors} {failures}");
            assert_eq!(ended(&counts), expected, "{case}");
        }
    }
}
