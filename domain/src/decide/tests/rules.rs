//! Rules.

use super::world::{World, forward, furnished, made_rule, metadata, published, refused, rule};
use crate::command::{Command, DesiredStatus};
use crate::model::{Priority, Rule, RuleEventKind, RuleField, RuleStatus};

use RuleEventKind::{
    Archived, Created, Paused, Published, Resumed, Updated, Validated, ValidationFailed,
};

fn events(rule: &Rule) -> Vec<RuleEventKind> {
    rule.events.iter().map(|event| event.kind).collect()
}

/// Code and place of each problem.
fn problems(rule: &Rule) -> Vec<(&str, &str)> {
    let problems = rule.problems.iter();
    problems
        .map(|problem| (problem.code.as_str(), problem.param.as_deref().unwrap()))
        .collect()
}

#[test]
fn a_new_rule_is_a_draft_with_its_objects_as_sent() {
    let mut world = furnished();
    let mut command = world.new_rule(1, 10);
    command.criteria = r#"{"region":["eu-central-1"],"method":"GET"}"#.to_owned();
    command.metadata = metadata(&[("owner", "platform")]);
    let rule = made_rule(world.apply(Command::CreateRule(world.actor.clone(), command)));
    assert_eq!(
        (rule.status, rule.pending_changes, rule.updated_at),
        (RuleStatus::Draft, true, None)
    );
    assert_eq!(
        rule.criteria,
        r#"{"region":["eu-central-1"],"method":"GET"}"#
    );
    assert_eq!(
        rule.versions[0].changed_fields,
        [
            RuleField::Name,
            RuleField::Priority,
            RuleField::Match,
            RuleField::Action,
            RuleField::Metadata
        ]
    );
    assert_eq!(world.rule(1), rule);
}

/// Contract: D-39.
#[test]
fn a_rule_is_validated_at_once_if_its_references_are_good_and_else_when_published() {
    let mut world = furnished();
    assert_eq!(
        events(&made_rule(world.create_rule(1, 10))),
        [Created, Validated]
    );
    let mut dangling = world.new_rule(2, 20);
    dangling.action = forward(3);
    let rule = made_rule(world.apply(Command::CreateRule(world.actor.clone(), dangling)));
    assert_eq!(events(&rule), [Created, ValidationFailed]);
    assert_eq!(problems(&rule), [("unknown_upstream", "action")]);
    assert_eq!(
        refused(world.publish(1)),
        ("ValidationFailed", "unknown_upstream".to_owned())
    );
    world.create_upstream(3).unwrap();
    world.publish(1).unwrap();
    let rule = world.rule(2);
    assert_eq!(
        events(&rule),
        [Created, ValidationFailed, Validated, Published]
    );
    assert_eq!(problems(&rule), []);
}

/// Contract: D-39.
#[test]
fn a_change_is_judged_anew_and_a_pause_is_no_change_to_judge() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    let broken = made_rule(world.update_rule(1, |rule| rule.action = Some(forward(3))));
    assert_eq!(problems(&broken), [("unknown_upstream", "action")]);
    let paused = made_rule(world.update_rule(1, |rule| {
        rule.status = Some(DesiredStatus::Paused);
    }));
    assert_eq!(paused.problems, broken.problems);
    // That the upstream is made later changes nothing by itself; the next change is judged again.
    world.create_upstream(3).unwrap();
    assert_eq!(world.rule(1), paused);
    let good = made_rule(world.update_rule(1, |rule| rule.name = Some("good".to_owned())));
    assert_eq!(problems(&good), []);
    assert_eq!(
        events(&good),
        [
            Created,
            Validated,
            Updated,
            ValidationFailed,
            Paused,
            Updated,
            Validated
        ]
    );
}

/// Contract: D-36.
#[test]
fn two_rules_of_a_route_cannot_have_one_priority() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    assert_eq!(refused(world.create_rule(2, 10)).0, "PriorityConflict");
    world.create_rule(2, 20).unwrap();
    let moved = world.update_rule(2, |rule| rule.priority = Some(Priority(10)));
    assert_eq!(refused(moved).0, "PriorityConflict");
    world.archive_rule(1).unwrap();
    world
        .update_rule(2, |rule| rule.priority = Some(Priority(10)))
        .unwrap();
}

#[test]
fn rules_of_different_routes_may_share_a_priority() {
    let mut world = furnished();
    world.create_route(2, "two.example.net", 1).unwrap();
    world.create_rule(1, 10).unwrap();
    let mut other = world.new_rule(2, 10);
    other.route_id = super::world::route(2);
    world
        .apply(Command::CreateRule(world.actor.clone(), other))
        .unwrap();
}

#[test]
fn shape_and_size_are_checked_whoever_proposes() {
    let mut world = furnished();
    let check = |world: &mut World, change: &dyn Fn(&mut crate::command::CreateRule)| {
        let mut command = world.new_rule(1, 10);
        change(&mut command);
        refused(world.apply(Command::CreateRule(world.actor.clone(), command)))
    };
    let invalid = |param: &str| ("InvalidParameter", param.to_owned());
    assert_eq!(
        check(&mut world, &|rule| rule.name.clear()),
        invalid("name")
    );
    assert_eq!(
        check(&mut world, &|rule| rule.name = "x".repeat(201)),
        invalid("name")
    );
    assert_eq!(
        check(&mut world, &|rule| rule.priority = Priority(1_000_001)),
        invalid("priority")
    );
    assert_eq!(
        check(&mut world, &|rule| rule.criteria = "[]".to_owned()),
        invalid("match")
    );
    assert_eq!(
        check(&mut world, &|rule| rule.criteria = "nonsense".to_owned()),
        invalid("match")
    );
    let unknown = ("UnknownParameter", "match.colour".to_owned());
    assert_eq!(
        check(&mut world, &|rule| rule.criteria =
            r#"{"colour":"red"}"#.to_owned()),
        unknown
    );
    let missing = ("ParameterMissing", "action.type".to_owned());
    assert_eq!(
        check(&mut world, &|rule| rule.action = "{}".to_owned()),
        missing
    );
    let large = ("LimitExceeded", "match".to_owned());
    assert_eq!(
        check(&mut world, &|rule| rule.criteria = " ".repeat(70_000)),
        large
    );
    assert_eq!(
        check(&mut world, &|rule| rule.metadata = metadata(&[("", "x")])),
        invalid("metadata")
    );
    let long = "x".repeat(501);
    assert_eq!(
        check(&mut world, &|rule| rule.metadata =
            metadata(&[("k", &long)])),
        invalid("metadata")
    );
    let many: Vec<_> = (0..51).map(|n| format!("k{n}")).collect();
    let many = many
        .iter()
        .map(|key| (key.as_str(), "v"))
        .collect::<Vec<_>>();
    assert_eq!(
        check(&mut world, &|rule| rule.metadata = metadata(&many)),
        invalid("metadata")
    );
}

#[test]
fn a_change_is_drafted_and_what_is_live_stays() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.publish(1).unwrap();
    let draft = world.route(1).1.snapshot_id;
    let rule_1 = made_rule(world.update_rule(1, |rule| {
        rule.priority = Some(Priority(30));
        rule.metadata = vec![
            ("owner".to_owned(), Some("edge".to_owned())),
            ("gone".to_owned(), None),
        ];
    }));
    assert!(rule_1.pending_changes && world.is_pending(1));
    assert_eq!(rule_1.status, RuleStatus::Active);
    assert_eq!(
        rule_1.versions.last().unwrap().changed_fields,
        [RuleField::Priority, RuleField::Metadata]
    );
    assert_eq!(
        events(&rule_1),
        [Created, Validated, Published, Updated, Validated]
    );
    assert_eq!(world.live_rules(1), [(rule(1), 10)]);
    assert_ne!(world.route(1).1.snapshot_id, draft);
    world.publish(1).unwrap();
    assert_eq!(world.live_rules(1), [(rule(1), 30)]);
}

#[test]
fn a_change_and_its_opposite_leave_nothing_pending() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.publish(1).unwrap();
    world
        .update_rule(1, |rule| {
            rule.criteria = Some(r#"{"method":"POST"}"#.to_owned())
        })
        .unwrap();
    assert!(world.is_pending(1));
    // The same meaning, in other words.
    world
        .update_rule(1, |rule| {
            rule.criteria = Some(r#"{"method":["GET"]}"#.to_owned())
        })
        .unwrap();
    assert!(!world.is_pending(1) && !world.rule(1).pending_changes);
    assert!(published(world.publish(1)).1);
}

#[test]
fn an_update_that_changes_nothing_is_none() {
    let mut world = furnished();
    let made = made_rule(world.create_rule(1, 10));
    let draft = world.route(1).1;
    let same = made_rule(world.update_rule(1, |rule| {
        rule.name = Some("rule 1".to_owned());
        rule.metadata = vec![("gone".to_owned(), None)];
        rule.status = Some(DesiredStatus::Active);
    }));
    assert_eq!(same, made, "a draft becomes active by publishing only");
    assert_eq!(world.route(1).1, draft);
}

#[test]
fn pausing_and_resuming_take_effect_with_the_next_publish() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.publish(1).unwrap();
    let set = |world: &mut World, status| {
        made_rule(world.update_rule(1, |rule| rule.status = Some(status)))
    };
    let paused = set(&mut world, DesiredStatus::Paused);
    assert_eq!(
        (paused.status, paused.pending_changes),
        (RuleStatus::Paused, true)
    );
    assert_eq!(world.live_rules(1), [(rule(1), 10)]);
    assert_eq!(refused(world.archive_rule(1)).0, "RulePublished");
    world.publish(1).unwrap();
    assert_eq!(world.live_rules(1), []);
    assert_eq!(
        (world.rule(1).published, world.rule(1).pending_changes),
        (None, false)
    );
    let resumed = set(&mut world, DesiredStatus::Active);
    assert_eq!(
        (resumed.status, resumed.pending_changes),
        (RuleStatus::Active, true)
    );
    assert_eq!(
        events(&resumed),
        [Created, Validated, Published, Paused, Resumed]
    );
    world.publish(1).unwrap();
    assert_eq!(world.live_rules(1), [(rule(1), 10)]);
}

#[test]
fn a_paused_draft_is_not_pending_and_not_published() {
    let mut world = furnished();
    world.publish(1).unwrap();
    world.create_rule(1, 10).unwrap();
    world
        .update_rule(1, |rule| rule.status = Some(DesiredStatus::Paused))
        .unwrap();
    assert!(!world.is_pending(1));
    assert!(published(world.publish(1)).1);
}

/// Contract: D-34.
#[test]
fn a_paused_draft_is_a_draft_when_it_is_resumed() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    let set = |world: &mut World, status| {
        made_rule(world.update_rule(1, |rule| rule.status = Some(status)))
    };
    assert_eq!(
        set(&mut world, DesiredStatus::Active).status,
        RuleStatus::Draft
    );
    set(&mut world, DesiredStatus::Paused);
    let resumed = set(&mut world, DesiredStatus::Active);
    assert_eq!(
        (resumed.status, resumed.pending_changes),
        (RuleStatus::Draft, true)
    );
    assert_eq!(events(&resumed), [Created, Validated, Paused, Resumed]);
    world.publish(1).unwrap();
    assert_eq!(world.rule(1).status, RuleStatus::Active);
}

#[test]
fn a_live_rule_is_not_archived() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.publish(1).unwrap();
    assert_eq!(refused(world.archive_rule(1)).0, "RulePublished");
}

#[test]
fn archiving_again_gives_the_same_answer() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    let first = made_rule(world.archive_rule(1));
    assert_eq!(events(&first), [Created, Validated, Archived]);
    assert!(first.archived_at.is_some());
    assert_eq!(made_rule(world.archive_rule(1)), first);
    let changed = world.update_rule(1, |rule| rule.name = Some("x".to_owned()));
    assert_eq!(refused(changed), ("Archived", "rule".to_owned()));
}

/// Contract: D-44.
#[test]
fn history_keeps_the_newest_and_versions_go_on() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    for number in 0..60 {
        world
            .update_rule(1, |rule| rule.name = Some(format!("name {number}")))
            .unwrap();
    }
    let rule = world.rule(1);
    assert_eq!(
        (rule.events.len(), rule.versions.len()),
        (Rule::EVENTS_MAX, Rule::VERSIONS_MAX)
    );
    assert_eq!(rule.versions.last().unwrap().version, 61);
}
