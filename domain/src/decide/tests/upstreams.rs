//! Upstreams.

use super::world::{
    World, config, forward, furnished, made_upstream, published, refused, route, snapshot, target,
    targets, upstream, world,
};
use crate::command::{
    ChangeTarget, Command, CreateUpstream, DraftSeed, RollbackTo, TargetChange, UpdateUpstream,
};
use crate::content::{load_head, load_upstreams};
use crate::id::{Seed, SnapshotId};
use crate::model::{Algorithm, Target};
use crate::outcome::{Outcome, Reply};
use crate::query::{self, ViewChunks};

#[test]
fn an_upstream_in_use_cannot_be_removed() {
    let mut world = furnished();
    assert_eq!(refused(world.delete_upstream(1)).0, "UpstreamInUse");
    world.delete_upstream(2).unwrap();
    assert_eq!(
        refused(world.delete_upstream(2)),
        ("NotFound", "upstream".to_owned())
    );
    let left = query::upstreams_page(&world.rows, &world.actor.environment_id, None, 10);
    assert_eq!(left.items.len(), 1);
}

#[test]
fn a_paused_rule_and_a_live_snapshot_are_uses() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world
        .update_rule(1, |rule| rule.action = Some(forward(2)))
        .unwrap();
    world.publish(1).unwrap();
    world
        .update_rule(1, |rule| rule.action = Some(forward(1)))
        .unwrap();
    assert_eq!(
        refused(world.delete_upstream(2)).0,
        "UpstreamInUse",
        "it is live"
    );
    world.publish(1).unwrap();
    world.delete_upstream(2).unwrap();

    world.create_upstream(2).unwrap();
    world
        .update_rule(1, |rule| rule.action = Some(forward(2)))
        .unwrap();
    world
        .update_rule(1, |rule| {
            rule.status = Some(crate::command::DesiredStatus::Paused)
        })
        .unwrap();
    world.publish(1).unwrap();
    assert_eq!(
        refused(world.delete_upstream(2)).0,
        "UpstreamInUse",
        "a paused rule names it"
    );
    world.archive_rule(1).unwrap();
    world.delete_upstream(2).unwrap();
}

#[test]
fn changing_an_upstream_gives_each_using_route_a_new_draft() {
    let mut world = furnished();
    world.create_route(2, "two.example.net", 1).unwrap();
    world.create_route(3, "three.example.net", 2).unwrap();
    for number in 1..=3 {
        world.publish(number).unwrap();
    }
    let before: Vec<_> = (1..=3)
        .map(|number| world.route(number).1.snapshot_id)
        .collect();
    let command = UpdateUpstream {
        id: upstream(1),
        draft_seed: DraftSeed {
            unix_ms: 7,
            random: 40,
        },
        name: None,
        algorithm: None,
        targets: Some(targets(5)),
        named: Vec::new(),
        settings: None,
    };
    world
        .apply(Command::UpdateUpstream(world.actor.clone(), command))
        .unwrap();
    let after: Vec<_> = (1..=3)
        .map(|number| world.route(number).1.snapshot_id)
        .collect();
    let drafted = |random| SnapshotId::new(Seed { unix_ms: 7, random });
    assert_eq!(after, [drafted(40), drafted(41), before[2].clone()]);
    assert_eq!(
        [1, 2, 3].map(|number| world.is_pending(number)),
        [true, true, false]
    );

    let (snapshot, _) = published(world.publish(1));
    let chunks = ViewChunks(&world.rows);
    let head = load_head(&chunks, snapshot.head).unwrap();
    let weights: Vec<_> = load_upstreams(&chunks, head.upstreams)
        .map(|up| up.unwrap().targets[0].weight)
        .collect();
    assert_eq!(weights, [5]);
}

#[test]
fn changing_an_upstream_back_leaves_nothing_pending() {
    let mut world = furnished();
    world.publish(1).unwrap();
    world.weigh_upstream(1, 5).unwrap();
    assert!(world.is_pending(1));
    world.weigh_upstream(1, 1).unwrap();
    assert!(!world.is_pending(1));
    assert!(published(world.publish(1)).1, "unchanged");
}

#[test]
fn an_update_that_changes_nothing_is_none() {
    let mut world = furnished();
    let draft = world.route(1).1;
    let updated = made_upstream(world.weigh_upstream(1, 1));
    assert_eq!(updated.updated_at, None);
    assert_eq!(world.route(1).1, draft);
}

#[test]
fn targets_have_limits() {
    let mut world = world();
    let target = targets(1).remove(0);
    let check = |world: &mut super::world::World, targets: Vec<Target>| {
        let command = CreateUpstream {
            id: upstream(1),
            name: "x".to_owned(),
            algorithm: Algorithm::WeightedRoundRobin,
            targets,
            settings: None,
        };
        refused(world.apply(Command::CreateUpstream(world.actor.clone(), command)))
    };
    let bad = |change: fn(&mut Target)| {
        let mut bad = target.clone();
        change(&mut bad);
        vec![bad]
    };
    assert_eq!(
        check(&mut world, bad(|target| target.weight = 1001)).1,
        "targets[0].weight"
    );
    assert_eq!(
        check(&mut world, bad(|target| target.port = 0)).1,
        "targets[0].port"
    );
    assert_eq!(
        check(&mut world, bad(|target| target.address.clear())).1,
        "targets[0].address"
    );
    assert_eq!(
        check(&mut world, vec![target.clone(), target.clone()]).1,
        "targets[1].id"
    );
    assert_eq!(
        check(&mut world, vec![target; 257]),
        ("LimitExceeded", "targets".to_owned())
    );
}

#[test]
fn an_upstream_made_after_it_was_named_makes_the_draft_publishable() {
    let mut world = world();
    world.create_route(1, "one.example.net", 1).unwrap();
    assert_eq!(
        refused(world.publish(1)),
        ("ValidationFailed", "unknown_upstream".to_owned())
    );
    world.create_upstream(1).unwrap();
    world.publish(1).unwrap();
}

#[test]
fn a_rollback_brings_back_the_content_of_a_removed_upstream() {
    let mut world = furnished();
    world.publish(1).unwrap();
    world
        .update_route(1, |route| route.config_patch = Some(config(2)))
        .unwrap();
    world.publish(1).unwrap();
    world.delete_upstream(1).unwrap();
    published(world.roll_back(1, RollbackTo::Steps(1), false));
    assert!(world.is_pending(1));
    published(world.roll_back(
        1,
        RollbackTo::Version(crate::model::SnapshotVersion(1)),
        true,
    ));
    assert!(
        !world.is_pending(1),
        "the draft names what is live, record or not"
    );
    assert!(published(world.publish(1)).1);
    let found = query::snapshot(&world.rows, &world.actor.environment_id, &snapshot(0));
    assert_eq!((found, route(1)), (None, world.route(1).0.id));
    world.create_upstream(1).unwrap();
    world.weigh_upstream(1, 9).unwrap();
    assert!(world.is_pending(1));
}

fn change_target(world: &mut World, change: TargetChange) -> Reply {
    let command = ChangeTarget {
        upstream_id: upstream(1),
        draft_seed: DraftSeed {
            unix_ms: world.now,
            random: 0,
        },
        change,
    };
    world.apply(Command::ChangeTarget(world.actor.clone(), command))
}

fn weigh(number: u64, weight: u32) -> TargetChange {
    TargetChange::Update {
        id: target(number),
        address: None,
        port: None,
        weight: Some(weight),
        regions: None,
        drain: None,
    }
}

#[test]
fn a_single_target_changes_the_upstream_and_the_drafts_of_its_users() {
    let mut world = furnished();
    world.publish(1).unwrap();
    let added = Target {
        id: target(2),
        address: "10.0.0.2".to_owned(),
        port: 81,
        weight: 7,
        regions: Vec::new(),
        drain: false,
    };
    let reply = change_target(&mut world, TargetChange::Add(added.clone()));
    assert_eq!(reply, Ok(Outcome::Target(added.clone())));
    assert!(world.is_pending(1));
    world.publish(1).unwrap();
    let reply = change_target(&mut world, weigh(2, 9));
    assert_eq!(reply, Ok(Outcome::Target(Target { weight: 9, ..added })));
    assert!(world.is_pending(1));
    world.publish(1).unwrap();
    change_target(&mut world, weigh(2, 9)).unwrap();
    assert!(!world.is_pending(1), "nothing changed");
    let reply = change_target(&mut world, TargetChange::Remove(target(1)));
    assert!(matches!(reply, Ok(Outcome::TargetDeleted { id, .. }) if id == target(1)));
    assert!(world.is_pending(1));
}

#[test]
fn a_target_that_is_not_there_or_cannot_be_is_refused() {
    let mut world = furnished();
    let missing = ("NotFound", "target".to_owned());
    assert_eq!(refused(change_target(&mut world, weigh(9, 1))), missing);
    let removed = change_target(&mut world, TargetChange::Remove(target(9)));
    assert_eq!(refused(removed), missing);
    let heavy = ("InvalidParameter", "weight".to_owned());
    assert_eq!(refused(change_target(&mut world, weigh(1, 1001))), heavy);
    let twice = change_target(&mut world, TargetChange::Add(targets(1).remove(0)));
    assert_eq!(refused(twice).0, "IdTaken");
}

#[test]
fn a_patch_names_only_targets_that_the_upstream_has() {
    let mut world = furnished();
    let patch = |number: u64| UpdateUpstream {
        id: upstream(1),
        draft_seed: DraftSeed {
            unix_ms: 7,
            random: 40,
        },
        name: None,
        algorithm: None,
        settings: None,
        targets: Some(vec![Target {
            id: target(number),
            ..targets(3).remove(0)
        }]),
        named: vec![target(number)],
    };
    let actor = world.actor.clone();
    let stray = world.apply(Command::UpdateUpstream(actor.clone(), patch(9)));
    assert_eq!(
        refused(stray),
        ("InvalidParameter", "targets[0].id".to_owned())
    );
    world
        .apply(Command::UpdateUpstream(actor, patch(1)))
        .unwrap();
}
