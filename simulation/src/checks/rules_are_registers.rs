//! The name of every rule is a linearizable register: a second opinion beside the order of the log,
//! from clients' words alone. Linearizability is a matter of single objects, so each is judged by
//! itself, as far as a search can go: histories that are too long are cut, and those on which the
//! search gives up are counted.

use std::collections::{BTreeMap, BTreeSet};

use super::log_time::LogTime;
use super::wgl::{Action, Op, Value, Verdict, judge};
use crate::history::{Answer, Attempt, Environment, History, Operation, Seen};

/// Operations of one object that are judged at most; the first ones.
const OPS_MAX: usize = 200;
/// Steps of one search: a few seconds where each has to be remembered.
const STEPS_MAX: u64 = 2_000_000;

/// How many objects were judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Those with a verdict.
    pub known: u64,
    /// Those on which the search gave up.
    pub unknown: u64,
}

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    registers(history)
        .into_iter()
        .filter(|(_, ops)| judge(ops, STEPS_MAX) == Verdict::Violated)
        .map(|(rule, ops)| format!("the names of {rule} are not those of a register: {ops:?}"))
        .collect()
}

/// How many objects of a history have a verdict. A campaign in which too many have none has shown
/// too little.
#[must_use]
pub fn judged(history: &History) -> Judged {
    let mut judged = Judged::default();
    for ops in registers(history).values() {
        match judge(ops, STEPS_MAX) {
            Verdict::Unknown => judged.unknown += 1,
            Verdict::Linearizable | Verdict::Violated => judged.known += 1,
        }
    }
    judged
}

/// A write, from the first attempt under its key to the first word that it was done.
struct Write<'a> {
    rule: Option<&'a str>,
    /// Whether it makes the rule.
    makes: bool,
    name: &'a str,
    called_us: u64,
    returned_us: Option<u64>,
    refused: bool,
}

/// What was done to the name of each rule that is only named by clients, from its making on.
fn registers(history: &History) -> BTreeMap<&str, Vec<Op>> {
    let mut values: BTreeMap<&str, Value> = BTreeMap::new();
    let mut ops: BTreeMap<&str, Vec<Op>> = BTreeMap::new();
    let mut made = BTreeSet::new();
    for write in writes(history).into_values().flatten() {
        if write.makes {
            made.extend(write.rule);
        }
        let value = number(&mut values, write.name);
        if let Some(rule) = write.rule
            && !write.refused
        {
            ops.entry(rule).or_default().push(Op {
                action: Action::Write(value),
                called_us: write.called_us,
                returned_us: write.returned_us,
            });
        }
    }
    for attempt in &history.attempts {
        if let Some((rule, name)) = read(attempt)
            && let Some(ops) = ops.get_mut(rule)
        {
            let value = name.map_or(0, |name| number(&mut values, name));
            ops.push(Op {
                action: Action::Read(value),
                called_us: attempt.sent_us,
                returned_us: Some(attempt.ended_us),
            });
        }
    }
    let otherwise = named_otherwise(history);
    ops.retain(|rule, _| made.contains(rule) && !otherwise.contains(rule));
    ops.into_iter()
        .map(|(rule, ops)| (rule, cut(ops)))
        .collect()
}

fn number<'a>(values: &mut BTreeMap<&'a str, Value>, name: &'a str) -> Value {
    let next = Value::try_from(values.len() + 1).unwrap_or(Value::MAX);
    *values.entry(name).or_insert(next)
}

/// Writes by key: one under which nothing was done is left out where it is known, and may still take
/// effect where it is not.
fn writes(history: &History) -> BTreeMap<(Environment, &str), Vec<Write<'_>>> {
    let mut writes: BTreeMap<(Environment, &str), Vec<Write<'_>>> = BTreeMap::new();
    for attempt in &history.attempts {
        let Some(key) = &attempt.call.key else {
            continue;
        };
        let under = writes.entry((attempt.environment, key)).or_default();
        if under.is_empty() {
            under.extend(attempt.call.renames.iter().map(|(rule, name)| Write {
                rule: Some(rule.as_str()).filter(|rule| !rule.is_empty()),
                makes: rule.is_empty(),
                name,
                called_us: attempt.sent_us,
                returned_us: None,
                refused: false,
            }));
        }
        for write in under {
            tell(write, attempt);
        }
    }
    writes
}

fn tell<'a>(write: &mut Write<'a>, attempt: &'a Attempt) {
    write.called_us = write.called_us.min(attempt.sent_us);
    match &attempt.answer {
        Answer::Done(done) => {
            if let Seen::Rule(rule) = &done.seen
                && attempt.call.operation == Operation::CreateRule
            {
                write.rule = Some(&rule.id);
            }
            let returned = write.returned_us.unwrap_or(u64::MAX);
            write.returned_us = Some(returned.min(attempt.ended_us));
            write.refused = false;
        }
        // What was done once may be refused a day of the log later, when its key is a new one.
        Answer::Refused { status, code, .. }
            if write.returned_us.is_none()
                && *status != 429
                && *status != 408
                && code != "idempotency_in_progress" =>
        {
            write.refused = true;
        }
        _ => {}
    }
}

/// What a read showed: a rule's name, or that it is not there.
fn read(attempt: &Attempt) -> Option<(&str, Option<&str>)> {
    if attempt.call.operation != Operation::ReadRule || attempt.call.stale {
        return None;
    }
    match &attempt.answer {
        Answer::Done(done) => match &done.seen {
            Seen::Rule(rule) => Some((&rule.id, Some(&rule.name))),
            _ => None,
        },
        Answer::Refused { status: 404, .. } => Some((attempt.call.about.as_deref()?, None)),
        _ => None,
    }
}

/// Rules that got a name by something else than a client's word: a draft that was reset, or a key
/// that took effect again after a day, as it may.
fn named_otherwise(history: &History) -> BTreeSet<&str> {
    let keys: BTreeSet<(Environment, &str)> = history
        .attempts
        .iter()
        .filter(|attempt| !attempt.call.renames.is_empty())
        .filter_map(|attempt| Some((attempt.environment, attempt.call.key.as_deref()?)))
        .collect();
    let times = LogTime::of(history);
    let mut met = BTreeMap::new();
    history
        .journal
        .iter()
        .filter(|committed| {
            let key = committed.key.as_deref().unwrap_or_default();
            let under = (committed.environment, key);
            let before = met.insert(under, committed.revision);
            let again =
                before.is_some_and(|before| times.may_be_forgotten(before, committed.revision));
            !keys.contains(&under) || again
        })
        .flat_map(|committed| &committed.changes)
        .filter(|change| change.object == "rule")
        .filter(|change| {
            let after = change.after.as_deref().unwrap_or_default();
            after.contains("\"name\":")
        })
        .map(|change| change.id.as_str())
        .collect()
}

/// The first operations, so that a search can end. What is written later cannot be left out where a
/// read that is kept may have seen it.
fn cut(mut ops: Vec<Op>) -> Vec<Op> {
    ops.sort_by_key(|op| op.called_us);
    if ops.len() > OPS_MAX {
        let until = ops[OPS_MAX].called_us;
        let mut kept = Vec::new();
        for op in ops {
            let is_write = matches!(op.action, Action::Write(_));
            match op.returned_us {
                _ if op.called_us >= until => {}
                Some(returned) if returned < until => kept.push(op),
                // It goes on: a read of it is not kept, a write may have been seen.
                _ if is_write => kept.push(Op {
                    returned_us: None,
                    ..op
                }),
                _ => {}
            }
        }
        return kept;
    }
    ops
}

#[cfg(test)]
mod tests {
    use super::{Judged, check, judged};
    use crate::checks::made_up::{
        attempt, commits_name, created, history, read, refused, renamed, renames,
    };
    use crate::history::{Answer, Attempt, Silence};

    fn found(attempts: Vec<Attempt>) -> usize {
        check(&history(attempts, vec![], &[])).len()
    }

    #[test]
    fn names_in_order_are_fine_and_stale_ones_are_found() {
        let fine = vec![
            created("k1", "r1", 0, 5),
            renamed("r1", "new", 20, 7),
            read("r1", "new", 40, 7),
        ];
        assert_eq!(found(fine), 0);
        let stale = vec![
            created("k1", "r1", 0, 5),
            renamed("r1", "new", 20, 7),
            read("r1", "k1", 40, 8),
        ];
        assert_eq!(found(stale), 1);
    }

    #[test]
    fn a_write_of_unknown_outcome_may_be_seen_and_then_stays() {
        let unknown = || {
            let silence = Answer::Unknown(Silence::TimedOut);
            attempt(renames("r1", "maybe"), 20, 30, silence)
        };
        let seen = |names: [&str; 2]| {
            vec![
                created("k1", "r1", 0, 5),
                unknown(),
                read("r1", names[0], 40, 9),
                read("r1", names[1], 60, 9),
            ]
        };
        assert_eq!(found(seen(["k1", "maybe"])), 0);
        assert_eq!(found(seen(["maybe", "maybe"])), 0);
        assert_eq!(found(seen(["maybe", "k1"])), 1);
    }

    #[test]
    fn retries_under_a_key_are_one_write() {
        let mut again = renamed("r1", "new", 60, 7);
        again.call.key = Some("new".to_owned());
        let attempts = vec![
            created("k1", "r1", 0, 5),
            renamed("r1", "new", 20, 7),
            renamed("r1", "newer", 40, 8),
            again,
            read("r1", "newer", 80, 8),
        ];
        assert_eq!(found(attempts), 0);
    }

    #[test]
    fn what_was_done_is_a_write_also_where_the_key_was_forgotten_and_it_is_refused_then() {
        let refusal = |at| Attempt {
            answer: refused(400, "priority_conflict"),
            ..created("k1", "r1", at, 5)
        };
        let attempts = |at| {
            vec![
                created("k1", "r1", 0, 5),
                refusal(at),
                renamed("r1", "new", 80, 7),
                read("r1", "k1", 60, 6),
            ]
        };
        assert_eq!(found(attempts(40)), 0);
        let mut turned = attempts(1);
        turned.swap(0, 1);
        assert_eq!(found(turned), 0);
    }

    #[test]
    fn rules_that_others_named_are_left_out_and_the_others_counted() {
        let attempts = vec![created("k1", "r1", 0, 5), created("k2", "r2", 0, 6)];
        let journal = vec![commits_name(9, "r2", "a reset draft")];
        let expected = Judged {
            known: 1,
            unknown: 0,
        };
        assert_eq!(judged(&history(attempts, journal, &[])), expected);
    }
}
