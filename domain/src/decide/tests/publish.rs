//! Publishing.

use super::world::{World, forward, furnished, published, refused, rule, snapshot, world};
use crate::command::{Command, DesiredStatus};
use crate::model::{Priority, RuleEventKind, RuleStatus, SnapshotState};
use crate::query;

/// Contract: R-05, D-45.
#[test]
fn publishing_makes_the_draft_the_active_snapshot() {
    let mut world = furnished();
    world.create_rule(1, 20).unwrap();
    world.create_rule(2, 10).unwrap();
    let draft = world.route(1).1;
    let (snapshot, unchanged) =
        published(world.publish_with(1, |publish| publish.comment = Some("first".to_owned())));
    assert_eq!(
        (&snapshot.id, snapshot.version, unchanged),
        (&draft.snapshot_id, draft.next_version, false)
    );
    assert_eq!(
        (snapshot.rule_count, snapshot.comment.as_deref()),
        (2, Some("first"))
    );
    assert_eq!(
        (snapshot.parent_id.as_ref(), snapshot.state),
        (None, SnapshotState::Published)
    );
    assert_eq!(snapshot.manifest_version.0, world.manifest_version());
    assert_eq!(world.live_rules(1), [(rule(2), 10), (rule(1), 20)]);
    let (route, next) = world.route(1);
    assert_ne!(next.snapshot_id, draft.snapshot_id);
    assert_eq!((next.next_version.0, next.pending_changes), (2, false));
    assert_eq!(route.updated_at, Some(snapshot.published_at));
}

/// Contract: D-34.
#[test]
fn a_published_rule_is_active_since_the_publish() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    let (snapshot, _) = published(world.publish(1));
    let rule = world.rule(1);
    let live = rule.published.unwrap();
    assert_eq!(
        (rule.status, rule.pending_changes),
        (RuleStatus::Active, false)
    );
    assert_eq!(
        (live.at, &live.snapshot_id),
        (snapshot.published_at, &snapshot.id)
    );
    assert_eq!(rule.updated_at, Some(live.at));
    let event = rule.events.last().unwrap();
    assert_eq!((event.kind, event.at), (RuleEventKind::Published, live.at));
    assert_eq!(rule.versions.last().unwrap().snapshot_id, Some(snapshot.id));
}

#[test]
fn publishing_touches_only_rules_that_changed() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.create_rule(2, 20).unwrap();
    world.publish(1).unwrap();
    let before = world.rule(1);
    world
        .update_rule(2, |rule| rule.name = Some("x".to_owned()))
        .unwrap();
    world.publish(1).unwrap();
    assert_eq!(world.rule(1), before);
}

#[test]
fn a_version_is_marked_with_the_snapshot_in_which_it_first_went_live() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    let (first, _) = published(world.publish(1));
    world
        .update_rule(1, |rule| rule.name = Some("a".to_owned()))
        .unwrap();
    world
        .update_rule(1, |rule| rule.name = Some("b".to_owned()))
        .unwrap();
    let (second, _) = published(world.publish(1));
    let marks: Vec<_> = world
        .rule(1)
        .versions
        .into_iter()
        .map(|version| version.snapshot_id)
        .collect();
    assert_eq!(marks, [Some(first.id), None, Some(second.id)]);
}

#[test]
fn publishing_without_changes_answers_with_the_active_snapshot() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    let (first, _) = published(world.publish(1));
    let (rows, version) = (world.rows.clone(), world.manifest_version());
    assert_eq!(published(world.publish(1)), (first, true));
    assert_eq!(world.manifest_version(), version);
    let changed = world
        .rows
        .0
        .iter()
        .filter(|(key, value)| rows.0.get(*key) != Some(value))
        .count();
    assert_eq!(changed, 1, "only the clock went on");
}

#[test]
fn the_first_publish_works_without_rules() {
    let mut world = furnished();
    let (snapshot, unchanged) = published(world.publish(1));
    assert_eq!((snapshot.rule_count, unchanged), (0, false));
}

/// Contract: D-49.
#[test]
fn a_newer_snapshot_supersedes_the_active_one() {
    let mut world = furnished();
    let (first, _) = published(world.publish(1));
    world.create_rule(1, 10).unwrap();
    let (second, _) = published(world.publish(1));
    assert_eq!(second.parent_id.as_ref(), Some(&first.id));
    let first = query::snapshot(&world.rows, &world.actor.environment_id, &first.id).unwrap();
    assert_eq!(first.state, SnapshotState::Superseded);
}

#[test]
fn expectations_are_checked() {
    let mut world = furnished();
    let expected = |world: &mut World, id| {
        refused(world.publish_with(1, |publish| publish.expected_active = Some(id)))
    };
    let draft =
        |world: &mut World, id| world.publish_with(1, |publish| publish.draft_id = Some(id));
    let failed = (
        "PreconditionFailed",
        "expected_active_snapshot_id".to_owned(),
    );
    assert_eq!(expected(&mut world, snapshot(1)), failed);
    let stale = world.route(1).1.snapshot_id;
    world.create_rule(1, 10).unwrap();
    assert_eq!(
        refused(draft(&mut world, stale)),
        ("PreconditionFailed", "snapshot_id".to_owned())
    );
    let current = world.route(1).1.snapshot_id;
    let (active, _) = published(draft(&mut world, current.clone()));
    assert_eq!(active.id, current);
    assert_eq!(expected(&mut world, snapshot(1)), failed);
    assert!(
        published(draft(&mut world, current.clone())).1,
        "a repeated publish names what is active now"
    );
    world.create_rule(2, 20).unwrap();
    assert_eq!(
        refused(draft(&mut world, current.clone())).0,
        "PreconditionFailed",
        "but not once more was drafted"
    );
    published(world.publish_with(1, |publish| publish.expected_active = Some(current)));
}

#[test]
fn all_problems_of_a_draft_are_told_at_once_and_nothing_happens() {
    let mut world = world();
    world.create_route(1, "one.example.net", 1).unwrap();
    for (number, action) in [(1, forward(2)), (2, forward(3))] {
        let mut command = world.new_rule(number, number as u32);
        command.action = action;
        world
            .apply(Command::CreateRule(world.actor.clone(), command))
            .unwrap();
    }
    world.create_upstream(3).unwrap();
    world.weigh_upstream(3, 0).unwrap();
    let rows = world.rows.clone();
    let Err(crate::rejection::Rejection::ValidationFailed { problems }) = world.publish(1) else {
        panic!("published")
    };
    let found: Vec<_> = problems
        .iter()
        .map(|problem| (problem.code.as_str(), problem.param.clone().unwrap()))
        .collect();
    let expect = [
        ("unknown_upstream", "config".to_owned()),
        ("unknown_upstream", format!("{}.action", rule(1))),
        (
            "no_weight",
            format!("{}.targets", super::world::upstream(3)),
        ),
    ];
    assert_eq!(found, expect);
    let changed = world
        .rows
        .0
        .iter()
        .filter(|(key, value)| rows.0.get(*key) != Some(value))
        .count();
    assert_eq!(
        (changed, world.rows.0.len()),
        (1, rows.0.len()),
        "only the clock went on"
    );
}

#[test]
fn problems_are_cut_at_a_hundred() {
    let mut world = furnished();
    for number in 0..120 {
        let mut command = world.new_rule(number, number as u32);
        command.action = forward(3);
        world
            .apply(Command::CreateRule(world.actor.clone(), command))
            .unwrap();
    }
    let Err(crate::rejection::Rejection::ValidationFailed { problems }) = world.publish(1) else {
        panic!("published")
    };
    assert_eq!(problems.len(), 100);
}

#[test]
fn a_problem_with_a_paused_rule_is_none() {
    let mut world = furnished();
    let mut command = world.new_rule(1, 10);
    command.action = forward(3);
    world
        .apply(Command::CreateRule(world.actor.clone(), command))
        .unwrap();
    assert_eq!(refused(world.publish(1)).0, "ValidationFailed");
    world
        .update_rule(1, |rule| rule.status = Some(DesiredStatus::Paused))
        .unwrap();
    world.publish(1).unwrap();
}

#[test]
fn rules_may_swap_their_priorities_by_way_of_a_third() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.create_rule(2, 20).unwrap();
    world.publish(1).unwrap();
    for (number, priority) in [(1, 30), (2, 10), (1, 20)] {
        world
            .update_rule(number, |rule| rule.priority = Some(Priority(priority)))
            .unwrap();
    }
    world.publish(1).unwrap();
    assert_eq!(world.live_rules(1), [(rule(2), 10), (rule(1), 20)]);
}

#[test]
fn a_draft_whose_identifier_is_a_snapshot_is_refused() {
    let mut world = furnished();
    let (first, _) = published(world.publish(1));
    let mut command = world.new_rule(1, 10);
    command.draft_id = first.id;
    world
        .apply(Command::CreateRule(world.actor.clone(), command))
        .unwrap();
    assert_eq!(refused(world.publish(1)).0, "IdTaken");
    world.create_rule(2, 20).unwrap();
    world.publish(1).unwrap();
}

#[test]
fn the_head_of_the_draft_is_what_publishing_gives() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    let environment = world.actor.environment_id.clone();
    for _ in 0..2 {
        let (head, _) = query::draft_head(&world.rows, &environment, &super::world::route(1));
        let (snapshot, _) = published(world.publish(1));
        assert_eq!(snapshot.head, head);
        world
            .update_rule(1, |rule| rule.name = Some("renamed".to_owned()))
            .unwrap();
    }
}
