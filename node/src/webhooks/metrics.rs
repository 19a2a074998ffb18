//! What delivering webhooks counts, and what waits.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::sender::Attempted;

/// Bounds of the histogram of attempts in seconds: a receiver nearby takes some 10 ms, and ten seconds are
/// given to any.
const LATENCY_BUCKETS: [f64; 8] = [0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// Each result of an attempt.
const RESULTS: [&str; 3] = ["succeeded", "refused", "no_answer"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// What delivering webhooks counts.
#[derive(Clone, Debug)]
pub(crate) struct WebhookMetrics {
    attempts: Family<ResultLabel, Counter>,
    latency: Histogram,
    pending: Gauge,
    oldest: Gauge,
}

impl WebhookMetrics {
    /// Makes them known to a registry.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let made = Self {
            attempts: Family::default(),
            latency: Histogram::new(LATENCY_BUCKETS),
            pending: Gauge::default(),
            oldest: Gauge::default(),
        };
        // From the start, so that the first of a kind is a change from zero.
        for result in RESULTS {
            drop(made.attempts.get_or_create(&ResultLabel { result }));
        }
        registry.register(
            "webhook_attempts",
            "Attempts to deliver an event to a webhook endpoint, by result",
            made.attempts.clone(),
        );
        registry.register(
            "webhook_attempt_duration_seconds",
            "Time from an attempt's begin to the head of the answer, or to its failure",
            made.latency.clone(),
        );
        registry.register(
            "webhook_deliveries_pending",
            "Deliveries that wait for their next attempt; 0 where another node leads",
            made.pending.clone(),
        );
        registry.register(
            "webhook_deliveries_oldest_seconds",
            "Age of the oldest delivery that waits for its next attempt; 0 if none does",
            made.oldest.clone(),
        );
        made
    }

    pub(super) fn attempted(&self, attempted: &Attempted) {
        let result = match attempted.status {
            Some(200..=299) => "succeeded",
            Some(_) => "refused",
            None => "no_answer",
        };
        self.attempts.get_or_create(&ResultLabel { result }).inc();
        self.latency.observe(attempted.latency.as_secs_f64());
    }

    /// How many deliveries wait, and for how many seconds the oldest does.
    pub(super) fn waiting(&self, count: u64, oldest_seconds: u64) {
        self.pending.set(i64::try_from(count).unwrap_or(i64::MAX));
        let seconds = i64::try_from(oldest_seconds).unwrap_or(i64::MAX);
        self.oldest.set(seconds);
    }
}
