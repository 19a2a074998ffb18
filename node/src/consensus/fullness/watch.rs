//! Looks at disks: each node at its own, and the leader at those of all voters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use openraft::async_runtime::watch::WatchReceiver;
use raft_store::types::{Member, NodeId};
use tokio::sync::watch;

use super::level::{Fullness, too_few_have_room};
use super::{FullnessMetrics, Gate};
use crate::consensus::leadership::{self, Leadership};
use crate::consensus::membership::{Disk, Steward};

/// How often is looked. A disk on which a node writes tens of megabytes a second, of which a twentieth is left, is not filled before
/// the next look unless it is smaller than some gigabytes.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What was seen of voters' disks; nothing of those that did not answer.
type Seen = BTreeMap<NodeId, Option<Fullness>>;

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
        watch.decide(&voters);
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
                "the disk with the data has filled to {} %; once those of too many voters reach 95 %, the cluster takes nothing \
                 more that grows",
                own.percent()
            );
        } else if *own < before {
            tracing::info!(percent, "the disk with the data has more room again");
        }
    }

    async fn look_at_voters(&self, voters: &mut Seen) {
        let members = self.voters();
        voters.retain(|id, _| members.contains_key(id));
        let asking = members
            .values()
            .map(async |member| (member.id, self.disk_of(member).await));
        for (id, disk) in join_all(asking).await {
            let before = voters.get(&id).copied().flatten().unwrap_or_default();
            voters.insert(id, disk.map(|disk| before.after(disk.percent())));
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

    fn decide(&self, seen: &Seen) {
        let parts = self.steward.parts();
        let metrics = parts.raft.server_metrics();
        let sets = metrics
            .borrow_watched()
            .membership_config
            .membership()
            .get_joint_config()
            .clone();
        let is_refusing = too_few_have_room(&sets, seen);
        let full = seen
            .iter()
            .filter(|(_, step)| **step == Some(Fullness::Full));
        let full: BTreeSet<NodeId> = full.map(|(id, _)| *id).collect();
        self.metrics.refusing.set(i64::from(is_refusing));
        if !self.gate.set(full.clone(), is_refusing) {
            return;
        }
        if is_refusing {
            tracing::error!(
                ?full,
                "voters' disks are full, and those with room are no majority: what grows is not taken; what is deleted, \
                 archived, rolled back, published or revoked is"
            );
        } else if full.is_empty() {
            tracing::info!("no voter's disk is full any more: everything is taken");
        } else {
            tracing::warn!(
                ?full,
                "voters' disks are full; a majority has room, and everything is taken"
            );
        }
    }
}
