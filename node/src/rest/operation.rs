//! The operations of the API by name: what logs and metrics call them, whether a request that
//! was cut off may have changed something, and what a key needs for them. There is no operation
//! without a policy.

use domain::model::Resource;

use super::policy::{Policy, Target};

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// Its name in logs and metrics.
    pub(crate) name: &'static str,
    /// The path pattern, in axum's syntax.
    pub(crate) path: &'static str,
    /// Whether it may change something.
    pub(crate) effect: Effect,
    /// What a key needs for it.
    pub(crate) policy: Policy,
}

/// Whether an operation may change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    Write,
}

const fn read(name: &'static str, path: &'static str, policy: Policy) -> Operation {
    Operation {
        name,
        path,
        effect: Effect::Read,
        policy,
    }
}

const fn write(name: &'static str, path: &'static str, policy: Policy) -> Operation {
    Operation {
        name,
        path,
        effect: Effect::Write,
        policy,
    }
}

pub(crate) const RULES_LIST: Operation = read(
    "rules.list",
    "/v2/rules",
    Policy::reads(Resource::Rules, Target::Filtered),
);
pub(crate) const RULES_CREATE: Operation = write(
    "rules.create",
    "/v2/rules",
    Policy::writes(Resource::Rules, Target::Filtered),
);
pub(crate) const RULES_GET: Operation = read(
    "rules.get",
    "/v2/rules/{id}",
    Policy::reads(Resource::Rules, Target::Rule),
);
pub(crate) const RULES_UPDATE: Operation = write(
    "rules.update",
    "/v2/rules/{id}",
    Policy::writes(Resource::Rules, Target::Rule),
);
pub(crate) const RULES_ARCHIVE: Operation = write(
    "rules.archive",
    "/v2/rules/{id}",
    Policy::writes(Resource::Rules, Target::Rule),
);

pub(crate) const ROUTES_LIST: Operation = read(
    "routes.list",
    "/v2/routes",
    Policy::reads(Resource::Routes, Target::Filtered),
);
pub(crate) const ROUTES_CREATE: Operation = write(
    "routes.create",
    "/v2/routes",
    Policy::writes(Resource::Routes, Target::Shared),
);
pub(crate) const ROUTES_GET: Operation = read(
    "routes.get",
    "/v2/routes/{id}",
    Policy::reads(Resource::Routes, Target::Route),
);
pub(crate) const ROUTES_UPDATE: Operation = write(
    "routes.update",
    "/v2/routes/{id}",
    Policy::writes(Resource::Routes, Target::Route),
);
pub(crate) const ROUTES_ARCHIVE: Operation = write(
    "routes.archive",
    "/v2/routes/{id}",
    Policy::writes(Resource::Routes, Target::Route),
);
pub(crate) const ROUTES_PUBLISH: Operation = write(
    "routes.publish",
    "/v2/routes/{id}/publish",
    Policy::writes(Resource::Snapshots, Target::Route),
);
pub(crate) const ROUTES_ROLLBACK: Operation = write(
    "routes.rollback",
    "/v2/routes/{id}/rollback",
    Policy::writes(Resource::Snapshots, Target::Route),
);
pub(crate) const ROUTES_SNAPSHOTS: Operation = read(
    "routes.snapshots",
    "/v2/routes/{id}/snapshots",
    Policy::reads(Resource::Snapshots, Target::Route),
);

pub(crate) const UPSTREAMS_LIST: Operation = read(
    "upstreams.list",
    "/v2/upstreams",
    Policy::reads(Resource::Upstreams, Target::Shared),
);
pub(crate) const UPSTREAMS_CREATE: Operation = write(
    "upstreams.create",
    "/v2/upstreams",
    Policy::writes(Resource::Upstreams, Target::Shared),
);
pub(crate) const UPSTREAMS_GET: Operation = read(
    "upstreams.get",
    "/v2/upstreams/{id}",
    Policy::reads(Resource::Upstreams, Target::Upstream),
);
pub(crate) const UPSTREAMS_UPDATE: Operation = write(
    "upstreams.update",
    "/v2/upstreams/{id}",
    Policy::writes(Resource::Upstreams, Target::Upstream),
);
pub(crate) const UPSTREAMS_DELETE: Operation = write(
    "upstreams.delete",
    "/v2/upstreams/{id}",
    Policy::writes(Resource::Upstreams, Target::Upstream),
);

pub(crate) const SNAPSHOTS_LIST: Operation = read(
    "snapshots.list",
    "/v2/snapshots",
    Policy::reads(Resource::Snapshots, Target::Filtered),
);
pub(crate) const SNAPSHOTS_GET: Operation = read(
    "snapshots.get",
    "/v2/snapshots/{id}",
    Policy::reads(Resource::Snapshots, Target::Snapshot),
);
pub(crate) const SNAPSHOTS_DIFF: Operation = read(
    "snapshots.diff",
    "/v2/snapshots/{id}/diff/{other}",
    Policy::reads(Resource::Snapshots, Target::Snapshots),
);
pub(crate) const SNAPSHOTS_PROPAGATION: Operation = read(
    "snapshots.propagation",
    "/v2/snapshots/{id}/propagation",
    Policy::reads(Resource::Snapshots, Target::Snapshot),
);

pub(crate) const EDGES_LIST: Operation = read(
    "edges.list",
    "/v2/edges",
    Policy::reads(Resource::Edges, Target::Shared),
);

pub(crate) const EVENTS_LIST: Operation = read(
    "events.list",
    "/v2/events",
    Policy::reads(Resource::Events, Target::Filtered),
);
pub(crate) const EVENTS_STREAM: Operation = read(
    "events.stream",
    "/v2/events/stream",
    Policy::reads(Resource::Events, Target::Filtered),
);
pub(crate) const EVENTS_GET: Operation = read(
    "events.get",
    "/v2/events/{id}",
    Policy::reads(Resource::Events, Target::Event),
);
pub(crate) const EVENTS_REPLAY: Operation = write(
    "events.replay",
    "/v2/events/{id}/replay",
    Policy::writes(Resource::Webhooks, Target::Event),
);
pub(crate) const AUDIT_LIST: Operation = read(
    "audit_log.list",
    "/v2/audit_log",
    Policy::reads(Resource::AuditLog, Target::Filtered),
);
pub(crate) const AUDIT_PROOF: Operation = read(
    "audit_log.proof",
    "/v2/audit_log/proof",
    Policy::reads(Resource::AuditLog, Target::Shared),
);
pub(crate) const AUDIT_GET: Operation = read(
    "audit_log.get",
    "/v2/audit_log/{id}",
    Policy::reads(Resource::AuditLog, Target::AuditEntry),
);

pub(crate) const CERTIFICATES_LIST: Operation = read(
    "certificates.list",
    "/v2/certificates",
    Policy::reads(Resource::Certificates, Target::Shared),
);
pub(crate) const CERTIFICATES_CREATE: Operation = write(
    "certificates.create",
    "/v2/certificates",
    Policy::writes(Resource::Certificates, Target::Shared),
);
pub(crate) const CERTIFICATES_GET: Operation = read(
    "certificates.get",
    "/v2/certificates/{id}",
    Policy::reads(Resource::Certificates, Target::Certificate),
);
pub(crate) const CERTIFICATES_UPDATE: Operation = write(
    "certificates.update",
    "/v2/certificates/{id}",
    Policy::writes(Resource::Certificates, Target::Certificate),
);
pub(crate) const CERTIFICATES_DELETE: Operation = write(
    "certificates.delete",
    "/v2/certificates/{id}",
    Policy::writes(Resource::Certificates, Target::Certificate),
);

pub(crate) const WEBHOOKS_LIST: Operation = read(
    "webhooks.list",
    "/v2/webhook_endpoints",
    Policy::reads(Resource::Webhooks, Target::Shared),
);
pub(crate) const WEBHOOKS_CREATE: Operation = write(
    "webhooks.create",
    "/v2/webhook_endpoints",
    Policy::writes(Resource::Webhooks, Target::Shared),
);
pub(crate) const WEBHOOKS_GET: Operation = read(
    "webhooks.get",
    "/v2/webhook_endpoints/{id}",
    Policy::reads(Resource::Webhooks, Target::WebhookEndpoint),
);
pub(crate) const WEBHOOKS_UPDATE: Operation = write(
    "webhooks.update",
    "/v2/webhook_endpoints/{id}",
    Policy::writes(Resource::Webhooks, Target::WebhookEndpoint),
);
pub(crate) const WEBHOOKS_DELETE: Operation = write(
    "webhooks.delete",
    "/v2/webhook_endpoints/{id}",
    Policy::writes(Resource::Webhooks, Target::WebhookEndpoint),
);
pub(crate) const WEBHOOKS_ROTATE: Operation = write(
    "webhooks.rotate_secret",
    "/v2/webhook_endpoints/{id}/rotate_secret",
    Policy::writes(Resource::Webhooks, Target::WebhookEndpoint),
);
pub(crate) const WEBHOOKS_ENABLE: Operation = write(
    "webhooks.enable",
    "/v2/webhook_endpoints/{id}/enable",
    Policy::writes(Resource::Webhooks, Target::WebhookEndpoint),
);
pub(crate) const WEBHOOKS_DISABLE: Operation = write(
    "webhooks.disable",
    "/v2/webhook_endpoints/{id}/disable",
    Policy::writes(Resource::Webhooks, Target::WebhookEndpoint),
);
pub(crate) const WEBHOOKS_TEST: Operation = read(
    "webhooks.test",
    "/v2/webhook_endpoints/{id}/test",
    Policy::writes(Resource::Webhooks, Target::WebhookEndpoint),
);
pub(crate) const DELIVERIES_LIST: Operation = read(
    "deliveries.list",
    "/v2/webhook_deliveries",
    Policy::reads(Resource::Webhooks, Target::Shared),
);
pub(crate) const DELIVERIES_GET: Operation = read(
    "deliveries.get",
    "/v2/webhook_deliveries/{id}",
    Policy::reads(Resource::Webhooks, Target::WebhookDelivery),
);
pub(crate) const DELIVERIES_RETRY: Operation = write(
    "deliveries.retry",
    "/v2/webhook_deliveries/{id}/retry",
    Policy::writes(Resource::Webhooks, Target::WebhookDelivery),
);
pub(crate) const RULES_PAUSE: Operation = write(
    "rules.pause",
    "/v2/rules/{id}/pause",
    Policy::writes(Resource::Rules, Target::Rule),
);
pub(crate) const RULES_RESUME: Operation = write(
    "rules.resume",
    "/v2/rules/{id}/resume",
    Policy::writes(Resource::Rules, Target::Rule),
);
pub(crate) const RULES_BATCH: Operation = write(
    "rules.batch",
    "/v2/rules/batch",
    Policy::writes(Resource::Rules, Target::Shared),
);
pub(crate) const RULES_VERSIONS: Operation = read(
    "rules.versions",
    "/v2/rules/{id}/versions",
    Policy::reads(Resource::Rules, Target::Rule),
);
pub(crate) const RULES_VERSION: Operation = read(
    "rules.version",
    "/v2/rules/{id}/versions/{version}",
    Policy::reads(Resource::Rules, Target::Rule),
);
pub(crate) const ROUTES_ENABLE: Operation = write(
    "routes.enable",
    "/v2/routes/{id}/enable",
    Policy::writes(Resource::Routes, Target::Route),
);
pub(crate) const ROUTES_DISABLE: Operation = write(
    "routes.disable",
    "/v2/routes/{id}/disable",
    Policy::writes(Resource::Routes, Target::Route),
);
pub(crate) const ROUTES_PURGE: Operation = write(
    "routes.purge",
    "/v2/routes/{id}/purge",
    Policy::writes(Resource::Routes, Target::Route),
);
pub(crate) const ROUTES_REORDER: Operation = write(
    "routes.reorder",
    "/v2/routes/{id}/rules/reorder",
    Policy::writes(Resource::Rules, Target::Route),
);
pub(crate) const ROUTES_VALIDATE: Operation = read(
    "routes.validate",
    "/v2/routes/{id}/validate",
    Policy::reads(Resource::Routes, Target::Route),
);
pub(crate) const TARGETS_LIST: Operation = read(
    "targets.list",
    "/v2/upstreams/{id}/targets",
    Policy::reads(Resource::Upstreams, Target::Upstream),
);
pub(crate) const TARGETS_CREATE: Operation = write(
    "targets.create",
    "/v2/upstreams/{id}/targets",
    Policy::writes(Resource::Upstreams, Target::Upstream),
);
pub(crate) const TARGETS_GET: Operation = read(
    "targets.get",
    "/v2/upstreams/{id}/targets/{target}",
    Policy::reads(Resource::Upstreams, Target::Upstream),
);
pub(crate) const TARGETS_UPDATE: Operation = write(
    "targets.update",
    "/v2/upstreams/{id}/targets/{target}",
    Policy::writes(Resource::Upstreams, Target::Upstream),
);
pub(crate) const TARGETS_DELETE: Operation = write(
    "targets.delete",
    "/v2/upstreams/{id}/targets/{target}",
    Policy::writes(Resource::Upstreams, Target::Upstream),
);
pub(crate) const UPSTREAMS_SHIFT: Operation = write(
    "upstreams.shift",
    "/v2/upstreams/{id}/shift",
    Policy::writes(Resource::Upstreams, Target::Upstream),
);
pub(crate) const UPSTREAMS_CANCEL_SHIFT: Operation = write(
    "upstreams.cancel_shift",
    "/v2/upstreams/{id}/shift",
    Policy::writes(Resource::Upstreams, Target::Upstream),
);
pub(crate) const SNAPSHOTS_ACKS: Operation = read(
    "snapshots.acks",
    "/v2/snapshots/{id}/acks",
    Policy::reads(Resource::Snapshots, Target::Snapshot),
);
pub(crate) const SNAPSHOTS_SIGNATURE: Operation = read(
    "snapshots.signature",
    "/v2/snapshots/{id}/signature",
    Policy::reads(Resource::Snapshots, Target::Snapshot),
);
pub(crate) const MANIFESTS_CURRENT: Operation = read(
    "manifests.current",
    "/v2/manifests/current",
    Policy::reads(Resource::Snapshots, Target::Shared),
);
pub(crate) const EDGES_GET: Operation = read(
    "edges.get",
    "/v2/edges/{id}",
    Policy::reads(Resource::Edges, Target::Shared),
);
pub(crate) const EDGES_REVOKE: Operation = write(
    "edges.revoke",
    "/v2/edges/{id}/revoke",
    Policy::manages(Target::Shared),
);
pub(crate) const EDGE_TOKENS_LIST: Operation = read(
    "edge_tokens.list",
    "/v2/edge_tokens",
    Policy::reads(Resource::Edges, Target::Shared),
);
pub(crate) const EDGE_TOKENS_CREATE: Operation = write(
    "edge_tokens.create",
    "/v2/edge_tokens",
    Policy::manages(Target::Shared),
);
pub(crate) const EDGE_TOKENS_GET: Operation = read(
    "edge_tokens.get",
    "/v2/edge_tokens/{id}",
    Policy::reads(Resource::Edges, Target::EdgeToken),
);
pub(crate) const EDGE_TOKENS_DELETE: Operation = write(
    "edge_tokens.delete",
    "/v2/edge_tokens/{id}",
    Policy::manages(Target::EdgeToken),
);
pub(crate) const UPSTREAMS_HEALTH: Operation = read(
    "upstreams.health",
    "/v2/upstreams/{id}/health",
    Policy::reads(Resource::Upstreams, Target::Upstream),
);
pub(crate) const REGIONS_LIST: Operation = read(
    "regions.list",
    "/v2/regions",
    Policy::reads(Resource::Edges, Target::Shared),
);
pub(crate) const REGIONS_GET: Operation = read(
    "regions.get",
    "/v2/regions/{id}",
    Policy::reads(Resource::Edges, Target::Shared),
);

pub(crate) const TELEMETRY_LATENCY: Operation = read(
    "telemetry.latency",
    "/v2/telemetry/latency",
    Policy::reads(Resource::Edges, Target::Filtered),
);
pub(crate) const TELEMETRY_AVAILABILITY: Operation = read(
    "telemetry.availability",
    "/v2/telemetry/availability",
    Policy::reads(Resource::Edges, Target::Filtered),
);
pub(crate) const TELEMETRY_DECISIONS: Operation = read(
    "telemetry.decisions",
    "/v2/telemetry/decisions",
    Policy::reads(Resource::Edges, Target::Filtered),
);
pub(crate) const RULES_STATS: Operation = read(
    "rules.stats",
    "/v2/rules/{id}/stats",
    Policy::reads(Resource::Rules, Target::Rule),
);

pub(crate) const API_KEYS_LIST: Operation = read(
    "api_keys.list",
    "/v2/api_keys",
    Policy::reads(Resource::ApiKeys, Target::Shared),
);
pub(crate) const API_KEYS_CREATE: Operation = write(
    "api_keys.create",
    "/v2/api_keys",
    Policy::manages(Target::Shared),
);
pub(crate) const API_KEYS_CURRENT: Operation =
    read("api_keys.current", "/v2/api_keys/current", Policy::Own);
pub(crate) const API_KEYS_GET: Operation = read(
    "api_keys.get",
    "/v2/api_keys/{id}",
    Policy::reads(Resource::ApiKeys, Target::ApiKey),
);
pub(crate) const API_KEYS_UPDATE: Operation = write(
    "api_keys.update",
    "/v2/api_keys/{id}",
    Policy::manages(Target::ApiKey),
);
pub(crate) const API_KEYS_DELETE: Operation = write(
    "api_keys.delete",
    "/v2/api_keys/{id}",
    Policy::manages(Target::ApiKey),
);
pub(crate) const API_KEYS_ROLL: Operation = write(
    "api_keys.roll",
    "/v2/api_keys/{id}/roll",
    Policy::manages(Target::ApiKey),
);
pub(crate) const API_KEYS_REVOKE: Operation = write(
    "api_keys.revoke",
    "/v2/api_keys/{id}/revoke",
    Policy::manages(Target::ApiKey),
);

pub(crate) const ENVIRONMENTS_LIST: Operation = read(
    "environments.list",
    "/v2/environments",
    Policy::reads(Resource::Environments, Target::Shared),
);
pub(crate) const ENVIRONMENTS_CREATE: Operation = write(
    "environments.create",
    "/v2/environments",
    Policy::manages(Target::Shared),
);
pub(crate) const ENVIRONMENTS_GET: Operation = read(
    "environments.get",
    "/v2/environments/{id}",
    Policy::reads(Resource::Environments, Target::Environment),
);
pub(crate) const WORKSPACE_GET: Operation = read(
    "workspace.get",
    "/v2/workspace",
    Policy::reads(Resource::Workspace, Target::Shared),
);
pub(crate) const WORKSPACE_UPDATE: Operation = write(
    "workspace.update",
    "/v2/workspace",
    Policy::manages(Target::Shared),
);
pub(crate) const WORKSPACE_USAGE: Operation = read(
    "workspace.usage",
    "/v2/workspace/usage",
    Policy::reads(Resource::Workspace, Target::Shared),
);
pub(crate) const WORKSPACE_LIMITS: Operation = read(
    "workspace.limits",
    "/v2/workspace/limits",
    Policy::reads(Resource::Workspace, Target::Shared),
);

pub(crate) const LIVEZ: Operation = read("livez", "/livez", Policy::Open);
pub(crate) const READYZ: Operation = read("readyz", "/readyz", Policy::Open);
pub(crate) const METRICS: Operation = read("metrics", "/metrics", Policy::Open);

pub(crate) const OPENAPI: Operation = read("openapi", "/v2/openapi.json", Policy::Open);
pub(crate) const DOCS: Operation = read("docs", "/docs", Policy::Open);

pub(crate) const V1: Operation = read("v1", "/v1", Policy::Open);
pub(crate) const V1_SLASH: Operation = read("v1", "/v1/", Policy::Open);
pub(crate) const V1_BELOW: Operation = read("v1", "/v1/{*rest}", Policy::Open);

/// A path that nobody serves.
pub(crate) const UNKNOWN_PATH: Operation = read("unknown_path", "", Policy::Open);
/// A path that is served, by another method.
pub(crate) const UNKNOWN_METHOD: Operation = read("unknown_method", "", Policy::Open);
