//! Operations are linearizable, judged by the log index that each answer carries.
//!
//! The log gives the order, so what is left to check takes no search:
//!
//! 1. an operation that began after another had ended has no smaller revision;
//! 2. what an answer shows is what the journal says of that very revision: rules, whole lists,
//!    snapshots, events, and what is not there.
//!
//! That an acknowledged write stands at its revision is checked beside this one. Reads that take
//! what a node has applied are free of the first rule and bound by the second. So are replayed
//! answers: they carry the revision of the change itself, which may lie before the attempt.

use std::collections::BTreeSet;

use super::book::{Book, RuleFacts};
use crate::history::{
    Answer, Attempt, Committed, Done, History, Operation, RuleSeen, Seen, SnapshotSeen,
};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut found = real_time(history);
    let book = Book::open(history);
    for attempt in &history.attempts {
        let wrong = match &attempt.answer {
            Answer::Done(done) => shows(&book, history, attempt, done),
            Answer::Refused {
                status: 404,
                revision,
                ..
            } => absent(&book, attempt, *revision),
            _ => None,
        };
        found.extend(wrong.map(|wrong| format!("{attempt:?} {wrong}")));
    }
    found
}

/// Real-time order implies revision order.
fn real_time(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    let mut by_end: Vec<(&Attempt, u64)> = history
        .done()
        .map(|(attempt, done)| (attempt, done.revision))
        .collect();
    let mut by_start = by_end.clone();
    by_end.sort_by_key(|(attempt, _)| attempt.ended_us);
    by_start.sort_by_key(|(attempt, _)| attempt.sent_us);
    let mut ended = by_end.into_iter().peekable();
    let mut newest: Option<(&Attempt, u64)> = None;
    for (attempt, revision) in by_start {
        while let Some((before, its)) =
            ended.next_if(|(before, _)| before.ended_us < attempt.sent_us)
        {
            if newest.is_none_or(|(_, most)| its > most) {
                newest = Some((before, its));
            }
        }
        let free = attempt.call.stale || attempt.answer.done().is_some_and(|done| done.replayed);
        if let Some((before, most)) = newest
            && revision < most
            && !free
        {
            found.push(format!(
                "{attempt:?} began after {before:?} had ended, with a smaller revision"
            ));
        }
    }
    found
}

/// What is wrong with what a success shows.
fn shows(book: &Book<'_>, history: &History, attempt: &Attempt, done: &Done) -> Option<String> {
    let at = done.revision;
    match &done.seen {
        Seen::Rule(rule) => shows_rule(book, rule, at),
        Seen::Some(rules) => shows_rules(book, rules, at),
        Seen::Rules { route, rules, more } => shows_list(book, (route, at), rules, *more),
        Seen::Route {
            id,
            active,
            version,
        } => {
            let newest = book.snapshots_at(id, at).next();
            let expected = newest.map(|newest| (newest.id, newest.version));
            let shown = active.as_deref().map(|active| (active, *version));
            (expected != shown).then(|| format!("shows another active snapshot than {newest:?}"))
        }
        Seen::Snapshot(snapshot) if !attempt.call.operation.writes() => {
            shows_snapshot(book, snapshot, at)
        }
        Seen::Snapshots {
            route,
            snapshots,
            more,
        } => shows_snapshots(book, (route, at), snapshots, *more),
        Seen::Events(events) => shows_events(history, attempt, events, at),
        Seen::Audit(entries) => shows_audit(history, attempt, entries, at),
        Seen::Snapshot(_) | Seen::Manifest { .. } | Seen::Object(_) | Seen::Nothing => None,
    }
}

fn shows_rule(book: &Book<'_>, rule: &RuleSeen, at: u64) -> Option<String> {
    let shown = RuleFacts {
        name: rule.name.clone(),
        priority: rule.priority,
        archived: rule.status == "archived",
    };
    match book.rule_at(&rule.id, at) {
        None => Some(format!("shows {}, which was not there at {at}", rule.id)),
        Some(facts) if *facts != shown => {
            Some(format!("shows {shown:?}, which was {facts:?} at {at}"))
        }
        Some(_) => None,
    }
}

/// Several changes at once show a rule after each of them; the last one is what they left.
fn shows_rules(book: &Book<'_>, rules: &[RuleSeen], at: u64) -> Option<String> {
    let mut known = BTreeSet::new();
    rules
        .iter()
        .rev()
        .filter(|rule| known.insert(&rule.id))
        .find_map(|rule| shows_rule(book, rule, at))
}

fn shows_list(
    book: &Book<'_>,
    (route, at): (&str, u64),
    rules: &[RuleSeen],
    more: bool,
) -> Option<String> {
    let expected = book.list_at(route, at);
    let shown: Vec<(u64, &str, &str)> = rules
        .iter()
        .map(|rule| (rule.priority, rule.id.as_str(), rule.name.as_str()))
        .collect();
    let right = if more {
        expected.starts_with(&shown) && shown.len() < expected.len()
    } else {
        expected == shown
    };
    (!right).then(|| format!("shows another list than at {at}: {expected:?}"))
}

fn shows_snapshot(book: &Book<'_>, snapshot: &SnapshotSeen, at: u64) -> Option<String> {
    let mut known = book.snapshots_at(&snapshot.route, at).enumerate();
    match known.find(|(_, facts)| facts.id == snapshot.id) {
        None => Some(format!("shows a snapshot that was not there at {at}")),
        Some((place, facts)) => {
            let right = facts.version == snapshot.version && (place == 0) == snapshot.active;
            (!right).then(|| format!("shows a snapshot that was number {place} at {at}"))
        }
    }
}

fn shows_snapshots(
    book: &Book<'_>,
    (route, at): (&str, u64),
    snapshots: &[SnapshotSeen],
    more: bool,
) -> Option<String> {
    let mut expected = book.snapshots_at(route, at);
    let same = snapshots.iter().enumerate().all(|(place, shown)| {
        let next = expected.next().map(|facts| (facts.id, facts.version));
        next == Some((&shown.id, shown.version)) && (place == 0) == shown.active
    });
    let right = same && expected.next().is_some() == more;
    (!right).then(|| format!("shows other snapshots than there were at {at}"))
}

/// What was committed up to a revision in the caller's environment, newest first.
fn committed_before<'a>(
    history: &'a History,
    attempt: &Attempt,
    at: u64,
) -> impl Iterator<Item = &'a Committed> {
    let environment = attempt.environment;
    let until = history
        .journal
        .partition_point(|committed| committed.revision <= at);
    history.journal[..until]
        .iter()
        .rev()
        .filter(move |committed| committed.environment == environment)
}

fn shows_events(history: &History, attempt: &Attempt, shown: &[String], at: u64) -> Option<String> {
    let mut expected = committed_before(history, attempt, at)
        .flat_map(|committed| committed.events.iter().rev())
        .map(|(id, _)| id);
    let right = shown.iter().all(|id| expected.next() == Some(id));
    (!right).then(|| format!("shows other events than the newest at {at}"))
}

fn shows_audit(history: &History, attempt: &Attempt, shown: &[u64], at: u64) -> Option<String> {
    let mut expected = committed_before(history, attempt, at).map(|committed| committed.revision);
    let right = shown.iter().all(|entry| expected.next() == Some(*entry));
    (!right).then(|| format!("shows other entries than the newest at {at}"))
}

/// What is wrong with being told that a rule is not there.
fn absent(book: &Book<'_>, attempt: &Attempt, at: u64) -> Option<String> {
    let rule = attempt.call.about.as_deref()?;
    let asked = attempt.call.operation == Operation::ReadRule;
    (asked && book.rule_at(rule, at).is_some())
        .then(|| format!("was told that {rule} is not there, which it was at {at}"))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{
        ROUTE, attempt, call, commits_name, commits_rule, created, done, history, read, refused,
        renamed, seen_rule,
    };
    use crate::history::{Answer, Attempt, Committed, Done, Operation, Seen};

    fn journal() -> Vec<Committed> {
        vec![commits_rule(5, "k1", "r1"), commits_name(7, "r1", "new")]
    }

    #[track_caller]
    fn found(last: Attempt, violations: usize) {
        let attempts = vec![created("k1", "r1", 0, 5), renamed("r1", "new", 20, 7), last];
        let found = check(&history(attempts, journal(), &[]));
        assert_eq!(found.len(), violations, "{found:?}");
    }

    #[test]
    fn a_read_of_the_newest_write_is_fine() {
        found(read("r1", "new", 40, 7), 0);
        found(read("r1", "new", 40, 9), 0);
    }

    #[test]
    fn a_value_that_is_not_that_of_its_revision_is_found() {
        found(read("r1", "k1", 40, 8), 1);
        found(read("r1", "phantom", 40, 9), 1);
        found(read("r2", "k2", 40, 9), 1);
    }

    #[test]
    fn a_read_below_what_was_acknowledged_before_it_is_found() {
        found(read("r1", "k1", 40, 6), 1);
    }

    #[test]
    fn a_read_that_takes_what_there_is_may_be_old_but_not_wrong() {
        let mut old = read("r1", "k1", 40, 6);
        old.call.stale = true;
        found(old, 0);
        let mut wrong = read("r1", "new", 40, 6);
        wrong.call.stale = true;
        found(wrong, 1);
    }

    #[test]
    fn concurrent_operations_may_take_either_order() {
        found(read("r1", "k1", 25, 6), 0);
    }

    #[test]
    fn a_rule_that_is_said_not_to_be_there_is_found() {
        let told = |at, revision| {
            let Answer::Refused {
                status,
                code,
                request_id,
                ..
            } = refused(404, "resource_not_found")
            else {
                unreachable!("a refusal is one");
            };
            let answer = Answer::Refused {
                status,
                code,
                request_id,
                revision,
                replayed: false,
                mentions: Vec::new(),
            };
            attempt(
                call(Operation::ReadRule, Some("r1"), None),
                at,
                at + 5,
                answer,
            )
        };
        found(told(40, 8), 1);
        found(told(40, 4), 0);
    }

    #[test]
    fn a_list_has_exactly_what_there_is_and_by_priority() {
        let list = |rules: &[(&str, &str)], more| {
            let rules = rules.iter().map(|(id, name)| seen_rule(id, name)).collect();
            let answer = Answer::Done(Box::new(Done {
                revision: 8,
                seen: Seen::Rules {
                    route: ROUTE.to_owned(),
                    rules,
                    more,
                },
                ..Done::default()
            }));
            attempt(
                call(Operation::ListRules, Some(ROUTE), None),
                40,
                50,
                answer,
            )
        };
        found(list(&[("r1", "new")], false), 0);
        found(list(&[], false), 1);
        found(list(&[], true), 0);
        found(list(&[("r1", "k1")], false), 1);
        found(list(&[("r1", "new"), ("r2", "more")], false), 1);
    }

    #[test]
    fn a_write_shows_what_it_made() {
        let mut wrong = renamed("r1", "new", 20, 7);
        wrong.answer = done(7, "r1", "other");
        found(wrong, 1);
    }
}
