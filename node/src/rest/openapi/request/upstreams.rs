//! Upstreams and their targets.

use utoipa::ToSchema;

use super::super::shape;

/// A new upstream.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpstreamCreate {
    name: shape::Name,
    algorithm: Option<shape::Algorithm>,
    targets: shape::NewTargets,
    protocol: Option<shape::UpstreamProtocol>,
    hash: Option<shape::HashSource>,
    tls: Option<shape::UpstreamTls>,
    health_check: Option<shape::HealthCheckConfig>,
    ejection: Option<shape::Ejection>,
    limits: Option<shape::UpstreamLimits>,
}

/// A change of an upstream: the fields that are there.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpstreamUpdate {
    name: Option<shape::Name>,
    algorithm: Option<shape::Algorithm>,
    targets: Option<shape::KeptTargets>,
    protocol: Option<shape::UpstreamProtocol>,
    hash: Option<shape::HashSource>,
    tls: Option<shape::UpstreamTls>,
    health_check: Option<shape::HealthCheckConfig>,
    ejection: Option<shape::Ejection>,
    limits: Option<shape::UpstreamLimits>,
}

/// A new target.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTarget {
    address: shape::Address,
    port: shape::Port,
    /// 100 unless given.
    weight: Option<shape::Weight>,
    regions: Option<shape::TargetRegions>,
    drain: Option<bool>,
}

/// A target that stays, by its `id`, or a new one without.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptTarget {
    id: Option<shape::TargetId>,
    /// Taken so that a target can be sent as it was shown.
    #[schema(pattern = "^target$")]
    object: Option<String>,
    address: shape::Address,
    port: shape::Port,
    /// 100 unless given.
    weight: Option<shape::Weight>,
    regions: Option<shape::TargetRegions>,
    drain: Option<bool>,
}

/// How weight goes from one target to another one, step by step.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShiftStart {
    /// Whose weight goes, all of it.
    from: shape::TargetId,
    /// Who gets it.
    to: shape::TargetId,
    steps: shape::ShiftSteps,
    interval_s: shape::ShiftInterval,
    abort_on: Option<ShiftAbortOn>,
}

/// What takes a shift back.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShiftAbortOn {
    /// Whether it is taken back when the upstream goes out of use in a region; `true` unless given.
    upstream_failed: Option<bool>,
    error_rate: Option<shape::ErrorRate>,
    min_requests: Option<shape::MinRequests>,
}

/// A change of a target: the fields that are there.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetUpdate {
    address: Option<shape::Address>,
    port: Option<shape::Port>,
    weight: Option<shape::Weight>,
    regions: Option<shape::TargetRegions>,
    drain: Option<bool>,
}
