//! Operations are linearizable, judged by the log index that each answer carries.
//!
//! The log gives the order; three things are left to check. An operation that began after another
//! had ended has no smaller revision, and a greater one where it wrote. A read shows the newest
//! acknowledged write up to its own revision, or a write of unknown outcome. Nothing that was
//! acknowledged before a read began lies above the read's revision, which is the first rule again.
//! A replayed answer carries the revision of the change itself, which may lie before the attempt,
//! so the first rule does not bind it.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Answer, Attempt, Call, History};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut found = real_time(history);
    found.extend(values(history));
    found
}

/// Real-time order implies revision order.
fn real_time(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    let mut by_end: Vec<(&Attempt, u64)> = history.done().collect();
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
        let replayed = matches!(attempt.answer, Answer::Done { replayed: true, .. });
        if let Some((before, most)) = newest
            && revision < most
            && !replayed
        {
            found.push(format!(
                "{attempt:?} began after {before:?} had ended, with a smaller revision"
            ));
        }
    }
    found
}

/// Reads show the newest write up to their revision.
fn values(history: &History) -> Vec<String> {
    let writes = acknowledged_writes(history);
    let unknown = unknown_writes(history);
    let mut found = Vec::new();
    for (attempt, revision) in history.done() {
        let (
            Call::Read { rule },
            Answer::Done {
                rule: Some((_, name)),
                ..
            },
        ) = (&attempt.call, &attempt.answer)
        else {
            continue;
        };
        let newest = writes
            .get(rule)
            .and_then(|writes| writes.range(..=revision).next_back());
        let shown = newest.is_some_and(|(_, written)| written == name);
        let maybe = unknown.get(rule).is_some_and(|names| names.contains(name));
        if !shown && !maybe {
            found.push(format!(
                "{attempt:?} shows {name}, but the newest write up to {revision} is {newest:?}"
            ));
        }
    }
    found
}

fn acknowledged_writes(history: &History) -> BTreeMap<String, BTreeMap<u64, String>> {
    let mut writes: BTreeMap<String, BTreeMap<u64, String>> = BTreeMap::new();
    for (attempt, revision) in history.done() {
        if let (
            Call::Create { .. } | Call::Rename { .. },
            Answer::Done {
                rule: Some((rule, name)),
                ..
            },
        ) = (&attempt.call, &attempt.answer)
        {
            writes
                .entry(rule.clone())
                .or_default()
                .insert(revision, name.clone());
        }
    }
    writes
}

/// Names that a write may have given at a revision that no answer ever told.
fn unknown_writes(history: &History) -> BTreeMap<String, BTreeSet<String>> {
    let told: BTreeSet<&str> = history
        .done()
        .filter_map(|(attempt, _)| attempt.call.key())
        .collect();
    let mut unknown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for attempt in &history.attempts {
        if let (Call::Rename { key, rule, name }, Answer::Unknown) =
            (&attempt.call, &attempt.answer)
            && !told.contains(key.as_str())
        {
            unknown
                .entry(rule.clone())
                .or_default()
                .insert(name.clone());
        }
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{attempt, created, history, read, renamed};
    use crate::history::{Answer, Call};

    #[test]
    fn a_read_of_the_newest_write_is_fine() {
        let attempts = vec![
            created("k1", "r1", 0, 5),
            renamed("r1", "new", 20, 7),
            read("r1", "new", 40, 7),
        ];
        assert!(check(&history(attempts, &[])).is_empty());
    }

    #[test]
    fn a_stale_value_is_found() {
        let attempts = vec![
            created("k1", "r1", 0, 5),
            renamed("r1", "new", 20, 7),
            read("r1", "k1", 40, 8),
        ];
        assert_eq!(check(&history(attempts, &[])).len(), 1);
    }

    #[test]
    fn a_read_below_what_was_acknowledged_before_it_is_found() {
        let attempts = vec![
            created("k1", "r1", 0, 5),
            renamed("r1", "new", 20, 7),
            read("r1", "k1", 40, 6),
        ];
        assert_eq!(check(&history(attempts, &[])).len(), 1);
    }

    #[test]
    fn concurrent_operations_may_take_either_order() {
        let attempts = vec![
            created("k1", "r1", 0, 5),
            renamed("r1", "new", 20, 7),
            read("r1", "k1", 25, 6),
        ];
        assert!(check(&history(attempts, &[])).is_empty());
    }

    #[test]
    fn a_write_of_unknown_outcome_may_be_seen() {
        let unknown = Call::Rename {
            key: "u".into(),
            rule: "r1".into(),
            name: "maybe".into(),
        };
        let attempts = vec![
            created("k1", "r1", 0, 5),
            attempt(unknown, 20, 30, Answer::Unknown),
            read("r1", "maybe", 40, 9),
        ];
        assert!(check(&history(attempts, &[])).is_empty());
    }

    #[test]
    fn a_value_that_nobody_wrote_is_found() {
        let attempts = vec![created("k1", "r1", 0, 5), read("r1", "phantom", 40, 9)];
        assert_eq!(check(&history(attempts, &[])).len(), 1);
    }
}
