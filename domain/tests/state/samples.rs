//! One of each record, with every field set to something of its own.

use domain::command::{
    ArchiveRoute, ArchiveRule, Command, CreateRoute, CreateRule, CreateUpstream, DeleteUpstream,
    DesiredStatus, DraftSeed, Idempotency, Precondition, Publish, RevokeApiKey, Rollback,
    RollbackTo, Stamped, UpdateRoute, UpdateRule, UpdateUpstream,
};
use domain::id::{
    ApiKeyId, EnvironmentId, OrgId, RequestId, RouteId, RuleId, Seed, SnapshotId, TargetId,
    UpstreamId, WorkspaceId,
};
use domain::model::{
    Algorithm, ApiKey, ApiVersion, Environment, EnvironmentKind, Epoch, Fingerprint, Grant,
    IdempotencyKey, IdempotencyRecord, IpRange, KeyHash, KeyKind, KeySalt, Manifest,
    ManifestVersion, Mode, Plan, PreviousSecret, Priority, PublishedRoute, PublishedRule,
    PurgedUrl, Purges, Resource, ResourceScope, Route, Rule, RuleChange, RuleEvent, RuleEventKind,
    RuleField, RuleStatus, Scopes, Snapshot, SnapshotState, SnapshotVersion, StoredReply, Target,
    Upstream, Verb, Workspace,
};

use domain::rejection::{Problem, Rejection};
use domain::schema::{BootstrapRecord, Draft, LogClock, ObjectCounts, Uses};
use domain::time::{Revision, Timestamp};
use domain::tree::Hash;

use crate::commands::{actor, bootstrap};
use crate::{history, several};

pub(crate) fn seed(random: u64) -> Seed {
    Seed {
        unix_ms: 1_714_320_000_000,
        random,
    }
}

pub(crate) fn workspace_id() -> WorkspaceId {
    WorkspaceId::new(seed(1))
}

pub(crate) fn environment_id() -> EnvironmentId {
    EnvironmentId::new(seed(2))
}

pub(crate) fn api_key_id() -> ApiKeyId {
    ApiKeyId::new(seed(3))
}

pub(crate) fn route_id() -> RouteId {
    RouteId::new(seed(4))
}

pub(crate) fn rule_id() -> RuleId {
    RuleId::new(seed(5))
}

pub(crate) fn upstream_id() -> UpstreamId {
    UpstreamId::new(seed(6))
}

pub(crate) fn snapshot_id() -> SnapshotId {
    SnapshotId::new(seed(7))
}

pub(crate) fn hash() -> Hash {
    Hash([0xab; 32])
}

pub(crate) fn key_hash() -> KeyHash {
    KeyHash([0xcd; 32])
}

pub(crate) fn idempotency_key() -> IdempotencyKey {
    IdempotencyKey("550e8400-e29b-41d4-a716-446655440000".to_owned())
}

pub(crate) fn clock() -> LogClock {
    LogClock {
        at: Timestamp(1_714_320_000_123),
        next_expiry: Timestamp(u64::MAX),
        answers: 3,
    }
}

pub(crate) fn bootstrap_record() -> BootstrapRecord {
    BootstrapRecord {
        workspace_id: workspace_id(),
        production_id: environment_id(),
        sandbox_id: EnvironmentId::new(seed(8)),
        pepper_check: key_hash(),
    }
}

pub(crate) fn workspace() -> Workspace {
    Workspace {
        id: workspace_id(),
        org_id: OrgId::new(seed(9)),
        name: "Default".to_owned(),
        plan: Plan::Enterprise,
        api_version: api_version(),
        created_at: Timestamp(1),
        updated_at: Some(Timestamp(2)),
    }
}

pub(crate) fn api_version() -> ApiVersion {
    ApiVersion("2026-01-14".to_owned())
}

pub(crate) fn ip_ranges() -> [IpRange; 2] {
    ["192.0.2.0/24", "2001:db8::/32"].map(|text| IpRange::parse(text).unwrap())
}

pub(crate) fn environment() -> Environment {
    Environment {
        id: environment_id(),
        workspace_id: workspace_id(),
        name: "sandbox".to_owned(),
        kind: EnvironmentKind::Test,
        created_at: Timestamp(2),
    }
}

pub(crate) fn api_key() -> ApiKey {
    ApiKey {
        id: api_key_id(),
        workspace_id: workspace_id(),
        environment_id: environment_id(),
        kind: KeyKind::Restricted,
        name: "first".to_owned(),
        hash: key_hash(),
        created_at: Timestamp(3),
        revoked_at: Some(Timestamp(4)),
        scopes: Scopes {
            environments: [environment_id()].into(),
            routes: [route_id()].into(),
            methods: [Verb::Get, Verb::Patch].into(),
            resources: [rules_read()].into(),
        },
        ip_allowlist: ip_ranges().into(),
        expires_at: Some(Timestamp(5)),
        created_by: Some(ApiKeyId::new(seed(14))),
        updated_at: Some(Timestamp(6)),
        salt: Some(KeySalt([0x5a; 16])),
        previous: Some(PreviousSecret {
            hash: KeyHash([0xdc; 32]),
            expires_at: Timestamp(7),
        }),
        last_used_at: Some(Timestamp(8)),
    }
}

pub(crate) fn rules_read() -> ResourceScope {
    ResourceScope {
        resource: Resource::Rules,
        grant: Grant::Read,
    }
}

pub(crate) fn target() -> Target {
    Target {
        id: TargetId::new(seed(10)),
        address: "10.0.0.1".to_owned(),
        port: 8080,
        weight: 300,
        regions: Vec::new(),
        drain: false,
    }
}

pub(crate) fn upstream() -> Upstream {
    Upstream {
        id: upstream_id(),
        workspace_id: workspace_id(),
        environment_id: environment_id(),
        name: "pool".to_owned(),
        algorithm: Algorithm::WeightedRoundRobin,
        targets: vec![target()],
        created_at: Timestamp(5),
        updated_at: Some(Timestamp(6)),
        created_by: api_key_id(),
        revision: Revision(7),
        settings: domain::model::UpstreamSettings::default(),
    }
}

pub(crate) fn uses() -> Uses {
    Uses {
        draft: 3,
        wanted: 2,
        live: Some(hash()),
        dirty: true,
    }
}

pub(crate) fn route() -> Route {
    Route {
        id: route_id(),
        workspace_id: workspace_id(),
        environment_id: environment_id(),
        name: "Public API".to_owned(),
        hostname: "api.example.net".to_owned(),
        mode: Mode::OriginFirst,
        enabled: true,
        config: "{}".to_owned(),
        created_at: Timestamp(8),
        updated_at: Some(Timestamp(9)),
        archived_at: Some(Timestamp(10)),
        published: Some(PublishedRoute {
            snapshot_id: snapshot_id(),
            version: SnapshotVersion(3),
            head: hash(),
            at: Timestamp(11),
            hostname: "old.example.net".to_owned(),
            enabled: false,
        }),
        purges: purges(),
        created_by: api_key_id(),
        revision: Revision(12),
    }
}

pub(crate) fn purges() -> Purges {
    Purges {
        version: 5,
        manifest_version: ManifestVersion(9),
        recent: vec![vec![PurgedUrl {
            host: "api.example.net".to_owned(),
            target: "/v1?page=2".to_owned(),
        }]],
    }
}

pub(crate) fn draft() -> Draft {
    Draft {
        snapshot_id: snapshot_id(),
        next_version: SnapshotVersion(4),
        changed_at: Timestamp(13),
        revision: Revision(14),
        rules: 15,
        dirty_rules: 16,
        dirty_upstreams: 17,
        dirty_settings: true,
    }
}

pub(crate) fn rule() -> Rule {
    Rule {
        id: rule_id(),
        workspace_id: workspace_id(),
        environment_id: environment_id(),
        route_id: route_id(),
        name: "EU read traffic".to_owned(),
        priority: Priority(40),
        status: RuleStatus::Paused,
        criteria: r#"{"method":"GET"}"#.to_owned(),
        action: r#"{"type":"redirect","url":"/"}"#.to_owned(),
        metadata: [("owner".to_owned(), "platform".to_owned())].into(),
        created_at: Timestamp(18),
        updated_at: Some(Timestamp(19)),
        archived_at: None,
        published: Some(PublishedRule {
            snapshot_id: snapshot_id(),
            at: Timestamp(20),
            priority: Priority(41),
            content: hash(),
        }),
        pending_changes: true,
        events: event_kinds()
            .into_iter()
            .map(|kind| RuleEvent {
                kind,
                at: Timestamp(21),
            })
            .collect(),
        events_logged: 60,
        versions: vec![RuleChange {
            version: 1,
            changed_fields: vec![RuleField::Name],
            actor: api_key_id(),
            at: Timestamp(22),
            revision: Revision(21),
            snapshot_id: Some(snapshot_id()),
        }],
        problems: vec![Problem {
            code: "unknown_upstream".to_owned(),
            message: "No such upstream: up_01J2A8K6".to_owned(),
            param: Some("action".to_owned()),
        }],
        revision: Revision(23),
    }
}

fn event_kinds() -> Vec<RuleEventKind> {
    use RuleEventKind::{
        Archived, Created, Paused, Published, Restored, Resumed, Updated, Validated,
        ValidationFailed,
    };
    vec![
        Created,
        Validated,
        Published,
        Updated,
        Paused,
        Resumed,
        Archived,
        Restored,
        ValidationFailed,
    ]
}

pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        id: snapshot_id(),
        workspace_id: workspace_id(),
        environment_id: environment_id(),
        route_id: route_id(),
        version: SnapshotVersion(3),
        parent_id: Some(SnapshotId::new(seed(11))),
        source_snapshot_id: Some(SnapshotId::new(seed(12))),
        state: SnapshotState::RolledBack,
        head: hash(),
        rule_count: 24,
        comment: Some("why".to_owned()),
        created_by: api_key_id(),
        published_at: Timestamp(25),
        manifest_version: ManifestVersion(26),
        revision: Revision(27),
    }
}

pub(crate) fn manifest() -> Manifest {
    Manifest {
        environment_id: environment_id(),
        epoch: Epoch(1),
        version: ManifestVersion(26),
        root: hash(),
        updated_at: Timestamp(28),
        revision: Revision(29),
        previous: Hash([0xcd; 32]),
    }
}

pub(crate) fn object_counts() -> ObjectCounts {
    ObjectCounts {
        rules: 300,
        upstreams: 2,
        snapshots: 1,
    }
}

pub(crate) fn answer() -> IdempotencyRecord {
    IdempotencyRecord {
        fingerprint: Fingerprint([0xef; 32]),
        reply: StoredReply::Whole(Err(Rejection::RulePublished)),
        revision: Revision(30),
        expires_at: Timestamp(31),
    }
}

/// One of each kind of command.
pub(crate) fn commands() -> Vec<Command> {
    let mut commands = vec![
        bootstrap(),
        Command::RevokeApiKey(RevokeApiKey { id: api_key_id() }),
        Command::CreateUpstream(
            actor(0),
            CreateUpstream {
                id: upstream_id(),
                name: "pool".to_owned(),
                algorithm: Algorithm::WeightedRoundRobin,
                targets: vec![target()],
                settings: None,
            },
        ),
        Command::UpdateUpstream(
            actor(0),
            UpdateUpstream {
                id: upstream_id(),
                draft_seed: DraftSeed {
                    unix_ms: 1,
                    random: 2,
                },
                name: Some("pool".to_owned()),
                algorithm: Some(Algorithm::WeightedRoundRobin),
                targets: Some(vec![target()]),
                named: vec![target().id],
                settings: None,
            },
        ),
        Command::DeleteUpstream(actor(0), DeleteUpstream { id: upstream_id() }),
        Command::CreateRoute(
            actor(0),
            CreateRoute {
                id: route_id(),
                draft_id: snapshot_id(),
                name: "Public API".to_owned(),
                hostname: "api.example.net".to_owned(),
                mode: Mode::Balanced,
                enabled: true,
                config: "{}".to_owned(),
            },
        ),
        Command::UpdateRoute(
            actor(0),
            UpdateRoute {
                id: route_id(),
                draft_id: snapshot_id(),
                name: Some("Public API".to_owned()),
                hostname: Some("api.example.net".to_owned()),
                mode: Some(Mode::CacheFirst),
                enabled: Some(false),
                config_patch: Some("{}".to_owned()),
            },
        ),
        Command::ArchiveRoute(actor(0), ArchiveRoute { id: route_id() }),
        Command::CreateRule(
            actor(0),
            CreateRule {
                id: rule_id(),
                draft_id: snapshot_id(),
                route_id: route_id(),
                name: "EU read traffic".to_owned(),
                priority: Priority(40),
                criteria: "{}".to_owned(),
                action: "{}".to_owned(),
                metadata: [("owner".to_owned(), "platform".to_owned())].into(),
            },
        ),
        Command::UpdateRule(
            actor(0),
            UpdateRule {
                id: rule_id(),
                draft_id: snapshot_id(),
                name: Some("EU read traffic".to_owned()),
                priority: Some(Priority(40)),
                criteria: Some("{}".to_owned()),
                action: Some("{}".to_owned()),
                metadata: vec![
                    ("owner".to_owned(), Some("edge".to_owned())),
                    ("gone".to_owned(), None),
                ],
                status: Some(DesiredStatus::Paused),
            },
        ),
        Command::ArchiveRule(
            actor(0),
            ArchiveRule {
                id: rule_id(),
                draft_id: snapshot_id(),
            },
        ),
        Command::Publish(
            actor(0),
            Publish {
                route_id: route_id(),
                next_draft_id: snapshot_id(),
                draft_id: Some(snapshot_id()),
                expected_active: Some(snapshot_id()),
                comment: Some("why".to_owned()),
            },
        ),
        rollback(RollbackTo::Snapshot(snapshot_id())),
        rollback(RollbackTo::Version(SnapshotVersion(2))),
        rollback(RollbackTo::Steps(1)),
    ];
    commands.extend(crate::access::samples());
    commands.extend(several::commands());
    commands.extend(crate::certificates::commands());
    commands.extend(crate::shifts::commands());
    commands.extend(crate::cluster::commands());
    commands.extend(crate::signing::commands());
    commands.extend(crate::edges::commands());
    commands.extend(crate::sealing::commands());
    commands.extend(crate::pepper::commands());
    commands.extend(crate::edges::later_commands());
    commands
}

fn rollback(to: RollbackTo) -> Command {
    Command::Rollback(
        actor(0),
        Rollback {
            route_id: route_id(),
            snapshot_id: snapshot_id(),
            next_draft_id: snapshot_id(),
            to,
            expected_active: Some(snapshot_id()),
            reset_draft: true,
            comment: Some("why".to_owned()),
        },
    )
}

pub(crate) fn stamped(command: Command) -> Stamped {
    Stamped {
        at: Timestamp(1_714_320_000_123),
        request_id: RequestId::new(seed(13)),
        idempotency: Some(Idempotency {
            key: idempotency_key(),
            fingerprint: Fingerprint([0xef; 32]),
        }),
        command,
        origin: history::origin(),
        precondition: Some(Precondition::WrittenAt(vec![Revision(42)])),
    }
}
