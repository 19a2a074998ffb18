//! What is done about targets, as metrics.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::Writer;
use crate::health::Registry as Targets;

/// Shows what is done about targets.
#[derive(Debug)]
pub(super) struct Health(pub(super) Arc<Targets>);

impl Collector for Health {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.0.counts();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut writer = Writer(&mut encoder);
        let checks = [
            ([("result", "passed")], read(&counts.checks_passed)),
            ([("result", "failed")], read(&counts.checks_failed)),
        ];
        writer.counters(
            "health_checks",
            "Checks of targets by their result",
            checks.into_iter(),
        )?;
        writer.counter(
            "target_ejections",
            "Targets left out because requests failed",
            read(&counts.ejections),
        )?;
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        writer.gauge(
            "targets",
            "Targets that are watched",
            signed(read(&counts.targets)),
        )?;
        writer.gauge(
            "targets_out",
            "Targets that take no requests for now",
            signed(read(&counts.targets_out)),
        )
    }
}
