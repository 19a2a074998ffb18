//! How the subscriber stands, for readiness, metrics and the log.

use std::collections::BTreeMap;

use edge_protocol::follower::Event;
use edge_protocol::{ManifestRef, Report};
use tokio::time::Instant;

use super::Core;

/// How the subscriber stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The node that serves this edge now.
    pub node: Option<u64>,
    /// The manifest in use.
    pub manifest: Option<ManifestRef>,
    /// The last manifest that was refused, and why, unless something newer is in use.
    pub rejected: Option<(ManifestRef, String)>,
    /// Why the last connection ended, while there is no other.
    pub trouble: Option<String>,
    /// How often a node let this edge in.
    pub welcomes: u64,
    /// How many manifests were taken into use since the start.
    pub applied: u64,
    /// How many were refused.
    pub rejections: u64,
    /// How often a signature was not believed, by the word for why.
    pub untrusted: BTreeMap<&'static str, u64>,
    /// Chunks fetched for the manifests taken into use.
    pub chunks_fetched: u64,
    /// Bytes of these.
    pub bytes_fetched: u64,
}

impl Core {
    pub(super) fn disconnected(&mut self, reason: String) {
        self.status.send_modify(|status| {
            status.node = None;
            status.trouble = Some(reason);
        });
    }

    /// Passes on what the follower has to tell.
    pub(super) fn tell(&mut self) {
        while let Some(event) = self.follower.poll_event() {
            log(&event);
            if let Event::Welcomed(welcome) = &event {
                self.welcomed = Some(Instant::now());
                self.nodes.tell(&welcome.publishers);
            }
            self.status.send_modify(|status| status.note(event));
        }
    }
}

fn log(event: &Event) {
    match event {
        Event::Welcomed(welcome) => tracing::info!(node = welcome.node_id, "following a node"),
        Event::IgnoredOlder { offered, current } => {
            tracing::warn!(%offered, %current, "ignored a manifest that is older than the current one");
        }
        Event::Rejected { manifest, reason } => {
            tracing::error!(%manifest, reason, "refused a manifest; serving on by the current one");
        }
        Event::Untrusted { word } => tracing::warn!(word, "a signature is not believed"),
        Event::Trusts { cluster_id, serial } => {
            tracing::info!(%cluster_id, serial, "believing the signatures of another set of keys");
        }
        Event::Distrusted { reason } => {
            tracing::error!(
                reason,
                "a node says whom to believe, and is not believed; believing whom it was before"
            );
        }
        Event::LeftOut { reason } => {
            tracing::error!(reason, "a node names keys that are not believed");
        }
        Event::Fetching(manifest) => tracing::debug!(%manifest, "fetching a manifest"),
        Event::Gone(manifest) => {
            tracing::info!(%manifest, "a manifest was replaced before it was fetched")
        }
        Event::Applied(Report {
            manifest,
            apply_ms,
            chunks_fetched,
            bytes_fetched,
            ..
        }) => {
            tracing::info!(%manifest, apply_ms, chunks_fetched, bytes_fetched, "serving by a new manifest");
        }
    }
}

impl Status {
    fn note(&mut self, event: Event) {
        match event {
            Event::Welcomed(welcome) => {
                self.node = Some(welcome.node_id);
                self.trouble = None;
                self.welcomes += 1;
            }
            Event::Rejected { manifest, reason } => {
                self.rejected = Some((manifest, reason));
                self.rejections += 1;
            }
            Event::Applied(report) => {
                let order = (report.manifest.epoch, report.manifest.version);
                self.rejected
                    .take_if(|(rejected, _)| (rejected.epoch, rejected.version) <= order);
                self.manifest = Some(report.manifest);
                self.applied += 1;
                self.chunks_fetched += report.chunks_fetched;
                self.bytes_fetched += report.bytes_fetched;
            }
            Event::Untrusted { word } => *self.untrusted.entry(word).or_default() += 1,
            Event::IgnoredOlder { .. }
            | Event::Trusts { .. }
            | Event::Distrusted { .. }
            | Event::LeftOut { .. }
            | Event::Fetching(_)
            | Event::Gone(_) => {}
        }
    }
}
