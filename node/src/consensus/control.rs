//! What the rest of the node sees of consensus: [`ControlPlane`], [`PeerFleet`] and [`PeerLimits`].

use std::collections::BTreeMap;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::command::Stamped;
use domain::outcome::Applied;
use domain::time::Revision;
use injection::{Mutant, mutant};
use openraft::async_runtime::watch::WatchReceiver;
use platform::trace::{self, Kind};
use raft_store::types::{Member, NodeId};
use tokio::sync::watch;
use tokio::time::Instant;

use super::peers::{Lane, client};
use super::{Consensus, Inner, wire};
use crate::control_plane::{
    BoxFuture, Consistency, ControlPlane, FLEET_MESSAGE_BYTES_MAX, MemberId, PeerError, PeerFleet,
    PeerLimits, ProposeError, READ_DEADLINE, ReadError, Readiness, ViewVisitor,
};

/// When a client whose read was not answered should come back.
const RETRY_AFTER_S: u64 = 1;

/// How long another node may take to say what it knows of its edges.
const FLEET_DEADLINE: Duration = Duration::from_secs(2);

/// How often a node makes sure that it is up to date when nobody reads.
const FRESHNESS_INTERVAL: Duration = Duration::from_secs(1);

impl Consensus {
    async fn propose_timed(&self, stamped: Stamped) -> Result<Applied, ProposeError> {
        let inner = &self.inner;
        let begun = Instant::now();
        let result = inner.proposer.propose(stamped).await;
        inner.metrics.proposed(&result, begun.elapsed());
        result
    }

    async fn linearize(&self) -> Result<Revision, ReadError> {
        let inner = &self.inner;
        let begun = Instant::now();
        let index = tokio::time::timeout_at(begun + READ_DEADLINE, async {
            let index = inner.reads.get().await;
            inner.metrics.read_index(begun.elapsed());
            if !mutant::active(Mutant::BarrierWithoutWait) {
                inner.applied.reach(index).await;
            }
        });
        match index.await {
            Ok(()) => Ok(inner.applied.applied()),
            Err(_) => {
                inner.metrics.read_failed();
                let reason = inner.reads.last_failure();
                Err(ReadError::Unavailable {
                    retry_after_s: RETRY_AFTER_S,
                    reason,
                })
            }
        }
    }

    fn member(&self, id: MemberId) -> Result<Member, PeerError> {
        ControlPlane::members(self)
            .into_iter()
            .find(|member| member.id == id)
            .ok_or(PeerError::Unknown(id))
    }

    async fn lease(&self, id: MemberId, query: Vec<u8>) -> Result<Vec<u8>, PeerError> {
        let member = self.member(id)?;
        let silent = |reason: String| PeerError::Silent { id, reason };
        let connection = self
            .inner
            .peers
            .connect(&member, Lane::Control)
            .await
            .map_err(|error| silent(error.to_string()))?;
        let reply = client(connection)
            .lease(wire::proto::LeaseMessage { data: query.into() })
            .await
            .map_err(|status| silent(status.message().to_owned()))?;
        Ok(reply.into_inner().data.into())
    }

    async fn ask_fleet(&self, id: MemberId, query: Vec<u8>) -> Result<Vec<u8>, PeerError> {
        let member = self.member(id)?;
        let silent = |reason: String| PeerError::Silent { id, reason };
        let asking = async {
            let connection = self
                .inner
                .peers
                .connect(&member, Lane::Control)
                .await
                .map_err(|error| silent(error.to_string()))?;
            let reply = client(connection)
                .fleet(wire::proto::FleetMessage { data: query.into() })
                .await;
            let data = reply
                .map_err(|status| silent(status.message().to_owned()))?
                .into_inner()
                .data;
            if data.len() > FLEET_MESSAGE_BYTES_MAX {
                return Err(silent("the answer is too long".to_owned()));
            }
            Ok(data.into())
        };
        match tokio::time::timeout(FLEET_DEADLINE, asking).await {
            Ok(result) => result,
            Err(_) => Err(silent("no answer in time".to_owned())),
        }
    }
}

impl ControlPlane for Consensus {
    fn propose(&self, stamped: Stamped) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        Box::pin(self.propose_timed(stamped))
    }

    fn barrier(&self, consistency: Consistency) -> BoxFuture<'_, Result<Revision, ReadError>> {
        Box::pin(async move {
            match consistency {
                Consistency::Linearizable if !mutant::active(Mutant::ReadWithoutBarrier) => {
                    let mut span = trace::child("read barrier", Kind::Internal);
                    let reached = self.linearize().await;
                    if reached.is_err() {
                        span.fail(|| "unavailable".to_owned());
                    }
                    reached
                }
                Consistency::Linearizable | Consistency::Stale => Ok(self.inner.applied.applied()),
            }
        })
    }

    fn with_view(&self, visit: ViewVisitor<'_>) -> Result<Revision, ReadError> {
        match self.inner.reader.read_at(visit) {
            Ok(((), revision)) => Ok(revision),
            Err(_) => Err(ReadError::Storage),
        }
    }

    fn access_changed(&self) -> Revision {
        self.inner.reader.access_changed()
    }

    fn members(&self) -> Vec<Member> {
        let metrics = self.inner.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let members: BTreeMap<NodeId, Member> = metrics
            .membership_config
            .nodes()
            .map(|(id, member)| (*id, member.clone()))
            .collect();
        if members.is_empty() {
            return self.inner.initial_members.values().cloned().collect();
        }
        members.into_values().collect()
    }

    fn has_joined(&self) -> bool {
        self.inner.joined.load(Ordering::SeqCst)
    }

    fn this(&self) -> Member {
        self.inner.this.clone()
    }

    fn leader(&self) -> Option<MemberId> {
        self.inner.leadership.borrow().leader_id()
    }

    fn changes(&self) -> watch::Receiver<Revision> {
        self.inner.reader.applied()
    }

    fn readiness(&self) -> Readiness {
        let leadership = self.inner.leadership.borrow().clone();
        let metrics = self.inner.raft.metrics();
        let committed = metrics
            .borrow_watched()
            .cluster_committed
            .map_or(0, |log_id| log_id.index);
        Readiness {
            leader: leadership.leader_id(),
            leading: leadership.leader_id() == Some(self.inner.this.id),
            term: leadership.term,
            applied: self.inner.applied.applied(),
            committed: Revision(committed),
            last_contact: self
                .inner
                .reads
                .last_confirmed()
                .map(|asked_at: Instant| asked_at.elapsed()),
            draining: self.inner.draining.load(Ordering::SeqCst),
        }
    }
}

impl PeerFleet for Consensus {
    fn ask(&self, member: MemberId, query: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, PeerError>> {
        Box::pin(self.ask_fleet(member, query))
    }
}

impl PeerLimits for Consensus {
    fn ask_limits(
        &self,
        member: MemberId,
        query: Vec<u8>,
    ) -> BoxFuture<'_, Result<Vec<u8>, PeerError>> {
        Box::pin(self.lease(member, query))
    }
}

/// Asks for a read index now and then, so that a node knows how old its answers are even when
/// nobody reads from it.
pub(super) async fn stay_fresh(inner: Weak<Inner>) {
    loop {
        let Some(inner) = inner.upgrade() else { return };
        let reads = inner.reads.clone();
        drop(inner);
        let fresh = reads
            .last_confirmed()
            .is_some_and(|asked_at: Instant| asked_at.elapsed() < FRESHNESS_INTERVAL);
        if !fresh {
            // A failure shows as an age that grows.
            let _ = tokio::time::timeout(FRESHNESS_INTERVAL, reads.get()).await;
        }
        tokio::time::sleep(FRESHNESS_INTERVAL).await;
    }
}
