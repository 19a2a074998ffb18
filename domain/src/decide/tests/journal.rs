//! What each command leaves in the journal.

use super::world::{World, forward, furnished};
use crate::command::{Command, DesiredStatus, RollbackTo};
use crate::model::{JournalPlace, NoticeKind, ObjectKind, Priority, Rule};
use crate::query::{self, JournalRow};

fn rows(world: &World) -> Vec<JournalRow> {
    let environment = &world.actor.environment_id;
    query::journal_after(&world.rows, environment, JournalPlace::default(), 1000)
}

/// What the last row says: the events, and each change as (kind, before, after).
type Told = (Vec<&'static str>, Vec<(ObjectKind, String, String)>);

fn last(world: &World) -> Told {
    let row = rows(world).pop().expect("something was written down");
    let row = query::told_in_full(&world.rows, &world.actor.environment_id, row);
    let shown = |fields: &Option<String>| fields.clone().unwrap_or_else(|| "-".to_owned());
    let changes = &row.entry.changes;
    (
        row.entry
            .notices
            .iter()
            .map(|notice| notice.kind.as_str())
            .collect(),
        changes
            .iter()
            .map(|change| (change.object, shown(&change.before), shown(&change.after)))
            .collect(),
    )
}

#[test]
fn a_rule_is_told_of_from_its_beginning_to_its_end() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    let (events, changes) = last(&world);
    assert_eq!(events, ["rule.created", "rule.validated"]);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].1, "-");
    assert!(changes[0].2.contains("\"priority\":10"), "{changes:?}");
    world
        .update_rule(1, |rule| rule.priority = Some(Priority(20)))
        .unwrap();
    let (events, changes) = last(&world);
    assert_eq!(events, ["rule.updated", "rule.validated"]);
    let only = (
        ObjectKind::Rule,
        "{\"priority\":10}".to_owned(),
        "{\"priority\":20}".to_owned(),
    );
    assert_eq!(changes, [only]);
    world
        .update_rule(1, |rule| rule.status = Some(DesiredStatus::Paused))
        .unwrap();
    assert_eq!(last(&world).0, ["rule.paused"]);
    world.archive_rule(1).unwrap();
    assert_eq!(last(&world).0, ["rule.archived"]);
}

/// Contract: D-39.
#[test]
fn a_rule_that_fails_validation_is_told_of_in_the_entry_that_made_it_so() {
    let mut world = furnished();
    let mut dangling = world.new_rule(1, 10);
    dangling.action = forward(3);
    let command = Command::CreateRule(world.actor.clone(), dangling);
    world.apply(command).unwrap();
    assert_eq!(last(&world).0, ["rule.created", "rule.validation_failed"]);
    world
        .update_rule(1, |rule| rule.action = Some(forward(1)))
        .unwrap();
    assert_eq!(last(&world).0, ["rule.updated", "rule.validated"]);
}

/// Contract: D-56.
#[test]
fn each_change_of_a_rule_is_told_also_when_its_history_keeps_no_trace_of_the_one_before() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    let now = world.now;
    for number in 0..2 * u32::try_from(Rule::EVENTS_MAX).unwrap() {
        // All in one millisecond of the log's time, so that the lines of the history look alike.
        world.now = now;
        world
            .update_rule(1, |rule| rule.priority = Some(Priority(20 + number)))
            .unwrap();
        assert_eq!(
            last(&world).0,
            ["rule.updated", "rule.validated"],
            "{number}"
        );
    }
}

#[test]
fn a_publication_is_one_event_however_many_rules_it_takes_live() {
    let mut world = furnished();
    for number in 1..=3 {
        world
            .create_rule(number, 10 * u32::try_from(number).unwrap())
            .unwrap();
    }
    world.publish(1).unwrap();
    let (events, changes) = last(&world);
    assert_eq!(events, ["route.published"]);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].0, ObjectKind::Snapshot);
    let before = rows(&world).len();
    world.publish(1).unwrap();
    assert_eq!(rows(&world).len(), before, "nothing happened");
    world
        .update_rule(1, |rule| rule.priority = Some(Priority(15)))
        .unwrap();
    world.publish(1).unwrap();
    world.roll_back(1, RollbackTo::Steps(1), false).unwrap();
    assert_eq!(last(&world).0, ["route.rollback"]);
}

#[test]
fn a_rollback_is_one_event_however_much_of_the_draft_it_resets() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.publish(1).unwrap();
    world
        .update_route(1, |route| route.name = Some("renamed".to_owned()))
        .unwrap();
    world.publish(1).unwrap();
    let drafted = |world: &mut World, numbers: std::ops::Range<u64>| {
        for number in numbers {
            world
                .create_rule(number, u32::try_from(100 + number).unwrap())
                .unwrap();
        }
    };
    let objects = |changes: &[(ObjectKind, String, String)], object| {
        changes.iter().filter(|change| change.0 == object).count()
    };
    drafted(&mut world, 2..5);
    world.roll_back(1, RollbackTo::Steps(1), true).unwrap();
    let (events, changes) = last(&world);
    assert_eq!(events, ["route.rollback"]);
    // The audit log has each of the changes, that of the route as well.
    assert_eq!(
        [ObjectKind::Rule, ObjectKind::Route, ObjectKind::Snapshot]
            .map(|object| objects(&changes, object)),
        [3, 1, 1]
    );
    // Nothing is published where only the draft is taken back.
    drafted(&mut world, 5..8);
    let live = world.route(1).0.published.unwrap().snapshot_id;
    world
        .roll_back(1, RollbackTo::Snapshot(live), true)
        .unwrap();
    let (events, changes) = last(&world);
    assert_eq!(events, ["route.updated"]);
    assert_eq!(objects(&changes, ObjectKind::Rule), 3);
}

#[test]
fn a_route_that_is_switched_and_published_at_once_is_told_beside_its_snapshot() {
    let mut world = furnished();
    world.publish(1).unwrap();
    world.enable(1, false, true).unwrap();
    let (events, changes) = last(&world);
    let mut events = events;
    events.sort_unstable();
    assert_eq!(events, ["route.published", "route.updated"]);
    let route = (
        ObjectKind::Route,
        "{\"enabled\":true}".to_owned(),
        "{\"enabled\":false}".to_owned(),
    );
    assert!(changes.contains(&route), "{changes:?}");
}

#[test]
fn what_was_refused_or_replayed_is_not_written_down() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    let before = rows(&world).len();
    world.create_rule(2, 10).unwrap_err();
    assert_eq!(rows(&world).len(), before);
    let command = world.new_rule(3, 30);
    let command = Command::CreateRule(world.actor.clone(), command);
    let stamped = world.stamped(command, Some(("a", 1)));
    for _ in 0..2 {
        world.step(&stamped);
        assert_eq!(rows(&world).len(), before + 1);
    }
}

#[test]
fn events_and_audit_entries_are_found_by_their_identifiers() {
    let mut world = furnished();
    for number in 1..=40 {
        // Several entries share a millisecond.
        world.now -= u64::from(number % 3 != 0);
        world
            .create_rule(number, u32::try_from(number).unwrap())
            .unwrap();
    }
    let environment = world.actor.environment_id.clone();
    let rows_now = rows(&world);
    let all: Vec<_> = rows_now
        .iter()
        .flat_map(|row| row.notices_from(0))
        .collect();
    for notice in &all {
        let found = query::event(&world.rows, &environment, &notice.id);
        assert_eq!(found.as_ref(), Some(notice));
        let found = query::event_at(&world.rows, &environment, notice.at());
        assert_eq!(found.as_ref(), Some(notice));
    }
    for row in rows(&world) {
        let found = query::audit_entry(&world.rows, &environment, &row.audit_id());
        let told = query::told_in_full(&world.rows, &environment, row);
        assert_eq!(found, Some(told));
    }
    assert!(
        all.iter()
            .any(|notice| notice.notice.kind == NoticeKind::RuleValidated)
    );
}
