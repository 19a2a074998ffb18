//! Tables: a cluster in short, a wish, and what comes of it.

use std::time::Duration;

use super::super::view::{Known, SILENCE, risks};
use super::*;

/// A cluster in short: `1 2 3! +4 +5~9000` are voters 1, 2 and 3, of which 3 is silent, a learner 4
/// that has everything, and a learner 5 that lacks 9000 entries; `+6?` never acknowledged anything,
/// `6*` never answered this leader, `x7` is a number that is used up, `3-` a voter that is being removed. Node 1 leads; the region of
/// node N is `r` and N modulo 3.
fn cluster(text: &str) -> View {
    let mut view = View {
        leader: 1,
        ..View::default()
    };
    for word in text.split_whitespace() {
        if let Some(used) = word.strip_prefix('x') {
            view.retired.insert(used.parse().unwrap());
            continue;
        }
        let is_voter = !word.starts_with('+');
        let word = word.trim_start_matches('+');
        let (number, lag) = word.split_once('~').unwrap_or((word, "0"));
        let digits = number.trim_end_matches(['!', '?', '*', '-']);
        let id: NodeId = digits.parse().unwrap();
        let heard = match number {
            number if number.contains('*') => None,
            number if number.contains('!') => Some(SILENCE),
            _ => Some(Duration::ZERO),
        };
        let lag = (!number.contains('?')).then(|| lag.parse().unwrap());
        let known = Known {
            member: member(id),
            heard,
            lag,
        };
        view.members.insert(id, known);
        if is_voter {
            view.voters.insert(id);
        }
        if number.contains('-') {
            view.retired.insert(id);
        }
    }
    view
}

fn member(id: NodeId) -> Member {
    Member {
        id,
        region: format!("r{}", id % 3),
        internal: format!("node-{id}:7200"),
        rest: format!("https://node-{id}"),
        publisher: format!("node-{id}:7300"),
    }
}

/// A plan in short: the step, `hand over to N`, `nothing`, or the code of the refusal.
fn short(plan: Result<Plan, Refusal>) -> String {
    match plan {
        Ok(Plan::Nothing(_)) => "nothing".to_owned(),
        Ok(Plan::HandOverFirst(to)) => format!("hand over to {to}"),
        Ok(Plan::Step(step)) => match step {
            Step::Add(member) => format!("add {}", member.id),
            Step::Promote(id) => format!("promote {id}"),
            Step::Demote(id) => format!("demote {id}"),
            Step::Remove(id) => format!("remove {id}"),
            Step::Replace { id, with } => format!("replace {id} by {with}"),
            Step::Transfer(to) => format!("transfer to {to}"),
            Step::Prefer(region) => format!("prefer {region:?}"),
        },
        Err(refusal) => {
            assert!(!refusal.to_string().is_empty());
            refusal.code().to_owned()
        }
    }
}

fn check(cases: &[(&str, Wish, &str)]) {
    for (text, wish, expected) in cases {
        let found = short(plan(&cluster(text), wish));
        assert_eq!(&found, expected, "{text}: {wish:?}");
    }
}

#[test]
fn a_node_is_added_as_a_learner_under_a_number_that_nobody_ever_had() {
    let add = |id| Wish::Add(member(id));
    let moved = Wish::Add(Member {
        internal: "elsewhere:1".to_owned(),
        ..member(3)
    });
    let squats = Wish::Add(Member {
        publisher: "node-2:7300".to_owned(),
        ..member(4)
    });
    let nowhere = Wish::Add(Member {
        internal: "elsewhere".to_owned(),
        ..member(4)
    });
    check(&[
        ("1 2 3", add(4), "add 4"),
        ("1", add(2), "add 2"),
        ("1 2 3!", add(4), "add 4"),
        ("1 2 3", add(3), "nothing"),
        ("1 2 3", moved, "already_member"),
        ("1 2 3 x4", add(4), "id_used_before"),
        ("1 2 3-", add(3), "id_used_before"),
        ("1 2 3", squats, "address_taken"),
        ("1 2 3", nowhere, "invalid_parameter"),
        ("1 2 3", add(0), "invalid_parameter"),
        ("1 2! 3!", add(4), "no_quorum"),
    ]);
}

#[test]
fn a_learner_votes_once_it_answers_and_has_the_log() {
    check(&[
        ("1 2 3 +4", Wish::Promote(4), "promote 4"),
        ("1 2 3 +4~1000", Wish::Promote(4), "promote 4"),
        ("1 2 3 +4~1001", Wish::Promote(4), "member_lags"),
        ("1 2 3 +4?", Wish::Promote(4), "member_lags"),
        ("1 2 3 +4!", Wish::Promote(4), "member_silent"),
        ("1 2 3", Wish::Promote(3), "nothing"),
        ("1 2 3", Wish::Promote(4), "unknown_member"),
        ("1 2 3 +4-", Wish::Promote(4), "being_removed"),
        // Three of four answer, and three are needed.
        ("1 2 3! +4", Wish::Promote(4), "promote 4"),
        ("1 2! 3! +4", Wish::Promote(4), "no_quorum"),
    ]);
}

#[test]
fn nobody_is_demoted_or_removed_where_the_rest_would_be_no_quorum() {
    for (wish, done) in [
        (Wish::Demote as fn(NodeId) -> Wish, "demote"),
        (Wish::Remove as fn(NodeId) -> Wish, "remove"),
    ] {
        let done = |id| format!("{done} {id}");
        check(&[
            ("1 2 3", wish(3), done(3).as_str()),
            // The dead one may go, a living one may not while it is dead.
            ("1 2 3!", wish(3), done(3).as_str()),
            ("1 2 3!", wish(2), "would_lose_quorum"),
            ("1 2 3 4! 5!", wish(3), "would_lose_quorum"),
            ("1 2 3 4! 5!", wish(4), done(4).as_str()),
            ("1 2", wish(2), done(2).as_str()),
            ("1 2", wish(1), "hand over to 2"),
            ("1", wish(1), "last_voter"),
            ("1 +2", wish(1), "last_voter"),
            ("1 2 3", wish(9), "unknown_member"),
        ]);
    }
    check(&[
        ("1 2 3 +4", Wish::Demote(4), "nothing"),
        ("1 2 3 +4!", Wish::Remove(4), "remove 4"),
        ("1 2 3 x4", Wish::Remove(4), "nothing"),
        // Asked again while it goes on.
        ("1 2 3-", Wish::Remove(3), "remove 3"),
        ("1 2 3-", Wish::Demote(3), "being_removed"),
    ]);
}

#[test]
fn a_leader_hands_over_before_its_own_vote_goes() {
    check(&[
        ("1 2~5 3", Wish::Remove(1), "hand over to 3"),
        ("1 2~5 3!", Wish::Remove(1), "would_lose_quorum"),
        ("1 2 3", Wish::Demote(1), "hand over to 2"),
        ("1 2- 3", Wish::Demote(1), "hand over to 3"),
        ("1 2? 3?", Wish::Demote(1), "no_heir"),
        (
            "1 2 3 +4",
            Wish::Replace { id: 1, with: 4 },
            "hand over to 2",
        ),
    ]);
}

#[test]
fn a_learner_takes_the_place_of_a_dead_voter_in_one_step() {
    let replace = |id, with| Wish::Replace { id, with };
    check(&[
        ("1 2 3! +4", replace(3, 4), "replace 3 by 4"),
        ("1 2 3 +4", replace(3, 4), "replace 3 by 4"),
        ("1 2 3! +4~5000", replace(3, 4), "member_lags"),
        ("1 2 3! +4!", replace(3, 4), "member_silent"),
        ("1 2 3!", replace(3, 4), "unknown_member"),
        ("1 2 3", replace(3, 3), "replaces_itself"),
        ("1 2 3!", replace(3, 2), "votes_already"),
        ("1 2 +3! +4", replace(3, 4), "remove 3"),
        ("1 2 4 x3", replace(3, 4), "nothing"),
        // Nothing is agreed on any more by two of four.
        ("1 2! 3! 4 +5", replace(4, 5), "no_quorum"),
    ]);
}

#[test]
fn leadership_goes_to_a_voter_that_answers_and_has_the_log() {
    check(&[
        ("1 2~3 3", Wish::Transfer(None), "transfer to 3"),
        ("1 2~3 3!", Wish::Transfer(None), "transfer to 2"),
        ("1 2! 3!", Wish::Transfer(None), "no_heir"),
        ("1", Wish::Transfer(None), "no_heir"),
        ("1 2 3", Wish::Transfer(Some(2)), "transfer to 2"),
        ("1 2 3", Wish::Transfer(Some(1)), "nothing"),
        ("1 2 3 +4", Wish::Transfer(Some(4)), "not_a_voter"),
        ("1 2 3!", Wish::Transfer(Some(3)), "member_silent"),
        ("1 2~1001 3", Wish::Transfer(Some(2)), "member_lags"),
        ("1 2- 3", Wish::Transfer(Some(2)), "being_removed"),
        ("1 2 3", Wish::Transfer(Some(8)), "unknown_member"),
    ]);
}

#[test]
fn an_heir_in_the_preferred_region_comes_before_one_with_more_of_the_log() {
    let mut view = cluster("1 2~50 3");
    assert_eq!(view.heir(None), Some(3));
    view.preferred_region = Some("r2".to_owned());
    assert_eq!(view.heir(None), Some(2));
    assert_eq!(view.heir(Some(2)), Some(3));
}

#[test]
fn a_region_without_a_voter_cannot_be_preferred() {
    let prefer = |region: Option<&str>| Wish::Prefer(region.map(str::to_owned));
    check(&[
        ("1 2 3", prefer(Some("r2")), "prefer Some(\"r2\")"),
        ("1 3 +2", prefer(Some("r2")), "no_voter_there"),
        ("1 2 3", prefer(None), "nothing"),
    ]);
}

#[test]
fn nothing_new_begins_while_an_earlier_change_is_unfinished() {
    let mut view = cluster("1 2 3 +4");
    view.unfinished = true;
    for wish in [
        Wish::Add(member(5)),
        Wish::Promote(4),
        Wish::Demote(3),
        Wish::Remove(3),
        Wish::Remove(4),
        Wish::Replace { id: 3, with: 4 },
        Wish::Transfer(Some(2)),
    ] {
        assert_eq!(short(plan(&view, &wish)), "change_unfinished", "{wish:?}");
    }
}

#[test]
fn a_removal_that_was_interrupted_goes_on_when_it_can() {
    for (text, expected) in [
        ("1 2 3", None),
        ("1 2 3 x4", None),
        ("1 2 3 +4-", Some("remove 4")),
        ("1 2 3!-", Some("remove 3")),
        ("1- 2 3", Some("hand over to 2")),
        ("1 2- 3!", Some("would_lose_quorum")),
    ] {
        let found = interrupted(&cluster(text)).map(short);
        assert_eq!(found.as_deref(), expected, "{text}");
    }
}

#[test]
fn refusals_say_what_to_do() {
    for (text, wish, words) in [
        ("1 2 3!", Wish::Remove(2), "start or remove node 3 first"),
        ("1 2! 3!", Wish::Add(member(4)), "start node 2 and node 3"),
        ("1", Wish::Demote(1), "promote another member first"),
        (
            "1 2 3 x4",
            Wish::Add(member(4)),
            "choose a number that no node has had",
        ),
        ("1 2 3 +4~7000", Wish::Promote(4), "lags by 7000 entries"),
        ("1 2 3", Wish::Promote(7), "the members are 1, 2, 3"),
    ] {
        let refusal = plan(&cluster(text), &wish).unwrap_err().to_string();
        assert!(refusal.contains(words), "{refusal}");
    }
}

#[test]
fn risks_are_told_in_words() {
    for (text, expected) in [
        // Regions r1, r2 and r0 with one voter each.
        ("1 2 3", vec![]),
        (
            "1 2 3!",
            vec![
                "losing region r1 stops writes",
                "losing region r2 stops writes",
                "losing any one more voter stops writes",
                "voters that do not answer: node 3",
            ],
        ),
        // Two of three in r1.
        ("1 4 2", vec!["losing region r1 stops writes"]),
        (
            "1 2! 3!",
            vec!["no quorum: 1 of 3 voters answer, 2 are needed: writes are stopped"],
        ),
        (
            "1",
            vec![
                "losing region r1 stops writes",
                "losing any one more voter stops writes",
            ],
        ),
        ("1 2 3 4 5", vec![]),
        (
            "1 2 3 5",
            vec![
                "losing region r2 stops writes",
                "4 voters stand no more losses than 3 would",
            ],
        ),
    ] {
        assert_eq!(risks(&cluster(text)), expected, "{text}");
    }
}

#[test]
fn a_leader_that_has_just_begun_waits_for_the_first_answer_of_every_voter() {
    for (text, has_heard) in [
        ("1", true),
        ("1 2 3", true),
        ("1 2 3*", false),
        ("1 2* 3* 4", false),
        ("1 2 3!", true),
        ("1 2 3 +4*", true),
    ] {
        assert_eq!(cluster(text).has_heard_voters(), has_heard, "{text}");
    }
}
