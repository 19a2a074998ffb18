//! Source: what a workspace is told that it uses is what it has, and is found without counting.

use std::collections::BTreeMap;

use super::expected::Expected;
use super::state::State;
use crate::id::EnvironmentId;
use crate::model::RuleStatus;
use crate::schema::{OBJECT_COUNTS, ObjectCounts};

pub(super) fn derive(state: &State, expected: &mut Expected) -> Result<(), String> {
    expected.cover(&OBJECT_COUNTS);
    let mut counts = BTreeMap::<&EnvironmentId, ObjectCounts>::new();
    for (environment, _) in state.upstreams.keys() {
        counts.entry(environment).or_default().upstreams += 1;
    }
    for (environment, _) in state.snapshots.keys() {
        counts.entry(environment).or_default().snapshots += 1;
    }
    for ((environment, _), route) in &state.routes {
        let open = |status| status != RuleStatus::Archived;
        let rules = route.rules.iter().filter(|rule| open(rule.status)).count();
        counts.entry(environment).or_default().rules += rules as u64;
    }
    // A row stays when the last object of its environment goes.
    for ((environment,), found) in OBJECT_COUNTS.walk(&state.rows, OBJECT_COUNTS.all()) {
        if found == ObjectCounts::default() {
            expected.add(&OBJECT_COUNTS, (&environment,), &found)?;
        }
    }
    for (environment, count) in counts {
        if count != ObjectCounts::default() {
            expected.add(&OBJECT_COUNTS, (environment,), &count)?;
        }
    }
    Ok(())
}
