//! Arbitrary log entries. Identifiers, names, priorities and hostnames come from small sets.

use domain::command::{
    Actor, ArchiveRoute, ArchiveRule, BatchRules, Bootstrap, ChangeTarget, Command, CreateRoute,
    CreateRule, CreateUpstream, DeleteUpstream, DesiredStatus, DraftSeed, Idempotency,
    NewEnvironment, Precondition, Publish, PublishAlone, PurgeCache, ReorderRules, RevokeApiKey,
    Rollback, RollbackTo, RuleOperation, RuleOrder, Stamped, SwitchRoute, SwitchRule, TargetChange,
    UpdateRoute, UpdateRule, UpdateUpstream,
};
use domain::id::{
    ApiKeyId, EnvironmentId, OrgId, RequestId, RouteId, RuleId, Seed, SnapshotId, TargetId,
    UpstreamId, WorkspaceId,
};
use domain::model::PurgedUrl;
use domain::model::{
    Algorithm, Fingerprint, IDEMPOTENCY_TTL_MS, IdempotencyKey, JOURNAL_KEPT_MS, KeyHash, Mode,
    Plan, Priority, SnapshotVersion, Target,
};
use domain::time::{Revision, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::samples;

const ENVIRONMENTS: u64 = 2;
const ROUTES: u64 = 3;
const RULES: u64 = 10;
const UPSTREAMS: u64 = 4;
const PRIORITIES: u32 = 8;
const HOSTNAMES: u64 = 4;
/// Few enough to be drawn twice now and then, enough that most publications succeed.
const SNAPSHOTS: u64 = 4_000;
const KEYS: u64 = 4;

pub(crate) fn seed(random: u64) -> Seed {
    Seed { unix_ms: 1, random }
}

pub(crate) fn actor(environment: u64) -> Actor {
    Actor {
        workspace_id: WorkspaceId::new(seed(0)),
        environment_id: EnvironmentId::new(seed(environment)),
        api_key_id: ApiKeyId::new(seed(environment)),
    }
}

/// Both environments of one workspace, made before anything else.
pub(crate) fn bootstrap() -> Command {
    let environment = |number: u8| NewEnvironment {
        id: actor(number.into()).environment_id,
        key_id: actor(number.into()).api_key_id,
        key_hash: KeyHash([number; 32]),
    };
    Command::Bootstrap(Box::new(Bootstrap {
        org_id: OrgId::new(seed(0)),
        workspace_id: actor(0).workspace_id,
        workspace_name: "Default".to_owned(),
        plan: Plan::Growth,
        api_version: samples::api_version(),
        production: environment(0),
        sandbox: environment(1),
        pepper_check: KeyHash([9; 32]),
    }))
}

pub(crate) fn stamped(at: u64, command: Command) -> Stamped {
    Stamped {
        at: Timestamp(at),
        request_id: RequestId::new(seed(at)),
        idempotency: None,
        command,
        origin: Default::default(),
        precondition: None,
    }
}

/// Both environments with two upstreams and a route.
pub(crate) fn furnished() -> Vec<Stamped> {
    let furnishing = (0..ENVIRONMENTS).flat_map(|environment| {
        let actor = actor(environment);
        let upstreams = (0..2).map({
            let actor = actor.clone();
            move |number| {
                let id = UpstreamId::new(seed(number));
                let target = |number| Target {
                    id: TargetId::new(seed(number)),
                    address: "a".to_owned(),
                    port: 80,
                    weight: 2,
                    regions: Vec::new(),
                    drain: false,
                };
                let targets = (0..2).map(target).collect();
                let (name, algorithm) = ("first".to_owned(), Algorithm::WeightedRoundRobin);
                Command::CreateUpstream(
                    actor.clone(),
                    CreateUpstream {
                        id,
                        name,
                        algorithm,
                        targets,
                        settings: None,
                    },
                )
            }
        });
        let route = CreateRoute {
            id: RouteId::new(seed(0)),
            draft_id: SnapshotId::new(seed(0)),
            name: "first".to_owned(),
            hostname: "h0.example.net".to_owned(),
            mode: Mode::Balanced,
            enabled: true,
            config: config_of(&[0]),
        };
        upstreams.chain([Command::CreateRoute(actor, route)])
    });
    [bootstrap()]
        .into_iter()
        .chain(furnishing)
        .map(|command| stamped(1_000, command))
        .collect()
}

/// A log: bootstrap, enough to work with, then anything.
pub(crate) fn log(
    entries: impl Into<proptest::collection::SizeRange>,
) -> impl Strategy<Value = Vec<Stamped>> {
    let furnished = furnished();
    vec(entry(), entries).prop_map(move |entries| {
        let mut log = furnished.clone();
        let mut at = 1_000;
        for (passed, idempotency, precondition, command) in entries {
            at = passed.after(at);
            log.push(Stamped {
                idempotency,
                precondition,
                ..stamped(at, command)
            });
            crate::shifts::aim(&mut log);
            crate::certificates::aim(&mut log);
            crate::edges::aim(&mut log);
        }
        log
    })
}

/// How the proposer's clock goes from entry to entry.
#[derive(Clone, Debug)]
enum Passed {
    On(u64),
    Back(u64),
}

impl Passed {
    fn after(&self, at: u64) -> u64 {
        match self {
            Self::On(by) => at + by,
            Self::Back(by) => at.saturating_sub(*by),
        }
    }
}

fn entry() -> impl Strategy<Value = (Passed, Option<Idempotency>, Option<Precondition>, Command)> {
    let passed = prop_oneof![
        20 => (0..50u64).prop_map(Passed::On),
        2 => (0..1_000u64).prop_map(Passed::Back),
        1 => (0..IDEMPOTENCY_TTL_MS * 2).prop_map(Passed::On),
        1 => (0..JOURNAL_KEPT_MS / 2).prop_map(Passed::On),
    ];
    (
        passed,
        option::weighted(0.2, idempotency()),
        option::weighted(0.1, precondition()),
        command(),
    )
}

fn precondition() -> impl Strategy<Value = Precondition> {
    prop_oneof![
        Just(Precondition::Exists),
        vec(0..60u64, 0..8).prop_map(|written| {
            Precondition::WrittenAt(written.into_iter().map(Revision).collect())
        }),
    ]
}

fn idempotency() -> impl Strategy<Value = Idempotency> {
    (0..KEYS, 0..2u8).prop_map(|(key, fingerprint)| Idempotency {
        key: IdempotencyKey(format!("key-{key}")),
        fingerprint: Fingerprint([fingerprint; 32]),
    })
}

/// Anything that may be asked.
pub(crate) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        1 => Just(bootstrap()),
        1 => (0..3u64).prop_map(|key| Command::RevokeApiKey(RevokeApiKey { id: ApiKeyId::new(seed(key)) })),
        4 => (who(), create_upstream()).prop_map(|(actor, command)| Command::CreateUpstream(actor, command)),
        6 => (who(), update_upstream()).prop_map(|(actor, command)| Command::UpdateUpstream(actor, command)),
        3 => (who(), upstream()).prop_map(|(actor, id)| Command::DeleteUpstream(actor, DeleteUpstream { id })),
        3 => (who(), create_route()).prop_map(|(actor, command)| Command::CreateRoute(actor, command)),
        8 => (who(), update_route()).prop_map(|(actor, command)| Command::UpdateRoute(actor, command)),
        2 => (who(), route()).prop_map(|(actor, id)| Command::ArchiveRoute(actor, ArchiveRoute { id })),
        20 => (who(), create_rule()).prop_map(|(actor, command)| Command::CreateRule(actor, command)),
        20 => (who(), update_rule()).prop_map(|(actor, command)| Command::UpdateRule(actor, command)),
        8 => (who(), rule(), snapshot())
            .prop_map(|(actor, id, draft_id)| Command::ArchiveRule(actor, ArchiveRule { id, draft_id })),
        20 => (who(), publish()).prop_map(|(actor, command)| Command::Publish(actor, command)),
        10 => (who(), rollback()).prop_map(|(actor, command)| Command::Rollback(actor, command)),
        10 => (who(), switch_rule()).prop_map(|(actor, command)| Command::SwitchRule(actor, command)),
        4 => (who(), switch_route()).prop_map(|(actor, command)| Command::SwitchRoute(actor, command)),
        16 => (who(), reorder()).prop_map(|(actor, command)| Command::ReorderRules(actor, command)),
        8 => (who(), batch()).prop_map(|(actor, command)| Command::BatchRules(actor, command)),
        4 => (who(), purge()).prop_map(|(actor, command)| Command::PurgeCache(actor, command)),
        5 => (who(), change_target()).prop_map(|(actor, command)| Command::ChangeTarget(actor, command)),
        16 => crate::access::command(),
        22 => crate::webhooks::command(),
        14 => crate::certificates::arbitrary(),
        17 => crate::shifts::arbitrary(),
        2 => crate::cluster::arbitrary(),
        1 => crate::signing::arbitrary(),
        14 => crate::edges::arbitrary(),
        8 => crate::sealing::arbitrary(),
        5 => crate::pepper::arbitrary(),
    ]
}

pub(crate) fn who() -> impl Strategy<Value = Actor> {
    prop_oneof![9 => Just(0), 1 => Just(1)].prop_map(actor)
}

pub(crate) fn route() -> impl Strategy<Value = RouteId> {
    prop_oneof![3 => Just(0), 1 => 0..ROUTES].prop_map(|number| RouteId::new(seed(number)))
}

fn rule() -> impl Strategy<Value = RuleId> {
    (0..RULES).prop_map(|number| RuleId::new(seed(number)))
}

fn upstream() -> impl Strategy<Value = UpstreamId> {
    (0..UPSTREAMS).prop_map(|number| UpstreamId::new(seed(number)))
}

fn snapshot() -> impl Strategy<Value = SnapshotId> {
    (0..SNAPSHOTS).prop_map(|number| SnapshotId::new(seed(number)))
}

pub(crate) fn name() -> impl Strategy<Value = String> {
    prop_oneof![20 => Just("first".to_owned()), 20 => Just("second".to_owned()), 1 => Just(String::new())]
}

fn hostname() -> impl Strategy<Value = String> {
    (0..HOSTNAMES).prop_map(|number| format!("h{number}.example.net"))
}

fn priority() -> impl Strategy<Value = Priority> {
    prop_oneof![20 => 0..PRIORITIES, 1 => 999_998..=1_000_001u32].prop_map(Priority)
}

fn targets() -> impl Strategy<Value = Vec<Target>> {
    vec(0..3u32, 0..3).prop_map(|weights| {
        let target = |(number, weight)| Target {
            id: TargetId::new(seed(number)),
            address: "10.0.0.1".to_owned(),
            port: 80,
            weight,
            regions: Vec::new(),
            drain: false,
        };
        (0..).zip(weights).map(target).collect()
    })
}

fn create_upstream() -> impl Strategy<Value = CreateUpstream> {
    (upstream(), name(), targets()).prop_map(|(id, name, targets)| CreateUpstream {
        id,
        name,
        algorithm: Algorithm::WeightedRoundRobin,
        targets,
        settings: None,
    })
}

fn update_upstream() -> impl Strategy<Value = UpdateUpstream> {
    (
        upstream(),
        0..SNAPSHOTS,
        option::of(name()),
        option::of(targets()),
    )
        .prop_map(|(id, random, name, targets)| UpdateUpstream {
            id,
            draft_seed: DraftSeed { unix_ms: 1, random },
            name,
            algorithm: None,
            named: Vec::new(),
            targets,
            settings: None,
        })
}

fn config_of(upstreams: &[u64]) -> String {
    let weighted = |number: &u64| {
        format!(
            r#"{{"upstream_id":"{}","weight":1}}"#,
            UpstreamId::new(seed(*number))
        )
    };
    format!(
        r#"{{"upstreams":[{}]}}"#,
        upstreams.iter().map(weighted).collect::<Vec<_>>().join(",")
    )
}

fn config() -> impl Strategy<Value = String> {
    vec(prop_oneof![8 => 0..2u64, 1 => 0..UPSTREAMS], 1..3)
        .prop_map(|upstreams| config_of(&upstreams))
}

fn create_route() -> impl Strategy<Value = CreateRoute> {
    (
        route(),
        snapshot(),
        name(),
        hostname(),
        config(),
        any::<bool>(),
    )
        .prop_map(
            |(id, draft_id, name, hostname, config, enabled)| CreateRoute {
                id,
                draft_id,
                name,
                hostname,
                mode: Mode::Balanced,
                enabled,
                config,
            },
        )
}

fn update_route() -> impl Strategy<Value = UpdateRoute> {
    let mode = prop_oneof![8 => Just(None), 1 => Just(Some(Mode::CacheFirst))];
    let config = prop_oneof![1 => config(), 1 => Just("{}".to_owned()), 1 => Just(r#"{"tls":{"policy":"off"}}"#.to_owned())];
    let change = (
        option::of(name()),
        option::weighted(0.3, hostname()),
        mode,
        option::weighted(0.3, any::<bool>()),
        option::of(config),
    );
    (route(), snapshot(), change).prop_map(
        |(id, draft_id, (name, hostname, mode, enabled, config_patch))| UpdateRoute {
            id,
            draft_id,
            name,
            hostname,
            mode,
            enabled,
            config_patch,
        },
    )
}

fn criteria() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => Just("{}".to_owned()),
        8 => Just(r#"{"method":"GET"}"#.to_owned()),
        8 => Just(r#"{"method":["GET"]}"#.to_owned()),
        4 => Just(r#"{"path":{"regex":"/v[0-9]+/.*"}}"#.to_owned()),
        1 => Just(r#"{"path":{"regex":"("}}"#.to_owned()),
        1 => Just("[]".to_owned()),
    ]
}

fn action() -> impl Strategy<Value = String> {
    prop_oneof![
        10 => prop_oneof![8 => 0..2u64, 1 => 0..UPSTREAMS]
            .prop_map(|number| format!(r#"{{"type":"forward","upstream_id":"{}"}}"#, UpstreamId::new(seed(number)))),
        4 => (0..2u64).prop_map(|number| format!(
            r#"{{"type":"forward","upstreams":[{{"upstream_id":"{}","weight":1}},{{"upstream_id":"{}","weight":3}}]}}"#,
            UpstreamId::new(seed(number)),
            UpstreamId::new(seed(number + 1)),
        )),
        4 => Just(r#"{"type":"redirect","url":"/elsewhere"}"#.to_owned()),
        1 => Just(r#"{"type":"forward"}"#.to_owned()),
    ]
}

fn create_rule() -> impl Strategy<Value = CreateRule> {
    let labels = prop_oneof![
        Just(vec![]),
        Just(vec![("owner".to_owned(), "edge".to_owned())])
    ];
    (
        rule(),
        snapshot(),
        route(),
        name(),
        priority(),
        criteria(),
        action(),
        labels,
    )
        .prop_map(
            |(id, draft_id, route_id, name, priority, criteria, action, labels)| CreateRule {
                id,
                draft_id,
                route_id,
                name,
                priority,
                criteria,
                action,
                metadata: labels.into_iter().collect(),
            },
        )
}

fn update_rule() -> impl Strategy<Value = UpdateRule> {
    let status = prop_oneof![Just(DesiredStatus::Active), Just(DesiredStatus::Paused)];
    let label = ("owner".to_owned(), option::of(Just("platform".to_owned())));
    let label = (Just(label.0), label.1);
    let change = (
        option::weighted(0.3, name()),
        option::weighted(0.3, priority()),
        option::weighted(0.3, criteria()),
        option::weighted(0.3, action()),
        vec(label, 0..2),
        option::weighted(0.4, status),
    );
    (rule(), snapshot(), change).prop_map(
        |(id, draft_id, (name, priority, criteria, action, metadata, status))| UpdateRule {
            id,
            draft_id,
            name,
            priority,
            criteria,
            action,
            metadata,
            status,
        },
    )
}

fn publish() -> impl Strategy<Value = Publish> {
    (
        route(),
        snapshot(),
        option::weighted(0.05, snapshot()),
        option::weighted(0.05, snapshot()),
    )
        .prop_map(
            |(route_id, next_draft_id, draft_id, expected_active)| Publish {
                route_id,
                next_draft_id,
                draft_id,
                expected_active,
                comment: None,
            },
        )
}

fn rollback() -> impl Strategy<Value = Rollback> {
    let to = prop_oneof![
        1 => snapshot().prop_map(RollbackTo::Snapshot),
        6 => (0..6u64).prop_map(|version| RollbackTo::Version(SnapshotVersion(version))),
        6 => (0..4u64).prop_map(RollbackTo::Steps),
    ];
    (route(), snapshot(), snapshot(), to, any::<bool>()).prop_map(
        |(route_id, snapshot_id, next_draft_id, to, reset_draft)| Rollback {
            route_id,
            snapshot_id,
            next_draft_id,
            to,
            expected_active: None,
            reset_draft,
            comment: None,
        },
    )
}

fn alone() -> impl Strategy<Value = Option<PublishAlone>> {
    option::weighted(
        0.7,
        snapshot().prop_map(|snapshot_id| PublishAlone {
            snapshot_id,
            comment: None,
        }),
    )
}

fn switch_rule() -> impl Strategy<Value = SwitchRule> {
    let status = prop_oneof![Just(DesiredStatus::Active), Just(DesiredStatus::Paused)];
    (rule(), snapshot(), status, alone()).prop_map(|(id, draft_id, status, publish)| SwitchRule {
        id,
        draft_id,
        status,
        publish,
    })
}

fn switch_route() -> impl Strategy<Value = SwitchRoute> {
    (route(), snapshot(), any::<bool>(), alone()).prop_map(|(id, draft_id, enabled, publish)| {
        SwitchRoute {
            id,
            draft_id,
            enabled,
            publish,
        }
    })
}

fn purge() -> impl Strategy<Value = PurgeCache> {
    let url = (0..3u8).prop_map(|number| PurgedUrl {
        host: "h0.example.net".to_owned(),
        target: format!("/{number}"),
    });
    (route(), option::of(vec(url, 0..3))).prop_map(|(route_id, urls)| PurgeCache { route_id, urls })
}

/// Whole orders are rarely those of the rules that there are, so most are moves.
fn reorder() -> impl Strategy<Value = ReorderRules> {
    let numbers: Vec<u64> = (0..RULES).collect();
    let whole = proptest::sample::subsequence(numbers, 0..4)
        .prop_shuffle()
        .prop_map(|numbers| {
            let ids = numbers.into_iter().map(|number| RuleId::new(seed(number)));
            RuleOrder::Whole(ids.collect())
        });
    let moves = vec((rule(), priority()), 1..3).prop_map(RuleOrder::Moves);
    let order = prop_oneof![1 => whole, 5 => moves];
    (route(), snapshot(), order).prop_map(|(route_id, draft_id, order)| ReorderRules {
        route_id,
        draft_id,
        order,
    })
}

fn batch() -> impl Strategy<Value = BatchRules> {
    let archive = (rule(), snapshot()).prop_map(|(id, draft_id)| ArchiveRule { id, draft_id });
    let operation = prop_oneof![
        create_rule().prop_map(RuleOperation::Create),
        update_rule().prop_map(RuleOperation::Update),
        archive.prop_map(RuleOperation::Archive),
    ];
    vec(operation, 1..4).prop_map(|operations| BatchRules { operations })
}

fn change_target() -> impl Strategy<Value = ChangeTarget> {
    let id = (0..4u64).prop_map(|number| TargetId::new(seed(number)));
    let add = (id.clone(), 0..3u32).prop_map(|(id, weight)| {
        TargetChange::Add(Target {
            id,
            address: "10.0.0.2".to_owned(),
            port: 80,
            weight,
            regions: Vec::new(),
            drain: false,
        })
    });
    let update = (id.clone(), option::of(0..3u32)).prop_map(|(id, weight)| TargetChange::Update {
        id,
        address: None,
        port: None,
        weight,
        regions: None,
        drain: None,
    });
    let change = prop_oneof![3 => add, 2 => update, 1 => id.prop_map(TargetChange::Remove)];
    (upstream(), 0..SNAPSHOTS, change).prop_map(|(upstream_id, random, change)| ChangeTarget {
        upstream_id,
        draft_seed: DraftSeed { unix_ms: 1, random },
        change,
    })
}
