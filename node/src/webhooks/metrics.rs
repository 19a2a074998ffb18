//! What delivering webhooks counts, and what waits.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::sender::Attempted;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// What delivering webhooks counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct WebhookMetrics {
    attempts: Family<ResultLabel, Counter>,
    pending: Gauge,
    oldest: Gauge,
}

impl WebhookMetrics {
    /// Makes them known to a registry.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let made = Self::default();
        registry.register(
            "webhook_attempts",
            "Attempts to deliver an event to a webhook endpoint, by result",
            made.attempts.clone(),
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
    }

    /// How many deliveries wait, and for how many seconds the oldest does.
    pub(super) fn waiting(&self, count: u64, oldest_seconds: u64) {
        self.pending.set(i64::try_from(count).unwrap_or(i64::MAX));
        let seconds = i64::try_from(oldest_seconds).unwrap_or(i64::MAX);
        self.oldest.set(seconds);
    }
}
