//! Proposals: from a command to its result, or to the truth about why there is none.
//!
//! Each attempt ends in one of three ways ([`Attempt`]), and the whole art is never to take one
//! for another:
//!
//! *Applied.* The command went through the log, a quorum stored it, and the leader has applied it.
//!
//! *Refused.* The command is in nobody's log and never will be, so it may be tried again freely:
//! 1. no leader is known, or no connection to it opens: nothing was sent;
//! 2. the leader answers that it does not lead (any more), that it is handing over, or that its
//!    lease ran out: openraft says so before it appends. Each proposal names the term it is meant
//!    for, so one that lies in a socket while leadership goes away and comes back is refused too;
//! 3. the leader has no room for what it would add. Then nothing is tried again.
//!
//! *Unknown.* The command may be in some log:
//! 1. it was sent, and the connection broke or fell silent before the answer: the leader may have
//!    appended it, and may have committed it;
//! 2. the leader appended it and lost its leadership: the entry may have reached a quorum, in
//!    which case the next leader commits it, or it may be cut off;
//! 3. the deadline passed while the leader waited for its quorum.
//!
//! An unknown command is tried again only if it carries an idempotency key, and then as it is:
//! the same stamp, the same identifiers. If the first copy does commit it stands before the
//! second in the log (a leader that did not have it when it was elected never will), so the
//! second finds its record and answers the same.
//!
//! The result itself, a rejection included, nobody sends: this node applies every entry too, and
//! has to have done so before it answers, so it takes the result from there ([`Outcomes`]). That
//! also settles attempts whose end is unknown, as soon as their entry comes by.

mod course;
mod forward;
mod serve;

use std::time::Duration;

use domain::command::Stamped;
use domain::outcome::Applied;
use domain::time::Revision;
use injection::{Mutant, mutant};
use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::ClientWriteError;
use openraft::impls::OneshotResponder;
use openraft::raft::ClientWriteResult;
use openraft::type_config::alias::OneshotReceiverOf;
use platform::trace::{self, Kind, Span};
use raft_store::types::{LeaderId, NodeId, Raft, TypeConfig};
use raft_store::{Outcomes, Proposal};
use tokio::sync::watch;
use tokio::time::Instant;

use super::applied::AppliedWaiters;
use super::fullness::Gate;
use super::leadership::Leadership;
use super::peers::Peers;
use super::wire;
use crate::control_plane::{PROPOSE_DEADLINE, ProposeError};
use crate::traces::Traces;

use forward::Forwarder;
pub(super) use serve::serve;

/// After how much silence of its quorum a leader gives up on what it appended.
const QUORUM_SILENCE_MAX: Duration = Duration::from_secs(2);

/// How often such a leader looks again whether it is silent.
const SILENCE_CHECK: Duration = Duration::from_millis(250);

/// How an attempt ended; see the module's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// By the leader, at this revision.
    Applied(Revision),
    Refused(String),
    /// By a leader that has no room for it: as refused, and trying again is of no use now.
    Full(String),
    Unknown(String),
}

impl Attempt {
    /// Says in a span how it ended.
    fn tell(&self, span: &mut Span) {
        match self {
            Self::Applied(revision) => span.set("vectorgate.revision", || signed(*revision)),
            Self::Refused(_) => span.fail(|| "refused".to_owned()),
            Self::Full(_) => span.fail(|| "storage full".to_owned()),
            Self::Unknown(_) => span.fail(|| "unknown".to_owned()),
        }
    }
}

/// A revision as a span may have it.
fn signed(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

/// Where a write's result will come.
pub(super) type Written = OneshotReceiverOf<TypeConfig, ClientWriteResult<TypeConfig>>;

/// Brings commands to the leader.
#[derive(Clone)]
pub(crate) struct Proposer {
    this: NodeId,
    raft: Raft,
    gate: Gate,
    leadership: watch::Receiver<Leadership>,
    forwarder: Forwarder,
    applied: AppliedWaiters,
    outcomes: Outcomes,
    traces: Traces,
}

impl Proposer {
    pub(crate) fn new(
        this: NodeId,
        (raft, gate): (Raft, Gate),
        peers: Peers,
        leadership: watch::Receiver<Leadership>,
        (applied, outcomes): (AppliedWaiters, Outcomes),
        traces: Traces,
    ) -> Self {
        let forwarder = Forwarder::new(peers, leadership.clone());
        Self {
            this,
            raft,
            gate,
            leadership,
            forwarder,
            applied,
            outcomes,
            traces,
        }
    }

    /// Has `stamped` applied by the cluster and this node, by the deadline of proposals.
    pub(crate) async fn propose(&self, stamped: Stamped) -> Result<Applied, ProposeError> {
        let mut span = trace::child("propose", Kind::Internal);
        span.set("vectorgate.command", || stamped.command.name());
        self.traces.note(&stamped.request_id, span.recorded());
        let ended = span.scope(self.carry(stamped)).await;
        match &ended {
            Ok(applied) => span.set("vectorgate.revision", || signed(applied.revision)),
            Err(ProposeError::OutcomeUnknown { .. }) => span.fail(|| "unknown".to_owned()),
            Err(_) => span.fail(|| "refused".to_owned()),
        }
        ended
    }

    async fn carry(&self, mut stamped: Stamped) -> Result<Applied, ProposeError> {
        let deadline = Instant::now() + PROPOSE_DEADLINE;
        if mutant::active(Mutant::AnswersInMemory)
            && let Some(idempotency) = &mut stamped.idempotency
        {
            idempotency.key.0.push_str(&self.this.to_string());
        }
        let repeatable = stamped.idempotency.is_some() || mutant::active(Mutant::AmbiguousRetry);
        let mut outcome = self.outcomes.expect(stamped.request_id.clone());
        let proposal = Proposal::new(stamped);
        let attempt = |known| self.attempt(&proposal, known, repeatable);
        let course = async {
            let revision = course::run(self.leadership.clone(), repeatable, attempt).await?;
            let reached = tokio::time::timeout_at(deadline, self.applied.reach(revision)).await;
            Ok::<_, ProposeError>((revision, reached.is_ok()))
        };
        let ended = tokio::select! {
            biased;
            applied = &mut outcome => return Ok(applied),
            ended = course => ended,
        };
        // 1. The outcome is not there yet, 2. it comes, and the course ends by it, 3. the course is
        // looked at: what it says is older than the outcome.
        if let Some(applied) = outcome.take() {
            return Ok(applied);
        }
        let (revision, reached) = ended?;
        let why = if reached {
            "which reached this node without what came of it, as part of a checkpoint"
        } else {
            "which this node has not reached"
        };
        let reason = format!("it was applied at revision {}, {why}", revision.0);
        Err(ProposeError::OutcomeUnknown { reason })
    }

    async fn attempt(&self, proposal: &Proposal, known: Leadership, repeatable: bool) -> Attempt {
        let Some(leader) = known.leader else {
            return Attempt::Refused("this node knows of no leader".to_owned());
        };
        if leader.id == self.this {
            let at = (&self.raft, &self.gate);
            let mut span = trace::child("append", Kind::Internal);
            let attempt = match append(at, self.this, known.term, proposal.clone()).await {
                Ok(written) => outcome(&self.raft, written).await,
                Err(attempt) => attempt,
            };
            attempt.tell(&mut span);
            return attempt;
        }
        let mut span = trace::child("forward", Kind::Client);
        span.set("vectorgate.leader", || leader.id.to_string());
        let command = (wire::encode_command(proposal), span.recorded());
        let forwarding = self
            .forwarder
            .forward(known.term, &leader, command, repeatable);
        let attempt = forwarding.await;
        attempt.tell(&mut span);
        attempt
    }
}

/// Hands a command to openraft, to be appended only if this node leads in `term`.
pub(super) async fn append(
    (raft, gate): (&Raft, &Gate),
    this: NodeId,
    term: u64,
    proposal: Proposal,
) -> Result<Written, Attempt> {
    let command = &proposal.stamped().command;
    gate.judge(command).map_err(Attempt::Full)?;
    let (responder, written) = OneshotResponder::new_pair();
    let leadership = LeaderId {
        term,
        node_id: this,
    };
    match raft
        .write(proposal)
        .with_leader(leadership)
        .responder(responder)
        .await
    {
        Ok(()) => Ok(written),
        // Consensus has stopped, and whether it had taken the message does not show.
        Err(fatal) => Err(Attempt::Unknown(fatal.to_string())),
    }
}

/// Waits for what became of an appended command. It gives up when the quorum has fallen silent,
/// and has no other deadline.
pub(super) async fn outcome(raft: &Raft, mut written: Written) -> Attempt {
    let mut patience = QUORUM_SILENCE_MAX;
    loop {
        match tokio::time::timeout(patience, &mut written).await {
            Ok(Ok(result)) => return judge(result),
            Ok(Err(_)) => return Attempt::Unknown("consensus stopped".to_owned()),
            Err(_) if quorum_is_silent(raft) => {
                return Attempt::Unknown("the leader lost its quorum".to_owned());
            }
            Err(_) => patience = SILENCE_CHECK,
        }
    }
}

fn judge(result: ClientWriteResult<TypeConfig>) -> Attempt {
    match result {
        Ok(write) => Attempt::Applied(Revision(write.log_id.index)),
        Err(ClientWriteError::ForwardToLeader(forward)) => Attempt::Refused(format!(
            "the node that was asked does not lead ({:?})",
            forward.reason
        )),
        Err(error) => Attempt::Unknown(error.to_string()),
    }
}

/// Whether this node leads and has not heard from a quorum for too long, or does not lead at all.
fn quorum_is_silent(raft: &Raft) -> bool {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    metrics
        .last_quorum_acked
        .as_ref()
        .is_none_or(|acked| acked.elapsed() > QUORUM_SILENCE_MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use domain::command::{Command, RevokeApiKey};
    use domain::id::{ApiKeyId, RequestId, Seed};
    use domain::time::Timestamp;
    use raft_store::types::Member;
    use raft_store::{Options, SimDisk, Storage};

    use super::*;
    use crate::consensus::network::Links;
    use crate::consensus::peers::{Connection, Dial, DialError};
    use crate::control_plane::BoxFuture;
    use crate::settings::RaftSettings;

    struct Nobody;

    impl Dial for Nobody {
        fn dial<'a>(
            &'a self,
            _: NodeId,
            _: &'a str,
        ) -> BoxFuture<'a, Result<Connection, DialError>> {
            Box::pin(std::future::ready(Err(DialError::Aborted)))
        }
    }

    /// Node 1, which is a cluster by itself, and the term it leads in.
    async fn leader() -> (Raft, u64) {
        let fatal: raft_store::Fatal = Arc::new(|fault| panic!("{fault}"));
        let opened = raft_store::open(Storage::Sim(SimDisk::new()), Options { fatal }).unwrap();
        let links = Links::new(Peers::new(Arc::new(Nobody)), Traces::default());
        let config = crate::consensus::config::config(&RaftSettings::default()).unwrap();
        let raft = Raft::new(1, config, links, opened.log, opened.machine)
            .await
            .unwrap();
        raft.initialize(BTreeMap::from([(
            1,
            Member {
                id: 1,
                ..Member::default()
            },
        )]))
        .await
        .unwrap();
        let patience = Some(Duration::from_secs(10));
        let metrics = raft
            .wait(patience)
            .current_leader(1, "it leads")
            .await
            .unwrap();
        (raft, metrics.current_term)
    }

    fn command() -> Proposal {
        let seed = Seed {
            unix_ms: 1,
            random: 1,
        };
        Proposal::new(Stamped {
            at: Timestamp(1),
            request_id: RequestId::new(seed),
            idempotency: None,
            command: Command::RevokeApiKey(RevokeApiKey {
                id: ApiKeyId::new(seed),
            }),
            origin: Default::default(),
            precondition: None,
        })
    }

    #[tokio::test]
    async fn a_proposal_for_another_term_is_refused_and_not_appended() {
        let (raft, term) = leader().await;
        let last = |raft: &Raft| raft.metrics().borrow_watched().last_log_index;
        let before = last(&raft);
        for other in [term - 1, term + 1] {
            let written = append((&raft, &Gate::default()), 1, other, command())
                .await
                .unwrap();
            let attempt = outcome(&raft, written).await;
            assert!(matches!(attempt, Attempt::Refused(_)), "{attempt:?}");
        }
        assert_eq!(last(&raft), before);
        let written = append((&raft, &Gate::default()), 1, term, command())
            .await
            .unwrap();
        let attempt = outcome(&raft, written).await;
        assert!(matches!(attempt, Attempt::Applied(_)), "{attempt:?}");
    }

    #[tokio::test]
    async fn what_a_stopped_consensus_was_asked_is_unknown() {
        let (raft, term) = leader().await;
        raft.shutdown().await.unwrap();
        let attempt = append((&raft, &Gate::default()), 1, term, command())
            .await
            .unwrap_err();
        assert!(matches!(attempt, Attempt::Unknown(_)), "{attempt:?}");
    }
}
