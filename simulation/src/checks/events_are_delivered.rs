//! Each event that was committed is sent to every endpoint that was there, at least once, and the
//! same on every attempt: its identifier, in the head as in the body, and the body's bytes. A failed
//! attempt is followed by another after 1 s, 30 s, 5 min, 30 min and 2 h, each up to a tenth longer.
//!
//! Who takes over from another leader may not know of the last attempt, nor may one whose record of
//! it did not get through: waits across a change of leaders, or while a node is in trouble, are not judged.
//! Waits are
//! waited in the log's time, which jumps ahead when an entry comes from a node with a faster clock:
//! they may be shorter by as much as clocks differ.

use std::collections::BTreeMap;

use super::calm::Calm;
use super::deliveries::{Course, courses, received};
use crate::history::{Delivery, Effect, Endpoint, Environment, History, Host};

/// The waits after the first attempt and those that follow it, in microseconds.
const WAITS_US: [u64; 5] = [
    1_000_000,
    30_000_000,
    300_000_000,
    1_800_000_000,
    7_200_000_000,
];
/// An attempt is looked for so often, and its connection takes its time.
const SLACK_US: u64 = 2_500_000;
/// Clocks count milliseconds, and the wait begins when the sender has the answer.
const EARLY_US: u64 = 50_000;
/// What was committed so shortly before the end may not have been sent yet.
const SENT_US: u64 = 15_000_000;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let courses = courses(history);
    let calm = Calm::new(history);
    let mut found = unsent(history, &calm, &courses);
    for ((endpoint, event), course) in &courses {
        let what = changes(course).or_else(|| out_of_time(history, &calm, course));
        found.extend(what.map(|what| format!("{event} to {endpoint} {what}")));
    }
    found
}

/// Events that no attempt was made for.
fn unsent(
    history: &History,
    calm: &Calm<'_>,
    courses: &BTreeMap<(&str, String), Course<'_>>,
) -> Vec<String> {
    let committed_at = committed_at(history);
    let mut found = Vec::new();
    for endpoint in &history.endpoints {
        for (revision, event) in events_for(history, endpoint) {
            let due = committed_at
                .range(revision..)
                .next()
                .map(|(_, at)| at + SENT_US);
            let is_due = due.is_some_and(|due| {
                due <= history.ended_us && is_well(history, calm, endpoint, due - SENT_US)
            });
            if is_due && !courses.contains_key(&(endpoint.id.as_str(), event.to_owned())) {
                found.push(format!("{event} was never sent to {}", endpoint.id));
            }
        }
    }
    found
}

/// When each revision was first seen to be applied.
fn committed_at(history: &History) -> BTreeMap<u64, u64> {
    let mut at = BTreeMap::new();
    for sight in &history.applied {
        at.entry(sight.place.index).or_insert(sight.at_us);
    }
    at
}

/// What an endpoint has to get: what was committed after it was made.
fn events_for<'a>(
    history: &'a History,
    endpoint: &Endpoint,
) -> impl Iterator<Item = (u64, &'a str)> {
    let made = endpoint.secrets.first().map_or(u64::MAX, |(made, _)| *made);
    let environment: Environment = endpoint.environment;
    history
        .journal
        .iter()
        .filter(move |it| it.revision > made && it.environment == environment)
        .flat_map(|it| it.events.iter().map(|(id, _)| (it.revision, id.as_str())))
}

/// Whether nothing keeps an endpoint's deliveries from being sent from this time on.
fn is_well(history: &History, calm: &Calm<'_>, endpoint: &Endpoint, from_us: u64) -> bool {
    let receiver = Host::Receiver(endpoint.receiver.clone());
    let until = history.ended_us;
    let struck = |effect: &Effect| match effect {
        Effect::Bad(hosts) | Effect::Down(hosts) | Effect::Paused(hosts) => {
            hosts.contains(&receiver)
        }
        Effect::Weather | Effect::Clock(_) => true,
        _ => false,
    };
    // What was held up before is sent first.
    let from = from_us.saturating_sub(2 * SENT_US);
    !calm.any(from, until, struck) && calm.has_quorum(from, until)
}

/// Attempts that differ in what they say.
fn changes(course: &Course<'_>) -> Option<String> {
    let first = course.attempts.first()?;
    let id = super::deliveries::body(first)["id"].clone();
    let differs = course
        .attempts
        .iter()
        .find(|it| it.body != first.body || it.header("webhook-id") != id.as_str())?;
    Some(format!("changes: {first:?}, {differs:?}"))
}

/// Attempts that come too early or too late.
fn out_of_time(history: &History, calm: &Calm<'_>, course: &Course<'_>) -> Option<String> {
    for (place, pair) in course.attempts.windows(2).enumerate() {
        let [before, after] = pair else { continue };
        let first = course.attempts[0].at_us;
        let led_on = history
            .leaders
            .iter()
            .any(|change| (first..=after.at_us).contains(&change.at_us));
        let odd = calm.any(first, after.at_us, |effect| {
            matches!(effect, Effect::Clock(_) | Effect::Weather)
        });
        let recorded = calm.is_whole(first, after.at_us);
        if led_on || odd || !recorded || received(before) {
            continue;
        }
        let Some(wait) = WAITS_US.get(place) else {
            return Some(format!("was tried {} times", course.attempts.len()));
        };
        let waited = after.at_us.saturating_sub(before.ended_us);
        if waited + EARLY_US + history.clocks_apart_us < *wait {
            return Some(format!("was tried again after {waited} µs: {before:?}"));
        }
        if waited > wait + wait / 10 + SLACK_US && is_calm(calm, before, after) {
            return Some(format!(
                "was tried again only after {waited} µs: {before:?}"
            ));
        }
    }
    None
}

/// Whether the receiver was well between two attempts.
fn is_calm(calm: &Calm<'_>, before: &Delivery, after: &Delivery) -> bool {
    let receiver = Host::Receiver(before.receiver.clone());
    !calm.any(before.at_us, after.at_us, |effect| match effect {
        Effect::Bad(hosts) | Effect::Down(hosts) => hosts.contains(&receiver),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::deliveries::made_up::{commits_event, delivery, history};
    use super::check;
    use crate::checks::made_up::{applied, fault, leader, place, sight};
    use crate::history::{Delivery, Effect, History, Host, LeaderChange};

    const SECOND: u64 = 1_000_000;

    fn seen(deliveries: Vec<Delivery>) -> History {
        let mut history = history(vec![commits_event(5, "evt_1")], deliveries);
        history.nodes = vec![sight(1, 0, 1, 1)];
        history.applied = vec![applied(1, 10 * SECOND, place(1, 1, 5), 55)];
        history
    }

    #[test]
    fn an_event_that_was_sent_once_is_fine_and_one_that_was_not_is_found() {
        assert!(check(&seen(vec![delivery("evt_1", 11 * SECOND, 200)])).is_empty());
        assert_eq!(check(&seen(vec![])).len(), 1);
    }

    #[test]
    fn a_receiver_that_is_away_excuses_it() {
        let mut history = seen(vec![]);
        let away = Effect::Down(vec![Host::Receiver("receiver-1".to_owned())]);
        history.faults = vec![fault(away, 9 * SECOND, 20 * SECOND)];
        assert!(check(&history).is_empty());
    }

    #[test]
    fn another_attempt_comes_when_it_is_due() {
        let tried = |after_us| {
            let again = 11 * SECOND + 1_000 + after_us;
            let attempts = vec![
                delivery("evt_1", 11 * SECOND, 500),
                delivery("evt_1", again, 200),
            ];
            check(&seen(attempts)).len()
        };
        assert_eq!(tried(SECOND), 0);
        assert_eq!(tried(SECOND / 2), 1);
        assert_eq!(tried(9 * SECOND), 1);
    }

    #[test]
    fn clocks_that_differ_make_a_wait_shorter_by_no_more_than_that() {
        let tried = |apart_us| {
            let attempts = vec![
                delivery("evt_1", 11 * SECOND, 500),
                delivery("evt_1", 11 * SECOND + SECOND / 2, 200),
            ];
            let mut history = seen(attempts);
            history.clocks_apart_us = apart_us;
            check(&history).len()
        };
        assert_eq!(tried(SECOND / 2), 0);
        assert_eq!(tried(SECOND / 3), 1);
    }

    #[test]
    fn whoever_takes_over_may_try_again_at_once() {
        let attempts = vec![
            delivery("evt_1", 11 * SECOND, 500),
            delivery("evt_1", 11 * SECOND + 200_000, 200),
        ];
        let mut history = seen(attempts);
        history.leaders = vec![LeaderChange {
            at_us: 11 * SECOND + 100_000,
            leader: leader(2, 2),
            revision: 5,
        }];
        assert!(check(&history).is_empty());
    }

    #[test]
    fn a_leader_that_was_cut_off_when_it_had_tried_may_not_have_recorded_it() {
        let attempts = vec![
            delivery("evt_1", 11 * SECOND, 500),
            delivery("evt_1", 12 * SECOND + 10_000, 500),
            delivery("evt_1", 15 * SECOND, 200),
        ];
        let mut history = seen(attempts);
        assert_eq!(check(&history).len(), 1);
        let cut = Effect::Cut(vec![(Host::Node(1), Host::Node(2))]);
        history.faults = vec![fault(cut, 12 * SECOND + 20_000, 14 * SECOND)];
        assert!(check(&history).is_empty());
    }

    #[test]
    fn an_attempt_that_says_something_else_is_found() {
        let mut other = delivery("evt_1", 12 * SECOND + 10_000, 200);
        other.body.extend(b" ");
        let attempts = vec![delivery("evt_1", 11 * SECOND, 500), other];
        assert_eq!(check(&seen(attempts)).len(), 1);
        let mut renamed = delivery("evt_1", 11 * SECOND, 200);
        renamed.headers[0].1 = "evt_2".to_owned();
        assert_eq!(check(&seen(vec![renamed])).len(), 1);
    }
}
