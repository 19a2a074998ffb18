//! The edges, as their nodes know them: who is connected, what each serves by, what it refused.
//!
//! None of this is replicated; it lives in the memory of the node that an edge is connected to.
//! [`Fleet`] is that memory. The publisher writes it through [`Seat`]s, other nodes ask for it
//! page by page ([`LocalFleet`]), and [`ClusterFleet`] gathers it from all of them, so that an
//! edge that moved between nodes appears once. What a snapshot's propagation is, and when an edge
//! counts as offline, is judged by who shows it.

mod course;
mod gather;
mod merge;
mod record;
mod seat;
mod telemetry;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use domain::id::EnvironmentId;
use edge_protocol::Hello;
use parking_lot::Mutex;
use platform::Clock;
use tokio::sync::watch;
use tokio::time::Instant;

pub use gather::ClusterFleet;
pub use seat::Seat;

use self::record::Record;
use self::telemetry::Memory;
use self::wire::{Answer, Mark, Query, Question};
use crate::control_plane::{BoxFuture, LocalFleet, MemberId};

/// How long an edge that is gone is remembered, so that it is seen to be gone.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Edges that are remembered. A node serves a quarter of that; the rest are edges that left it
/// lately. Beyond it the one that left first is forgotten. At most some 40 MB.
const RECORDS_MAX: usize = 16_384;

/// How long another node's question for news is held when there are none: less than a question may
/// take, and no longer than a node that stops should wait for it.
const HOLD: Duration = Duration::from_secs(1);

/// What this node knows of edges. Cloning shares it.
#[derive(Clone)]
pub struct Fleet {
    node_id: MemberId,
    clock: Arc<dyn Clock>,
    registry: Arc<Mutex<Registry>>,
    telemetry: Arc<Mutex<Memory>>,
    /// Moves on, under the registry's lock, when an edge comes, goes or says how far it is.
    mark: watch::Sender<u64>,
}

/// By environment and edge.
type Key = (EnvironmentId, String);

#[derive(Debug, Default)]
struct Registry {
    records: BTreeMap<Key, Record>,
    sessions: u64,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("node_id", &self.node_id)
            .finish_non_exhaustive()
    }
}

impl Fleet {
    /// The memory of node `node_id`. `clock` gives the times that people read; how long an edge
    /// has been silent is measured by tokio's.
    #[must_use]
    pub fn new(node_id: MemberId, clock: Arc<dyn Clock>) -> Self {
        // A node that starts again begins with a mark that it has not had.
        let mark = watch::Sender::new(clock.now().0);
        Self {
            node_id,
            clock,
            registry: Arc::default(),
            telemetry: Arc::new(Mutex::new(Memory::new(Instant::now()))),
            mark,
        }
    }

    /// An edge of the environment was let in. Where it was connected before, this connection is
    /// the one that counts.
    #[must_use]
    pub fn seat(&self, environment_id: &EnvironmentId, hello: &Hello) -> Seat {
        let now = Instant::now();
        let key = (environment_id.clone(), hello.edge_id.clone());
        let mut registry = self.registry.lock();
        registry.sessions += 1;
        let session = registry.sessions;
        registry.make_room(now);
        let before = registry.records.remove(&key);
        registry
            .records
            .insert(key.clone(), Record::new(hello, session, now, before));
        self.mark.send_modify(|mark| *mark += 1);
        Seat::new(self.clone(), key, session, hello.region.clone())
    }

    /// How many edges are connected to this node.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.registry
            .lock()
            .records
            .values()
            .filter(|record| record.connected)
            .count()
    }

    /// One page of what this node knows of an environment's edges.
    fn page(&self, query: &Query) -> Answer {
        let now = Instant::now();
        let from = (
            query.environment_id.clone(),
            query.after.clone().unwrap_or_default(),
        );
        let registry = self.registry.lock();
        let range = registry
            .records
            .range((Bound::Included(from), Bound::Unbounded));
        let rows = range
            .take_while(|((environment_id, _), _)| *environment_id == query.environment_id)
            .filter(|((_, edge_id), _)| query.after.as_ref().is_none_or(|after| edge_id > after))
            .map(|((_, edge_id), record)| record.row(edge_id, now));
        Answer::page(self.node_id, self.mark(), rows)
    }

    /// How much this node has come to know.
    fn mark(&self) -> Mark {
        Mark(*self.mark.borrow())
    }

    /// Waits until this node knows more than it did at a mark.
    async fn news(&self, since: Mark) {
        let mut mark = self.mark.subscribe();
        // The sender is this fleet's own, so it is there.
        let _ = mark.wait_for(|mark| *mark != since.0).await;
    }

    /// Changes the record of a connection, unless a newer one of the same edge took its place.
    fn update(&self, key: &Key, session: u64, change: impl FnOnce(&mut Record) -> Changed) {
        let mut registry = self.registry.lock();
        let record = registry.records.get_mut(key);
        if let Some(record) = record.filter(|record| record.session == session)
            && change(record) == Changed::Standing
        {
            self.mark.send_modify(|mark| *mark += 1);
        }
    }
}

/// What is different about an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changed {
    /// Nothing but when it was heard of.
    Nothing,
    /// Whether it is connected, or how far it is.
    Standing,
}

impl LocalFleet for Fleet {
    fn answer<'a>(&'a self, query: &'a [u8]) -> BoxFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            match Question::decode(query)? {
                Question::Page(query) => self.page(&query).encode(),
                Question::Telemetry(query) => wire::encode_counted(&self.counted(&query)),
                Question::News(since) => {
                    // Whether there were any, the mark says.
                    let _ = tokio::time::timeout(HOLD, self.news(since)).await;
                    self.mark().encode()
                }
            }
        })
    }
}

impl Registry {
    fn make_room(&mut self, now: Instant) {
        if self.records.len() < RECORDS_MAX {
            return;
        }
        self.records
            .retain(|_, record| record.connected || now.duration_since(record.seen) < FORGET_AFTER);
        while self.records.len() >= RECORDS_MAX {
            let gone = self.records.iter().filter(|(_, record)| !record.connected);
            let Some(key) = gone
                .min_by_key(|(_, record)| record.seen)
                .map(|(key, _)| key.clone())
            else {
                return;
            };
            self.records.remove(&key);
        }
    }
}
