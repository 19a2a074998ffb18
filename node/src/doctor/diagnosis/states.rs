//! Whether all members have the same state, as those of them know that have compared.

use std::collections::BTreeMap;

use raft_store::types::NodeId;

use super::{Finding, Patient, Severity};
use crate::consensus::membership::StateCheck;

/// Who differs, and of whom nothing is known.
pub(super) fn states(patient: &Patient<'_>, found: &mut Vec<Finding>) {
    let checks: Vec<(NodeId, &StateCheck)> = patient
        .answering()
        .filter_map(|(_, condition)| Some((condition.id, condition.state_check.as_ref()?)))
        .collect();
    for (id, _) in checks.iter().filter(|(_, check)| check.every_ms == 0) {
        found.push(
            Finding::new(
                Severity::Warning,
                "state_check_off",
                format!(
                    "Node {id} does not compare its state with the others': what has changed on its disk behind its back goes \
                     on being served."
                ),
                "Take `check.enabled = false` out of its settings.",
            )
            .of(*id),
        );
    }
    let mut different = BTreeMap::<NodeId, &StateCheck>::new();
    for (_, check) in &checks {
        for id in &check.different {
            different.insert(*id, check);
        }
    }
    for (id, check) in &different {
        found.push(differs(*id, check).of(*id));
    }
    // Whoever compared last knows best.
    let newest = checks.iter().max_by_key(|(_, check)| check.position);
    let Some((_, newest)) = newest else { return };
    for (_, condition) in patient.answering() {
        if newest.unknown.contains(&condition.id) {
            found.push(unknown(condition.id, newest).of(condition.id));
        }
    }
}

fn differs(id: NodeId, check: &StateCheck) -> Finding {
    let position = check.position.unwrap_or_default();
    if check.is_decided {
        return Finding::new(
            Severity::Critical,
            "state_differs",
            format!(
                "The state of node {id} was another one than the majority's when states were compared (last at log position \
                 {position}): it takes itself out of service."
            ),
            format!(
                "Replace it: `members replace {id} --id NEW --internal HOST:PORT`. Keep its data directory for whoever wants to know what \
                 happened, and look at the machine's disk and memory."
            ),
        );
    }
    Finding::new(
        Severity::Critical,
        "state_differs",
        format!(
            "The state of node {id} is not the one that others have (compared at log position {position}), and no majority has one \
             state: nobody can say whose is right, and all go on."
        ),
        "Start the voters that do not answer, so that a majority can be found. Publish nothing until then, and see \
         docs/runbooks/state-differs.md.",
    )
}

fn unknown(id: NodeId, check: &StateCheck) -> Finding {
    Finding::new(
        Severity::Note,
        "state_unknown",
        format!(
            "Nothing is known of the state of node {id}: it said none when states were compared at log position {}.",
            check.position.unwrap_or_default()
        ),
        "That is so while it starts, lags behind or runs another release. If it stays so, look at its log.",
    )
}
