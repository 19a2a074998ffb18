//! Where operators' questions arrive, on any node, and how they reach the node that leads. A question
//! is put again while leadership moves: each change can be asked for twice.

use std::time::Duration;

use raft_store::types::{Member, NodeId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::request::{Asker, ClusterError, ClusterReply, ClusterRequest};
use super::steward::{Steward, unfinished};
use crate::consensus::leadership::{self, Leadership};
use crate::consensus::peers::{Lane, Peers, client};
use crate::consensus::wire::proto;

/// How long a leader is looked for: past the usual election.
const LEADER_PATIENCE: Duration = Duration::from_secs(3);

/// How long to wait before asking again, unless the leadership changes.
const PAUSE: Duration = Duration::from_millis(50);

/// How long the leader may take: longer than it gives a change.
const ANSWER_DEADLINE: Duration = Duration::from_secs(15);

/// The longest question or answer.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// A question on its way between nodes.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    asker: Asker,
    request: ClusterRequest,
    /// Whether a node passes it on to the one that it takes for the leader.
    #[serde(default)]
    passed_on: bool,
}

/// Takes operators' questions. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) steward: Steward,
    pub(crate) this: NodeId,
    pub(crate) peers: Peers,
    pub(crate) leadership: watch::Receiver<Leadership>,
}

impl Desk {
    /// Has the node that leads do what is asked.
    pub(crate) async fn ask(
        &self,
        asker: Asker,
        request: ClusterRequest,
    ) -> Result<ClusterReply, ClusterError> {
        if request == ClusterRequest::Examine {
            return self.steward.ask(asker, request).await;
        }
        let mut leadership = self.leadership.clone();
        let patience = Instant::now() + LEADER_PATIENCE;
        loop {
            let leader = leadership.borrow_and_update().leader.clone();
            let answer = match leader {
                None => Err(no_leader()),
                Some(leader) if leader.id == self.this => {
                    self.steward.ask(asker.clone(), request.clone()).await
                }
                Some(leader) => self.pass_on(&leader, &asker, &request).await,
            };
            match answer {
                Err(ClusterError::Moved { .. } | ClusterError::Unavailable { .. })
                    if Instant::now() < patience =>
                {
                    leadership::change_within(&mut leadership, PAUSE).await;
                }
                Err(ClusterError::Moved { .. } | ClusterError::Unavailable { .. })
                    if request == ClusterRequest::Status =>
                {
                    let status = self.steward.local_status();
                    return Ok(ClusterReply::Status(Box::new(status)));
                }
                Err(ClusterError::Moved { .. }) => return Err(no_leader()),
                answer => return answer,
            }
        }
    }

    /// Answers another node, or an operator who shows a node's certificate.
    pub(crate) async fn answer(&self, caller: NodeId, question: &[u8]) -> Option<Vec<u8>> {
        let question: Question = serde_json::from_slice(question).ok()?;
        let answer = if question.passed_on {
            self.steward.ask(question.asker, question.request).await
        } else {
            let asker = Asker {
                address: Some(format!("node {caller}'s certificate")),
                ..question.asker
            };
            self.ask(asker, question.request).await
        };
        serde_json::to_vec(&answer).ok()
    }

    async fn pass_on(
        &self,
        leader: &Member,
        asker: &Asker,
        request: &ClusterRequest,
    ) -> Result<ClusterReply, ClusterError> {
        put(&self.peers, leader, asker, request, true).await
    }
}

/// Puts a question to a node.
pub(super) async fn put(
    peers: &Peers,
    member: &Member,
    asker: &Asker,
    request: &ClusterRequest,
    passed_on: bool,
) -> Result<ClusterReply, ClusterError> {
    let unavailable = |reason: &dyn std::fmt::Display| ClusterError::Unavailable {
        reason: format!("node {}: {reason}", member.id),
    };
    let connection = peers
        .connect(member, Lane::Control)
        .await
        .map_err(|error| unavailable(&error))?;
    let question = Question {
        asker: asker.clone(),
        request: request.clone(),
        passed_on,
    };
    let data = serde_json::to_vec(&question).map_err(|error| unavailable(&error))?;
    let mut client = client(connection);
    let asking = client.cluster(proto::ClusterMessage { data: data.into() });
    let lost = |reason: &str| match request {
        ClusterRequest::Status
        | ClusterRequest::Changes
        | ClusterRequest::Examine
        | ClusterRequest::SigningKeys
        | ClusterRequest::Secrets => unavailable(&reason),
        _ => unfinished(reason),
    };
    let reply = match tokio::time::timeout(ANSWER_DEADLINE, asking).await {
        Ok(Ok(reply)) => reply.into_inner().data,
        Ok(Err(status)) => return Err(lost(status.message())),
        Err(_) => return Err(lost("it did not answer in time")),
    };
    if reply.len() > MESSAGE_BYTES_MAX {
        return Err(lost("its answer is too long"));
    }
    serde_json::from_slice(&reply).unwrap_or_else(|error| Err(lost(&error.to_string())))
}

fn no_leader() -> ClusterError {
    ClusterError::Unavailable {
        reason: "no node leads now, so nothing can be changed; start the voters that do not run, \
                 then ask again"
            .to_owned(),
    }
}
