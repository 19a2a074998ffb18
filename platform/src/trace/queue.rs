//! The bound before the export, which counts what does not fit: a collector that is slow or away costs spans, never memory or time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Spans that wait to be exported, or are being exported, some 1 KiB each: what a busy process makes in half a second.
pub(super) const QUEUE_SPANS_MAX: usize = 4096;

/// What becomes of spans.
#[derive(Debug, Default)]
pub struct SpanCounts {
    waiting: AtomicUsize,
    exported: AtomicU64,
    crowded_out: AtomicU64,
    refused: AtomicU64,
}

impl SpanCounts {
    /// Spans that a collector took.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Spans that nobody will see: those that found no room, and those that no collector took.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.crowded_out.load(Ordering::Relaxed) + self.refused.load(Ordering::Relaxed)
    }

    /// Takes a place among those that wait, if there is one.
    fn enter(&self) -> bool {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        if before < QUEUE_SPANS_MAX {
            return true;
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.crowded_out.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// So many have left the queue, and that many of them arrived.
    pub(super) fn leave(&self, spans: usize, arrived: u64) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        self.exported.fetch_add(arrived, Ordering::Relaxed);
        let lost = (spans as u64).saturating_sub(arrived);
        self.refused.fetch_add(lost, Ordering::Relaxed);
    }

    pub(crate) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        encoder
            .encode_descriptor(
                "vectorgate_trace_spans_exported",
                "Spans that a collector took",
                None,
                MetricType::Counter,
            )?
            .encode_counter::<NoLabelSet, _, u64>(&self.exported(), None)?;
        let mut metric = encoder.encode_descriptor(
            "vectorgate_trace_spans_dropped",
            "Spans that nobody will see, because too many waited or no collector took them",
            None,
            MetricType::Counter,
        )?;
        for (reason, count) in [
            ("queue_full", &self.crowded_out),
            ("export_failed", &self.refused),
        ] {
            metric
                .encode_family(&[("reason", reason)])?
                .encode_counter::<NoLabelSet, _, u64>(&count.load(Ordering::Relaxed), None)?;
        }
        Ok(())
    }
}

/// Lets as many spans through as there is room for.
#[derive(Debug)]
pub(super) struct Bounded<P> {
    behind: P,
    counts: Arc<SpanCounts>,
}

impl<P> Bounded<P> {
    pub(super) fn new(behind: P, counts: Arc<SpanCounts>) -> Self {
        Self { behind, counts }
    }
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.behind.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.counts.enter() {
            self.behind.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.behind.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.behind.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.behind.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_room_comes_back() {
        let counts = SpanCounts::default();
        for _ in 0..QUEUE_SPANS_MAX {
            assert!(counts.enter());
        }
        assert!(!counts.enter());
        assert_eq!((counts.exported(), counts.dropped()), (0, 1));
        counts.leave(100, 98);
        assert_eq!((counts.exported(), counts.dropped()), (98, 3));
        for _ in 0..100 {
            assert!(counts.enter());
        }
        assert!(!counts.enter());
        assert_eq!((counts.exported(), counts.dropped()), (98, 4));
    }
}
