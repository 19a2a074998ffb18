//! The judgement on what clients were told: the simulation's checks, which know nothing of where a history comes from.
//! Only this file knows what the simulation calls things.
//!
//! The simulation holds answers against the cluster's journal, which it reads out of the nodes. Here the journal is made up from the
//! answers themselves: each acknowledged change at the revision that it was told. That is enough, because clients ask until
//! they know, so that no change to their rules is left whose revision nobody was told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use simulation::checks;
use simulation::history::{
    self, Call, Changed, Committed, Environment, FinalRule, FinalState, History, Operation,
    RuleSeen, Seen, Silence, mention,
};

use super::evidence::{Answer, Asked, Attempt, Done, Held, Rule};

/// What must not be.
pub(super) fn violations(attempts: &[Attempt], held: &BTreeMap<u16, Held>) -> Vec<String> {
    let mut attempts: Vec<&Attempt> = attempts.iter().collect();
    attempts.sort_by_key(|attempt| attempt.ended_us);
    let mut history = History {
        attempts: attempts.iter().map(|told| attempt(told)).collect(),
        journal: journal(&attempts),
        ..History::default()
    };
    for (node, held) in held {
        history.finals.insert(usize::from(*node), state(held));
    }
    checks::violations_for_clients(&history)
}

/// The acknowledged changes, in the order of the log. Of several answers under a key one counts; that the others say the
/// same is a check of its own.
fn journal(attempts: &[&Attempt]) -> Vec<Committed> {
    let mut keys = BTreeSet::new();
    let mut journal = Vec::new();
    for attempt in attempts {
        let (Some(key), Answer::Done(done)) = (attempt.asked.key(), &attempt.answer) else {
            continue;
        };
        if let Some(rule) = &done.rule
            && keys.insert(key)
        {
            journal.push(committed(key, done.revision, rule));
        }
    }
    journal.sort_by_key(|committed| committed.revision);
    journal
}

fn committed(key: &str, revision: u64, rule: &Rule) -> Committed {
    let after = json!({ "name": rule.name, "priority": rule.priority, "status": rule.status });
    Committed {
        revision,
        key: Some(key.to_owned()),
        changes: vec![Changed {
            object: "rule",
            id: rule.id.clone(),
            route: Some(rule.route.clone()),
            before: None,
            after: Some(after.to_string()),
        }],
        ..Committed::default()
    }
}

fn attempt(attempt: &Attempt) -> history::Attempt {
    history::Attempt {
        client: attempt.client,
        node: usize::from(attempt.node),
        environment: Environment::Production,
        api_key: "key".to_owned(),
        call: call(&attempt.asked),
        sent_us: attempt.sent_us,
        ended_us: attempt.ended_us,
        deadline_us: attempt.ended_us,
        answer: answer(&attempt.answer),
    }
}

fn call(asked: &Asked) -> Call {
    let (operation, about, renames) = match asked {
        Asked::Create { key } => {
            let unnamed = (String::new(), key.clone());
            (Operation::CreateRule, None, vec![unnamed])
        }
        Asked::Rename { rule, name, .. } => {
            let renames = vec![(rule.clone(), name.clone())];
            (Operation::RenameRule, Some(rule.clone()), renames)
        }
        Asked::Read { rule } => (Operation::ReadRule, Some(rule.clone()), Vec::new()),
    };
    Call {
        operation,
        about,
        key: asked.key().map(str::to_owned),
        renames,
        stale: false,
    }
}

fn answer(answer: &Answer) -> history::Answer {
    match answer {
        Answer::Done(done) => history::Answer::Done(Box::new(success(done))),
        Answer::Refused { status, code } => history::Answer::Refused {
            status: *status,
            code: code.clone(),
            request_id: String::new(),
            revision: 0,
            replayed: false,
            mentions: Vec::new(),
        },
        Answer::Unavailable => history::Answer::Unavailable {
            request_id: String::new(),
        },
        Answer::Unknown => history::Answer::Unknown(Silence::Broken),
    }
}

fn success(done: &Done) -> history::Done {
    history::Done {
        status: done.status,
        revision: done.revision,
        replayed: done.replayed,
        digest: mention(&done.body),
        seen: done.rule.as_ref().map_or(Seen::Nothing, |rule| {
            Seen::Rule(RuleSeen {
                id: rule.id.clone(),
                route: rule.route.clone(),
                name: rule.name.clone(),
                priority: rule.priority,
                status: rule.status.clone(),
                live: false,
            })
        }),
        ..history::Done::default()
    }
}

/// Rules that no client of the load made are nobody's business here.
fn state(held: &Held) -> FinalState {
    let of_clients = held.rules.iter().filter(|rule| rule.key.is_some());
    let rules = of_clients.map(|rule| FinalRule {
        id: rule.id.clone(),
        route: rule.route.clone(),
        name: rule.name.clone(),
        priority: rule.priority,
        status: rule.status.clone(),
        key: rule.key.clone(),
        ..FinalRule::default()
    });
    FinalState {
        applied: held.applied,
        hash: held.hash,
        rules: rules.collect(),
        ..FinalState::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str, name: &str) -> Rule {
        Rule {
            id: id.to_owned(),
            route: "rt".to_owned(),
            name: name.to_owned(),
            priority: 10,
            status: "draft".to_owned(),
            key: Some("k".to_owned()),
        }
    }

    fn told(asked: Asked, at: u64, revision: u64, rule: Rule) -> Attempt {
        Attempt {
            client: 0,
            node: 1,
            asked,
            sent_us: at,
            ended_us: at + 10,
            answer: Answer::Done(Done {
                status: 200,
                revision,
                replayed: false,
                body: format!("{rule:?}"),
                rule: Some(rule),
            }),
        }
    }

    fn created(at: u64, revision: u64, id: &str) -> Attempt {
        let key = "k".to_owned();
        told(Asked::Create { key }, at, revision, rule(id, "k"))
    }

    fn renamed(at: u64, revision: u64) -> Attempt {
        let renamed = Asked::Rename {
            key: "n".to_owned(),
            rule: "rule_1".to_owned(),
            name: "n".to_owned(),
        };
        told(renamed, at, revision, rule("rule_1", "n"))
    }

    fn read(at: u64, revision: u64, name: &str) -> Attempt {
        let rule_id = "rule_1".to_owned();
        told(
            Asked::Read { rule: rule_id },
            at,
            revision,
            rule("rule_1", name),
        )
    }

    fn held(rules: &[Rule]) -> BTreeMap<u16, Held> {
        let held = Held {
            applied: 9,
            rules: rules.to_vec(),
            ..Held::default()
        };
        BTreeMap::from([(1, held)])
    }

    fn found(attempts: &[Attempt], rules: &[Rule]) -> usize {
        violations(attempts, &held(rules)).len()
    }

    #[test]
    fn what_was_acknowledged_and_is_there_is_fine() {
        let attempts = [created(0, 5, "rule_1"), renamed(20, 6), read(40, 6, "n")];
        assert_eq!(found(&attempts, &[rule("rule_1", "n")]), 0);
    }

    #[test]
    fn a_lost_write_a_lost_name_and_a_second_effect_are_found() {
        let attempts = [created(0, 5, "rule_1"), renamed(20, 6)];
        assert_eq!(found(&attempts, &[]), 1);
        assert_eq!(found(&attempts, &[rule("rule_1", "k")]), 1);
        let twice = [rule("rule_1", "n"), rule("rule_2", "k")];
        assert_eq!(found(&attempts, &twice), 1);
        let answers = [created(0, 5, "rule_1"), created(20, 6, "rule_2")];
        assert_ne!(found(&answers, &[rule("rule_1", "k")]), 0);
    }

    #[test]
    fn a_stale_read_is_found_by_its_value_and_by_its_revision() {
        let base = [created(0, 5, "rule_1"), renamed(20, 6)];
        for stale in [read(40, 6, "k"), read(40, 5, "k")] {
            let attempts = [&base[..], &[stale]].concat();
            assert_ne!(found(&attempts, &[rule("rule_1", "n")]), 0);
        }
    }
}
