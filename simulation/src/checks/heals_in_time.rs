//! When everything was healed, the cluster is whole again within thirty seconds: ten changes and ten
//! reads that began after that come through, and then everything is equal everywhere.

use crate::history::{Attempt, History};

/// How long it may take, in microseconds.
const HEALED_US: u64 = 30_000_000;
/// How many changes, and how many reads.
const EACH: usize = 10;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let Some(healed) = history.healed_us else {
        return vec!["it was never healed".to_owned()];
    };
    let deadline = healed + HEALED_US;
    let mut found = Vec::new();
    for (what, writes) in [("changes", true), ("reads", false)] {
        let came_through = |attempt: &Attempt| {
            attempt.call.operation.writes() == writes
                && attempt.sent_us >= healed
                && attempt.ended_us <= deadline
        };
        let count = history
            .done()
            .filter(|(attempt, _)| came_through(attempt))
            .count();
        if count < EACH {
            found.push(format!("only {count} {what} came through after healing"));
        }
    }
    if history.converged_us.is_none() {
        found.push("nodes and edges never became equal".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{HEALED_US, check};
    use crate::checks::made_up::{history, read, renamed};
    use crate::history::History;

    fn healed(each: u64, at: u64) -> History {
        let attempts = (0..each).flat_map(|number| {
            let at = at + 100 * number;
            [
                renamed("r1", &format!("n{number}"), at, number),
                read("r1", "n", at + 50, number),
            ]
        });
        History {
            healed_us: Some(1_000),
            converged_us: Some(2_000),
            ..history(attempts.collect(), vec![], &[])
        }
    }

    #[test]
    fn too_few_or_too_late_is_found() {
        assert!(check(&healed(10, 1_000)).is_empty());
        assert_eq!(check(&healed(9, 1_000)).len(), 2);
        assert_eq!(check(&healed(10, HEALED_US + 1_000)).len(), 2);
    }

    #[test]
    fn what_stays_apart_is_found() {
        let mut history = healed(10, 1_000);
        history.converged_us = None;
        assert_eq!(check(&history).len(), 1);
        history.healed_us = None;
        assert_eq!(check(&history).len(), 1);
    }
}
