//! The workspace and environment objects, and what a workspace uses of its limits.

use domain::limits::{RULES_PER_ROUTE_MAX, TARGETS_MAX};
use domain::model::{Environment, Plan, Workspace};
use domain::query::Usage;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::json::BODY_BYTES_MAX;
use super::super::openapi::shape;
use super::super::render::{Seconds, seconds};

/// An environment as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Environment)]
pub(crate) struct EnvironmentObject<'a> {
    #[schema(value_type = shape::EnvironmentId)]
    id: &'a str,
    object: &'static str,
    #[schema(value_type = shape::EnvironmentName)]
    name: &'a str,
    #[schema(value_type = shape::EnvironmentKind)]
    kind: &'static str,
    created_at: Seconds,
}

impl<'a> EnvironmentObject<'a> {
    pub(crate) fn new(environment: &'a Environment) -> Self {
        Self {
            id: environment.id.as_str(),
            object: "environment",
            name: &environment.name,
            kind: environment.kind.as_str(),
            created_at: Seconds(environment.created_at),
        }
    }
}

/// A workspace as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Workspace)]
pub(crate) struct WorkspaceObject<'a> {
    #[schema(value_type = shape::WorkspaceId)]
    id: &'a str,
    object: &'static str,
    #[schema(value_type = shape::Name)]
    name: &'a str,
    #[schema(value_type = shape::Plan)]
    plan: &'static str,
    api_version: &'a str,
    created_at: Seconds,
    updated_at: Option<u64>,
}

impl<'a> WorkspaceObject<'a> {
    pub(crate) fn new(workspace: &'a Workspace) -> Self {
        Self {
            id: workspace.id.as_str(),
            object: "workspace",
            name: &workspace.name,
            plan: workspace.plan.as_str(),
            api_version: &workspace.api_version.0,
            created_at: Seconds(workspace.created_at),
            updated_at: seconds(workspace.updated_at),
        }
    }
}

/// A workspace's limits as clients see them; `null` is none.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkspaceLimits)]
pub(crate) struct LimitsObject {
    object: &'static str,
    #[schema(value_type = shape::Plan)]
    plan: &'static str,
    environments: u64,
    routes_per_environment: Option<u64>,
    rules_per_route: u64,
    targets_per_upstream: usize,
    request_body_bytes: usize,
}

impl LimitsObject {
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            object: "workspace_limits",
            plan: plan.as_str(),
            environments: plan.environments_max(),
            routes_per_environment: plan.routes_max(),
            rules_per_route: RULES_PER_ROUTE_MAX,
            targets_per_upstream: TARGETS_MAX,
            request_body_bytes: BODY_BYTES_MAX,
        }
    }
}

/// What a workspace uses, as clients see it, in the environments that exist for the caller.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkspaceUsage)]
pub(crate) struct UsageObject<'a> {
    object: &'static str,
    #[schema(value_type = shape::Plan)]
    plan: &'static str,
    environments: Vec<EnvironmentUsage<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EnvironmentUsage)]
struct EnvironmentUsage<'a> {
    environment: &'a str,
    /// Those that are not archived.
    routes: u64,
    routes_limit: Option<u64>,
    /// Those that are not archived.
    rules: u64,
    upstreams: u64,
    snapshots: u64,
}

impl<'a> UsageObject<'a> {
    pub(crate) fn new(plan: Plan, environments: &'a [(Environment, Usage)]) -> Self {
        let shown = |(environment, usage): &'a (Environment, Usage)| EnvironmentUsage {
            environment: &environment.name,
            routes: usage.routes,
            routes_limit: plan.routes_max(),
            rules: usage.objects.rules,
            upstreams: usage.objects.upstreams,
            snapshots: usage.objects.snapshots,
        };
        Self {
            object: "workspace_usage",
            plan: plan.as_str(),
            environments: environments.iter().map(shown).collect(),
        }
    }
}
