//! Source: while a shift runs, what its two targets weigh is its own, and it is found by whoever takes
//! it on. What is known of shifts goes with the upstream.

use super::ensure;
use super::expected::Expected;
use super::state::State;
use crate::schema::{RUNNING_SHIFTS, UPSTREAM_SHIFTS};

pub(super) fn derive(state: &State, expected: &mut Expected) -> Result<(), String> {
    expected.cover(&RUNNING_SHIFTS);
    for (key, shift) in UPSTREAM_SHIFTS.walk(&state.rows, UPSTREAM_SHIFTS.all()) {
        let upstream = state.upstreams.get(&key);
        let upstream = upstream.ok_or_else(|| format!("{} is gone and has a shift", key.1))?;
        ensure(shift.taken <= shift.steps, || {
            format!("the shift of {} took {} steps", key.1, shift.taken)
        })?;
        if !shift.is_running() {
            continue;
        }
        expected.add(&RUNNING_SHIFTS, (&key.0, &key.1), &())?;
        let (found, wanted) = (shift.weights_in(&upstream.targets), shift.weights());
        ensure(found == Some(wanted), || {
            format!("{} has {found:?} where its shift has {wanted:?}", key.1)
        })?;
    }
    Ok(())
}
