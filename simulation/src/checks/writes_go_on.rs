//! While a majority of the nodes is in no trouble, changes go on: there are no three seconds in
//! which somebody waits for one of these nodes to make a change and no change is made.

use super::calm::Calm;
use crate::history::{Answer, Attempt, Effect, FaultSpan, History, Operation};

/// How long nobody may get through, in microseconds.
const GAP_US: u64 = 3_000_000;
/// What the connection itself takes, both ways, twice.
const UNDER_WAY_US: u64 = 300_000;

/// A leader that is cut off for longer is missed, and another one elected. What was under way in a shorter cut is lost:
/// the simulation's connections do not send again what TCP would, and who waits for it waits in vain.
const MISSED_US: u64 = 1_000_000;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let calm = Calm::new(history);
    let acknowledged = acknowledged(history);
    let mut found: Vec<String> = Vec::new();
    let mut until_us = 0;
    for attempt in waiting(history) {
        let (from, until) = (attempt.sent_us, attempt.sent_us + GAP_US + UNDER_WAY_US);
        let next = acknowledged.partition_point(|ended| *ended < from);
        let gap = acknowledged.get(next).is_none_or(|ended| *ended > until);
        // One gap is told once.
        if !gap || from < until_us || until > history.ended_us {
            continue;
        }
        if history
            .faults
            .iter()
            .any(|it| loses_what_is_under_way(it, from, until))
        {
            continue;
        }
        let nodes = calm.nodes(from, until);
        let asked = attempt.node;
        if calm.has_quorum(from, until)
            && nodes.contains(&asked)
            && calm.keeps_its_vote(asked, from, until)
        {
            until_us = until;
            found.push(format!(
                "nothing was changed for three seconds with {nodes:?} in no trouble: {attempt:?}"
            ));
        }
    }
    found
}

/// Whether a short cut began between the two.
fn loses_what_is_under_way(fault: &FaultSpan, from_us: u64, until_us: u64) -> bool {
    let cuts = matches!(fault.effect, Effect::Cut(_) | Effect::CutOneWay(..));
    let lasted = fault
        .ended_us
        .map(|ended| ended.saturating_sub(fault.began_us));
    cuts && (from_us..=until_us).contains(&fault.began_us)
        && lasted.is_some_and(|lasted| lasted < MISSED_US)
}

/// When changes were acknowledged, or judged and refused, which takes the log as well.
fn acknowledged(history: &History) -> Vec<u64> {
    let mut ends: Vec<u64> = history
        .attempts
        .iter()
        .filter(|attempt| attempt.call.operation.writes() && is_through(attempt))
        .map(|attempt| attempt.ended_us)
        .collect();
    ends.sort_unstable();
    ends
}

fn is_through(attempt: &Attempt) -> bool {
    match &attempt.answer {
        Answer::Done(done) => !done.replayed,
        _ => false,
    }
}

/// Changes that were waited for all the time, by when they were sent.
fn waiting(history: &History) -> Vec<&Attempt> {
    let mut waiting: Vec<&Attempt> = history
        .attempts
        .iter()
        .filter(|attempt| {
            let operation = attempt.call.operation;
            operation.writes()
                && !matches!(operation, Operation::Bad(_) | Operation::PublishAndWait)
                && matches!(
                    attempt.answer,
                    Answer::Unknown(_) | Answer::Unavailable { .. }
                )
                && attempt.ended_us.saturating_sub(attempt.sent_us) + UNDER_WAY_US >= GAP_US
        })
        .collect();
    waiting.sort_by_key(|attempt| attempt.sent_us);
    waiting
}

#[cfg(test)]
mod tests {
    use super::{GAP_US, MISSED_US, UNDER_WAY_US, check};
    use crate::checks::made_up::{attempt, fault, place, renamed, renames, sight};
    use crate::history::{Answer, Effect, FaultSpan, History, Host, NodeSight, Silence};

    #[track_caller]
    fn found(acknowledged_at: &[u64], faults: Vec<FaultSpan>, violations: usize) {
        let silence = Answer::Unknown(Silence::TimedOut);
        let mut attempts = vec![attempt(
            renames("r1", "x"),
            10_000,
            10_000 + GAP_US,
            silence,
        )];
        for (number, at) in acknowledged_at.iter().enumerate() {
            attempts.push(renamed("r1", &format!("n{number}"), *at, number as u64));
        }
        let history = History {
            nodes: vec![sight(1, 0, 1, 1)],
            attempts,
            faults,
            ended_us: 4 * GAP_US,
            ..History::default()
        };
        assert_eq!(check(&history).len(), violations);
    }

    #[test]
    fn three_seconds_without_a_change_are_found() {
        found(&[GAP_US], vec![], 0);
        found(&[0, 2 * GAP_US], vec![], 1);
        found(&[], vec![], 1);
    }

    #[test]
    fn what_is_lost_in_a_cut_that_nobody_notices_is_no_gap() {
        let cut = |began_us, ended_us| {
            let links = vec![(Host::Node(2), Host::Node(3))];
            vec![fault(Effect::Cut(links), began_us, ended_us)]
        };
        found(&[], cut(20_000, 28_000), 0);
        found(&[], cut(20_000, 20_000 + MISSED_US), 1);
        found(&[], cut(1_000, 9_000), 1);
    }

    #[test]
    fn a_node_that_is_removed_meanwhile_is_not_told_what_becomes_of_a_change() {
        let voters = |at_us, index, voters: &[u64]| NodeSight {
            membership: Some(place(1, 2, index)),
            committed: Some(place(1, 2, index)),
            voters: vec![voters.to_vec()],
            ..sight(2, at_us, 1, 2)
        };
        let waited = attempt(
            renames("r1", "x"),
            10_000,
            10_000 + GAP_US,
            Answer::Unknown(Silence::TimedOut),
        );
        let with = |later: NodeSight| History {
            nodes: vec![voters(0, 1, &[1, 2, 3]), later],
            attempts: vec![waited.clone()],
            ended_us: 4 * GAP_US,
            ..History::default()
        };
        let removed = voters(50_000, 2, &[2, 3, 4]);
        let stays = voters(50_000, 2, &[1, 3, 4]);
        assert_eq!(check(&with(removed)).len(), 0);
        assert_eq!(check(&with(stays)).len(), 1);
    }

    #[test]
    fn without_a_majority_nothing_is_promised_and_with_one_it_is() {
        let down = |nodes: &[usize]| {
            let nodes = nodes.iter().map(|node| Host::Node(*node)).collect();
            vec![fault(Effect::Down(nodes), 0, GAP_US + UNDER_WAY_US)]
        };
        found(&[], down(&[2, 3]), 0);
        found(&[], down(&[3]), 1);
        // The node that was asked is the one in trouble.
        found(&[], down(&[1]), 0);
    }
}
