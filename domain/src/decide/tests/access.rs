//! The first workspace, environments, and the operator's revocation. Keys are in `api_keys`.

use super::world::{World, actor, bootstrap, refused, world, world_with};
use crate::command::{Command, CreateEnvironment, RevokeApiKey, UpdateWorkspace};
use crate::id::{EnvironmentId, Seed};
use crate::model::{ApiVersion, EnvironmentKind, KeyHash, KeyKind, Plan};
use crate::outcome::{Outcome, Reply};
use crate::query;

/// Contract: D-14, D-19.
#[test]
fn bootstrapping_makes_two_environments_and_a_key_for_each() {
    let world = world();
    let environments: Vec<_> = query::environments(&world.rows)
        .into_iter()
        .map(|environment| (environment.name, environment.kind))
        .collect();
    let expect = [
        ("production".to_owned(), EnvironmentKind::Live),
        ("sandbox".to_owned(), EnvironmentKind::Test),
    ];
    assert_eq!(environments, expect);
    for (number, kind) in [(0, KeyKind::Live), (1, KeyKind::Test)] {
        let key = query::api_key_by_hash(&world.rows, &KeyHash([number; 32])).unwrap();
        assert_eq!(
            (key.kind, key.environment_id),
            (kind, actor(number.into()).environment_id)
        );
    }
    let sandbox = query::environment_by_name(&world.rows, "sandbox").unwrap();
    assert_eq!(sandbox.id, actor(1).environment_id);
    assert_eq!(query::pepper_check(&world.rows), Some(KeyHash([9; 32])));
    assert_eq!(query::environment_by_name(&world.rows, "staging"), None);
}

#[test]
fn a_cluster_is_bootstrapped_once() {
    let mut world = world();
    let again = Command::Bootstrap(Box::new(bootstrap(Plan::Free)));
    assert_eq!(refused(world.apply(again)).0, "AlreadyBootstrapped");
}

#[test]
fn revoking_a_key_again_keeps_the_first_time() {
    let mut world = world();
    let revoke = Command::RevokeApiKey(RevokeApiKey {
        id: actor(1).api_key_id,
    });
    let Ok(Outcome::ApiKey(first)) = world.apply(revoke.clone()) else {
        panic!("not revoked")
    };
    assert!(first.revoked_at.is_some());
    assert_eq!(world.apply(revoke), Ok(Outcome::ApiKey(first.clone())));
    assert_eq!(
        query::api_key_by_hash(&world.rows, &KeyHash([1; 32])),
        Some(first)
    );
    let unknown = Command::RevokeApiKey(RevokeApiKey {
        id: actor(7).api_key_id,
    });
    assert_eq!(
        refused(world.apply(unknown)),
        ("NotFound", "api_key".to_owned())
    );
}

fn create_environment(world: &mut World, number: u64, name: &str, kind: EnvironmentKind) -> Reply {
    let command = CreateEnvironment {
        id: EnvironmentId::new(Seed {
            unix_ms: 1,
            random: number,
        }),
        name: name.to_owned(),
        kind,
    };
    world.apply(Command::CreateEnvironment(world.actor.clone(), command))
}

#[test]
fn an_environment_has_a_name_of_its_own_and_its_kind() {
    let mut world = world();
    create_environment(&mut world, 5, "staging", EnvironmentKind::Live).unwrap();
    let taken = create_environment(&mut world, 6, "staging", EnvironmentKind::Test);
    assert_eq!(refused(taken).0, "EnvironmentNameTaken");
    for bad in ["", "Staging", "-x", "a b", &"a".repeat(41)] {
        let reply = create_environment(&mut world, 7, bad, EnvironmentKind::Test);
        assert_eq!(refused(reply).0, "InvalidParameter", "{bad}");
    }
    let names: Vec<_> = query::workspace_environments(&world.rows, &actor(0).workspace_id)
        .into_iter()
        .map(|environment| environment.name)
        .collect();
    assert_eq!(names, ["production", "sandbox", "staging"]);
}

#[test]
fn a_test_key_makes_test_environments_only_and_leaves_the_workspace_alone() {
    let mut world = world();
    world.actor = actor(1);
    let live = create_environment(&mut world, 5, "staging", EnvironmentKind::Live);
    assert_eq!(refused(live).0, "InsufficientScope");
    create_environment(&mut world, 5, "staging", EnvironmentKind::Test).unwrap();
    let rename = UpdateWorkspace {
        name: Some("mine".to_owned()),
        api_version: Some(ApiVersion("2025-03-05".to_owned())),
    };
    let renamed = world.apply(Command::UpdateWorkspace(actor(1), rename.clone()));
    assert_eq!(refused(renamed).0, "InsufficientScope");
    let renamed = world.apply(Command::UpdateWorkspace(actor(0), rename));
    let Ok(Outcome::Workspace(workspace)) = renamed else {
        panic!("not renamed")
    };
    assert_eq!(workspace.name, "mine");
    assert_eq!(workspace.api_version.0, "2025-03-05");
    assert!(workspace.updated_at.is_some());
}

/// Contract: D-14.
#[test]
fn a_plan_bounds_the_number_of_environments() {
    let mut world = world_with(Plan::Starter);
    let third = create_environment(&mut world, 5, "staging", EnvironmentKind::Test);
    assert_eq!(refused(third).0, "LimitExceeded");
}
