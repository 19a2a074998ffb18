//! Rollback.

use super::world::{World, config, forward, furnished, published, refused, rule, snapshot};
use crate::command::{DesiredStatus, RollbackTo};
use crate::model::{Priority, RuleEventKind, RuleStatus, SnapshotState, SnapshotVersion};
use crate::query;

fn version(version: u64) -> RollbackTo {
    RollbackTo::Version(SnapshotVersion(version))
}

fn archive_live(world: &mut World, number: u64) {
    world
        .update_rule(number, |rule| rule.status = Some(DesiredStatus::Paused))
        .unwrap();
    world.publish(1).unwrap();
    world.archive_rule(number).unwrap();
}

#[test]
fn a_rollback_is_a_new_version_with_old_content() {
    let mut world = furnished();
    let (first, _) = published(world.publish(1));
    world.create_rule(1, 10).unwrap();
    let (second, _) = published(world.publish(1));
    let (third, unchanged) = published(world.roll_back(1, RollbackTo::Steps(1), false));
    assert_eq!(
        (third.version.0, third.head, unchanged),
        (3, first.head, false)
    );
    assert_eq!(third.source_snapshot_id.as_ref(), Some(&first.id));
    assert_eq!(third.parent_id.as_ref(), Some(&second.id));
    let second = query::snapshot(&world.rows, &world.actor.environment_id, &second.id).unwrap();
    assert_eq!(second.state, SnapshotState::RolledBack);
    assert_eq!(world.live_rules(1), []);
}

/// Contract: D-46.
#[test]
fn the_draft_stays_and_is_pending_against_what_is_live_now() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.publish(1).unwrap();
    world
        .update_rule(1, |rule| rule.name = Some("new".to_owned()))
        .unwrap();
    world.create_rule(2, 20).unwrap();
    world.publish(1).unwrap();
    world.roll_back(1, version(1), false).unwrap();
    assert_eq!(world.rule(1).name, "new");
    assert!(world.rule(1).pending_changes && world.rule(2).pending_changes && world.is_pending(1));
    assert_eq!(
        (world.rule(2).status, world.rule(2).published),
        (RuleStatus::Active, None)
    );
    let (again, _) = published(world.publish(1));
    assert_eq!(again.version.0, 4);
    assert_eq!(world.live_rules(1), [(rule(1), 10), (rule(2), 20)]);
}

#[test]
fn rolling_back_and_forth_ends_where_it_began() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.publish(1).unwrap();
    world.create_rule(2, 20).unwrap();
    let (second, _) = published(world.publish(1));
    world.roll_back(1, version(1), false).unwrap();
    let (fourth, _) = published(world.roll_back(1, version(2), false));
    assert_eq!((fourth.version.0, fourth.head), (4, second.head));
    assert!(!world.is_pending(1));
}

/// Contract: D-46.
#[test]
fn an_archived_rule_comes_back_to_life() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.publish(1).unwrap();
    archive_live(&mut world, 1);
    world.roll_back(1, version(1), false).unwrap();
    let restored = world.rule(1);
    assert_eq!(
        (restored.status, restored.archived_at, restored.priority.0),
        (RuleStatus::Active, None, 10)
    );
    let kinds: Vec<_> = restored
        .events
        .iter()
        .rev()
        .take(2)
        .map(|event| event.kind)
        .collect();
    assert_eq!(kinds, [RuleEventKind::Published, RuleEventKind::Restored]);
    assert!(!restored.pending_changes);
}

#[test]
fn a_restored_rule_whose_upstream_is_gone_is_live_and_does_not_pass_again() {
    let mut world = furnished();
    world.create_upstream(3).unwrap();
    world.create_rule(1, 10).unwrap();
    world
        .update_rule(1, |rule| rule.action = Some(forward(3)))
        .unwrap();
    world.publish(1).unwrap();
    archive_live(&mut world, 1);
    world.delete_upstream(3).unwrap();
    assert!(world.rule(1).problems.is_empty());
    world.roll_back(1, version(1), false).unwrap();
    let restored = world.rule(1);
    assert!(restored.published.is_some());
    assert_eq!(restored.problems[0].code, "unknown_upstream");
    assert_eq!(
        restored.events.last().unwrap().kind,
        RuleEventKind::ValidationFailed
    );
}

#[test]
fn a_restored_rule_whose_priority_is_taken_gets_the_next_free_one() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.publish(1).unwrap();
    archive_live(&mut world, 1);
    world.create_rule(2, 10).unwrap();
    world.create_rule(3, 11).unwrap();
    world.roll_back(1, version(1), false).unwrap();
    let restored = world.rule(1);
    assert_eq!((restored.priority.0, restored.pending_changes), (12, true));
    assert_eq!(restored.published.unwrap().priority.0, 10);
}

#[test]
fn a_restored_rule_at_the_highest_priority_looks_below() {
    let mut world = furnished();
    world.create_rule(1, 1_000_000).unwrap();
    world.publish(1).unwrap();
    archive_live(&mut world, 1);
    world.create_rule(2, 1_000_000).unwrap();
    world.create_rule(3, 999_999).unwrap();
    world.roll_back(1, version(1), false).unwrap();
    assert_eq!(world.rule(1).priority.0, 999_998);
}

#[test]
fn resetting_the_draft_leaves_nothing_pending() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.create_rule(2, 20).unwrap();
    world.publish(1).unwrap();
    world
        .update_route(1, |route| route.name = Some("other".to_owned()))
        .unwrap();
    world
        .update_route(1, |route| route.config_patch = Some(config(2)))
        .unwrap();
    world
        .update_rule(1, |rule| rule.priority = Some(Priority(30)))
        .unwrap();
    world.create_rule(3, 10).unwrap();
    archive_live(&mut world, 2);
    world
        .update_rule(3, |rule| rule.name = Some("unpublished".to_owned()))
        .unwrap();
    let (third, _) = published(world.roll_back(1, version(1), true));
    assert!(!world.is_pending(1));
    assert_eq!(world.live_rules(1), [(rule(1), 10), (rule(2), 20)]);
    assert_eq!(world.route(1).0.name, "route 1");
    let states = [1, 2, 3].map(|number| (world.rule(number).status, world.rule(number).priority.0));
    assert_eq!(
        states,
        [
            (RuleStatus::Active, 10),
            (RuleStatus::Active, 20),
            (RuleStatus::Paused, 11)
        ]
    );
    assert_eq!(
        world.rule(3).name,
        "unpublished",
        "nothing that was drafted is lost"
    );
    assert_eq!(
        world.rule(1).versions.last().unwrap().snapshot_id,
        Some(third.id)
    );
}

#[test]
fn resetting_to_the_active_snapshot_discards_the_draft_and_publishes_nothing() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    let (first, _) = published(world.publish(1));
    world
        .update_rule(1, |rule| rule.criteria = Some("{}".to_owned()))
        .unwrap();
    world
        .update_route(1, |route| route.name = Some("other".to_owned()))
        .unwrap();
    world.create_rule(2, 20).unwrap();
    let manifest = world.manifest_version();
    assert_eq!(
        published(world.roll_back(1, version(1), true)),
        (first, true)
    );
    assert!(!world.is_pending(1));
    assert_eq!(world.manifest_version(), manifest);
    assert_eq!(world.rule(1).criteria, r#"{"method":["GET"]}"#);
    assert_eq!(world.rule(2).status, RuleStatus::Paused);
}

#[test]
fn an_upstream_that_changed_since_stays_pending() {
    let mut world = furnished();
    world.publish(1).unwrap();
    world.weigh_upstream(1, 5).unwrap();
    world.publish(1).unwrap();
    world.roll_back(1, version(1), true).unwrap();
    assert!(world.is_pending(1), "upstreams are shared and never reset");
}

#[test]
fn rolling_back_to_what_is_live_changes_nothing() {
    let mut world = furnished();
    let (first, _) = published(world.publish(1));
    assert_eq!(
        published(world.roll_back(1, version(1), false)),
        (first, true)
    );
}

#[test]
fn targets_that_do_not_exist_are_refused() {
    let mut world = furnished();
    assert_eq!(
        refused(world.roll_back(1, RollbackTo::Steps(1), false)).0,
        "SnapshotNotPublishable"
    );
    world.publish(1).unwrap();
    assert_eq!(
        refused(world.roll_back(1, RollbackTo::Steps(1), false)).0,
        "SnapshotNotPublishable"
    );
    assert_eq!(
        refused(world.roll_back(1, RollbackTo::Steps(0), false)),
        ("InvalidParameter", "steps".to_owned())
    );
    assert_eq!(
        refused(world.roll_back(1, version(2), false)),
        ("NotFound", "snapshot".to_owned())
    );
    let to = RollbackTo::Snapshot(snapshot(1));
    assert_eq!(
        refused(world.roll_back(1, to, false)),
        ("NotFound", "snapshot".to_owned())
    );
}

#[test]
fn a_snapshot_of_another_route_does_not_exist_for_this_one() {
    let mut world = furnished();
    world.create_route(2, "two.example.net", 1).unwrap();
    let (other, _) = published(world.publish(2));
    world.publish(1).unwrap();
    let reply = world.roll_back(1, RollbackTo::Snapshot(other.id), false);
    assert_eq!(refused(reply), ("NotFound", "snapshot".to_owned()));
}

#[test]
fn a_hostname_that_another_route_took_cannot_come_back() {
    let mut world = furnished();
    world.publish(1).unwrap();
    world
        .update_route(1, |route| {
            route.hostname = Some("new.example.net".to_owned())
        })
        .unwrap();
    world.publish(1).unwrap();
    world.create_route(2, "one.example.net", 1).unwrap();
    assert_eq!(
        refused(world.roll_back(1, version(1), true)).0,
        "HostnameConflict",
        "the draft may not have it"
    );
    world.publish(2).unwrap();
    assert_eq!(
        refused(world.roll_back(1, version(1), false)).0,
        "HostnameConflict",
        "nor may it be live twice"
    );
}

#[test]
fn a_rollback_may_enable_a_disabled_route() {
    let mut world = furnished();
    world.publish(1).unwrap();
    world
        .update_route(1, |route| route.enabled = Some(false))
        .unwrap();
    world.publish(1).unwrap();
    published(world.roll_back(1, RollbackTo::Steps(1), false));
    assert!(world.route(1).0.published.unwrap().enabled);
    assert!(!world.route(1).0.enabled && world.is_pending(1));
}
