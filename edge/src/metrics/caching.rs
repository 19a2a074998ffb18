//! The cache's metrics.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::{Tally, Writer};
use crate::cache::{Cache, Outcome};

/// Writes what the serving threads count of the cache.
pub(super) fn encode(writer: &mut Writer<'_, '_>, tallies: &[Arc<Tally>]) -> fmt::Result {
    let sum = |counter: &dyn Fn(&Tally) -> &AtomicU64| {
        tallies
            .iter()
            .map(|tally| counter(tally).load(Ordering::Relaxed))
            .sum::<u64>()
    };
    let outcomes = Outcome::ALL.into_iter().map(|outcome| {
        (
            [("outcome", outcome.as_str())],
            sum(&|tally| tally.cache.outcome(outcome)),
        )
    });
    writer.counters(
        "cache_requests",
        "Requests for origins by what the cache did for them",
        outcomes,
    )?;
    writer.counter(
        "cache_collapsed",
        "Requests that waited for the answer to another",
        sum(&|tally| tally.cache.collapsed()),
    )?;
    writer.counter(
        "cache_refreshes",
        "Answers fetched behind one that was served stale",
        sum(&|tally| tally.cache.refreshes()),
    )
}

/// Shows how full the cache is.
#[derive(Debug)]
pub(super) struct Keeping(pub(super) Arc<Cache>);

impl Collector for Keeping {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let usage = self.0.usage();
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let mut writer = Writer(&mut encoder);
        writer.gauge("cache_entries", "Answers kept", signed(usage.entries))?;
        writer.gauge(
            "cache_bytes",
            "What the kept answers take",
            signed(usage.bytes),
        )?;
        writer.gauge(
            "cache_bytes_max",
            "What the kept answers may take",
            signed(usage.bytes_max),
        )?;
        writer.counter(
            "cache_evictions",
            "Answers given up for want of room",
            usage.evictions,
        )?;
        writer.counter(
            "cache_invalidations",
            "URLs whose answers were given up because they were changed or purged",
            usage.invalidations,
        )
    }
}
