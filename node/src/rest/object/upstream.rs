//! The upstream object, its targets inside it.

use domain::model::{Shift, Target, Upstream};
use domain::time::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::super::openapi::shape;
use super::super::render::{Seconds, seconds};
use super::shift::ShiftObject;

/// An upstream as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Upstream)]
pub(crate) struct UpstreamObject<'a> {
    #[schema(value_type = shape::UpstreamId)]
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::Name)]
    name: &'a str,
    #[schema(value_type = shape::Algorithm)]
    algorithm: &'static str,
    #[schema(value_type = shape::UpstreamProtocol)]
    protocol: Value,
    #[schema(value_type = shape::HashSource)]
    hash: Value,
    #[schema(value_type = Option<shape::UpstreamTls>)]
    tls: Value,
    #[schema(value_type = Option<shape::HealthCheckConfig>)]
    health_check: Value,
    #[schema(value_type = shape::Ejection)]
    ejection: Value,
    #[schema(value_type = shape::UpstreamLimits)]
    limits: Value,
    #[schema(value_type = Vec<TargetObject<'static>>)]
    targets: Targets<'a>,
    /// The latest shift of weight between its targets, running or not.
    shift: Option<ShiftObject<'a>>,
    #[schema(value_type = shape::ApiKeyId)]
    created_by: &'a str,
    created_at: Seconds,
    updated_at: Option<u64>,
}

/// A target as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Target)]
pub(crate) struct TargetObject<'a> {
    #[schema(value_type = shape::TargetId)]
    id: &'a str,
    object: &'static str,
    #[schema(value_type = shape::Address)]
    address: &'a str,
    #[schema(value_type = shape::Port)]
    port: u16,
    #[schema(value_type = shape::Weight)]
    weight: u32,
    #[schema(value_type = shape::TargetRegions)]
    regions: &'a [String],
    drain: bool,
}

struct Targets<'a>(&'a [Target]);

impl Serialize for Targets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(TargetObject::new))
    }
}

impl<'a> TargetObject<'a> {
    /// Shows a target.
    pub(crate) fn new(target: &'a Target) -> Self {
        Self {
            id: target.id.as_str(),
            object: "target",
            address: &target.address,
            port: target.port,
            weight: target.weight,
            regions: &target.regions,
            drain: target.drain,
        }
    }
}

impl<'a> UpstreamObject<'a> {
    /// Shows an upstream with its latest shift; `environment` is the name of the environment it lives
    /// in.
    pub(crate) fn new(
        upstream: &'a Upstream,
        shift: Option<&'a Shift>,
        environment: &'a str,
    ) -> Self {
        let mut settings = upstream.settings.to_json();
        let mut setting = |name: &str| settings.remove(name).unwrap_or_default();
        Self {
            id: upstream.id.as_str(),
            object: "upstream",
            environment,
            name: &upstream.name,
            algorithm: upstream.algorithm.as_str(),
            protocol: setting("protocol"),
            hash: setting("hash"),
            tls: setting("tls"),
            health_check: setting("health_check"),
            ejection: setting("ejection"),
            limits: setting("limits"),
            targets: Targets(&upstream.targets),
            shift: shift.map(ShiftObject::new),
            created_by: upstream.created_by.as_str(),
            created_at: Seconds(upstream.created_at),
            updated_at: seconds(upstream.updated_at),
        }
    }
}

/// What is left of an upstream or a target that was removed.
#[derive(Serialize, ToSchema)]
#[schema(as = Deleted)]
pub(crate) struct Deleted<'a> {
    /// What its identifier was.
    id: &'a str,
    #[schema(value_type = shape::DeletedKind)]
    object: &'static str,
    deleted: bool,
    deleted_at: Seconds,
}

impl<'a> Deleted<'a> {
    /// Shows that an object was removed.
    pub(crate) fn new(object: &'static str, id: &'a str, at: Timestamp) -> Self {
        Self {
            id,
            object,
            deleted: true,
            deleted_at: Seconds(at),
        }
    }
}
