//! Changes of one route that race each other: two of publishing, taking back, archiving and ordering
//! anew that were under way at the same time, at least one of which came through; and those of them
//! that did so while links between nodes were cut or held.

use std::collections::BTreeMap;

use crate::history::{Attempt, Effect, Environment, FaultSpan, History, Host, Operation};

/// What races.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Archive,
    Publish,
    Reorder,
    RollBack,
}

/// The pairs of different changes, and what they are counted as.
const PAIRS: [(Change, Change, &str); 6] = [
    (Change::Archive, Change::Publish, "race_archive_publish"),
    (Change::Archive, Change::Reorder, "race_archive_reorder"),
    (Change::Archive, Change::RollBack, "race_archive_rollback"),
    (Change::Publish, Change::Reorder, "race_publish_reorder"),
    (Change::Publish, Change::RollBack, "race_publish_rollback"),
    (Change::Reorder, Change::RollBack, "race_reorder_rollback"),
];

/// What those are counted as, beside, that raced with links cut or held.
const PARTED: &str = "races_in_partitions";

/// A change, from its first attempt to its last.
#[derive(Clone, Copy)]
struct Span {
    change: Change,
    from_us: u64,
    until_us: u64,
    done: bool,
}

/// How often what raced.
pub(super) fn count(history: &History) -> BTreeMap<&'static str, usize> {
    let mut counts: BTreeMap<&str, usize> = PAIRS.iter().map(|(_, _, name)| (*name, 0)).collect();
    counts.insert(PARTED, 0);
    for spans in by_route(history).values() {
        for (place, one) in spans.iter().enumerate() {
            let later = spans[place + 1..].iter();
            for other in later.take_while(|other| other.from_us <= one.until_us) {
                let Some(name) = raced(one, other) else {
                    continue;
                };
                *counts.entry(name).or_default() += 1;
                let until_us = one.until_us.min(other.until_us);
                if parted(&history.faults, other.from_us, until_us) {
                    *counts.entry(PARTED).or_default() += 1;
                }
            }
        }
    }
    counts
}

fn raced(one: &Span, other: &Span) -> Option<&'static str> {
    if !one.done && !other.done {
        return None;
    }
    let first = one.change.min(other.change);
    let second = one.change.max(other.change);
    let pair = PAIRS.iter().find(|(a, b, _)| (*a, *b) == (first, second));
    pair.map(|(_, _, name)| *name)
}

/// Whether links between nodes were cut or held at some time between the two.
fn parted(faults: &[FaultSpan], from_us: u64, until_us: u64) -> bool {
    let node = |host: &Host| matches!(host, Host::Node(_));
    let between_nodes = |effect: &Effect| match effect {
        Effect::Cut(links) => links.iter().any(|(a, b)| node(a) && node(b)),
        Effect::CutOneWay(a, b) | Effect::Held(a, b) => node(a) && node(b),
        Effect::Paused(hosts) => hosts.iter().any(node),
        _ => false,
    };
    let mut faults = faults.iter();
    faults.any(|fault| fault.overlaps(from_us, until_us) && between_nodes(&fault.effect))
}

/// The changes of each route, by when they began.
fn by_route(history: &History) -> BTreeMap<&str, Vec<Span>> {
    let routes = routes_of_rules(history);
    let mut spans: BTreeMap<(&str, Environment, &str), Span> = BTreeMap::new();
    for attempt in &history.attempts {
        let (Some(change), Some(key)) = (change(attempt), attempt.call.key.as_deref()) else {
            continue;
        };
        let Some(about) = attempt.call.about.as_deref() else {
            continue;
        };
        let route = match change {
            Change::Archive => routes.get(about).copied(),
            _ => Some(about),
        };
        let Some(route) = route else { continue };
        let span = spans
            .entry((route, attempt.environment, key))
            .or_insert(Span {
                change,
                from_us: attempt.sent_us,
                until_us: attempt.ended_us,
                done: false,
            });
        span.from_us = span.from_us.min(attempt.sent_us);
        span.until_us = span.until_us.max(attempt.ended_us);
        span.done |= attempt.answer.done().is_some();
    }
    let mut by_route: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
    for ((route, _, _), span) in spans {
        by_route.entry(route).or_default().push(span);
    }
    for spans in by_route.values_mut() {
        spans.sort_by_key(|span| (span.from_us, span.until_us));
    }
    by_route
}

fn change(attempt: &Attempt) -> Option<Change> {
    match attempt.call.operation {
        Operation::ArchiveRule => Some(Change::Archive),
        Operation::Publish | Operation::PublishAndWait => Some(Change::Publish),
        Operation::Reorder => Some(Change::Reorder),
        Operation::RollBack => Some(Change::RollBack),
        _ => None,
    }
}

fn routes_of_rules(history: &History) -> BTreeMap<&str, &str> {
    let changes = history.journal.iter().flat_map(|row| &row.changes);
    changes
        .filter(|change| change.object == "rule")
        .filter_map(|change| Some((change.id.as_str(), change.route.as_deref()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::made_up::{attempt, call, done, fault};
    use crate::history::{Answer, Changed, Committed, Silence};

    fn asked(
        operation: Operation,
        about: &str,
        (from_us, until_us): (u64, u64),
        answer: Answer,
    ) -> Attempt {
        let key = format!("{operation:?} {from_us}");
        attempt(
            call(operation, Some(about), Some(&key)),
            from_us,
            until_us,
            answer,
        )
    }

    fn history(attempts: Vec<Attempt>) -> History {
        let change = Changed {
            object: "rule",
            id: "rule_1".to_owned(),
            route: Some("rt_1".to_owned()),
            ..Changed::default()
        };
        let row = Committed {
            changes: vec![change],
            ..crate::checks::made_up::commits_name(1, "rule_1", "new")
        };
        History {
            attempts,
            journal: vec![row],
            ..History::default()
        }
    }

    #[test]
    fn changes_of_one_route_race_if_they_were_under_way_together_and_one_came_through() {
        let published = || asked(Operation::Publish, "rt_1", (10, 20), done(5, "s", "n"));
        let archives = |times| {
            let unknown = Answer::Unknown(Silence::TimedOut);
            asked(Operation::ArchiveRule, "rule_1", times, unknown)
        };
        let races = |attempts| count(&history(attempts))["race_archive_publish"];
        assert_eq!(races(vec![published(), archives((15, 30))]), 1);
        assert_eq!(races(vec![published(), archives((21, 30))]), 0);
        let elsewhere = asked(Operation::Publish, "rt_2", (10, 20), done(5, "s", "n"));
        assert_eq!(races(vec![elsewhere, archives((15, 30))]), 0);
        let unknown = Answer::Unknown(Silence::TimedOut);
        let silent = asked(Operation::Publish, "rt_1", (10, 20), unknown);
        assert_eq!(races(vec![silent, archives((15, 30))]), 0);
    }

    #[test]
    fn those_with_links_between_nodes_cut_count_beside() {
        let attempts = vec![
            asked(Operation::RollBack, "rt_1", (10, 20), done(5, "s", "n")),
            asked(Operation::Reorder, "rt_1", (15, 30), done(6, "r", "n")),
        ];
        let with = |link: (Host, Host), from_us| {
            let mut history = history(attempts.clone());
            history.faults = vec![fault(Effect::Cut(vec![link]), from_us, from_us + 5)];
            let counts = count(&history);
            assert_eq!(counts["race_reorder_rollback"], 1);
            counts[PARTED]
        };
        assert_eq!(with((Host::Node(1), Host::Node(2)), 18), 1);
        assert_eq!(with((Host::Node(1), Host::Node(2)), 21), 0);
        assert_eq!(with((Host::Node(1), Host::Edge(2)), 18), 0);
    }
}
