//! The node's metrics: one registry that each part registers its own with, written out in the
//! text format of OpenMetrics. Nothing here is global, so that several nodes can live in one
//! process, as they do in tests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use raft_store::Closer;
use raft_store::types::Raft;

use crate::control_plane::ProposeError;
use domain::outcome::Applied;

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
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            registry: Arc::new(Mutex::new(Registry::with_prefix(PREFIX))),
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

    /// Everything, as it stands now.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry.lock());
        text
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// What consensus counts.
#[derive(Clone, Debug)]
pub(crate) struct ConsensusMetrics {
    proposals: Family<OutcomeLabel, Counter>,
    proposal_seconds: Histogram,
    read_index_seconds: Histogram,
    read_failures: Counter,
}

impl ConsensusMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let made = Self {
            proposals: Family::default(),
            proposal_seconds: Histogram::new(LATENCY_BUCKETS),
            read_index_seconds: Histogram::new(LATENCY_BUCKETS),
            read_failures: Counter::default(),
        };
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
        });
        made
    }

    pub(crate) fn proposed(&self, result: &Result<Applied, ProposeError>, took: Duration) {
        let outcome = match result {
            Ok(applied) if applied.replayed => "replayed",
            Ok(applied) if applied.reply.is_err() => "rejected",
            Ok(_) => "done",
            Err(ProposeError::Unavailable { .. }) => "unavailable",
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
}

/// How consensus and its storage stand, read when somebody asks.
pub(crate) struct RaftCollector {
    raft: Raft,
    closer: Closer,
}

impl RaftCollector {
    pub(crate) fn register(metrics: &Metrics, raft: Raft, closer: Closer) {
        metrics.register(|registry| registry.register_collector(Box::new(Self { raft, closer })));
    }
}

impl fmt::Debug for RaftCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftCollector").finish_non_exhaustive()
    }
}

impl Collector for RaftCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: u64| {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let target = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(target)
        };
        let raft = self.raft.metrics().borrow_watched().clone();
        let index = |id: Option<raft_store::LogId>| id.map_or(0, |id| id.index);
        let (committed, applied) = (index(raft.cluster_committed), index(raft.last_applied));
        gauge("raft_term", "The highest term seen", raft.current_term)?;
        gauge(
            "raft_leader",
            "The leader's number, 0 if none is known",
            raft.current_leader.unwrap_or(0),
        )?;
        gauge(
            "raft_is_leader",
            "Whether this node leads",
            u64::from(raft.current_leader == Some(raft.id)),
        )?;
        gauge(
            "raft_last_log_index",
            "The last entry in the log",
            raft.last_log_index.unwrap_or(0),
        )?;
        gauge(
            "raft_committed_index",
            "The last entry known to be committed",
            committed,
        )?;
        gauge("raft_applied_index", "The last entry applied", applied)?;
        gauge(
            "raft_apply_lag",
            "Entries committed and not yet applied",
            committed.saturating_sub(applied),
        )?;
        gauge(
            "raft_checkpoint_index",
            "The last entry in a checkpoint",
            index(raft.snapshot),
        )?;
        gauge(
            "raft_purged_index",
            "The last entry purged from the log",
            index(raft.purged),
        )?;
        let storage = self.closer.statistics();
        let mut counter = |name: &str, help: &str, value: u64| {
            let counter = ConstCounter::new(value);
            let target = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(target)
        };
        counter("log_writes", "Writes to the log", storage.log.writes)?;
        counter(
            "log_syncs",
            "Syncs of the log: each commits all writes before it",
            storage.log.syncs,
        )?;
        counter(
            "state_writes",
            "Writes of apply batches to the state",
            storage.state.writes,
        )
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
