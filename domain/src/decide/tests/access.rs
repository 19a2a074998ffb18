//! Workspaces and keys.

use super::world::{actor, bootstrap, refused, world};
use crate::command::{Command, RevokeApiKey};
use crate::model::{EnvironmentKind, KeyHash, KeyKind, Plan};
use crate::outcome::Outcome;
use crate::query;

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
