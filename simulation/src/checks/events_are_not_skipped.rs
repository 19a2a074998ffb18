//! An event that an endpoint has behind it was sent to it: whoever leads, the journal is taken over
//! event by event and none is left out. Nothing is said here of when that happens.
//!
//! What is sent by a node that stands still is sent and does not arrive.

use std::collections::{BTreeMap, BTreeSet};

use super::calm::Calm;
use super::deliveries::courses;
use crate::history::{Effect, Endpoint, History};

/// An attempt to deliver ends so long after the event at the latest, where nothing else waits, in
/// microseconds.
const TRIED_US: u64 = 15_000_000;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let calm = Calm::new(history);
    let courses = courses(history);
    let sent: BTreeSet<(&str, &str)> = courses
        .keys()
        .map(|(endpoint, event)| (*endpoint, event.as_str()))
        .collect();
    let mut applied: BTreeMap<u64, u64> = BTreeMap::new();
    for sight in &history.applied {
        applied.entry(sight.place.index).or_insert(sight.at_us);
    }
    let mut found = Vec::new();
    for endpoint in &history.endpoints {
        for (revision, event) in behind(history, endpoint) {
            let at_us = applied.range(revision..).next().map(|(_, at)| *at);
            let lost = at_us.is_none_or(|at_us| {
                calm.any(at_us, at_us + TRIED_US, |effect| {
                    matches!(effect, Effect::Paused(_))
                })
            });
            if !lost && !sent.contains(&(endpoint.id.as_str(), event)) {
                found.push(format!(
                    "{event} of {revision} was left out for {}",
                    endpoint.id
                ));
            }
        }
    }
    found
}

/// The events that an endpoint has behind it, of those that happened since it was made.
fn behind<'a>(history: &'a History, endpoint: &Endpoint) -> impl Iterator<Item = (u64, &'a str)> {
    let taken = history
        .finals
        .values()
        .filter_map(|state| state.taken_over.get(&endpoint.id))
        .max()
        .copied()
        .unwrap_or_default();
    let made = endpoint.secrets.first().map_or(u64::MAX, |(made, _)| *made);
    let environment = endpoint.environment;
    history
        .journal
        .iter()
        .filter(move |it| it.revision > made && it.revision < taken)
        .filter(move |it| it.environment == environment)
        .flat_map(|it| it.events.iter().map(|(id, _)| (it.revision, id.as_str())))
}

#[cfg(test)]
mod tests {
    use super::super::deliveries::made_up::{commits_event, delivery, history};
    use super::check;
    use crate::checks::made_up::{applied, fault, place};
    use crate::history::{Delivery, Effect, FinalState, History, Host};

    /// An event at revision 5, of an endpoint that has this revision behind it.
    fn seen(taken: u64, deliveries: Vec<Delivery>) -> History {
        let mut history = history(vec![commits_event(5, "evt_1")], deliveries);
        history.applied = vec![applied(1, 10, place(1, 1, 5), 55)];
        let mut state = FinalState::default();
        state
            .taken_over
            .insert(history.endpoints[0].id.clone(), taken);
        history.finals = [(1, state)].into();
        history
    }

    #[test]
    fn what_was_sent_or_is_still_to_come_is_fine() {
        assert!(check(&seen(9, vec![delivery("evt_1", 20, 500)])).is_empty());
        assert!(check(&seen(5, vec![])).is_empty());
    }

    #[test]
    fn what_was_stepped_over_is_found_unless_somebody_stood_still() {
        let mut history = seen(9, vec![]);
        assert_eq!(check(&history).len(), 1);
        history.faults = vec![fault(Effect::Paused(vec![Host::Node(1)]), 15, 30)];
        assert!(check(&history).is_empty());
    }
}
