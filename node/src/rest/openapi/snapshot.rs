//! What the state machine itself renders of snapshots: their content and their differences, in the
//! normalised form that edges compile.

// They are described and never made.
#![allow(dead_code)]

use utoipa::ToSchema;

use super::shape;

/// A snapshot's content, normalised.
#[derive(ToSchema)]
pub(crate) struct SnapshotContent {
    route: RouteContent,
    /// As they are tried.
    rules: Vec<RuleContent>,
    upstreams: Vec<UpstreamContent>,
}

/// A route's settings in a snapshot.
#[derive(ToSchema)]
struct RouteContent {
    route_id: shape::RouteId,
    name: shape::Name,
    hostname: shape::Hostname,
    mode: shape::RouteMode,
    enabled: bool,
    config: shape::RouteConfig,
}

/// A rule in a snapshot.
#[derive(ToSchema)]
struct RuleContent {
    id: shape::RuleId,
    name: shape::Name,
    priority: shape::Priority,
    r#match: shape::Match,
    action: shape::Action,
    metadata: shape::Metadata,
}

/// An upstream in a snapshot.
#[derive(ToSchema)]
struct UpstreamContent {
    id: shape::UpstreamId,
    name: shape::Name,
    algorithm: shape::Algorithm,
    protocol: shape::UpstreamProtocol,
    hash: shape::HashSource,
    #[schema(required = true)]
    tls: Option<shape::UpstreamTls>,
    #[schema(required = true)]
    health_check: Option<shape::HealthCheckConfig>,
    ejection: shape::Ejection,
    limits: shape::UpstreamLimits,
    targets: Vec<TargetContent>,
}

/// A target in a snapshot.
#[derive(ToSchema)]
struct TargetContent {
    id: shape::TargetId,
    address: shape::Address,
    port: shape::Port,
    weight: shape::Weight,
    regions: shape::TargetRegions,
    drain: bool,
}

/// What differs between two states of a route.
#[derive(ToSchema)]
pub(crate) struct SnapshotChanges {
    /// Whether nothing does.
    identical: bool,
    /// Of the settings.
    route: Vec<FieldDifference>,
    rules: RuleDifferences,
    upstreams: UpstreamDifferences,
}

/// One field on both sides; `null` stands for a field that is not there.
#[derive(ToSchema)]
struct FieldDifference {
    path: String,
    #[schema(required = true)]
    before: Option<serde_json::Value>,
    #[schema(required = true)]
    after: Option<serde_json::Value>,
}

/// What differs among the rules.
#[derive(ToSchema)]
struct RuleDifferences {
    added: Vec<RuleContent>,
    removed: Vec<RuleContent>,
    changed: Vec<RuleDifference>,
    /// Those with another priority.
    moved: Vec<RuleMovement>,
}

/// A rule with other content.
#[derive(ToSchema)]
struct RuleDifference {
    id: shape::RuleId,
    name: shape::Name,
    priority: shape::Priority,
    fields: Vec<FieldDifference>,
}

/// A rule with another priority.
#[derive(ToSchema)]
struct RuleMovement {
    id: shape::RuleId,
    name: shape::Name,
    from: shape::Priority,
    to: shape::Priority,
}

/// What differs among the upstreams.
#[derive(ToSchema)]
struct UpstreamDifferences {
    added: Vec<UpstreamContent>,
    removed: Vec<UpstreamContent>,
    changed: Vec<UpstreamDifference>,
}

/// An upstream with other content.
#[derive(ToSchema)]
struct UpstreamDifference {
    id: shape::UpstreamId,
    name: shape::Name,
    fields: Vec<FieldDifference>,
}
