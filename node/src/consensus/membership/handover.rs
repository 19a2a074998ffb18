//! Handing leadership over. openraft takes no more writes from the moment it is told to, until
//! somebody else leads; so the heir is asked first whether it is there, and has to be almost as far as
//! this node.

use std::time::Duration;

use raft_store::types::NodeId;

use super::refusal::Refusal;
use super::request::ClusterError;
use super::steward::{Steward, unfinished};
use crate::consensus::peers::{Lane, client};
use crate::consensus::wire::proto;

/// How long the heir may take to say that it is there.
const GREETING_DEADLINE: Duration = Duration::from_millis(800);

/// How long the heir may take to lead.
const DEADLINE: Duration = Duration::from_secs(3);

impl Steward {
    /// Hands leadership over to a voter that is caught up, and returns once it leads.
    pub(super) async fn hand_over(&self, to: NodeId) -> Result<(), ClusterError> {
        self.greet(to).await?;
        let parts = &self.parts;
        let this = parts.this.id;
        let triggered = parts.raft.trigger().transfer_leader(to).await;
        triggered.map_err(|fatal| unfinished(&fatal.to_string()))?;
        let mut leadership = parts.leadership.clone();
        let other = leadership.wait_for(|now| now.leader_id().is_some_and(|leader| leader != this));
        let found = match tokio::time::timeout(DEADLINE, other).await {
            Ok(Ok(now)) => now.leader_id(),
            Ok(Err(_)) | Err(_) => None,
        };
        match found {
            Some(leader) if leader == to => {
                tracing::info!(to, "handed leadership over");
                Ok(())
            }
            Some(leader) => Err(unfinished(&format!(
                "node {leader} was faster and leads now"
            ))),
            None => {
                tracing::warn!(to, "could not hand leadership over in time");
                Err(unfinished("nobody leads yet"))
            }
        }
    }

    /// Hands leadership over to whoever is best, if this node leads and has company. For a node that
    /// is stopping: it leaves either way.
    pub(crate) async fn step_down(&self) {
        let Ok((view, _)) = self.view() else { return };
        let Some(heir) = view.heir(None).filter(|_| self.leads()) else {
            return;
        };
        if let Err(error) = self.hand_over(heir).await {
            tracing::warn!(%error, heir, "leaving without a successor");
        }
    }

    async fn greet(&self, to: NodeId) -> Result<(), ClusterError> {
        let (view, _) = self.view()?;
        let silent = || ClusterError::from(Refusal::Silent { id: to });
        let member = &view.members.get(&to).ok_or_else(silent)?.member;
        let greeting = async {
            let connection = self.parts.peers.connect(member, Lane::Control).await.ok()?;
            let introduction = proto::Introduction {
                id: self.parts.this.id,
                ..proto::Introduction::default()
            };
            client(connection).introduce(introduction).await.ok()
        };
        let answered = tokio::time::timeout(GREETING_DEADLINE, greeting).await;
        match answered {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(_) => Err(silent()),
        }
    }
}
