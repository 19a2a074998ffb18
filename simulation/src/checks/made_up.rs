//! Small histories for the checks' own tests.

use crate::history::{
    Answer, AppliedSight, Attempt, Ballot, Call, Changed, Committed, Done, EdgeSight, Effect,
    EntrySight, Environment, FaultSpan, FinalRule, FinalState, History, Host, Leader, Life,
    NodeSight, Operation, Place, RuleSeen, Seen, mention,
};

/// The route of every made-up rule.
pub(crate) const ROUTE: &str = "rt_1";

pub(crate) fn leader(term: u64, node: u64) -> Leader {
    Leader { term, node }
}

pub(crate) fn place(term: u64, node: u64, index: u64) -> Place {
    Place {
        leader: leader(term, node),
        index,
    }
}

/// A node that follows what it voted for, in its first life, and holds nothing.
pub(crate) fn sight(node: usize, at_us: u64, term: u64, voted_for: u64) -> NodeSight {
    NodeSight {
        node,
        life: 1,
        at_us,
        term,
        vote: Ballot {
            leader: leader(term, voted_for),
            elected: true,
        },
        leads: false,
        acting: false,
        leader: Some(voted_for),
        last: None,
        committed: None,
        applied: None,
        checkpoint: None,
        purged: None,
        membership: None,
        voters: vec![vec![1, 2, 3]],
        learners: Vec::new(),
    }
}

pub(crate) fn entry(node: usize, at_us: u64, place: Place, hash: u64) -> EntrySight {
    EntrySight {
        node,
        life: 1,
        at_us,
        place,
        before: None,
        hash,
    }
}

pub(crate) fn applied(node: usize, at_us: u64, place: Place, hash: u64) -> AppliedSight {
    AppliedSight {
        node,
        life: 1,
        at_us,
        place,
        hash,
    }
}

pub(crate) fn edge_sight(edge: usize, at_us: u64, version: u64) -> EdgeSight {
    EdgeSight {
        edge,
        at_us,
        epoch: 1,
        version,
        root: [u8::try_from(version).unwrap_or_default(); 32],
    }
}

pub(crate) fn life(host: Host, began_us: u64, ended_us: Option<u64>) -> Life {
    Life {
        host,
        began_us,
        ended_us,
        by_itself: false,
    }
}

pub(crate) fn fault(effect: Effect, began_us: u64, ended_us: u64) -> FaultSpan {
    FaultSpan {
        kind: "made up",
        effect,
        began_us,
        ended_us: Some(ended_us),
    }
}

pub(crate) fn call(operation: Operation, about: Option<&str>, key: Option<&str>) -> Call {
    Call {
        operation,
        about: about.map(str::to_owned),
        key: key.map(str::to_owned),
        renames: Vec::new(),
        stale: false,
    }
}

pub(crate) fn attempt(call: Call, sent_us: u64, ended_us: u64, answer: Answer) -> Attempt {
    Attempt {
        client: 0,
        node: 1,
        environment: Environment::Production,
        api_key: "key_1".to_owned(),
        call,
        sent_us,
        ended_us,
        deadline_us: sent_us + 3_000_000,
        answer,
    }
}

/// A success that shows a rule by this name.
pub(crate) fn done(revision: u64, rule: &str, name: &str) -> Answer {
    Answer::Done(Box::new(Done {
        status: 200,
        revision,
        request_id: format!("req_{revision}"),
        digest: mention(&format!("{rule} {name}")),
        seen: Seen::Rule(seen_rule(rule, name)),
        mentions: vec![mention(rule)],
        environments: vec![Environment::Production],
        ..Done::default()
    }))
}

pub(crate) fn seen_rule(rule: &str, name: &str) -> RuleSeen {
    RuleSeen {
        id: rule.to_owned(),
        route: ROUTE.to_owned(),
        name: name.to_owned(),
        priority: priority(rule),
        status: "draft".to_owned(),
        live: false,
    }
}

/// Every made-up rule has a priority of its own.
fn priority(rule: &str) -> u64 {
    mention(rule) >> 32
}

pub(crate) fn refused(status: u16, code: &str) -> Answer {
    Answer::Refused {
        status,
        code: code.to_owned(),
        request_id: format!("req_refused_{code}"),
        revision: 1_000,
        replayed: false,
        mentions: Vec::new(),
    }
}

/// A rule is made, by its key.
pub(crate) fn created(key: &str, rule: &str, at: u64, revision: u64) -> Attempt {
    let mut call = call(Operation::CreateRule, None, Some(key));
    call.renames = vec![(String::new(), key.to_owned())];
    attempt(call, at, at + 10, done(revision, rule, key))
}

/// A rule gets a name, which is the key as well.
pub(crate) fn renamed(rule: &str, name: &str, at: u64, revision: u64) -> Attempt {
    attempt(renames(rule, name), at, at + 10, done(revision, rule, name))
}

pub(crate) fn renames(rule: &str, name: &str) -> Call {
    let mut call = call(Operation::RenameRule, Some(rule), Some(name));
    call.renames = vec![(rule.to_owned(), name.to_owned())];
    call
}

pub(crate) fn read(rule: &str, name: &str, at: u64, revision: u64) -> Attempt {
    let call = call(Operation::ReadRule, Some(rule), None);
    attempt(call, at, at + 10, done(revision, rule, name))
}

/// What committed the making of a rule under a key.
pub(crate) fn commits_rule(revision: u64, key: &str, rule: &str) -> Committed {
    let priority = priority(rule);
    let after = format!("{{\"name\":\"{key}\",\"priority\":{priority},\"status\":\"draft\"}}");
    commits(revision, key, rule, None, &after)
}

/// What committed a name under a key that is the same.
pub(crate) fn commits_name(revision: u64, rule: &str, name: &str) -> Committed {
    let after = format!("{{\"name\":\"{name}\"}}");
    commits(revision, name, rule, Some("{}"), &after)
}

pub(crate) fn commits(
    revision: u64,
    key: &str,
    rule: &str,
    before: Option<&str>,
    after: &str,
) -> Committed {
    Committed {
        revision,
        actor: Some("key_1".to_owned()),
        request_id: format!("req_{revision}"),
        key: Some(key.to_owned()),
        changes: vec![Changed {
            object: "rule",
            id: rule.to_owned(),
            route: Some(ROUTE.to_owned()),
            before: before.map(str::to_owned),
            after: Some(after.to_owned()),
        }],
        ..Committed::default()
    }
}

/// A history whose one node holds these rules, by identifier and name, at the end.
pub(crate) fn history(
    attempts: Vec<Attempt>,
    journal: Vec<Committed>,
    rules: &[(&str, &str)],
) -> History {
    let rules = rules.iter().map(|(id, name)| FinalRule {
        id: (*id).to_owned(),
        route: ROUTE.to_owned(),
        name: (*name).to_owned(),
        priority: priority(id),
        status: "draft".to_owned(),
        ..FinalRule::default()
    });
    let state = FinalState {
        applied: 100,
        rules: rules.collect(),
        journal_rows: journal.len(),
        ..FinalState::default()
    };
    History {
        attempts,
        journal,
        finals: [(1, state)].into(),
        ..History::default()
    }
}
