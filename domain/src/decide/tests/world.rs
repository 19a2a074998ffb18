//! A state machine on a map, and short ways to ask it things. Identifiers are made from numbers:
//! rule 7 is always the same rule.

use std::collections::BTreeMap;

use crate::command::{
    Actor, ArchiveRoute, ArchiveRule, Bootstrap, Command, CreateRoute, CreateRule, CreateUpstream,
    DeleteUpstream, DraftSeed, Idempotency, NewEnvironment, Publish, Rollback, RollbackTo, Stamped,
    UpdateRoute, UpdateRule, UpdateUpstream,
};
use crate::id::{
    ApiKeyId, EnvironmentId, OrgId, RequestId, RouteId, RuleId, Seed, SnapshotId, TargetId,
    UpstreamId, WorkspaceId,
};
use crate::invariants;
use crate::machine;
use crate::model::{
    Algorithm, ApiVersion, Fingerprint, IdempotencyKey, KeyHash, Metadata, Mode, Plan, Priority,
    Route, RouteDraft, Rule, Snapshot, Target, Upstream,
};
use crate::outcome::{Applied, Outcome, Reply};
use crate::query;
use crate::rejection::Rejection;
use crate::rows::MemoryRows;
use crate::time::{Revision, Timestamp};

pub(super) struct World {
    pub(super) rows: MemoryRows,
    pub(super) revision: u64,
    pub(super) now: u64,
    pub(super) actor: Actor,
    drawn: u64,
}

macro_rules! ids {
    ($($name:ident: $id:ident),*) => {$(
        pub(super) fn $name(number: u64) -> $id {
            $id::new(Seed { unix_ms: 1, random: number })
        }
    )*};
}

ids!(rule: RuleId, route: RouteId, upstream: UpstreamId, snapshot: SnapshotId, target: TargetId);

pub(super) fn actor(environment: u64) -> Actor {
    let seed = |random| Seed { unix_ms: 1, random };
    Actor {
        workspace_id: WorkspaceId::new(seed(0)),
        environment_id: EnvironmentId::new(seed(environment)),
        api_key_id: ApiKeyId::new(seed(environment)),
    }
}

pub(super) fn bootstrap(plan: Plan) -> Bootstrap {
    let environment = |number: u8| NewEnvironment {
        id: actor(number.into()).environment_id,
        key_id: actor(number.into()).api_key_id,
        key_hash: KeyHash([number; 32]),
    };
    Bootstrap {
        org_id: OrgId::new(Seed {
            unix_ms: 1,
            random: 0,
        }),
        workspace_id: actor(0).workspace_id,
        workspace_name: "Default".to_owned(),
        plan,
        api_version: ApiVersion("2026-01-14".to_owned()),
        production: environment(0),
        sandbox: environment(1),
        pepper_check: KeyHash([9; 32]),
    }
}

/// A bootstrapped cluster whose actor works in `production`.
pub(super) fn world() -> World {
    world_with(Plan::Enterprise)
}

pub(super) fn world_with(plan: Plan) -> World {
    let mut world = World {
        rows: MemoryRows::default(),
        revision: 0,
        now: 1_000_000,
        actor: actor(0),
        drawn: 1_000,
    };
    world
        .apply(Command::Bootstrap(Box::new(bootstrap(plan))))
        .unwrap();
    world
}

/// One with upstreams 1 and 2 and route 1, which sends to upstream 1.
pub(super) fn furnished() -> World {
    let mut world = world();
    world.create_upstream(1).unwrap();
    world.create_upstream(2).unwrap();
    world.create_route(1, "one.example.net", 1).unwrap();
    world
}

pub(super) fn forward(to: u64) -> String {
    format!(r#"{{"type":"forward","upstream_id":"{}"}}"#, upstream(to))
}

pub(super) fn config(to: u64) -> String {
    format!(
        r#"{{"upstreams":[{{"upstream_id":"{}","weight":1}}]}}"#,
        upstream(to)
    )
}

pub(super) fn targets(weight: u32) -> Vec<Target> {
    vec![Target {
        id: target(1),
        address: "10.0.0.1".to_owned(),
        port: 80,
        weight,
        regions: Vec::new(),
        drain: false,
    }]
}

impl World {
    pub(super) fn stamped(&self, command: Command, idempotency: Option<(&str, u8)>) -> Stamped {
        Stamped {
            at: Timestamp(self.now),
            request_id: RequestId::new(Seed {
                unix_ms: self.now,
                random: self.revision,
            }),
            idempotency: idempotency.map(|(key, fingerprint)| Idempotency {
                key: IdempotencyKey(key.to_owned()),
                fingerprint: Fingerprint([fingerprint; 32]),
            }),
            command,
            origin: Default::default(),
            precondition: None,
        }
    }

    pub(super) fn step(&mut self, stamped: &Stamped) -> Applied {
        self.revision += 1;
        let applied = machine::step(&mut self.rows, Revision(self.revision), stamped);
        invariants::check(&self.rows).unwrap_or_else(|error| panic!("{error}\nafter {stamped:#?}"));
        self.now += 1;
        applied
    }

    pub(super) fn apply(&mut self, command: Command) -> Reply {
        let stamped = self.stamped(command, None);
        self.step(&stamped).reply
    }

    pub(super) fn draw(&mut self) -> SnapshotId {
        self.drawn += 1;
        snapshot(self.drawn)
    }

    pub(super) fn create_upstream(&mut self, number: u64) -> Reply {
        let command = CreateUpstream {
            id: upstream(number),
            name: format!("upstream {number}"),
            algorithm: Algorithm::WeightedRoundRobin,
            targets: targets(1),
            settings: None,
        };
        self.apply(Command::CreateUpstream(self.actor.clone(), command))
    }

    pub(super) fn weigh_upstream(&mut self, number: u64, weight: u32) -> Reply {
        let command = UpdateUpstream {
            id: upstream(number),
            draft_seed: DraftSeed {
                unix_ms: self.now,
                random: 0,
            },
            name: None,
            algorithm: None,
            targets: Some(targets(weight)),
            named: Vec::new(),
            settings: None,
        };
        self.apply(Command::UpdateUpstream(self.actor.clone(), command))
    }

    pub(super) fn delete_upstream(&mut self, number: u64) -> Reply {
        self.apply(Command::DeleteUpstream(
            self.actor.clone(),
            DeleteUpstream {
                id: upstream(number),
            },
        ))
    }

    pub(super) fn create_route(&mut self, number: u64, hostname: &str, to: u64) -> Reply {
        let command = CreateRoute {
            id: route(number),
            draft_id: self.draw(),
            name: format!("route {number}"),
            hostname: hostname.to_owned(),
            mode: Mode::Balanced,
            enabled: true,
            config: config(to),
        };
        self.apply(Command::CreateRoute(self.actor.clone(), command))
    }

    pub(super) fn update_route(
        &mut self,
        number: u64,
        change: impl FnOnce(&mut UpdateRoute),
    ) -> Reply {
        let mut command = UpdateRoute {
            id: route(number),
            draft_id: self.draw(),
            name: None,
            hostname: None,
            mode: None,
            enabled: None,
            config_patch: None,
        };
        change(&mut command);
        self.apply(Command::UpdateRoute(self.actor.clone(), command))
    }

    pub(super) fn archive_route(&mut self, number: u64) -> Reply {
        self.apply(Command::ArchiveRoute(
            self.actor.clone(),
            ArchiveRoute { id: route(number) },
        ))
    }

    pub(super) fn new_rule(&mut self, number: u64, priority: u32) -> CreateRule {
        CreateRule {
            id: rule(number),
            draft_id: self.draw(),
            route_id: route(1),
            name: format!("rule {number}"),
            priority: Priority(priority),
            criteria: r#"{"method":"GET"}"#.to_owned(),
            action: forward(1),
            metadata: Metadata::new(),
        }
    }

    /// Makes a rule of route 1.
    pub(super) fn create_rule(&mut self, number: u64, priority: u32) -> Reply {
        let command = self.new_rule(number, priority);
        self.apply(Command::CreateRule(self.actor.clone(), command))
    }

    pub(super) fn update_rule(
        &mut self,
        number: u64,
        change: impl FnOnce(&mut UpdateRule),
    ) -> Reply {
        let mut command = UpdateRule {
            id: rule(number),
            draft_id: self.draw(),
            name: None,
            priority: None,
            criteria: None,
            action: None,
            metadata: Vec::new(),
            status: None,
        };
        change(&mut command);
        self.apply(Command::UpdateRule(self.actor.clone(), command))
    }

    pub(super) fn archive_rule(&mut self, number: u64) -> Reply {
        let command = ArchiveRule {
            id: rule(number),
            draft_id: self.draw(),
        };
        self.apply(Command::ArchiveRule(self.actor.clone(), command))
    }

    pub(super) fn publish(&mut self, number: u64) -> Reply {
        self.publish_with(number, |_| {})
    }

    pub(super) fn publish_with(&mut self, number: u64, change: impl FnOnce(&mut Publish)) -> Reply {
        let mut command = Publish {
            route_id: route(number),
            next_draft_id: self.draw(),
            draft_id: None,
            expected_active: None,
            comment: None,
        };
        change(&mut command);
        self.apply(Command::Publish(self.actor.clone(), command))
    }

    pub(super) fn roll_back(&mut self, number: u64, to: RollbackTo, reset_draft: bool) -> Reply {
        let command = Rollback {
            route_id: route(number),
            snapshot_id: self.draw(),
            next_draft_id: self.draw(),
            to,
            expected_active: None,
            reset_draft,
            comment: None,
        };
        self.apply(Command::Rollback(self.actor.clone(), command))
    }

    pub(super) fn rule(&self, number: u64) -> Rule {
        query::rule(&self.rows, &self.actor.environment_id, &rule(number)).unwrap()
    }

    pub(super) fn route(&self, number: u64) -> (Route, RouteDraft) {
        query::route(&self.rows, &self.actor.environment_id, &route(number)).unwrap()
    }

    pub(super) fn is_pending(&self, number: u64) -> bool {
        self.route(number).1.pending_changes
    }

    pub(super) fn manifest_version(&self) -> u64 {
        query::manifest(&self.rows, &self.actor.environment_id)
            .version
            .0
    }

    /// The live rules of a route, as (number's identifier, priority).
    pub(super) fn live_rules(&self, number: u64) -> Vec<(RuleId, u32)> {
        let Some(published) = self.route(number).0.published else {
            return Vec::new();
        };
        let chunks = query::ViewChunks(&self.rows);
        let head = crate::content::load_head(&chunks, published.head).unwrap();
        let rules = crate::content::load_rules(&chunks, head.rules).map(|rule| rule.unwrap());
        rules.map(|rule| (rule.id, rule.priority.0)).collect()
    }
}

/// The snapshot that a publish or rollback answered, and whether it was active before.
pub(super) fn published(reply: Reply) -> (Snapshot, bool) {
    match reply {
        Ok(Outcome::Published {
            snapshot,
            unchanged,
        }) => (snapshot, unchanged),
        other => panic!("not published: {other:?}"),
    }
}

pub(super) fn made_rule(reply: Reply) -> Rule {
    match reply {
        Ok(Outcome::Rule(rule)) => rule,
        other => panic!("not a rule: {other:?}"),
    }
}

pub(super) fn made_upstream(reply: Reply) -> Upstream {
    match reply {
        Ok(Outcome::Upstream(upstream)) => upstream,
        other => panic!("not an upstream: {other:?}"),
    }
}

pub(super) fn made_route(reply: Reply) -> (Route, RouteDraft) {
    match reply {
        Ok(Outcome::Route(route, draft)) => (route, draft),
        other => panic!("not a route: {other:?}"),
    }
}

/// A rejection's variant and its parameter, if it names one.
pub(super) fn refused(reply: Reply) -> (&'static str, String) {
    let rejection = reply.expect_err("the command is refused");
    let name = match &rejection {
        Rejection::NotFound { object, .. } => return ("NotFound", object.clone()),
        Rejection::Archived { object } => return ("Archived", object.clone()),
        Rejection::ParameterMissing { param } => return ("ParameterMissing", param.clone()),
        Rejection::UnknownParameter { param } => return ("UnknownParameter", param.clone()),
        Rejection::InvalidParameter { param, .. } => return ("InvalidParameter", param.clone()),
        Rejection::InvalidConfig { param, .. } => return ("InvalidConfig", param.clone()),
        Rejection::LimitExceeded { param, .. } => return ("LimitExceeded", param.clone()),
        Rejection::PreconditionFailed { param, .. } => {
            return ("PreconditionFailed", param.clone());
        }
        Rejection::ValidationFailed { problems } => {
            let codes: Vec<_> = problems
                .iter()
                .map(|problem| problem.code.as_str())
                .collect();
            return ("ValidationFailed", codes.join(","));
        }
        Rejection::PriorityConflict { .. } => "PriorityConflict",
        Rejection::RouteDisabled { .. } => "RouteDisabled",
        Rejection::RulePublished => "RulePublished",
        Rejection::RoutePublished => "RoutePublished",
        Rejection::HostnameConflict { .. } => "HostnameConflict",
        Rejection::RouteLimitExceeded { .. } => "RouteLimitExceeded",
        Rejection::UpstreamInUse { .. } => "UpstreamInUse",
        Rejection::CertificateInUse { .. } => "CertificateInUse",
        Rejection::ShiftInProgress { .. } => "ShiftInProgress",
        Rejection::ShiftNotRunning => "ShiftNotRunning",
        Rejection::SnapshotNotPublishable { .. } => "SnapshotNotPublishable",
        Rejection::IdempotencyKeyReused => "IdempotencyKeyReused",
        Rejection::AnswersFull { .. } => "AnswersFull",
        Rejection::AlreadyBootstrapped => "AlreadyBootstrapped",
        Rejection::IdTaken { .. } => "IdTaken",
        Rejection::EndpointDisabled { .. } => "EndpointDisabled",
        Rejection::Items { refused, .. } => {
            let told = refused.iter().map(|item| {
                let (name, param) = self::refused(Err(item.rejection.clone()));
                format!("{}:{name}:{param}", item.index)
            });
            return ("Items", told.collect::<Vec<_>>().join(","));
        }
        Rejection::InsufficientScope { .. } => "InsufficientScope",
        Rejection::ApiKeyInactive { .. } => "ApiKeyInactive",
        Rejection::EnvironmentNameTaken { .. } => "EnvironmentNameTaken",
        Rejection::MemberRetired { .. } => "MemberRetired",
        Rejection::EnrolmentRefused { message } => return ("EnrolmentRefused", message.clone()),
    };
    (name, String::new())
}

/// What a record's metadata looks like.
pub(super) fn metadata(labels: &[(&str, &str)]) -> Metadata {
    BTreeMap::from_iter(
        labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
    )
}
