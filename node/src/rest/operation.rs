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

/// A path that nobody serves.
pub(crate) const UNKNOWN_PATH: Operation = read("unknown_path", "", Policy::Open);
/// A path that is served, by another method.
pub(crate) const UNKNOWN_METHOD: Operation = read("unknown_method", "", Policy::Open);
