//! What the publisher counts.

use std::time::Duration;

use edge_protocol::{Report, ReportState, ToEdge, TrustReport};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Bounds of the histogram of propagation in seconds: an edge nearby takes some 10 ms for a small change,
/// and a minute is far too long for any.
const PROPAGATION_BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

/// Each state that edges report.
const STATES: [&str; 4] = ["received", "verified", "applied", "rejected"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// What the publisher counts.
#[derive(Clone, Debug)]
pub struct PublisherMetrics {
    pub(super) edges: Gauge,
    pub(super) refused: Counter,
    reports: Family<StateLabel, Counter>,
    trust_problems: Counter,
    manifests: Counter,
    chunks: Counter,
    chunk_bytes: Counter,
    propagation: Histogram,
}

impl Default for PublisherMetrics {
    fn default() -> Self {
        Self {
            edges: Gauge::default(),
            refused: Counter::default(),
            reports: Family::default(),
            trust_problems: Counter::default(),
            manifests: Counter::default(),
            chunks: Counter::default(),
            chunk_bytes: Counter::default(),
            propagation: Histogram::new(PROPAGATION_BUCKETS),
        }
    }
}

impl PublisherMetrics {
    /// Makes them known to a registry.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let made = Self::default();
        // From the start, so that the first of a kind is a change from zero.
        for state in STATES {
            drop(made.reports.get_or_create(&StateLabel { state }));
        }
        registry.register(
            "edge_connections",
            "Edges connected to this node",
            made.edges.clone(),
        );
        registry.register(
            "edge_connections_refused",
            "Connections of edges that were not taken",
            made.refused.clone(),
        );
        registry.register(
            "edge_reports",
            "What edges said of manifests, by state",
            made.reports.clone(),
        );
        registry.register(
            "edge_trust_problems",
            "How often edges said that they do not trust all whom this node told them to",
            made.trust_problems.clone(),
        );
        registry.register(
            "manifests_sent",
            "Manifests sent to edges",
            made.manifests.clone(),
        );
        registry.register("chunks_sent", "Chunks sent to edges", made.chunks.clone());
        registry.register(
            "chunk_bytes_sent",
            "Bytes of chunks sent to edges",
            made.chunk_bytes.clone(),
        );
        registry.register(
            "propagation_duration_seconds",
            "Time from this node's having a publication to an edge's saying that it is in use there",
            made.propagation.clone(),
        );
        made
    }

    pub(super) fn reported(&self, report: &Report) {
        let state = match report.state {
            ReportState::Received => "received",
            ReportState::Verified => "verified",
            ReportState::Applied => "applied",
            ReportState::Rejected { .. } => "rejected",
        };
        self.reports.get_or_create(&StateLabel { state }).inc();
    }

    pub(super) fn trust_reported(&self, report: &TrustReport) {
        if report.problem.is_some() {
            self.trust_problems.inc();
        }
    }

    /// An edge took a manifest into use so long after this node had the publication.
    pub(super) fn propagated(&self, after: Duration) {
        self.propagation.observe(after.as_secs_f64());
    }

    pub(super) fn sent(&self, frame: &ToEdge) {
        match frame {
            ToEdge::Manifest(_) => {
                self.manifests.inc();
            }
            ToEdge::Chunks(chunks) => {
                let bytes: usize = chunks.iter().map(bytes::Bytes::len).sum();
                self.chunks
                    .inc_by(u64::try_from(chunks.len()).unwrap_or(u64::MAX));
                self.chunk_bytes
                    .inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
            }
            ToEdge::Patches(patches) => {
                let bytes: usize = patches.iter().map(|patch| patch.middle.len()).sum();
                self.chunks
                    .inc_by(u64::try_from(patches.len()).unwrap_or(u64::MAX));
                self.chunk_bytes
                    .inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }
}
