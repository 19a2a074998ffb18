//! What Prometheus is told of full disks.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics of fullness.
#[derive(Clone, Debug, Default)]
pub(crate) struct FullnessMetrics {
    /// The step that this node's disk has reached.
    pub(super) step: Gauge,
    /// Whether this node leads and takes nothing that grows.
    pub(super) refusing: Gauge,
}

impl FullnessMetrics {
    /// Makes them known to a registry.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let made = Self::default();
        registry.register(
            "disk_step_percent",
            "The step that the use of the data directory's file system has reached: 0, 70, 85 or 95",
            made.step.clone(),
        );
        registry.register(
            "growth_refused",
            "Whether this node leads and takes nothing that grows, because the voters whose disks have room are no majority",
            made.refusing.clone(),
        );
        made
    }
}
