//! Does on the leader what was planned, one change at a time. What a step needs to be finished by
//! another leader is in the log before the step begins: a retired number, or openraft's own joint
//! membership; see [`super::errand`].

use std::sync::Arc;
use std::time::Duration;

use domain::command::{ChangeCluster, Command, Origin, Stamped};
use domain::id::RequestId;
use domain::model::{ClusterChange, MemberId};
use domain::query;
use domain::rejection::Rejection;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{ChangeMembers, Instant as _, Precondition};
use parking_lot::Mutex;
use platform::{Clock, Entropy};
use raft_store::types::{LeaderId, LogId, Member, NodeId, Raft, TypeConfig};
use raft_store::{Reader, StorageFault};
use tokio::sync::{OwnedMutexGuard, watch};

use super::condition::Surroundings;
use super::newcomer;
use super::plan::{Plan, Step, Wish, plan};
use super::refusal::Refusal;
use super::request::{Asker, ClusterError, ClusterReply, ClusterRequest, Done, NewMember};
use super::view::{Known, View, risks};
use crate::consensus::applied::AppliedWaiters;
use crate::consensus::check::Board;
use crate::consensus::fullness::Gate;
use crate::consensus::leadership::Leadership;
use crate::consensus::peers::Peers;
use crate::consensus::propose::Proposer;
use crate::consensus::reads::Confirmations;
use crate::control_plane::ProposeError;
use crate::keys::KeyRing;
use crate::sealing::Census;

/// How long a change may take before whoever asked is told that it goes on without them.
const CHANGE_DEADLINE: Duration = Duration::from_secs(10);

/// How long to wait for the end of a change that has just been made, and for the first answers of
/// voters to a leader that has just begun: ten heartbeats.
const SETTLE_DEADLINE: Duration = Duration::from_secs(1);
const SETTLE_PAUSE: Duration = Duration::from_millis(20);

/// How long a leader may take to make sure that it leads.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(2);

/// What the steward works with.
pub(crate) struct Parts {
    pub(crate) this: Member,
    pub(crate) raft: Raft,
    pub(crate) reader: Reader,
    pub(crate) peers: Peers,
    pub(crate) keys: KeyRing,
    pub(crate) proposer: Proposer,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) confirmations: Confirmations,
    pub(crate) applied: AppliedWaiters,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) surroundings: Surroundings,
    pub(crate) board: Board,
    pub(crate) gate: Gate,
}

/// Changes the cluster while this node leads it. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Steward {
    pub(super) parts: Arc<Parts>,
    /// Held by the change that is under way.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// What it is, in words.
    under_way: Arc<Mutex<Option<String>>>,
}

/// Under which leadership, and on which membership, something was planned. A step is taken only if
/// both are still the same when openraft appends it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    leader: LeaderId,
    membership: Option<LogId>,
}

impl Guard {
    fn conditions(self) -> [Precondition<TypeConfig>; 2] {
        [
            Precondition::CommittedLeaderId {
                committed_leader_id: self.leader,
            },
            Precondition::LastMembershipLogId {
                last_membership_log_id: self.membership,
            },
        ]
    }
}

/// Says what is under way until it is dropped.
pub(super) struct Turn {
    under_way: Arc<Mutex<Option<String>>>,
    _turn: OwnedMutexGuard<()>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.under_way.lock() = None;
    }
}

impl Steward {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            turn: Arc::default(),
            under_way: Arc::default(),
        }
    }

    pub(crate) fn parts(&self) -> Arc<Parts> {
        Arc::clone(&self.parts)
    }

    /// Does what is asked, or fails with [`ClusterError::Moved`] where this node does not lead.
    pub(super) async fn ask(
        &self,
        asker: Asker,
        request: ClusterRequest,
    ) -> Result<ClusterReply, ClusterError> {
        match request {
            ClusterRequest::Status => self
                .status()
                .map(|status| ClusterReply::Status(status.into())),
            ClusterRequest::Changes => self.changes().map(ClusterReply::Changes),
            ClusterRequest::Examine => Ok(ClusterReply::Condition(self.condition().into())),
            ClusterRequest::SigningKeys => self
                .signing_keys()
                .map(|keys| ClusterReply::SigningKeys(keys.into())),
            ClusterRequest::Secrets => {
                let status = self.secrets_status().await?;
                Ok(ClusterReply::Secrets(status.into()))
            }
            change => {
                let turn = self.take_turn(change.to_string())?;
                let this = self.clone();
                // A task of its own: who asked may go away, the change does not.
                let changing = tokio::spawn(async move { this.change(asker, change, &turn).await });
                match tokio::time::timeout(CHANGE_DEADLINE, changing).await {
                    Ok(Ok(done)) => done.map(ClusterReply::Done),
                    Ok(Err(_)) => Err(unfinished("the node is shutting down")),
                    Err(_) => Err(unfinished("it takes longer than usual")),
                }
            }
        }
    }

    /// Nobody else's change begins until this is dropped.
    pub(super) fn take_turn(&self, what: String) -> Result<Turn, ClusterError> {
        let turn = Arc::clone(&self.turn)
            .try_lock_owned()
            .map_err(|_| ClusterError::from(Refusal::Busy))?;
        *self.under_way.lock() = Some(what);
        Ok(Turn {
            under_way: Arc::clone(&self.under_way),
            _turn: turn,
        })
    }

    pub(super) fn what_is_under_way(&self) -> Option<String> {
        self.under_way.lock().clone()
    }

    async fn change(
        &self,
        asker: Asker,
        request: ClusterRequest,
        _turn: &Turn,
    ) -> Result<Done, ClusterError> {
        let mut newcomer = None;
        let wish = match request {
            ClusterRequest::RotateSigningKey => return self.rotate_signing_key(&asker).await,
            ClusterRequest::RetireSigningKey(key) => {
                return self.retire_signing_key(&asker, &key).await;
            }
            ClusterRequest::Add(new) => {
                let (member, found) = self.meet(&new).await?;
                newcomer = found;
                Wish::Add(member)
            }
            ClusterRequest::Promote(id) => Wish::Promote(id),
            ClusterRequest::Demote(id) => Wish::Demote(id),
            ClusterRequest::Remove(id) => Wish::Remove(id),
            ClusterRequest::Replace { id, with } => Wish::Replace { id, with },
            ClusterRequest::TransferLeader(to) => Wish::Transfer(to),
            ClusterRequest::PreferRegion(region) => Wish::Prefer(region),
            ClusterRequest::RewrapSecrets => return self.rewrap_secrets(&asker).await,
            ClusterRequest::Status
            | ClusterRequest::Changes
            | ClusterRequest::Examine
            | ClusterRequest::SigningKeys
            | ClusterRequest::Secrets => {
                return Err(unfinished("the question is no change"));
            }
        };
        // After the newcomer was met: its number had no disk with promises on it at that time.
        self.confirm().await?;
        let (view, guard) = self.settled().await?;
        match plan(&view, &wish)? {
            Plan::Nothing(message) => Ok(Done {
                changed: false,
                message,
                risks: risks(&view),
            }),
            Plan::HandOverFirst(to) => {
                tracing::info!(to, "handing leadership over before this node's vote goes");
                match self.hand_over(to).await {
                    Err(error) if self.leads() => Err(error),
                    // Whoever leads now is asked again.
                    Ok(()) | Err(_) => Err(self.moved()),
                }
            }
            Plan::Step(step) => {
                self.record(&asker, &step).await?;
                if let Some(newcomer) = newcomer {
                    newcomer.admit(&self.parts.peers).await?;
                }
                let message = self.take(&step, guard).await?;
                tracing::info!(by = asker.path, message, "changed the cluster");
                let risks = self.view().map(|(view, _)| risks(&view));
                Ok(Done {
                    changed: true,
                    message,
                    risks: risks.unwrap_or_default(),
                })
            }
        }
    }

    /// Asks a node that is to join who it is, unless that is known, or nobody wants to know.
    async fn meet(
        &self,
        new: &NewMember,
    ) -> Result<(Member, Option<newcomer::Newcomer>), ClusterError> {
        let (view, _) = self.view()?;
        if let Some(known) = view.members.get(&new.id) {
            return Ok((new.complete(&known.member), None));
        }
        if view.retired.contains(&new.id) {
            return Err(Refusal::UsedBefore { id: new.id }.into());
        }
        let parts = &self.parts;
        let census = parts.reader.read(|rows| Census::of(rows));
        let needs = census.map_err(|fault| unavailable(&fault))?.needs();
        let found = newcomer::meet(&parts.peers, &parts.this, (&parts.keys, &needs), new).await?;
        Ok((new.complete(&found.said), Some(found)))
    }

    /// Takes one step. All of them may be taken twice.
    async fn take(&self, step: &Step, guard: Guard) -> Result<String, ClusterError> {
        Ok(match step {
            Step::Add(member) => {
                let nodes = [(member.id, member.clone())].into();
                self.append(ChangeMembers::AddNodes(nodes), guard).await?;
                format!("{member} is a learner now; promote it when it has caught up")
            }
            Step::Promote(id) => {
                self.append(ChangeMembers::AddVoterIds([*id].into()), guard)
                    .await?;
                format!("node {id} is a voter now")
            }
            Step::Demote(id) => {
                self.append(ChangeMembers::RemoveVoters([*id].into()), guard)
                    .await?;
                format!("node {id} is a learner now")
            }
            Step::Remove(id) => {
                self.take_out(*id, guard).await?;
                format!("node {id} is removed; its number is never used again")
            }
            Step::Replace { id, with } => {
                let swap = vec![
                    ChangeMembers::RemoveVoters([*id].into()),
                    ChangeMembers::AddVoterIds([*with].into()),
                ];
                self.append(ChangeMembers::Batch(swap), guard).await?;
                let (_, guard) = self.settled().await?;
                self.take_out(*id, guard).await?;
                format!("node {with} votes in the place of node {id}, which is removed")
            }
            Step::Transfer(to) => {
                self.hand_over(*to).await?;
                format!("node {to} leads now")
            }
            Step::Prefer(Some(region)) => format!(
                "the leader should be in the region {region}; it moves there when a voter there is \
                 fit to lead"
            ),
            Step::Prefer(None) => "it does not matter any more where the leader is".to_owned(),
        })
    }

    /// Removes a member: first its vote, so that it hears that it has none, and then itself.
    pub(super) async fn take_out(&self, id: NodeId, guard: Guard) -> Result<(), ClusterError> {
        let (view, _) = self.view()?;
        let mut guard = guard;
        if view.is_voter(id) {
            self.append(ChangeMembers::RemoveVoters([id].into()), guard)
                .await?;
            (_, guard) = self.settled().await?;
        }
        self.append(ChangeMembers::RemoveNodes([id].into()), guard)
            .await
    }

    /// Has openraft change the membership, through a joint one where voters change. Voters that lose
    /// their vote stay as learners: that is what a change that is interrupted halfway ends with too.
    async fn append(
        &self,
        change: ChangeMembers<NodeId, Member>,
        guard: Guard,
    ) -> Result<(), ClusterError> {
        let changed = self
            .parts
            .raft
            .change_membership_if(change, true, guard.conditions())
            .await;
        match changed {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(error)) => Err(match error {
                ClientWriteError::ForwardToLeader(_) | ClientWriteError::LogEntryDiscarded(_) => {
                    self.moved()
                }
                ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_)) => {
                    Refusal::Unfinished.into()
                }
                ClientWriteError::PreconditionFailed(_) => Refusal::Busy.into(),
                ClientWriteError::ChangeMembershipError(error) => ClusterError::Refused {
                    code: "membership".to_owned(),
                    message: error.to_string(),
                },
            }),
            Err(RaftError::Fatal(fatal)) => Err(unfinished(&fatal.to_string())),
        }
    }

    /// Makes sure that this node leads, and that it has applied all that was committed before.
    pub(super) async fn confirm(&self) -> Result<(), ClusterError> {
        if !self.leads() {
            return Err(self.moved());
        }
        let confirming = async {
            let index = self.parts.confirmations.once().await?;
            self.parts.applied.reach(index).await;
            Ok::<(), String>(())
        };
        let reason = match tokio::time::timeout(CONFIRM_DEADLINE, confirming).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(reason)) => reason,
            Err(_) => "the quorum did not answer in time".to_owned(),
        };
        if !self.leads() {
            return Err(self.moved());
        }
        Err(ClusterError::Unavailable {
            reason: format!(
                "nothing can be changed now: {reason}; start the voters that do not answer, then \
                 ask again"
            ),
        })
    }

    /// The cluster, once a change that has just been made shows as finished, and every voter has
    /// answered this leader or had the time to: openraft tells of answers a little after they came.
    async fn settled(&self) -> Result<(View, Guard), ClusterError> {
        let settling = async {
            loop {
                let seen = self.view()?;
                if !seen.0.unfinished && seen.0.has_heard_voters() {
                    return Ok(seen);
                }
                tokio::time::sleep(SETTLE_PAUSE).await;
            }
        };
        match tokio::time::timeout(SETTLE_DEADLINE, settling).await {
            Ok(settled) => settled,
            Err(_) => self.view(),
        }
    }

    /// The cluster as this node sees it, if it leads.
    pub(super) fn view(&self) -> Result<(View, Guard), ClusterError> {
        let read = self
            .parts
            .reader
            .read(|rows| (query::preferred_region(rows), query::retired_members(rows)));
        let (preferred_region, retired) = read.map_err(|fault| ClusterError::Unavailable {
            reason: fault.to_string(),
        })?;
        let metrics = self.parts.raft.metrics();
        let metrics = metrics.borrow_watched();
        let (Some(replication), Some(heartbeat)) = (&metrics.replication, &metrics.heartbeat)
        else {
            return Err(self.moved());
        };
        let stored = &metrics.membership_config;
        let membership = stored.membership();
        let last = metrics.last_log_index.unwrap_or_default();
        let known = |(id, member): (&NodeId, &Member)| {
            let heard = heartbeat.get(id).and_then(Option::as_ref);
            let matched = replication.get(id).copied().flatten();
            let known = Known {
                member: member.clone(),
                heard: heard.map(|at| at.elapsed()),
                lag: matched.map(|matched| last.saturating_sub(matched.index)),
            };
            (*id, known)
        };
        let configurations = membership.get_joint_config();
        let view = View {
            leader: self.parts.this.id,
            members: membership.nodes().map(known).collect(),
            voters: configurations.last().cloned().unwrap_or_default(),
            unfinished: configurations.len() > 1
                || stored.log_id() != metrics.committed_membership_config.log_id(),
            retired: retired.into_keys().map(|MemberId(id)| id).collect(),
            preferred_region,
        };
        let guard = Guard {
            leader: metrics.vote.leader_id,
            membership: *stored.log_id(),
        };
        Ok((view, guard))
    }

    pub(super) fn leads(&self) -> bool {
        self.parts.leadership.borrow().leader_id() == Some(self.parts.this.id)
    }

    pub(super) fn moved(&self) -> ClusterError {
        ClusterError::Moved {
            this: self.parts.this.id,
        }
    }

    /// Writes down what is about to be done. For a removal and a preferred region that is all that
    /// has to survive; the rest is for people.
    async fn record(&self, asker: &Asker, step: &Step) -> Result<(), ClusterError> {
        let id = |id: &NodeId| MemberId(*id);
        let change = match step {
            Step::Add(member) => ClusterChange::MemberAdded {
                member: MemberId(member.id),
                region: member.region.clone(),
                internal: member.internal.clone(),
            },
            Step::Promote(member) => ClusterChange::MemberPromoted { member: id(member) },
            Step::Demote(member) => ClusterChange::MemberDemoted { member: id(member) },
            Step::Remove(member) => ClusterChange::MemberRetired {
                member: id(member),
                replaced_by: None,
            },
            Step::Replace { id: member, with } => ClusterChange::MemberRetired {
                member: id(member),
                replaced_by: Some(id(with)),
            },
            Step::Transfer(to) => ClusterChange::LeaderMoved { to: id(to) },
            Step::Prefer(region) => ClusterChange::RegionPreferred {
                region: region.clone(),
            },
        };
        let command = Command::ChangeCluster(ChangeCluster { change });
        self.write_down(asker, command).await
    }

    /// Has the log take what an operator asks.
    pub(super) async fn write_down(
        &self,
        asker: &Asker,
        command: Command,
    ) -> Result<(), ClusterError> {
        let at = self.parts.clock.now();
        let stamped = Stamped {
            at,
            request_id: RequestId::new(self.parts.entropy.seed(at)),
            idempotency: None,
            command,
            origin: Origin {
                method: asker.method.clone(),
                path: asker.path.clone(),
                address: asker.address.clone(),
            },
            precondition: None,
        };
        match self.parts.proposer.propose(stamped).await {
            Ok(applied) => match applied.reply {
                Ok(_) => Ok(()),
                Err(Rejection::MemberRetired { id }) => Err(Refusal::UsedBefore { id }.into()),
                Err(rejection) => Err(ClusterError::Refused {
                    code: "rejected".to_owned(),
                    message: rejection.to_string(),
                }),
            },
            Err(
                ProposeError::Unavailable { reason, .. } | ProposeError::StorageFull { reason },
            ) => Err(ClusterError::Unavailable {
                reason: format!("nothing was changed: {reason}; ask again"),
            }),
            Err(ProposeError::OutcomeUnknown { reason }) => Err(unfinished(&reason)),
        }
    }
}

pub(super) fn unavailable(fault: &StorageFault) -> ClusterError {
    ClusterError::Unavailable {
        reason: fault.to_string(),
    }
}

/// It was begun, and may or may not be done.
pub(super) fn unfinished(reason: &str) -> ClusterError {
    ClusterError::Unfinished {
        reason: format!(
            "the change was begun, and how it ends is not known yet ({reason}); look at the status, \
             and ask again if it is not done: asking twice does no harm"
        ),
    }
}

impl From<Refusal> for ClusterError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused {
            code: refusal.code().to_owned(),
            message: refusal.to_string(),
        }
    }
}
