//! How the cluster stands, in words and numbers: as its leader sees it, or, where there is none, as
//! far as this node knows.

use std::time::Duration;

use domain::command::Origin;
use domain::model::ClusterChange;
use domain::query;
use openraft::async_runtime::watch::WatchReceiver;
use raft_store::types::{Member, NodeId};

use super::request::{Asker, ChangeRecord, ClusterError, ClusterStatus, MemberStatus, Role};
use super::steward::Steward;
use super::view::{View, majority, risks};

/// How many changes are told.
const CHANGES_TOLD: usize = 100;

impl Steward {
    /// The status by the leader, which this node is.
    pub(super) fn status(&self) -> Result<ClusterStatus, ClusterError> {
        let (view, _) = self.view()?;
        let leaving = view
            .retired
            .iter()
            .find(|id| view.members.contains_key(id))
            .map(|id| format!("node {id} is being removed"));
        let unfinished = view
            .unfinished
            .then(|| "a change of the membership is being finished".to_owned());
        let under_way = self.what_is_under_way().or(leaving).or(unfinished);
        let members = view.members.iter().map(|(id, known)| {
            let heard = known.heard.filter(|_| *id != view.leader);
            MemberStatus {
                alive: Some(view.is_alive(*id)),
                heard_ms: heard.map(milliseconds),
                lag: view.lag(*id),
                ..member(&known.member, role(&view, *id), view.retired.contains(id))
            }
        });
        Ok(ClusterStatus {
            members: members.collect(),
            quorum: majority(view.voters.len()),
            risks: self.full_disks().chain(risks(&view)).collect(),
            preferred_region: view.preferred_region.clone(),
            under_way,
            ..self.outline(Some(view.leader))
        })
    }

    /// In words, whose disks are full, and what follows.
    fn full_disks(&self) -> impl Iterator<Item = String> + use<> {
        let gate = &self.parts.gate;
        let follows = if gate.is_shut() {
            "nothing that grows is taken before a majority of the voters has room again"
        } else {
            "that node ends when it cannot write any more, and the others go on"
        };
        let full = gate.full().into_iter();
        full.map(move |id| format!("the disk of node {id} is full: {follows}"))
    }

    /// The status by a node that finds no leader.
    pub(super) fn local_status(&self) -> ClusterStatus {
        let read = self
            .parts
            .reader
            .read(|rows| (query::preferred_region(rows), query::retired_members(rows)));
        let (preferred_region, retired) = read.unwrap_or_default();
        let metrics = self.parts.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters = membership.get_joint_config().last().cloned();
        let voters = voters.unwrap_or_default();
        let members = membership.nodes().map(|(id, known)| {
            let role = if voters.contains(id) {
                Role::Voter
            } else {
                Role::Learner
            };
            let leaving = retired.contains_key(&domain::model::MemberId(*id));
            member(known, role, leaving)
        });
        ClusterStatus {
            members: members.collect(),
            quorum: majority(voters.len()),
            risks: vec![format!(
                "node {} knows of no leader: writes are stopped as far as it can see; start voters \
                 until {} of {} run",
                self.parts.this.id,
                majority(voters.len()),
                voters.len()
            )],
            preferred_region,
            ..self.outline(None)
        }
    }

    fn outline(&self, leader: Option<NodeId>) -> ClusterStatus {
        let metrics = self.parts.raft.metrics();
        let metrics = metrics.borrow_watched();
        let index = |log_id: Option<raft_store::LogId>| log_id.map_or(0, |log_id| log_id.index);
        ClusterStatus {
            answered_by: self.parts.this.id,
            leader,
            term: metrics.current_term,
            committed: index(metrics.cluster_committed),
            applied: index(metrics.last_applied),
            preferred_region: None,
            under_way: None,
            members: Vec::new(),
            quorum: 0,
            risks: Vec::new(),
            state_check: Some(self.parts.board.show()),
        }
    }

    /// What operators asked for lately.
    pub(super) fn changes(&self) -> Result<Vec<ChangeRecord>, ClusterError> {
        let read = self
            .parts
            .reader
            .read(|rows| query::cluster_changes(rows, CHANGES_TOLD));
        let changes = read.map_err(|fault| ClusterError::Unavailable {
            reason: fault.to_string(),
        })?;
        let told = changes.into_iter().map(|(revision, record)| {
            let Origin {
                method,
                path,
                address,
            } = record.origin;
            ChangeRecord {
                revision: revision.0,
                at: record.at.unix_seconds(),
                change: words(&record.change),
                by: Asker {
                    method,
                    path,
                    address,
                },
            }
        });
        Ok(told.collect())
    }
}

fn role(view: &View, id: NodeId) -> Role {
    if id == view.leader {
        Role::Leader
    } else if view.is_voter(id) {
        Role::Voter
    } else {
        Role::Learner
    }
}

fn member(member: &Member, role: Role, leaving: bool) -> MemberStatus {
    MemberStatus {
        id: member.id,
        role,
        region: member.region.clone(),
        internal: member.internal.clone(),
        rest: member.rest.clone(),
        publisher: member.publisher.clone(),
        alive: None,
        heard_ms: None,
        lag: None,
        leaving,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn words(change: &ClusterChange) -> String {
    match change {
        ClusterChange::MemberAdded {
            member,
            region,
            internal,
        } => format!("add node {} in {region} at {internal}", member.0),
        ClusterChange::MemberPromoted { member } => format!("promote node {}", member.0),
        ClusterChange::MemberDemoted { member } => format!("demote node {}", member.0),
        ClusterChange::MemberRetired {
            member,
            replaced_by: None,
        } => format!("remove node {}", member.0),
        ClusterChange::MemberRetired {
            member,
            replaced_by: Some(with),
        } => format!("replace node {} by node {}", member.0, with.0),
        ClusterChange::LeaderMoved { to } => format!("transfer leadership to node {}", to.0),
        ClusterChange::RegionPreferred {
            region: Some(region),
        } => format!("prefer a leader in {region}"),
        ClusterChange::RegionPreferred { region: None } => {
            "prefer no region for the leader".to_owned()
        }
        ClusterChange::SigningKeyAdded { key } => format!("sign with key {key}"),
        ClusterChange::SigningKeyRetired { key } => format!("retire signing key {key}"),
        ClusterChange::KekActivated { key } => format!("seal secrets under key {key}"),
        ClusterChange::PepperActivated { pepper } => format!("hash keys under pepper {pepper}"),
        ClusterChange::Restored {
            epoch,
            backup,
            revision,
        } => format!(
            "begin epoch {} from backup {backup}, which goes up to revision {}",
            epoch.0, revision.0
        ),
        ClusterChange::Recovered {
            epoch,
            member,
            lost,
        } => {
            let lost: Vec<String> = lost.iter().map(|member| member.0.to_string()).collect();
            format!(
                "begin epoch {} with what node {} had, without {}",
                epoch.0,
                member.0,
                lost.join(", ")
            )
        }
    }
}
