//! Manifests and the chunks that are kept for them.

use super::world::{World, furnished, published};
use crate::command::RollbackTo;
use crate::query;
use crate::schema::{MANIFEST_ROOTS, MANIFEST_ROOTS_KEPT};
use crate::tree::Hash;

fn rename_and_publish(world: &mut World, name: u64) {
    world
        .update_route(1, |route| route.name = Some(format!("name {name}")))
        .unwrap();
    world.publish(1).unwrap();
}

#[test]
fn the_manifest_moves_with_every_publish_and_rollback() {
    let mut world = furnished();
    assert_eq!(world.manifest_version(), 0);
    world.publish(1).unwrap();
    assert_eq!(world.manifest_version(), 1);
    rename_and_publish(&mut world, 1);
    published(world.roll_back(1, RollbackTo::Steps(1), false));
    assert_eq!(world.manifest_version(), 3);
    let manifest = query::manifest(&world.rows, &world.actor.environment_id);
    assert_eq!(manifest.epoch.0, 1);
}

#[test]
fn the_newest_roots_keep_their_chunks_and_older_ones_lose_them() {
    let mut world = furnished();
    let mut roots = Vec::new();
    for name in 0..MANIFEST_ROOTS_KEPT + 3 {
        rename_and_publish(&mut world, name);
        roots.push(query::manifest(&world.rows, &world.actor.environment_id).root);
    }
    let kept: Vec<bool> = roots
        .iter()
        .map(|root| query::chunk(&world.rows, root).is_some())
        .collect();
    let expect: Vec<bool> = (0..roots.len()).map(|at| at >= 3).collect();
    assert_eq!(kept, expect);
    assert_eq!(
        MANIFEST_ROOTS
            .scan(&world.rows, &MANIFEST_ROOTS.all(), 100)
            .len() as u64,
        MANIFEST_ROOTS_KEPT
    );
}

#[test]
fn archiving_the_last_route_leaves_an_empty_manifest() {
    let mut world = furnished();
    world.publish(1).unwrap();
    world
        .update_route(1, |route| route.enabled = Some(false))
        .unwrap();
    world.publish(1).unwrap();
    world.archive_route(1).unwrap();
    let manifest = query::manifest(&world.rows, &world.actor.environment_id);
    assert_eq!((manifest.root, manifest.version.0), (Hash::EMPTY_TREE, 3));
}

/// Contract: D-13, D-47.
#[test]
fn environments_have_manifests_of_their_own() {
    let mut world = furnished();
    world.publish(1).unwrap();
    world.actor = super::world::actor(1);
    assert_eq!(world.manifest_version(), 0);
}
