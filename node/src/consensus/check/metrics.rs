//! What comparisons show to Prometheus.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::StateCheck;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabel {
    verdict: &'static str,
}

/// The metrics of comparisons.
#[derive(Clone, Debug)]
pub(crate) struct CheckMetrics {
    interval: Gauge,
    compared: Gauge<u64, AtomicU64>,
    position: Gauge<u64, AtomicU64>,
    members: Family<VerdictLabel, Gauge>,
    differences: Counter,
    bytes: Counter,
    /// What `bytes` shows of this process.
    counted: Arc<AtomicU64>,
}

impl CheckMetrics {
    /// Makes them known to a registry.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let made = Self {
            interval: Gauge::default(),
            compared: Gauge::default(),
            position: Gauge::default(),
            members: Family::default(),
            differences: Counter::default(),
            bytes: Counter::default(),
            counted: Arc::default(),
        };
        registry.register(
            "check_interval_seconds",
            "How often members compare their states; 0 where this node does not",
            made.interval.clone(),
        );
        registry.register(
            "check_compared_timestamp_seconds",
            "When this node last compared its state with the others', whatever came of it, or began to, in Unix seconds",
            made.compared.clone(),
        );
        registry.register(
            "check_position",
            "The log entry at which states were last compared",
            made.position.clone(),
        );
        registry.register(
            "check_members",
            "Members by how their states compare, as this node has seen it",
            made.members.clone(),
        );
        registry.register(
            "check_differences",
            "Comparisons in which states differed",
            made.differences.clone(),
        );
        registry.register(
            "check_bytes",
            "Bytes of rows hashed for comparisons",
            made.bytes.clone(),
        );
        for verdict in StateCheck::default().counts().into_keys() {
            drop(made.members.get_or_create(&VerdictLabel { verdict }));
        }
        made
    }

    pub(crate) fn begin(&self, every_ms: u64, now_ms: u64) {
        let every_s = every_ms.div_ceil(1000);
        self.interval
            .set(i64::try_from(every_s).unwrap_or(i64::MAX));
        self.compared.set(now_ms / 1000);
    }

    pub(super) fn show(&self, found: &StateCheck, bytes: u64) {
        self.position.set(found.position.unwrap_or_default());
        self.compared
            .set(found.compared_ms.unwrap_or_default() / 1000);
        for (verdict, count) in found.counts() {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.members
                .get_or_create(&VerdictLabel { verdict })
                .set(count);
        }
        let counted = self.counted.swap(bytes, Ordering::Relaxed);
        self.bytes.inc_by(bytes.saturating_sub(counted));
    }

    pub(super) fn differed(&self) {
        self.differences.inc();
    }
}
