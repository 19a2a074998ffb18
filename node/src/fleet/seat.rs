//! An edge's place in the fleet while it is connected.

use edge_protocol::Report;
use tokio::time::Instant;

use super::{Changed, Fleet, Key};

/// One connection of an edge. Dropping it says that the connection is gone.
#[derive(Debug)]
pub struct Seat {
    fleet: Fleet,
    key: Key,
    session: u64,
}

impl Seat {
    pub(super) fn new(fleet: Fleet, key: Key, session: u64) -> Self {
        Self {
            fleet,
            key,
            session,
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

    /// The edge said how far it is.
    pub fn reported(&self, report: &Report) {
        let at = self.fleet.clock.now();
        self.fleet.update(&self.key, self.session, |record| {
            record.report(report, at);
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
