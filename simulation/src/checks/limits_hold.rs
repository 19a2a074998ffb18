//! In no minute does a key get more requests through than its limit allows, and a fiftieth. What
//! nodes let through that are in trouble comes on top, as is documented, and is not counted; nor is
//! a minute in which two nodes were started anew or joined, since counts live in memory.

use std::collections::BTreeMap;

use super::calm::Calm;
use crate::history::{Answer, Attempt, History, Host};

/// A minute, in microseconds.
const WINDOW_US: u64 = 60_000_000;
/// A node that is cut off notices it so late.
const NOTICED_US: u64 = 3_000_000;

/// Whose process began before this, did so with the run.
const FORMED_US: u64 = 1_000_000;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let Some(limit) = history.requests_per_minute else {
        return Vec::new();
    };
    let most = limit + limit / 50;
    let calm = Calm::new(history);
    admitted(history, &calm)
        .into_iter()
        .filter_map(|(key, times)| {
            let (from, count) = busiest(history, &times, most)?;
            Some(format!(
                "{key} got {count} requests through in the minute from {from} µs, limit {limit}"
            ))
        })
        .collect()
}

/// When each key's requests were sent and answered, by nodes that were in no trouble.
fn admitted<'a>(history: &'a History, calm: &Calm<'_>) -> BTreeMap<&'a str, Vec<(u64, u64)>> {
    let mut admitted: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    let counted = history.attempts.iter().filter(|attempt| counts(attempt));
    for attempt in counted {
        let from = attempt.sent_us.saturating_sub(NOTICED_US);
        let until = attempt.ended_us + NOTICED_US;
        if calm.nodes(from, until).contains(&attempt.node) {
            let times = (attempt.sent_us, attempt.ended_us);
            admitted.entry(&attempt.api_key).or_default().push(times);
        }
    }
    admitted
}

/// Whether a request was let through: refused for being too many it was not, nor for its key.
fn counts(attempt: &Attempt) -> bool {
    match &attempt.answer {
        Answer::Done(_) => true,
        Answer::Refused { status, .. } => !matches!(status, 401 | 403 | 429),
        Answer::Unavailable { .. } | Answer::NotSent | Answer::Unknown(_) => false,
    }
}

/// The first minute with more than `most` requests that lie in it entirely.
fn busiest(history: &History, times: &[(u64, u64)], most: u64) -> Option<(u64, usize)> {
    let mut by_start = times.to_vec();
    by_start.sort_unstable();
    let mut ends: Vec<u64> = Vec::new();
    // From the last start back, so that `ends` has all that start in the minute or after it.
    for (from, ended) in by_start.into_iter().rev() {
        let place = ends.partition_point(|end| *end < ended);
        ends.insert(place, ended);
        let count = ends.partition_point(|end| *end <= from + WINDOW_US);
        if count as u64 > most && restarts(history, from) < 2 {
            return Some((from, count));
        }
    }
    None
}

/// How many nodes' processes began in the minute, or so shortly before that counts may be missing.
/// Those that began with the run lost none.
fn restarts(history: &History, from_us: u64) -> usize {
    let from = from_us.saturating_sub(WINDOW_US).max(FORMED_US);
    let began = history
        .lives
        .iter()
        .filter(|life| matches!(life.host, Host::Node(_)))
        .filter(|life| (from..=from_us + WINDOW_US).contains(&life.began_us));
    began.count()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{attempt, call, done, fault, life, refused, sight};
    use crate::history::{Effect, History, Host, Operation};

    const SECOND: u64 = 1_000_000;

    /// So many requests in each of these seconds, of a limit of 100.
    fn history(seconds: &[(u64, u64)]) -> History {
        let mut history = History {
            requests_per_minute: Some(100),
            nodes: vec![sight(1, 0, 1, 1)],
            ..History::default()
        };
        for (second, count) in seconds {
            for number in 0..*count {
                let at = second * SECOND + number;
                let who = call(Operation::Hurry, None, None);
                history
                    .attempts
                    .push(attempt(who, at, at + 1_000, done(1, "r", "n")));
            }
        }
        history
    }

    #[test]
    fn a_full_minute_is_fine_and_more_is_found() {
        assert!(check(&history(&[(10, 60), (50, 42)])).is_empty());
        assert_eq!(check(&history(&[(10, 60), (50, 43)])).len(), 1);
        assert!(check(&history(&[(10, 60), (71, 60)])).is_empty());
    }

    #[test]
    fn what_is_refused_for_being_too_many_does_not_count() {
        let mut history = history(&[(10, 150)]);
        for attempt in history.attempts.iter_mut().skip(100) {
            attempt.answer = refused(429, "rate_limit_exceeded");
        }
        assert!(check(&history).is_empty());
    }

    #[test]
    fn a_node_in_trouble_lets_more_through_and_nodes_that_start_anew_forget() {
        let mut cut = history(&[(10, 60), (50, 60)]);
        let links = vec![
            (Host::Node(1), Host::Node(2)),
            (Host::Node(1), Host::Node(3)),
        ];
        cut.faults = vec![fault(Effect::Cut(links), 48 * SECOND, 55 * SECOND)];
        assert!(check(&cut).is_empty());
        let mut restarted = history(&[(10, 60), (50, 60)]);
        for node in [2, 3] {
            restarted
                .lives
                .push(life(Host::Node(node), 0, Some(30 * SECOND)));
            restarted
                .lives
                .push(life(Host::Node(node), 31 * SECOND, None));
        }
        assert!(check(&restarted).is_empty());
    }

    #[test]
    fn nodes_that_join_have_no_counts_and_those_that_began_with_the_run_have() {
        for (began, found) in [(5_000, 1), (31 * SECOND, 0)] {
            let mut joined = history(&[(10, 60), (50, 60)]);
            let joining = [4, 5].map(|node| life(Host::Node(node), began, None));
            joined.lives.extend(joining);
            assert_eq!(check(&joined).len(), found, "{began}");
        }
    }
}
