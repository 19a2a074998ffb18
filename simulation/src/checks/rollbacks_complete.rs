//! A rollback comes through while one node is down: within ten seconds of being asked for, as long
//! as a majority of the nodes is in no trouble all the time.

use std::collections::BTreeMap;

use super::calm::Calm;
use crate::history::{Answer, Attempt, Environment, History, Operation};

/// How long it may take, retries included, in microseconds.
const COMPLETE_US: u64 = 10_000_000;

/// A rollback from the first attempt to the first that was told what came of it.
struct Rollback {
    begun_us: u64,
    known_us: Option<u64>,
}

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let calm = Calm::new(history);
    rollbacks(history)
        .into_iter()
        .filter(|(_, rollback)| {
            let deadline = rollback.begun_us + COMPLETE_US;
            deadline <= history.ended_us
                && rollback.known_us.is_none_or(|known| known > deadline)
                && calm.has_quorum(rollback.begun_us, deadline)
        })
        .map(|((_, key), rollback)| {
            format!(
                "the rollback {key}, begun at {} µs, was known only at {:?}",
                rollback.begun_us, rollback.known_us
            )
        })
        .collect()
}

fn rollbacks(history: &History) -> BTreeMap<(Environment, &str), Rollback> {
    let mut rollbacks: BTreeMap<(Environment, &str), Rollback> = BTreeMap::new();
    for attempt in &history.attempts {
        let Some(key) = &attempt.call.key else {
            continue;
        };
        if attempt.call.operation != Operation::RollBack {
            continue;
        }
        let rollback = rollbacks
            .entry((attempt.environment, key))
            .or_insert(Rollback {
                begun_us: attempt.sent_us,
                known_us: None,
            });
        rollback.begun_us = rollback.begun_us.min(attempt.sent_us);
        if is_known(attempt) {
            let known = rollback.known_us.unwrap_or(u64::MAX);
            rollback.known_us = Some(known.min(attempt.ended_us));
        }
    }
    rollbacks
}

fn is_known(attempt: &Attempt) -> bool {
    matches!(attempt.answer, Answer::Done(_) | Answer::Refused { .. })
}

#[cfg(test)]
mod tests {
    use super::{COMPLETE_US, check};
    use crate::checks::made_up::{attempt, call, done, fault, sight};
    use crate::history::{Answer, Effect, History, Host, Operation, Silence};

    #[track_caller]
    fn found(known_after: u64, down: Vec<Host>, violations: usize) {
        let roll_back = || call(Operation::RollBack, Some("rt_1"), Some("k"));
        let unknown = Answer::Unknown(Silence::TimedOut);
        let history = History {
            nodes: vec![sight(1, 0, 1, 1)],
            attempts: vec![
                attempt(roll_back(), 100, 200, unknown),
                attempt(roll_back(), 300, 100 + known_after, done(5, "r", "n")),
            ],
            faults: vec![fault(Effect::Down(down), 0, 2 * COMPLETE_US)],
            ended_us: 2 * COMPLETE_US,
            ..History::default()
        };
        assert_eq!(check(&history).len(), violations);
    }

    #[test]
    fn one_that_takes_longer_with_one_node_down_is_found() {
        found(COMPLETE_US, vec![Host::Node(2)], 0);
        found(COMPLETE_US + 1, vec![Host::Node(2)], 1);
        found(COMPLETE_US + 1, vec![Host::Node(2), Host::Node(3)], 0);
    }
}
