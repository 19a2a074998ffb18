//! After the faults healed, every node has applied the same revision and every edge holds the
//! current manifest.

use std::collections::BTreeSet;

use crate::history::History;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    let applied: BTreeSet<u64> = history.finals.values().map(|state| state.applied).collect();
    if applied.len() > 1 {
        found.push(format!("nodes stand at different revisions: {applied:?}"));
    }
    for (edge, held) in &history.final_edges {
        if *held != history.final_manifest {
            found.push(format!(
                "edge {edge} holds {held:?}, current is {:?}",
                history.final_manifest
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::{FinalState, History};

    #[test]
    fn nodes_and_edges_that_stay_behind_are_found() {
        let mut history = History {
            final_manifest: (1, 4),
            ..History::default()
        };
        history.final_edges.insert(1, (1, 4));
        history.finals.insert(
            1,
            FinalState {
                applied: 9,
                ..FinalState::default()
            },
        );
        assert!(check(&history).is_empty());
        history.finals.insert(
            2,
            FinalState {
                applied: 8,
                ..FinalState::default()
            },
        );
        history.final_edges.insert(2, (1, 3));
        assert_eq!(check(&history).len(), 2);
    }
}
