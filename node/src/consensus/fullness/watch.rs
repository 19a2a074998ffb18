//! Looks at disks: each node at its own, and the leader at those of all voters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use openraft::async_runtime::watch::WatchReceiver;
use raft_store::types::{Member, NodeId};
use tokio::sync::watch;

use super::level::Fullness;
use super::{FullnessMetrics, Gate};
use crate::consensus::leadership::{self, Leadership};
use crate::consensus::membership::{Disk, Steward};

/// How often is looked. A disk on which a node writes tens of megabytes a second, of which a twentieth is left, is not filled before
/// the next look unless it is smaller than some gigabytes.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What looking takes.
pub(crate) struct Watch {
    pub(crate) this: NodeId,
    pub(crate) steward: Steward,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) gate: Gate,
    pub(crate) metrics: FullnessMetrics,
}

/// Looks for ever, and at once where this node comes to lead.
pub(crate) async fn run(watch: Watch) {
    let mut own = Fullness::default();
    let mut voters = BTreeMap::new();
    let mut leadership = watch.leadership.clone();
    loop {
        watch.look_at_own(&mut own);
        let leads = leadership.borrow_and_update().leader_id() == Some(watch.this);
        if leads {
            watch.look_at_voters(&mut voters).await;
        } else {
            voters.clear();
        }
        let full = voters.iter().filter(|(_, step)| **step == Fullness::Full);
        watch.decide(full.map(|(id, _)| *id).collect());
        leadership::change_within(&mut leadership, LOOK_EVERY).await;
    }
}

impl Watch {
    fn look_at_own(&self, own: &mut Fullness) {
        let Some(disk) = self.steward.disk() else {
            return;
        };
        let percent = disk.percent();
        let before = std::mem::replace(own, own.after(percent));
        self.metrics
            .step
            .set(i64::try_from(own.percent()).unwrap_or_default());
        if *own > before {
            tracing::warn!(
                percent,
                available_bytes = disk.available_bytes,
                "the disk with the data has filled to {} %; at 95 % the cluster takes nothing more that grows",
                own.percent()
            );
        } else if *own < before {
            tracing::info!(percent, "the disk with the data has more room again");
        }
    }

    async fn look_at_voters(&self, voters: &mut BTreeMap<NodeId, Fullness>) {
        let members = self.voters();
        voters.retain(|id, _| members.contains_key(id));
        let asking = members
            .values()
            .map(async |member| (member.id, self.disk_of(member).await));
        for (id, disk) in join_all(asking).await {
            // One that does not answer takes nothing, so nothing fills its disk.
            let step = disk.map(|disk| {
                let before = voters.get(&id).copied().unwrap_or_default();
                before.after(disk.percent())
            });
            voters.insert(id, step.unwrap_or_default());
        }
    }

    fn voters(&self) -> BTreeMap<NodeId, Member> {
        let parts = self.steward.parts();
        let metrics = parts.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters = membership.voter_ids();
        voters
            .filter_map(|id| Some((id, membership.get_node(&id)?.clone())))
            .collect()
    }

    async fn disk_of(&self, member: &Member) -> Option<Disk> {
        if member.id == self.this {
            return self.steward.disk();
        }
        self.steward.condition_of(member).await?.disk
    }

    fn decide(&self, full: BTreeSet<NodeId>) {
        let is_refusing = !full.is_empty();
        self.metrics.refusing.set(i64::from(is_refusing));
        if !self.gate.set(full.clone()) {
            return;
        }
        if is_refusing {
            tracing::error!(
                ?full,
                "the disks of voters are full: what grows is not taken; what is deleted, archived, rolled back, published or \
                 revoked is"
            );
        } else {
            tracing::info!("no voter's disk is full any more: everything is taken");
        }
    }
}
