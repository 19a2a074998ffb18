//! Clusters that are well and clusters that are not.

use std::collections::BTreeMap;

use raft_store::types::Member;

use super::*;
use crate::consensus::membership::{ClusterStatus, Disk, MemberStatus, Role, StateCheck};
use crate::doctor::report;

const NOW_MS: u64 = 1_700_000_000_000;
const GIB: u64 = 1024 * 1024 * 1024;

fn member(id: NodeId) -> Member {
    Member {
        id,
        region: format!("region-{id}"),
        internal: format!("node-{id}:7200"),
        rest: String::new(),
        publisher: String::new(),
    }
}

fn condition(id: NodeId) -> Condition {
    Condition {
        id,
        version: "1.0.0".to_owned(),
        at_ms: NOW_MS + 5,
        leader: Some(1),
        term: 4,
        voters: vec![1, 2, 3],
        last: 5000,
        committed: 5000,
        applied: 5000,
        disk: Some(Disk {
            used_bytes: 40 * GIB,
            available_bytes: 60 * GIB,
        }),
        certificate_until_s: Some(NOW_MS / 1000 + 30 * DAY_S),
        state_check: Some(StateCheck {
            every_ms: 30_000,
            position: Some(4990),
            compared_ms: Some(NOW_MS - 10_000),
            is_decided: true,
            equal: vec![1, 2, 3],
            ..StateCheck::default()
        }),
    }
}

fn status() -> ClusterStatus {
    let members = (1..=3).map(|id| MemberStatus {
        id,
        role: Role::Voter,
        region: member(id).region,
        internal: member(id).internal,
        rest: String::new(),
        publisher: String::new(),
        alive: Some(true),
        heard_ms: Some(10),
        lag: Some(0),
        leaving: false,
    });
    ClusterStatus {
        answered_by: 1,
        leader: Some(1),
        term: 4,
        committed: 5000,
        applied: 5000,
        preferred_region: None,
        under_way: None,
        members: members.collect(),
        quorum: 2,
        risks: Vec::new(),
        state_check: condition(1).state_check,
    }
}

/// Three nodes that are well.
fn well() -> Facts {
    let examined = (1..=3).map(|id| Examined {
        member: member(id),
        asked_ms: NOW_MS,
        answered_ms: NOW_MS + 10,
        answer: Ok(condition(id)),
    });
    Facts {
        status: Some(status()),
        examined: examined.collect(),
        later_term: Some(4),
        settings: (1..=3).map(|id| (id, member(id))).collect(),
    }
}

/// The same with something done to some of the nodes.
fn with(nodes: &[NodeId], change: impl Fn(&mut Condition)) -> Facts {
    let mut facts = well();
    for examined in &mut facts.examined {
        if nodes.contains(&examined.member.id)
            && let Ok(condition) = &mut examined.answer
        {
            change(condition);
        }
    }
    facts
}

fn without(nodes: &[NodeId]) -> Facts {
    let mut facts = well();
    for examined in &mut facts.examined {
        if nodes.contains(&examined.member.id) {
            examined.answer = Err("connection refused".to_owned());
        }
    }
    facts
}

/// Severities, codes and nodes, in the order of findings.
fn found(facts: &Facts) -> Vec<String> {
    let findings = diagnose(facts);
    let shown = findings.iter().map(|finding| {
        assert!(finding.what.ends_with('.'), "{}", finding.what);
        assert!(finding.remedy.ends_with('.'), "{}", finding.remedy);
        let node = finding.node.map(|node| format!(" {node}"));
        let node = node.unwrap_or_default();
        format!("{} {}{node}", finding.severity, finding.code)
    });
    shown.collect()
}

#[test]
fn of_a_cluster_that_is_well_nothing_is_found() {
    assert_eq!(found(&well()), [""; 0]);
    let text = report(&well(), &[]);
    assert_eq!(
        text,
        "3 of 3 nodes answered: nothing is wrong that can be seen from here"
    );
}

#[test]
fn what_is_wrong_is_found_and_nothing_else() {
    let mut risky = well();
    let status = risky.status.as_mut().unwrap();
    status.risks = vec!["losing region region-1 stops writes".to_owned()];
    status.under_way = Some("adding node 4".to_owned());
    let mut stale = well();
    stale.settings.insert(9, member(9));
    let mut restless = well();
    restless.later_term = Some(6);
    let full = |percent: u64| {
        with(&[2], |it| {
            it.disk = Some(Disk {
                used_bytes: percent * GIB,
                available_bytes: (100 - percent) * GIB,
            });
        })
    };
    let ends_in = |left_s: u64| {
        with(&[3], |it| {
            it.certificate_until_s = Some(NOW_MS / 1000 + left_s)
        })
    };
    for (name, facts, expected) in [
        (
            "no leader",
            with(&[1, 2, 3], |it| it.leader = None),
            vec!["critical no_leader"],
        ),
        (
            "two leaders",
            with(&[3], |it| it.leader = Some(3)),
            vec!["warning leaders_differ"],
        ),
        ("restless", restless, vec!["warning leader_changes"]),
        (
            "formed by nobody",
            with(&[1, 2, 3], |it| it.voters.clear()),
            vec!["critical no_cluster"],
        ),
        (
            "one voter",
            with(&[1, 2, 3], |it| it.voters = vec![1]),
            vec!["warning one_voter"],
        ),
        (
            "two voters",
            with(&[1, 2, 3], |it| it.voters = vec![1, 2]),
            vec!["note even_voters"],
        ),
        (
            "at risk",
            risky,
            vec!["warning risk", "note change_under_way"],
        ),
        ("a node of before", stale, vec!["note settings_stale"]),
        (
            "a little behind",
            with(&[2], |it| it.applied = 4000),
            vec![],
        ),
        (
            "behind",
            with(&[2], |it| it.applied = 3999),
            vec!["warning behind 2"],
        ),
        (
            "clocks a bit apart",
            with(&[2], |it| it.at_ms += 509),
            vec![],
        ),
        (
            "clocks apart",
            with(&[2], |it| it.at_ms += 511),
            vec!["warning clocks_differ"],
        ),
        (
            "versions",
            with(&[2], |it| it.version.push('1')),
            vec!["note versions_differ"],
        ),
        ("room", full(69), vec![]),
        ("less room", full(70), vec!["note disk_full 2"]),
        ("little room", full(85), vec!["warning disk_full 2"]),
        ("no room", full(95), vec!["critical disk_full 2"]),
        ("a certificate for a week", ends_in(7 * DAY_S), vec![]),
        (
            "a certificate for less",
            ends_in(7 * DAY_S - 1),
            vec!["warning certificate_ends 3"],
        ),
        (
            "a certificate for hours",
            ends_in(DAY_S - 1),
            vec!["critical certificate_ends 3"],
        ),
        (
            "no certificate any more",
            ends_in(0),
            vec!["critical certificate_ends 3"],
        ),
    ] {
        assert_eq!(found(&facts), expected, "{name}");
    }
}

#[test]
fn a_silent_node_is_as_bad_as_what_is_left_without_it() {
    assert_eq!(found(&without(&[3])), ["warning node_silent 3"]);
    let two = [
        "critical no_quorum",
        "critical node_silent 2",
        "critical node_silent 3",
    ];
    let mut facts = without(&[2, 3]);
    facts.status = None;
    assert_eq!(found(&facts), two);
    let findings = diagnose(&facts);
    assert!(findings[0].what.starts_with("1 of 3 voters answer, and 2"));
    assert!(findings[0].remedy.contains("missing are 2, 3"));
    assert!(findings[1].what.contains("connection refused"));
    let text = report(&facts, &findings);
    assert!(
        text.ends_with("1 of 3 nodes answered: it needs somebody now"),
        "{text}"
    );
    facts = without(&[1, 2, 3]);
    facts.status = None;
    facts.later_term = None;
    assert_eq!(found(&facts)[0], "critical no_node_answers");
    assert_eq!(found(&facts).len(), 4);
}

#[test]
fn a_learner_that_is_silent_takes_no_quorum() {
    let mut facts = with(&[1, 2, 3], |it| it.voters = vec![1, 2, 4]);
    facts.examined.push(Examined {
        member: member(4),
        asked_ms: NOW_MS,
        answered_ms: NOW_MS + 10,
        answer: Ok(Condition {
            voters: vec![1, 2, 4],
            ..condition(4)
        }),
    });
    facts.examined[2].answer = Err("no answer".to_owned());
    assert_eq!(found(&facts), ["warning node_silent 3"]);
    let silent = BTreeMap::from([(1, ()), (2, ())]);
    for examined in &mut facts.examined {
        if silent.contains_key(&examined.member.id) {
            examined.answer = Err("no answer".to_owned());
        }
    }
    assert_eq!(found(&facts)[0], "critical no_quorum");
}

#[test]
fn states_that_differ_or_are_not_known_are_told() {
    let differs = with(&[1, 2], |condition| {
        condition.state_check = Some(StateCheck {
            equal: vec![1, 2],
            different: vec![3],
            ..condition.state_check.take().unwrap()
        });
    });
    let found = diagnose(&differs);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].code, found[0].node), ("state_differs", Some(3)));
    assert_eq!(found[0].severity, Severity::Critical);
    assert!(found[0].remedy.contains("members replace 3"), "{found:?}");

    let undecided = with(&[1], |condition| {
        condition.state_check = Some(StateCheck {
            is_decided: false,
            equal: vec![],
            different: vec![1, 2],
            unknown: vec![3],
            position: Some(5000),
            ..condition.state_check.take().unwrap()
        });
    });
    let found = diagnose(&undecided);
    let codes: Vec<_> = found.iter().map(|it| (it.code, it.node)).collect();
    assert_eq!(
        codes,
        [
            ("state_differs", Some(1)),
            ("state_differs", Some(2)),
            ("state_unknown", Some(3))
        ]
    );
    assert!(found[0].what.contains("nobody can say"), "{found:?}");

    let off = with(&[2], |condition| {
        condition.state_check = Some(StateCheck::default());
    });
    let found = diagnose(&off);
    assert_eq!((found[0].code, found[0].node), ("state_check_off", Some(2)));
    // A release of before says nothing of it, which is no fault of the node's.
    let older = with(&[2], |condition| condition.state_check = None);
    assert_eq!(diagnose(&older), []);
}
