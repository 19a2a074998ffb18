//! Whom an edge follows, as metrics.

use std::fmt;

use edge_protocol::signing::Untrusted;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use tokio::sync::watch;

use super::Writer;
use crate::subscriber::Status;

/// Shows whom the edge follows and what that has cost.
#[derive(Debug)]
pub(super) struct Subscription(pub(super) watch::Receiver<Status>);

impl Collector for Subscription {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = self.0.borrow().clone();
        let mut writer = Writer(&mut encoder);
        writer.gauge(
            "node_connected",
            "Whether a node serves this edge now",
            i64::from(status.node.is_some()),
        )?;
        writer.counter(
            "node_connections",
            "How often a node let this edge in",
            status.welcomes,
        )?;
        writer.counters(
            "signatures_refused",
            "Signatures of manifests and trust sets that were not believed, by why",
            Untrusted::WORDS.into_iter().map(|word| {
                let count = status.untrusted.get(word).copied();
                ([("reason", word)], count.unwrap_or_default())
            }),
        )?;
        writer.counter(
            "chunks_fetched",
            "Chunks fetched for manifests taken into use",
            status.chunks_fetched,
        )?;
        writer.counter(
            "chunk_bytes_fetched",
            "Bytes of these chunks",
            status.bytes_fetched,
        )
    }
}
