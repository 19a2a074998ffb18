//! An edge's place in the fleet while it is connected.

use std::time::Duration;

use edge_protocol::telemetry::Batch;
use edge_protocol::{HealthReport, ManifestRef, Report, TrustReport};
use tokio::time::Instant;

use super::telemetry::Sender;
use super::{Changed, Fleet, Key};

/// One connection of an edge. Dropping it says that the connection is gone.
#[derive(Debug)]
pub struct Seat {
    fleet: Fleet,
    key: Key,
    session: u64,
    region: String,
}

impl Seat {
    pub(super) fn new(fleet: Fleet, key: Key, session: u64, region: String) -> Self {
        Self {
            fleet,
            key,
            session,
            region,
        }
    }

    /// The edge sent something.
    pub fn heard(&self) {
        let now = Instant::now();
        self.fleet.update(&self.key, self.session, |record| {
            record.seen = now;
            Changed::Nothing
        });
    }

    /// The edge was sent a manifest, which this node learned of then.
    pub fn sent(&self, manifest: ManifestRef, learned: Option<Instant>) {
        let now = Instant::now();
        self.fleet.update(&self.key, self.session, |record| {
            record.sent(manifest, learned, now);
            Changed::Nothing
        });
    }

    /// The edge answered a ping after so long.
    pub fn answered_ping(&self, after: Duration) {
        self.fleet.update(&self.key, self.session, |record| {
            record.answered_ping(after);
            Changed::Nothing
        });
    }

    /// The edge said what it counted.
    pub fn counted(&self, batch: Batch) {
        let (environment_id, edge_id) = &self.key;
        let sender = Sender {
            environment_id,
            region: &self.region,
            edge_id,
        };
        self.fleet.count(sender, batch);
    }

    /// The edge said how far it is.
    pub fn reported(&self, report: &Report) {
        let (at, now) = (self.fleet.clock.now(), Instant::now());
        self.fleet.update(&self.key, self.session, |record| {
            record.report(report, at, now);
            Changed::Standing
        });
    }

    /// The edge said what it makes of whom it was told to trust.
    pub fn trust(&self, report: TrustReport) {
        let at = self.fleet.clock.now();
        self.fleet.update(&self.key, self.session, |record| {
            record.trust(report, at);
            Changed::Standing
        });
    }

    /// The edge said which targets take no requests from it.
    pub fn health(&self, report: HealthReport) {
        self.fleet.update(&self.key, self.session, |record| {
            record.health = report;
            Changed::Standing
        });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.fleet.update(&self.key, self.session, |record| {
            record.connected = false;
            Changed::Standing
        });
    }
}
