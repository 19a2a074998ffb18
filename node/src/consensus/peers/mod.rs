//! Connections to the other nodes: one per member and [`Lane`], opened when first needed, shared
//! by all calls on it, opened anew after it broke. What is said over them is not its matter.

mod connection;
mod dial;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use raft_store::types::{Member, NodeId};

pub(crate) use connection::{Client, Connection, client};
pub(crate) use dial::{Dial, DialError, TlsDialer};

use super::era::Era;
use connection::Slot;

/// How long opening a connection may take: resolve, TCP, TLS and HTTP/2, five round trips at the
/// most. An attempt that began while a network was cut may never end by itself, so this is also
/// short enough for a second attempt before a reader gives up.
const DIAL_DEADLINE: Duration = Duration::from_millis(1_200);

/// Calls of one kind share a connection, and bytes wait in line on a connection: a heartbeat
/// must not wait behind a checkpoint, or the leader loses its lease for copying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// Votes, heartbeats, transfers of leadership, read indexes and everything else that is small.
    Control,
    /// Log entries.
    Log,
    /// Proposals on their way to the leader.
    Forward,
    /// Checkpoints.
    Checkpoint,
}

type Slots = BTreeMap<(NodeId, Lane), Arc<Slot>>;

/// Connections to the other nodes.
#[derive(Clone)]
pub(crate) struct Peers {
    dialer: Arc<dyn Dial>,
    slots: Arc<Mutex<Slots>>,
    era: Era,
}

impl Peers {
    pub(crate) fn new(dialer: Arc<dyn Dial>) -> Self {
        Self {
            dialer,
            slots: Arc::default(),
            era: Era::default(),
        }
    }

    /// Those of a node that says in which epoch it is.
    pub(crate) fn in_era(self, era: Era) -> Self {
        Self { era, ..self }
    }

    /// An open connection to `member`. An error means that nothing was sent.
    pub(crate) async fn connect(
        &self,
        member: &Member,
        lane: Lane,
    ) -> Result<Connection, DialError> {
        self.connect_to(member.id, &member.internal, lane).await
    }

    /// An open connection to the node `id` at `address`.
    pub(crate) async fn connect_to(
        &self,
        id: NodeId,
        address: &str,
        lane: Lane,
    ) -> Result<Connection, DialError> {
        let slot = Arc::clone(self.slots.lock().entry((id, lane)).or_default());
        let connection = slot
            .connection(&self.dialer, id, address, DIAL_DEADLINE)
            .await?;
        Ok(connection.in_epoch(self.era.epoch()))
    }

    /// Closes every connection once its calls are done; later calls open new ones.
    pub(crate) fn close(&self) {
        self.slots.lock().clear();
    }
}
