//! Every request is answered by its deadline, if only by saying that the cluster cannot: a node that
//! runs keeps nobody waiting for longer than it says. A client that gives up before that learns
//! nothing of it, so only those are judged that wait for long enough.

use super::calm::Calm;
use crate::history::{Answer, Attempt, Effect, History, Host, Silence};

/// Every request is answered within 25 s; what it waits for itself comes on top of none here.
const ANSWERED_US: u64 = 26_000_000;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let calm = Calm::new(history);
    history
        .attempts
        .iter()
        .filter(|attempt| is_late(attempt) && !is_excused(&calm, attempt))
        .map(|attempt| format!("{attempt:?} was kept waiting"))
        .collect()
}

fn is_late(attempt: &Attempt) -> bool {
    let waited = attempt.ended_us.saturating_sub(attempt.sent_us);
    let silent = attempt.answer == Answer::Unknown(Silence::TimedOut);
    waited > ANSWERED_US || (silent && waited + 1_000_000 > ANSWERED_US)
}

/// Whether the process that was asked did not run all the time, or messages from and to it are lost.
fn is_excused(calm: &Calm<'_>, attempt: &Attempt) -> bool {
    let node = Host::Node(attempt.node);
    let (from, until) = (attempt.sent_us, attempt.ended_us);
    let struck = |effect: &Effect| match effect {
        Effect::Down(hosts) | Effect::Paused(hosts) | Effect::Disk(hosts) => hosts.contains(&node),
        Effect::Weather => true,
        _ => false,
    };
    calm.is_down(&node, from, until) || calm.any(from, until, struck)
}

#[cfg(test)]
mod tests {
    use super::{ANSWERED_US, check};
    use crate::checks::made_up::{attempt, call, done, fault};
    use crate::history::{Answer, Attempt, Effect, FaultSpan, History, Host, Operation, Silence};

    fn waits(waited_us: u64, answer: Answer) -> Attempt {
        let read = call(Operation::ReadRule, Some("r1"), None);
        attempt(read, 100, 100 + waited_us, answer)
    }

    #[track_caller]
    fn found(attempt: Attempt, faults: Vec<FaultSpan>, violations: usize) {
        let history = History {
            attempts: vec![attempt],
            faults,
            ..History::default()
        };
        assert_eq!(check(&history).len(), violations);
    }

    #[test]
    fn whoever_is_kept_waiting_is_found_unless_he_gave_up_himself() {
        let silent = || Answer::Unknown(Silence::TimedOut);
        found(waits(ANSWERED_US, done(5, "r1", "n")), vec![], 0);
        found(waits(ANSWERED_US + 1, done(5, "r1", "n")), vec![], 1);
        found(waits(ANSWERED_US, silent()), vec![], 1);
        found(waits(3_000_000, silent()), vec![], 0);
    }

    #[test]
    fn a_process_that_died_answers_nobody() {
        let down = fault(Effect::Down(vec![Host::Node(1)]), 1_000, 2_000);
        found(waits(ANSWERED_US + 1, done(5, "r1", "n")), vec![down], 0);
    }
}
