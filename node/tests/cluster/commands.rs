//! Commands to propose, and how their effects are found again.

use domain::command::{
    Actor, Bootstrap, Command, CreateUpstream, CreateWebhookEndpoint, DraftSeed, Idempotency,
    NewEnvironment, Stamped, UpdateUpstream,
};
use domain::id::{
    ApiKeyId, EnvironmentId, OrgId, RequestId, Seed, TargetId, UpstreamId, WebhookEndpointId,
    WorkspaceId,
};
use domain::model::{Algorithm, ApiVersion, Fingerprint, IdempotencyKey, KeyHash, Plan, Target};
use domain::query;
use node::control_plane::ControlPlane;
use platform::{Clock, SystemClock};

use crate::world::pepper;

pub(crate) fn seed(random: u64) -> Seed {
    Seed {
        unix_ms: 1_700_000_000_000,
        random,
    }
}

/// A command as that number's request, of now: what is as old as the samples is soon forgotten.
pub(crate) fn stamped(number: u64, command: Command) -> Stamped {
    Stamped {
        at: SystemClock.now(),
        request_id: RequestId::new(seed(number)),
        idempotency: None,
        command,
        origin: Default::default(),
        precondition: None,
    }
}

/// The workspace that every test works in.
pub(crate) fn bootstrap() -> Stamped {
    bootstrap_with(Plan::Enterprise, KeyHash([1; 32]))
}

/// The same with a plan and a key of the test's own.
pub(crate) fn bootstrap_with(plan: Plan, key: KeyHash) -> Stamped {
    let environment = |number: u64, key_hash: KeyHash| NewEnvironment {
        id: EnvironmentId::new(seed(number)),
        key_id: ApiKeyId::new(seed(number)),
        key_hash,
    };
    let bootstrap = Bootstrap {
        org_id: OrgId::new(seed(0)),
        workspace_id: WorkspaceId::new(seed(0)),
        workspace_name: "Test".to_owned(),
        plan,
        api_version: ApiVersion("2026-01-14".to_owned()),
        production: environment(1, key),
        sandbox: environment(2, KeyHash([2; 32])),
        pepper_check: pepper(7).pepper_check(),
    };
    stamped(0, Command::Bootstrap(Box::new(bootstrap)))
}

/// The first key, in `production`.
pub(crate) fn actor() -> Actor {
    Actor {
        workspace_id: WorkspaceId::new(seed(0)),
        environment_id: EnvironmentId::new(seed(1)),
        api_key_id: ApiKeyId::new(seed(1)),
    }
}

pub(crate) fn upstream_id(number: u64) -> UpstreamId {
    UpstreamId::new(seed(number))
}

pub(crate) fn endpoint_id(number: u64) -> WebhookEndpointId {
    WebhookEndpointId::new(seed(number))
}

/// Makes a webhook endpoint that gets everything.
pub(crate) fn endpoint(number: u64, url: &str) -> Stamped {
    let create = CreateWebhookEndpoint {
        id: endpoint_id(number),
        url: url.to_owned(),
        events: Vec::new(),
        description: None,
        api_version: None,
    };
    stamped(
        1_000 + number,
        Command::CreateWebhookEndpoint(actor(), create),
    )
}

/// Renames the upstream with that number, which is an event. `request` is its own number.
pub(crate) fn rename(number: u64, request: u64) -> Stamped {
    let update = UpdateUpstream {
        id: upstream_id(number),
        draft_seed: DraftSeed {
            unix_ms: 1_700_000_000_000,
            random: request,
        },
        name: Some(format!("upstream {number}, renamed")),
        algorithm: None,
        targets: None,
        named: Vec::new(),
        settings: None,
    };
    stamped(request, Command::UpdateUpstream(actor(), update))
}

/// Makes the upstream with that number.
pub(crate) fn create(number: u64) -> Stamped {
    let create = CreateUpstream {
        id: upstream_id(number),
        name: format!("upstream {number}"),
        algorithm: Algorithm::WeightedRoundRobin,
        targets: vec![Target {
            id: TargetId::new(seed(number)),
            address: "192.0.2.1".to_owned(),
            port: 80,
            weight: 1,
            regions: Vec::new(),
            drain: false,
        }],
        settings: None,
    };
    stamped(number, Command::CreateUpstream(actor(), create))
}

/// The same with an idempotency key.
pub(crate) fn create_once(number: u64) -> Stamped {
    let idempotency = Idempotency {
        key: IdempotencyKey(format!("00000000-0000-4000-8000-{number:012}")),
        fingerprint: Fingerprint([0; 32]),
    };
    Stamped {
        idempotency: Some(idempotency),
        ..create(number)
    }
}

/// Whether the node has applied the upstream with that number.
pub(crate) fn has(control: &dyn ControlPlane, number: u64) -> bool {
    let found = control.read_local(|view| {
        query::upstream(
            view,
            &EnvironmentId::new(seed(1)),
            &UpstreamId::new(seed(number)),
        )
        .is_some()
    });
    found.unwrap().0
}
