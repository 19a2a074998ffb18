//! The upstream object, its targets inside it.

use domain::model::{Target, Upstream};
use domain::time::Timestamp;
use serde::{Serialize, Serializer};

use super::super::render::{Seconds, seconds};

/// An upstream as clients see it.
#[derive(Serialize)]
pub(crate) struct UpstreamObject<'a> {
    id: &'a str,
    object: &'static str,
    environment: &'a str,
    name: &'a str,
    algorithm: &'static str,
    targets: Targets<'a>,
    created_by: &'a str,
    created_at: Seconds,
    updated_at: Option<u64>,
}

/// A target as clients see it.
#[derive(Serialize)]
pub(crate) struct TargetObject<'a> {
    id: &'a str,
    object: &'static str,
    address: &'a str,
    port: u16,
    weight: u32,
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
        }
    }
}

impl<'a> UpstreamObject<'a> {
    /// Shows an upstream; `environment` is the name of the environment it lives in.
    pub(crate) fn new(upstream: &'a Upstream, environment: &'a str) -> Self {
        Self {
            id: upstream.id.as_str(),
            object: "upstream",
            environment,
            name: &upstream.name,
            algorithm: upstream.algorithm.as_str(),
            targets: Targets(&upstream.targets),
            created_by: upstream.created_by.as_str(),
            created_at: Seconds(upstream.created_at),
            updated_at: seconds(upstream.updated_at),
        }
    }
}

/// What is left of an upstream or a target that was removed.
#[derive(Serialize)]
pub(crate) struct Deleted<'a> {
    id: &'a str,
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
