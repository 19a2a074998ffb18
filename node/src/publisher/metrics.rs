//! What the publisher counts.

use edge_protocol::{Report, ReportState, ToEdge};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// What the publisher counts.
#[derive(Clone, Debug, Default)]
pub struct PublisherMetrics {
    pub(super) edges: Gauge,
    pub(super) refused: Counter,
    reports: Family<StateLabel, Counter>,
    manifests: Counter,
    chunks: Counter,
    chunk_bytes: Counter,
}

impl PublisherMetrics {
    /// Makes them known to a registry.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let made = Self::default();
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
