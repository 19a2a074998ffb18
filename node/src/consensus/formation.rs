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
//! Probation ends when all initial members turn out to be new (*forming* is said), or when the leader
//! of a cluster that does not know this node admits it, because an operator adds it; see
//! [`super::membership`]. A cluster that does know it makes the process end, at every start, and so
//! does one that has removed a node of its number.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::model::PepperId;
use injection::{Mutant, mutant};
use openraft::errors::{InitializeError, RaftError};
use raft_store::types::{Member, NodeId, Raft};
use raft_store::{Admission, StorageFault};
use tonic::Status;

use super::peers::{Lane, Peers, client};
use super::wire::proto;
use crate::halt::{FatalReason, Halt};
use crate::keys::KeyRing;

/// How often members that did not answer are asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// How long a member may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);

/// How often is asked again where there is a cluster already.
const PATIENT_PAUSE: Duration = Duration::from_secs(1);

/// Whether this node must stay out of consensus for now: as long as its disk is not admitted. Cloning
/// shares it.
#[derive(Clone)]
pub(crate) struct Probation(Admission);

impl Probation {
    pub(crate) fn new(admission: Admission) -> Self {
        Self(admission)
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

    /// Ends it for good: the disk says so from now on, before anything else is written to it.
    pub(crate) async fn end(&self) -> Result<(), StorageFault> {
        self.0.admit().await
    }

    pub(crate) fn lasts(&self) -> bool {
        !self.0.is_admitted() && !mutant::active(Mutant::AmnesiaAccepted)
    }
}

pub(super) struct Formation {
    pub(super) this: NodeId,
    /// Whether this node waits to be added and never forms a cluster.
    pub(super) joins: bool,
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
    Cluster(Box<proto::Introduction>),
    OtherPepper(NodeId, PepperId),
    Silent(NodeId, String),
}

impl Formation {
    /// Forms the cluster if that falls to this node, or ends once it is clear what it may do.
    pub(super) async fn run(self) {
        let mut said = String::new();
        while self.is_open().await {
            let mut pause = PAUSE;
            match self.ask_all(false).await {
                Answers::AllEmpty if self.forms() => {
                    if matches!(self.ask_all(true).await, Answers::AllEmpty) {
                        return self.initialize().await;
                    }
                }
                Answers::Cluster(answer) => {
                    if self.found(&answer, &mut said) {
                        return;
                    }
                    pause = PATIENT_PAUSE;
                }
                Answers::OtherPepper(id, pepper) => {
                    tracing::error!(node = id, %pepper, "that node wants another pepper");
                    return self.halt.fatal(&FatalReason::Pepper(pepper));
                }
                Answers::Silent(id, reason) if said != reason => {
                    if self.joins {
                        tracing::info!(node = id, %reason, "looking for the cluster to join");
                    } else {
                        tracing::info!(node = id, %reason, "waiting for a member to form the cluster with");
                    }
                    said = reason;
                }
                Answers::AllEmpty | Answers::Silent(..) => {}
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether there is something left to find out.
    async fn is_open(&self) -> bool {
        let uninitialized = matches!(self.raft.is_initialized().await, Ok(false));
        uninitialized && (self.forms() || self.probation.lasts())
    }

    fn forms(&self) -> bool {
        !self.joins && self.members.keys().next() == Some(&self.this)
    }

    /// Whether that settles what this node may do.
    fn found(&self, cluster: &proto::Introduction, said: &mut String) -> bool {
        if cluster.retired.contains(&self.this) {
            self.halt.fatal(&FatalReason::UsedBefore(self.this));
            return true;
        }
        // Whoever was admitted since it asked is a member for that reason.
        if !self.probation.lasts() {
            return true;
        }
        if cluster.members.contains(&self.this) {
            self.halt.fatal(&FatalReason::DiskLost(self.this));
            return true;
        }
        let pepper = pepper_of(cluster);
        if !self.keys.has_pepper(pepper) {
            self.halt.fatal(&FatalReason::Pepper(pepper));
            return true;
        }
        let reason = "found";
        if said != reason {
            tracing::info!(
                node = cluster.id,
                "a cluster exists, and waits for an operator to add this node: \
                 vectorgate-node members add"
            );
            reason.clone_into(said);
        }
        false
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
                Ok(answer) if answer.initialized => return Answers::Cluster(Box::new(answer)),
                Ok(answer) if answer.pepper_check != pepper_check[..] => {
                    return Answers::OtherPepper(member.id, pepper_of(&answer));
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
        if let Err(fault) = self.probation.end().await {
            return tracing::error!(%fault, "cannot form the cluster");
        }
        match self.raft.initialize(self.members.clone()).await {
            Ok(()) => tracing::info!(members = self.members.len(), "formed a cluster"),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
                tracing::info!("another node formed the cluster meanwhile");
            }
            Err(error) => tracing::error!(%error, "cannot form the cluster"),
        }
    }
}

/// The name of the pepper that a node hashes new keys under.
fn pepper_of(said: &proto::Introduction) -> PepperId {
    let check = said.pepper_check.first_chunk().copied();
    PepperId(check.unwrap_or_default())
}
