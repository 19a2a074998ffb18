//! How a cluster comes to be, and how a node with an empty disk finds out what it may do.
//!
//! The initial member with the lowest number asks all the others whether their disks are empty
//! too, and only then sets the first membership; the others wait to be contacted. It asks *all*,
//! not a quorum: a member that lost its disk must never find another such and make a second
//! cluster while the one with the data is away.
//!
//! A node whose disk has never held anything is on *probation* ([`Probation`]): it neither votes
//! nor takes entries. Were it the remains of a member that lost its disk, its vote could put a
//! leader in place that lacks what the lost disk had helped to commit:
//!
//! 1. nodes 1 and 2 commit an entry, node 3 is slow and lacks it
//! 2. node 1 loses its disk and comes back empty, node 2 is away
//! 3. node 1 votes for node 3: a quorum, and the entry is gone
//!
//! Probation ends when all initial members turn out to be new (*forming* is said), or when a
//! cluster answers that does not know this node. One that does know it makes the process end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::errors::{InitializeError, RaftError};
use raft_store::types::{Member, NodeId, Raft};
use tonic::Status;

use super::peers::{Lane, Peers, client};
use super::wire::proto;
use crate::halt::{FatalReason, Halt};
use crate::keys::KeyRing;

/// How often members that did not answer are asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// How long a member may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);

/// Whether this node must stay out of consensus for now. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Probation(Arc<AtomicBool>);

impl Probation {
    /// On probation if the disk has never held anything.
    pub(crate) fn new(disk_is_new: bool) -> Self {
        Self(Arc::new(AtomicBool::new(disk_is_new)))
    }

    /// Fails while it lasts.
    pub(crate) fn check(&self) -> Result<(), Status> {
        if self.lasts() {
            return Err(Status::unavailable(
                "the node's disk is new, and no cluster has taken it up yet",
            ));
        }
        Ok(())
    }

    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    fn lasts(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

pub(super) struct Formation {
    pub(super) this: NodeId,
    pub(super) members: BTreeMap<NodeId, Member>,
    pub(super) raft: Raft,
    pub(super) peers: Peers,
    pub(super) keys: KeyRing,
    pub(super) halt: Halt,
    pub(super) probation: Probation,
}

/// What the others said.
enum Answers {
    AllEmpty,
    Cluster(proto::Introduction),
    OtherPepper(NodeId),
    Silent(NodeId, String),
}

impl Formation {
    /// Forms the cluster if that falls to this node, or ends once it is clear what it may do.
    pub(super) async fn run(self) {
        let mut said = String::new();
        while self.is_open().await {
            match self.ask_all(false).await {
                Answers::AllEmpty if self.forms() => {
                    if matches!(self.ask_all(true).await, Answers::AllEmpty) {
                        return self.initialize().await;
                    }
                }
                Answers::Cluster(answer) => return self.found(&answer),
                Answers::OtherPepper(id) => {
                    tracing::error!(node = id, "that node has another pepper");
                    return self.halt.fatal(&FatalReason::Pepper);
                }
                Answers::Silent(id, reason) if said != reason => {
                    tracing::info!(node = id, %reason, "waiting for a member to form the cluster with");
                    said = reason;
                }
                Answers::AllEmpty | Answers::Silent(..) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether there is something left to find out.
    async fn is_open(&self) -> bool {
        let uninitialized = matches!(self.raft.is_initialized().await, Ok(false));
        uninitialized && (self.forms() || self.probation.lasts())
    }

    fn forms(&self) -> bool {
        self.members.keys().next() == Some(&self.this)
    }

    fn found(&self, cluster: &proto::Introduction) {
        if self.probation.lasts() && cluster.members.contains(&self.this) {
            return self.halt.fatal(&FatalReason::DiskLost(self.this));
        }
        tracing::info!(
            node = cluster.id,
            "a cluster exists; waiting to be contacted by its leader"
        );
        self.probation.end();
    }

    async fn ask_all(&self, forming: bool) -> Answers {
        let pepper_check = self.keys.pepper_check().0;
        let mut silent = None;
        for member in self
            .members
            .values()
            .filter(|member| member.id != self.this)
        {
            match self.ask(member, forming).await {
                Ok(answer) if answer.initialized => return Answers::Cluster(answer),
                Ok(answer) if answer.pepper_check != pepper_check[..] => {
                    return Answers::OtherPepper(member.id);
                }
                Ok(_) => {}
                Err(reason) => silent = Some(Answers::Silent(member.id, reason)),
            }
        }
        silent.unwrap_or(Answers::AllEmpty)
    }

    async fn ask(&self, member: &Member, forming: bool) -> Result<proto::Introduction, String> {
        let asking = async {
            let connection = self
                .peers
                .connect(member, Lane::Control)
                .await
                .map_err(|error| error.to_string())?;
            let introduction = proto::Introduction {
                id: self.this,
                forming,
                ..proto::Introduction::default()
            };
            let reply = client(connection).introduce(introduction).await;
            reply
                .map(tonic::Response::into_inner)
                .map_err(|status| status.message().to_owned())
        };
        match tokio::time::timeout(ANSWER_DEADLINE, asking).await {
            Ok(result) => result,
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    async fn initialize(&self) {
        self.probation.end();
        match self.raft.initialize(self.members.clone()).await {
            Ok(()) => tracing::info!(members = self.members.len(), "formed a cluster"),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
                tracing::info!("another node formed the cluster meanwhile");
            }
            Err(error) => tracing::error!(%error, "cannot form the cluster"),
        }
    }
}
