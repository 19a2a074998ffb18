//! What concerns keys, environments and the workspace: arbitrary commands, and one sample of each.

use domain::command::{
    Command, CreateApiKey, CreateEnvironment, OutageChange, RecordKeyUses, RecordOutages,
    RevokeApiKey, RollApiKey, UpdateApiKey, UpdateWorkspace,
};
use domain::id::{ApiKeyId, EnvironmentId};
use domain::machine;
use domain::model::{
    ApiVersion, EnvironmentKind, IpRange, KeyHash, KeyKind, KeySalt, ResourceScope, Verb,
};
use domain::query;
use domain::rows::MemoryRows;
use domain::schema::API_KEYS;
use domain::time::{Revision, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::commands::{actor, log, name, route, seed, stamped, who};
use crate::samples::{self, api_key_id, environment_id, key_hash, route_id, rules_read};

/// A key's identifier: one of bootstrap, and a few that are made.
pub(crate) fn api_key() -> impl Strategy<Value = ApiKeyId> {
    (1..5u64).prop_map(|number| ApiKeyId::new(seed(number)))
}

/// Hashes and salts are drawn anew each time, so they seldom meet.
fn secret() -> impl Strategy<Value = (KeyHash, KeySalt)> {
    (10..250u8, any::<u8>()).prop_map(|(hash, salt)| (KeyHash([hash; 32]), KeySalt([salt; 16])))
}

fn key_kind() -> impl Strategy<Value = (KeyKind, Vec<EnvironmentId>)> {
    let environment = |number| actor(number).environment_id;
    prop_oneof![
        2 => (0..2u64).prop_map(move |number| (KeyKind::Live, vec![environment(number)])),
        2 => (0..2u64).prop_map(move |number| (KeyKind::Test, vec![environment(number)])),
        6 => vec(prop_oneof![8 => 0..2u64, 1 => Just(2u64)], 1..3).prop_map(move |numbers| {
            (KeyKind::Restricted, numbers.into_iter().map(environment).collect())
        }),
    ]
}

fn create_api_key() -> impl Strategy<Value = CreateApiKey> {
    let scopes = (
        vec(route(), 0..2),
        vec(prop_oneof![Just(Verb::Get), Just(Verb::Post)], 0..2),
        vec(
            prop_oneof![8 => Just("rules:write"), 1 => Just("edges:write")],
            0..2,
        ),
    );
    let limits = (
        vec(ip_range(), 0..3),
        option::weighted(0.1, (0..4_000u64).prop_map(Timestamp)),
    );
    (api_key(), secret(), key_kind(), name(), scopes, limits).prop_map(
        |(id, (hash, salt), (kind, environments), name, scopes, (ip_allowlist, expires_at))| {
            let (routes, methods, resources) = match kind {
                KeyKind::Restricted => scopes,
                KeyKind::Live | KeyKind::Test => Default::default(),
            };
            CreateApiKey {
                id,
                hash,
                salt,
                kind,
                name,
                environments,
                routes,
                methods,
                resources: resources
                    .into_iter()
                    .filter_map(ResourceScope::parse)
                    .collect(),
                ip_allowlist,
                expires_at,
            }
        },
    )
}

fn ip_range() -> impl Strategy<Value = IpRange> {
    prop_oneof![Just(samples::ip_ranges()[0]), Just(samples::ip_ranges()[1])]
}

fn api_version() -> impl Strategy<Value = ApiVersion> {
    prop_oneof![Just("2025-03-05"), Just("2026-01-14")].prop_map(|date| ApiVersion(date.to_owned()))
}

/// What concerns keys, environments and the workspace.
pub(crate) fn command() -> impl Strategy<Value = Command> {
    let roll = (api_key(), secret(), 0..3u64).prop_map(|(id, (hash, salt), overlap)| RollApiKey {
        id,
        hash,
        salt,
        overlap_ms: overlap * 500,
    });
    let environment = (2..9u64, 0..6u64, any::<bool>()).prop_map(|(number, name, live)| {
        let kinds = [EnvironmentKind::Test, EnvironmentKind::Live];
        CreateEnvironment {
            id: EnvironmentId::new(seed(number)),
            name: format!("staging-{name}"),
            kind: kinds[usize::from(live)],
        }
    });
    let uses = vec((api_key(), (0..4_000u64).prop_map(Timestamp)), 0..4);
    prop_oneof![
        7 => (who(), create_api_key()).prop_map(|(actor, command)| Command::CreateApiKey(actor, command)),
        3 => (who(), api_key(), option::of(name()), option::of(vec(ip_range(), 0..3))).prop_map(
            |(actor, id, name, ip_allowlist)| {
                Command::UpdateApiKey(actor, UpdateApiKey { id, name, ip_allowlist })
            }
        ),
        6 => (who(), roll).prop_map(|(actor, command)| Command::RollApiKey(actor, command)),
        5 => (who(), api_key())
            .prop_map(|(actor, id)| Command::RevokeApiKeyFor(actor, RevokeApiKey { id })),
        4 => (who(), environment).prop_map(|(actor, command)| Command::CreateEnvironment(actor, command)),
        3 => (who(), option::of(name()), option::of(api_version())).prop_map(|(actor, name, api_version)| {
            Command::UpdateWorkspace(actor, UpdateWorkspace { name, api_version })
        }),
        2 => uses.prop_map(|uses| Command::RecordKeyUses(RecordKeyUses { uses })),
    ]
}

/// What decides about access to `production`: its keys, live environments, workspaces.
fn live_access(rows: &MemoryRows) -> Vec<String> {
    let environments = query::environments(rows);
    let live = |id: &EnvironmentId| {
        let mut all = environments.iter();
        all.any(|known| known.id == *id && known.kind == EnvironmentKind::Live)
    };
    let keys = API_KEYS
        .walk(rows, API_KEYS.all())
        .map(|(_, key)| key)
        .filter(|key| key.environments().any(live))
        .map(|key| format!("{key:?} {:?}", key.hash.0));
    let own = environments.iter().filter(|known| live(&known.id));
    keys.chain(own.map(|environment| format!("{environment:?}")))
        .chain(
            query::workspace(rows, &actor(0).workspace_id)
                .map(|workspace| format!("{workspace:?}")),
        )
        .collect()
}

proptest! {
    #[test]
    fn nothing_that_a_test_key_asks_changes_who_may_act_in_production(
        log in log(1..60),
        asked in vec(command(), 1..30),
    ) {
        let mut rows = MemoryRows::default();
        for (revision, stamped) in (1..).zip(&log) {
            machine::step(&mut rows, Revision(revision), stamped);
        }
        let before = live_access(&rows);
        for command in asked {
            let by_test_key = match &command {
                Command::RecordKeyUses(_) => continue,
                Command::CreateApiKey(_, asked) => Command::CreateApiKey(actor(1), asked.clone()),
                Command::UpdateApiKey(_, asked) => Command::UpdateApiKey(actor(1), asked.clone()),
                Command::RollApiKey(_, asked) => Command::RollApiKey(actor(1), asked.clone()),
                Command::RevokeApiKeyFor(_, asked) => Command::RevokeApiKeyFor(actor(1), asked.clone()),
                Command::CreateEnvironment(_, asked) => Command::CreateEnvironment(actor(1), asked.clone()),
                Command::UpdateWorkspace(_, asked) => Command::UpdateWorkspace(actor(1), asked.clone()),
                other => other.clone(),
            };
            machine::step(&mut rows, Revision(1_000), &stamped(1_000, by_test_key));
            prop_assert_eq!(live_access(&rows), before.clone(), "after {:?}", command);
        }
    }
}

/// One of each of these commands.
pub(crate) fn samples() -> Vec<Command> {
    vec![
        Command::CreateApiKey(
            actor(0),
            CreateApiKey {
                id: api_key_id(),
                hash: key_hash(),
                salt: KeySalt([0x5a; 16]),
                kind: KeyKind::Restricted,
                name: "tooling".to_owned(),
                environments: vec![environment_id()],
                routes: vec![route_id()],
                methods: vec![Verb::Get],
                resources: vec![rules_read()],
                ip_allowlist: samples::ip_ranges().into(),
                expires_at: Some(Timestamp(5)),
            },
        ),
        Command::UpdateApiKey(
            actor(0),
            UpdateApiKey {
                id: api_key_id(),
                name: Some("tooling".to_owned()),
                ip_allowlist: Some(samples::ip_ranges().into()),
            },
        ),
        Command::RollApiKey(
            actor(0),
            RollApiKey {
                id: api_key_id(),
                hash: key_hash(),
                salt: KeySalt([0x5a; 16]),
                overlap_ms: 300,
            },
        ),
        Command::RevokeApiKeyFor(actor(0), RevokeApiKey { id: api_key_id() }),
        Command::CreateEnvironment(
            actor(0),
            CreateEnvironment {
                id: environment_id(),
                name: "staging".to_owned(),
                kind: EnvironmentKind::Test,
            },
        ),
        Command::UpdateWorkspace(
            actor(0),
            UpdateWorkspace {
                name: Some("Default".to_owned()),
                api_version: Some(samples::api_version()),
            },
        ),
        Command::RecordKeyUses(RecordKeyUses {
            uses: vec![(api_key_id(), Timestamp(8))],
        }),
        Command::RecordOutages(RecordOutages {
            environment_id: environment_id(),
            changes: vec![OutageChange {
                upstream_id: samples::upstream_id(),
                region: "eu".to_owned(),
                is_down: true,
                edges_down: 2,
                edges: 3,
            }],
        }),
    ]
}
