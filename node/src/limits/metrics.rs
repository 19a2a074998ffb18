//! What the limits count.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// The counters of the limits.
#[derive(Clone, Debug, Default)]
pub struct LimitMetrics {
    /// Requests that passed.
    pub(super) admitted: Counter,
    /// Requests that did not.
    pub(super) limited: Counter,
    /// Grants that this node made out of its own share.
    pub(super) alone: Counter,
    /// Questions to other nodes.
    pub(super) asked: Counter,
    /// Notes that did not arrive while they counted.
    pub(super) notes_lost: Counter,
}

impl LimitMetrics {
    /// Makes them and has `registry` show them.
    pub fn register(registry: &mut Registry) -> Self {
        let made = Self::default();
        for (name, help, counter) in [
            (
                "rate_limit_admitted",
                "Requests within their limit",
                &made.admitted,
            ),
            (
                "rate_limit_limited",
                "Requests beyond their limit",
                &made.limited,
            ),
            (
                "rate_limit_fallback",
                "Grants out of this node's own share because no node could be asked",
                &made.alone,
            ),
            (
                "rate_limit_asked",
                "Questions to other nodes about limits",
                &made.asked,
            ),
            (
                "rate_limit_notes_lost",
                "Notes about grants that could not be delivered",
                &made.notes_lost,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        made
    }
}
