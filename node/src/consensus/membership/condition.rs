//! How one node stands, as it says itself, whoever leads: what [`crate::doctor`] looks at. Whether that is good is
//! decided there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use platform::process::room;
use platform::tls::Identity;
use raft_store::LogId;
use raft_store::types::{Member, NodeId};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::desk::put;
use super::request::{Asker, ClusterReply, ClusterRequest};
use super::steward::Steward;
use crate::consensus::check::StateCheck;

/// How long another member may take to say how it stands.
const CONDITION_WITHIN: Duration = Duration::from_secs(2);

/// How a node stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Which node.
    pub id: NodeId,
    /// The software's version.
    pub version: String,
    /// Its wall clock, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whom it takes for the leader.
    pub leader: Option<NodeId>,
    /// The Raft term.
    pub term: u64,
    /// Who votes, as its log has it.
    pub voters: Vec<NodeId>,
    /// The last entry of its log.
    pub last: u64,
    /// Up to where it knows entries to be committed.
    pub committed: u64,
    /// Up to where it has applied them.
    pub applied: u64,
    /// The file system of its data directory; `None` where that cannot be asked.
    pub disk: Option<Disk>,
    /// Until when its certificate for other nodes holds, in seconds since the Unix epoch.
    pub certificate_until_s: Option<u64>,
    /// How the members' states compare, as it has seen it; `None` where its release does not compare them.
    #[serde(default)]
    pub state_check: Option<StateCheck>,
}

/// Room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// What holds something, in bytes.
    pub used_bytes: u64,
    /// What is left for the process, in bytes. With what is used it is less than the file system has, where some is kept
    /// back for root.
    pub available_bytes: u64,
}

impl Disk {
    /// How full it is, in percent, as `df` counts.
    #[must_use]
    pub fn percent(&self) -> u64 {
        let usable = u128::from(self.used_bytes) + u128::from(self.available_bytes);
        let percent = u128::from(self.used_bytes) * 100 / usable.max(1);
        u64::try_from(percent).unwrap_or(u64::MAX)
    }
}

/// Looks at the file system of the data directory; `None` where that cannot be asked.
pub(crate) type DiskGauge = Arc<dyn Fn() -> Option<Disk> + Send + Sync>;

/// The gauge of a directory of the operating system.
pub(crate) fn gauge_of(data_dir: PathBuf) -> DiskGauge {
    Arc::new(move || {
        let room = room(&data_dir).ok()?;
        Some(Disk {
            used_bytes: room.used_bytes,
            available_bytes: room.available_bytes,
        })
    })
}

/// What a node says of itself that consensus has nothing to do with.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// How full its disk is.
    pub(crate) disk: DiskGauge,
    /// What it shows to other nodes.
    pub(crate) identity: Identity,
}

impl Steward {
    /// How full this node's disk is.
    pub(crate) fn disk(&self) -> Option<Disk> {
        (self.parts.surroundings.disk)()
    }

    /// How another member stands, unless it does not say so in time.
    pub(crate) async fn condition_of(&self, member: &Member) -> Option<Condition> {
        let asker = Asker::default();
        let asking = put(
            &self.parts.peers,
            member,
            &asker,
            &ClusterRequest::Examine,
            false,
        );
        match timeout(CONDITION_WITHIN, asking).await {
            Ok(Ok(ClusterReply::Condition(condition))) => Some(*condition),
            Ok(_) | Err(_) => None,
        }
    }

    /// How this node stands.
    pub(super) fn condition(&self) -> Condition {
        let parts = &self.parts;
        let surroundings = &parts.surroundings;
        let metrics = parts.raft.metrics();
        let metrics = metrics.borrow_watched();
        let index = |log_id: Option<LogId>| log_id.map_or(0, |log_id| log_id.index);
        Condition {
            id: parts.this.id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at_ms: parts.clock.now().0,
            leader: metrics.current_leader,
            term: metrics.current_term,
            voters: metrics.membership_config.membership().voter_ids().collect(),
            last: metrics.last_log_index.unwrap_or_default(),
            committed: index(metrics.cluster_committed),
            applied: index(metrics.last_applied),
            disk: self.disk(),
            certificate_until_s: surroundings.identity.term().map(|term| term.until_s),
            state_check: Some(parts.board.show()),
        }
    }
}
