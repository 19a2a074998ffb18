//! What delivering webhooks counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
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
}
