//! The state of every node keeps what the domain says of any state: unique priorities, indexes
//! that match their objects, exact reference counts.

use crate::history::History;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    history
        .finals
        .iter()
        .filter_map(|(node, state)| {
            state
                .invariants
                .as_ref()
                .map(|broken| format!("node {node}: {broken}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::history;

    #[test]
    fn what_the_domain_found_is_passed_on() {
        let mut history = history(Vec::new(), Vec::new(), &[]);
        assert!(check(&history).is_empty());
        if let Some(state) = history.finals.get_mut(&1) {
            state.invariants = Some("two rules share a priority".to_owned());
        }
        assert_eq!(check(&history).len(), 1);
    }
}
