//! Objects that an answer puts together of another one and a field.

// They are described and never made.
#![allow(dead_code)]

use utoipa::ToSchema;

use super::super::object::{RouteObject, RuleObject};
use super::super::regions::RegionObject;
use super::shape;

/// What these are called by `object`: the same as what they are made of.
pub(super) const CALLED: [(&str, &str); 3] = [
    ("SwitchedRule", "rule"),
    ("SwitchedRoute", "route"),
    ("GatheredRegion", "region"),
];

/// A rule that was switched.
#[derive(ToSchema)]
pub(crate) struct SwitchedRule {
    #[serde(flatten)]
    rule: RuleObject<'static>,
    /// The active snapshot that has it so; none unless `publish` was given.
    snapshot_id: Option<shape::SnapshotId>,
}

/// A route that was switched.
#[derive(ToSchema)]
pub(crate) struct SwitchedRoute {
    #[serde(flatten)]
    route: RouteObject<'static>,
    /// The active snapshot that has it so; none unless `publish` was given.
    snapshot_id: Option<shape::SnapshotId>,
}

/// A region, and who did not answer.
#[derive(ToSchema)]
pub(crate) struct GatheredRegion {
    #[serde(flatten)]
    region: RegionObject<'static>,
    silent_nodes: Vec<u64>,
}
