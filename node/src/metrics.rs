//! The node's metrics: one registry that each part registers its own with, written out in the
//! text format of OpenMetrics. Nothing here is global, so that several nodes can live in one
//! process, as they do in tests.

mod raft;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use platform::process::Process;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub(crate) use self::raft::RaftCollector;
use crate::control_plane::ProposeError;
use crate::sealing::{Census, SealedCount, SealedUnder};
use domain::model::PepperId;
use domain::outcome::Applied;
use domain::query::PepperUse;

/// The prefix of every name.
const PREFIX: &str = "vectorgate";

/// Bounds of the latency histograms in seconds: a loopback round trip takes some 100 µs, a
/// proposal gives up after 10 s.
const LATENCY_BUCKETS: [f64; 12] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0,
];

/// The node's registry. Cloning shares it.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    /// Without the prefix: what every process has, under the names that it has everywhere.
    process: Arc<Mutex<Registry>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            registry: Arc::new(Mutex::new(Registry::with_prefix(PREFIX))),
            process: Arc::default(),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Lets a part register its own metrics.
    pub fn register<T>(&self, part: impl FnOnce(&mut Registry) -> T) -> T {
        part(&mut self.registry.lock())
    }

    /// Shows from now on how the process stands.
    pub fn show_process(&self, process: Process) {
        self.process.lock().register_collector(Box::new(process));
    }

    /// Everything, as it stands now.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode_registry(&mut text, &self.registry.lock());
        let _ = encode_registry(&mut text, &self.process.lock());
        let _ = encode_eof(&mut text);
        text
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Each outcome of a proposal.
const OUTCOMES: [&str; 6] = [
    "done",
    "rejected",
    "replayed",
    "storage_full",
    "unavailable",
    "unknown",
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyLabel {
    key: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PepperLabel {
    pepper: String,
}

/// What consensus counts.
#[derive(Clone, Debug)]
pub(crate) struct ConsensusMetrics {
    proposals: Family<OutcomeLabel, Counter>,
    proposal_seconds: Histogram,
    read_index_seconds: Histogram,
    read_failures: Counter,
    sealed_secrets: Family<KeyLabel, Gauge>,
    hashed_keys: Family<PepperLabel, Gauge>,
}

impl ConsensusMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let made = Self {
            proposals: Family::default(),
            proposal_seconds: Histogram::new(LATENCY_BUCKETS),
            read_index_seconds: Histogram::new(LATENCY_BUCKETS),
            read_failures: Counter::default(),
            sealed_secrets: Family::default(),
            hashed_keys: Family::default(),
        };
        // From the start, so that the first of a kind is a change from zero.
        for outcome in OUTCOMES {
            drop(made.proposals.get_or_create(&OutcomeLabel { outcome }));
        }
        metrics.register(|registry| {
            registry.register(
                "proposals",
                "Commands proposed through this node, by outcome",
                made.proposals.clone(),
            );
            registry.register(
                "proposal_duration_seconds",
                "Time from proposing a command to its being applied here",
                made.proposal_seconds.clone(),
            );
            registry.register(
                "read_index_duration_seconds",
                "Time to learn how far a linearizable read must wait",
                made.read_index_seconds.clone(),
            );
            registry.register(
                "read_failures",
                "Linearizable reads that could not be answered in time",
                made.read_failures.clone(),
            );
            registry.register(
                "sealed_secrets",
                "Secrets in the state as this node has applied it, by the key that they are sealed under",
                made.sealed_secrets.clone(),
            );
            registry.register(
                "hashed_keys",
                "Secrets of API keys and join tokens that work, in the state as this node has applied it, by the \
                 pepper that they are hashed under; none before the pepper was ever changed",
                made.hashed_keys.clone(),
            );
        });
        made
    }

    pub(crate) fn proposed(&self, result: &Result<Applied, ProposeError>, took: Duration) {
        let outcome = match result {
            Ok(applied) if applied.replayed => "replayed",
            Ok(applied) if applied.reply.is_err() => "rejected",
            Ok(_) => "done",
            Err(ProposeError::Unavailable { .. }) => "unavailable",
            Err(ProposeError::StorageFull { .. }) => "storage_full",
            Err(ProposeError::OutcomeUnknown { .. }) => "unknown",
        };
        self.proposals
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
        self.proposal_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn read_index(&self, took: Duration) {
        self.read_index_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn read_failed(&self) {
        self.read_failures.inc();
    }

    /// Shows how many secrets are sealed under which key; keys that nothing is sealed under any more go, but for the
    /// active one.
    pub(crate) fn show_sealed(&self, census: &Census) {
        self.sealed_secrets.clear();
        let active = census.active.map_or(SealedUnder::Pepper, SealedUnder::Kek);
        let none = (active, SealedCount::default());
        let counts = census.counts.iter().map(|(under, count)| (*under, *count));
        for (under, count) in std::iter::once(none).chain(counts) {
            let label = KeyLabel { key: under.name() };
            let total = i64::try_from(count.total()).unwrap_or(i64::MAX);
            self.sealed_secrets.get_or_create(&label).set(total);
        }
    }
}

impl ConsensusMetrics {
    /// Shows how many keys are hashed under which pepper.
    pub(crate) fn show_peppered(&self, uses: &BTreeMap<PepperId, PepperUse>) {
        self.hashed_keys.clear();
        for (pepper, uses) in uses {
            let label = PepperLabel {
                pepper: pepper.to_string(),
            };
            let total = i64::try_from(uses.total()).unwrap_or(i64::MAX);
            self.hashed_keys.get_or_create(&label).set(total);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::time::Revision;

    use super::*;

    #[test]
    fn proposals_are_counted_by_outcome() {
        let metrics = Metrics::default();
        let consensus = ConsensusMetrics::register(&metrics);
        let unavailable = ProposeError::Unavailable {
            retry_after_s: 1,
            reason: String::new(),
        };
        consensus.proposed(&Err(unavailable), Duration::from_millis(3));
        let rejected = Applied {
            reply: Err(domain::rejection::Rejection::AlreadyBootstrapped),
            revision: Revision(1),
            replayed: false,
        };
        consensus.proposed(&Ok(rejected), Duration::from_millis(3));
        let text = metrics.render();
        assert!(
            text.contains("vectorgate_proposals_total{outcome=\"unavailable\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("vectorgate_proposals_total{outcome=\"rejected\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("vectorgate_proposal_duration_seconds_count 2"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
