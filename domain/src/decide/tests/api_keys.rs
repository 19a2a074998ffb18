//! API keys: who may make which, and what rolling and revoking do.

use super::world::{World, actor, furnished, refused, route};
use crate::command::{
    Command, CreateApiKey, RecordKeyUses, RevokeApiKey, RollApiKey, UpdateApiKey,
};
use crate::id::{ApiKeyId, EnvironmentId, Seed};
use crate::model::{ApiKey, IpRange, KeyHash, KeyKind, KeySalt, ResourceScope, Verb};
use crate::outcome::{Outcome, Reply};
use crate::query;
use crate::time::Timestamp;

fn key_id(number: u64) -> ApiKeyId {
    ApiKeyId::new(Seed {
        unix_ms: 1,
        random: number,
    })
}

fn environment(number: u64) -> EnvironmentId {
    actor(number).environment_id
}

/// A key for the given environments, restricted in nothing else.
fn new_key(number: u8, kind: KeyKind, environments: &[u64]) -> CreateApiKey {
    CreateApiKey {
        id: key_id(number.into()),
        hash: KeyHash([number; 32]),
        salt: KeySalt([number; 16]),
        kind,
        name: format!("key {number}"),
        environments: environments
            .iter()
            .map(|number| environment(*number))
            .collect(),
        routes: Vec::new(),
        methods: Vec::new(),
        resources: Vec::new(),
        ip_allowlist: Vec::new(),
        expires_at: None,
    }
}

fn create(world: &mut World, command: CreateApiKey) -> Reply {
    world.apply(Command::CreateApiKey(world.actor.clone(), command))
}

fn roll(world: &mut World, number: u64, hash: u8, overlap_ms: u64) -> Reply {
    let command = RollApiKey {
        id: key_id(number),
        hash: KeyHash([hash; 32]),
        salt: KeySalt([hash; 16]),
        overlap_ms,
    };
    world.apply(Command::RollApiKey(world.actor.clone(), command))
}

fn revoke(world: &mut World, number: u64) -> Reply {
    let id = key_id(number);
    world.apply(Command::RevokeApiKeyFor(
        world.actor.clone(),
        RevokeApiKey { id },
    ))
}

fn key(reply: Reply) -> ApiKey {
    match reply {
        Ok(Outcome::ApiKey(key)) => key,
        other => panic!("no key: {other:?}"),
    }
}

fn found(world: &World, hash: u8) -> Option<ApiKeyId> {
    query::api_key_by_hash(&world.rows, &KeyHash([hash; 32])).map(|key| key.id)
}

#[test]
fn a_key_is_for_environments_of_its_kind_that_the_maker_reaches() {
    use KeyKind::{Live, Restricted, Test};
    let by_kind = ("InvalidParameter", "type".to_owned());
    let unknown = ("NotFound", "environment".to_owned());
    let cases = [
        (0, Live, &[0][..], None),
        (0, Test, &[1], None),
        (0, Restricted, &[1, 0], None),
        (0, Live, &[1], Some(by_kind.clone())),
        (0, Test, &[0], Some(by_kind)),
        (0, Restricted, &[7], Some(unknown.clone())),
        (1, Test, &[1], None),
        (1, Restricted, &[1], None),
        (1, Live, &[0], Some(unknown.clone())),
        (1, Restricted, &[1, 0], Some(unknown)),
    ];
    for (maker, kind, environments, expect) in cases {
        let mut world = furnished();
        world.actor = actor(maker);
        let reply = create(&mut world, new_key(20, kind, environments));
        let case = format!("{kind:?} for {environments:?} by {maker}");
        match expect {
            Some(expect) => {
                assert_eq!(refused(reply), expect, "{case}");
                assert_eq!(found(&world, 20), None, "{case}");
            }
            None => {
                let key = key(reply);
                assert_eq!(key.environment_id, environment(environments[0]), "{case}");
                assert_eq!(key.created_by, Some(actor(maker).api_key_id), "{case}");
                let reached: Vec<_> = key.environments().cloned().collect();
                assert_eq!(reached.len(), environments.len(), "{case}");
                assert_eq!(found(&world, 20), Some(key_id(20)), "{case}");
            }
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let restricted = || new_key(20, KeyKind::Restricted, &[0]);
    let resources = |text| vec![ResourceScope::parse(text).unwrap()];
    let cases = [
        (
            CreateApiKey {
                expires_at: Some(Timestamp(5)),
                ..restricted()
            },
            "InvalidParameter",
        ),
        (
            CreateApiKey {
                name: String::new(),
                ..restricted()
            },
            "InvalidParameter",
        ),
        (
            CreateApiKey {
                environments: Vec::new(),
                ..restricted()
            },
            "InvalidParameter",
        ),
        (
            new_key(20, KeyKind::Restricted, &[0, 0]),
            "InvalidParameter",
        ),
        (new_key(20, KeyKind::Live, &[]), "InvalidParameter"),
        (new_key(20, KeyKind::Live, &[0, 1]), "InvalidParameter"),
        (
            CreateApiKey {
                routes: vec![route(9)],
                ..restricted()
            },
            "NotFound",
        ),
        (
            CreateApiKey {
                routes: vec![route(1)],
                ..new_key(20, KeyKind::Restricted, &[1])
            },
            "NotFound",
        ),
        (
            CreateApiKey {
                resources: resources("api_keys:write"),
                ..restricted()
            },
            "InvalidParameter",
        ),
        (
            CreateApiKey {
                methods: vec![Verb::Get],
                ..new_key(20, KeyKind::Live, &[0])
            },
            "InvalidParameter",
        ),
        (
            CreateApiKey {
                id: key_id(0),
                ..restricted()
            },
            "IdTaken",
        ),
        (
            CreateApiKey {
                hash: KeyHash([1; 32]),
                ..restricted()
            },
            "IdTaken",
        ),
    ];
    for (number, (command, expect)) in cases.into_iter().enumerate() {
        let reply = create(&mut furnished(), command);
        assert_eq!(refused(reply).0, expect, "case {number}");
    }
}

#[test]
fn a_restricted_key_manages_nothing() {
    let mut world = furnished();
    create(&mut world, new_key(20, KeyKind::Restricted, &[0])).unwrap();
    world.actor.api_key_id = key_id(20);
    let refusals = [
        create(&mut world, new_key(21, KeyKind::Restricted, &[0])),
        roll(&mut world, 20, 30, 0),
        revoke(&mut world, 1),
        revoke(&mut world, 20),
    ];
    for reply in refusals {
        assert_eq!(refused(reply).0, "InsufficientScope");
    }
}

#[test]
fn a_test_key_finds_no_key_that_reaches_a_live_environment() {
    let mut world = furnished();
    create(&mut world, new_key(20, KeyKind::Restricted, &[1, 0])).unwrap();
    create(&mut world, new_key(21, KeyKind::Restricted, &[1])).unwrap();
    world.actor = actor(1);
    for number in [0, 20] {
        let missing = ("NotFound", "api_key".to_owned());
        assert_eq!(refused(revoke(&mut world, number)), missing);
        assert_eq!(refused(roll(&mut world, number, 30, 0)), missing);
    }
    assert!(key(revoke(&mut world, 21)).revoked_at.is_some());
}

#[test]
fn a_rolled_key_has_both_secrets_until_the_overlap_ends_and_one_without_an_overlap() {
    let mut world = furnished();
    create(&mut world, new_key(20, KeyKind::Restricted, &[0])).unwrap();
    let at = Timestamp(world.now);
    let rolled = key(roll(&mut world, 20, 30, 5_000));
    assert_eq!(
        rolled.valid_until(&KeyHash([20; 32])),
        Some(at.plus_ms(5_000))
    );
    assert_eq!(rolled.valid_until(&KeyHash([30; 32])), None);
    assert_eq!(found(&world, 20), found(&world, 30));
    // Rolling once more ends the first secret at once: two work, never three.
    roll(&mut world, 20, 40, 5_000).unwrap();
    assert_eq!(
        (found(&world, 20), found(&world, 30)),
        (None, Some(key_id(20)))
    );
    roll(&mut world, 20, 50, 0).unwrap();
    assert_eq!((found(&world, 30), found(&world, 40)), (None, None));
    assert_eq!(found(&world, 50), Some(key_id(20)));
    let endless = roll(&mut world, 20, 60, 8 * 24 * 60 * 60 * 1000);
    assert_eq!(refused(endless).0, "InvalidParameter");
}

#[test]
fn an_ended_key_is_not_rolled_and_revoking_it_again_keeps_the_first_time() {
    let mut world = furnished();
    let expiring = CreateApiKey {
        expires_at: Some(Timestamp(world.now + 100)),
        ..new_key(20, KeyKind::Restricted, &[0])
    };
    create(&mut world, expiring).unwrap();
    create(&mut world, new_key(21, KeyKind::Restricted, &[0])).unwrap();
    let first = key(revoke(&mut world, 21));
    assert_eq!(key(revoke(&mut world, 21)), first);
    world.now += 100;
    for number in [20, 21] {
        let reply = roll(&mut world, number, 30, 0);
        assert_eq!(refused(reply).0, "ApiKeyInactive", "{number}");
    }
}

#[test]
fn no_key_revokes_itself() {
    let mut world = furnished();
    assert_eq!(refused(revoke(&mut world, 0)).0, "InvalidParameter");
}

#[test]
fn renaming_changes_the_name_alone() {
    let mut world = furnished();
    let made = key(create(&mut world, new_key(20, KeyKind::Restricted, &[0])));
    let rename = |name: Option<&str>| {
        let name = name.map(str::to_owned);
        Command::UpdateApiKey(
            actor(0),
            UpdateApiKey {
                id: key_id(20),
                name,
                ip_allowlist: None,
            },
        )
    };
    assert_eq!(key(world.apply(rename(None))), made);
    let renamed = key(world.apply(rename(Some("other"))));
    let expected = ApiKey {
        name: "other".to_owned(),
        updated_at: renamed.updated_at,
        ..made
    };
    assert_eq!(renamed, expected);
    assert!(renamed.updated_at.is_some());
}

#[test]
fn where_a_key_works_from_is_replaced_as_a_whole_and_survives_a_roll() {
    let mut world = furnished();
    let range = |text: &str| IpRange::parse(text).unwrap();
    let made = CreateApiKey {
        ip_allowlist: vec![
            range("2001:db8::/32"),
            range("10.0.0.0/8"),
            range("10.0.0.0/8"),
        ],
        ..new_key(20, KeyKind::Restricted, &[0])
    };
    let made = key(create(&mut world, made));
    let both = [range("10.0.0.0/8"), range("2001:db8::/32")];
    assert_eq!(made.ip_allowlist, both.into());
    assert_eq!(key(roll(&mut world, 20, 30, 0)).ip_allowlist, both.into());
    let mut replace = |ranges: Vec<IpRange>| {
        let update = UpdateApiKey {
            id: key_id(20),
            name: None,
            ip_allowlist: Some(ranges),
        };
        world.apply(Command::UpdateApiKey(actor(0), update))
    };
    let one = range("192.0.2.0/24");
    assert_eq!(key(replace(vec![one])).ip_allowlist, [one].into());
    let many: Vec<_> = (0..=50)
        .map(|last| range(&format!("192.0.2.{last}")))
        .collect();
    assert_eq!(key(replace(many[1..].to_vec())).ip_allowlist.len(), 50);
    let refusal = refused(replace(many.clone()));
    assert_eq!(refusal.0, "LimitExceeded");
    assert_eq!(key(replace(vec![])).ip_allowlist, [].into());
    let create_many = CreateApiKey {
        ip_allowlist: many,
        ..new_key(21, KeyKind::Restricted, &[0])
    };
    assert_eq!(refused(create(&mut world, create_many)).0, "LimitExceeded");
}

#[test]
fn the_latest_use_counts_and_none_lies_in_the_future() {
    let mut world = furnished();
    let report = |uses: &[(u64, u64)]| {
        let uses = uses.iter().map(|(id, at)| (key_id(*id), Timestamp(*at)));
        Command::RecordKeyUses(RecordKeyUses {
            uses: uses.collect(),
        })
    };
    let last = |world: &World| {
        query::api_key(&world.rows, &key_id(0))
            .unwrap()
            .last_used_at
    };
    world.apply(report(&[(0, 50), (0, 70), (99, 60)])).unwrap();
    assert_eq!(last(&world), Some(Timestamp(70)));
    world.apply(report(&[(0, 60)])).unwrap();
    assert_eq!(last(&world), Some(Timestamp(70)));
    let now = Timestamp(world.now);
    world.apply(report(&[(0, u64::MAX)])).unwrap();
    assert_eq!(last(&world), Some(now));
    let many: Vec<_> = (0..1_001).map(|number| (number, 1)).collect();
    assert_eq!(refused(world.apply(report(&many))).0, "LimitExceeded");
}
