//! Another epoch begins: after a restore, and where one member is all that is left.

use super::signing::found;
use super::world::{World, furnished, refused};
use crate::model::{ClusterChange, Epoch, Manifest, MemberId};
use crate::outcome::Outcome;
use crate::query;
use crate::schema::JOURNAL;
use crate::time::Revision;

fn restored(epoch: u64) -> ClusterChange {
    ClusterChange::Restored {
        epoch: Epoch(epoch),
        backup: "ab".to_owned(),
        revision: Revision(7),
    }
}

fn recovered(epoch: u64, lost: &[u64]) -> ClusterChange {
    ClusterChange::Recovered {
        epoch: Epoch(epoch),
        member: MemberId(1),
        lost: lost.iter().copied().map(MemberId).collect(),
    }
}

fn published() -> World {
    let mut world = furnished();
    world.publish(1).unwrap();
    world.change_keys(found(1)).unwrap();
    world
}

fn manifest(world: &World) -> Manifest {
    query::manifest(&world.rows, &world.actor.environment_id)
}

#[test]
fn what_edges_follow_is_published_again_in_the_new_epoch() {
    let mut world = published();
    let before = manifest(&world);
    assert_eq!(world.change_cluster(restored(2)), Ok(Outcome::Recorded));
    let after = manifest(&world);
    assert_eq!((before.epoch, after.epoch), (Epoch(1), Epoch(2)));
    assert_eq!(after.root, before.root);
    assert_eq!(after.previous, before.link());
    assert_eq!(query::epoch(&world.rows), Epoch(2));
    world
        .update_route(1, |route| route.name = Some("another".to_owned()))
        .unwrap();
    world.publish(1).unwrap();
    assert_eq!(manifest(&world).epoch, Epoch(2));
}

#[test]
fn an_epoch_comes_after_the_one_before_or_not_at_all() {
    let mut world = published();
    world.change_cluster(restored(5)).unwrap();
    for epoch in [0, 1, 5] {
        let (name, _) = refused(world.change_cluster(restored(epoch)));
        assert_eq!(name, "PreconditionFailed");
        let (name, _) = refused(world.change_cluster(recovered(epoch, &[])));
        assert_eq!(name, "PreconditionFailed");
    }
    assert_eq!(query::epoch(&world.rows), Epoch(5));
    let mut unsigned = furnished();
    let (name, _) = refused(unsigned.change_cluster(restored(2)));
    assert_eq!(name, "PreconditionFailed");
}

#[test]
fn the_audit_log_of_every_environment_tells_of_it() {
    let mut world = published();
    world.change_cluster(restored(2)).unwrap();
    world.change_cluster(recovered(3, &[2])).unwrap();
    for environment in query::environments(&world.rows) {
        let rows = JOURNAL.walk(&world.rows, JOURNAL.under((&environment.id,)));
        let told: Vec<_> = rows
            .map(|(_, entry)| (entry.operation, entry.actor, entry.changes))
            .filter(|(operation, ..)| operation.contains('_') && operation.starts_with("re"))
            .collect();
        let operations: Vec<_> = told.iter().map(|(operation, ..)| &operation[..]).collect();
        assert_eq!(operations, ["restore_backup", "recover_cluster"]);
        assert!(told.iter().all(|(_, actor, _)| actor.is_none()));
        let change = &told[1].2[0];
        assert_eq!(change.id, environment.id.to_string());
        assert_eq!(change.before.as_deref(), Some(r#"{"epoch":2}"#));
        assert_eq!(change.after.as_deref(), Some(r#"{"epoch":3}"#));
    }
}

#[test]
fn the_numbers_of_members_that_are_gone_are_used_up() {
    let mut world = published();
    world.change_cluster(recovered(2, &[2, 3])).unwrap();
    let retired: Vec<u64> = query::retired_members(&world.rows)
        .into_keys()
        .map(|member| member.0)
        .collect();
    assert_eq!(retired, [2, 3]);
    let changes = query::cluster_changes(&world.rows, 1);
    assert_eq!(changes[0].1.change, recovered(2, &[2, 3]));
}
