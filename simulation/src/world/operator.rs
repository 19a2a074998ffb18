//! The operator, who changes the cluster's voters where faults want that.

use std::time::Duration;

use node::consensus::membership::ClusterRequest;
use node::consensus::membership::command::Operator;

use super::Fleet;
use super::nodes::member_id;
use crate::network::SimNetwork;

/// Pause between two looks for something to do, or two attempts.
const PAUSE: Duration = Duration::from_millis(300);

/// How long one attempt may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// How often a change is tried that takes a vote. One that gives it back is tried until it is done.
const ATTEMPTS: usize = 4;

impl Fleet {
    /// Has the operator take a node's vote, and give it back when that is asked for.
    pub fn ask_for_vote(&self, index: usize, votes: bool) {
        self.changes.lock().push_back((index, votes));
    }

    /// How many changes of voters came through.
    #[must_use]
    pub fn membership_changes(&self) -> u64 {
        *self.changed.lock()
    }

    /// Makes changes as they are asked for, until none is left and `over`.
    pub async fn change_voters(&self, over: impl Fn() -> bool) {
        loop {
            let next = self.changes.lock().pop_front();
            match next {
                Some((index, votes)) => self.change(index, votes).await,
                None if over() => return,
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn change(&self, index: usize, votes: bool) {
        let id = member_id(index);
        let request = if votes {
            ClusterRequest::Promote(id)
        } else {
            ClusterRequest::Demote(id)
        };
        let mut attempts = 0;
        while votes || attempts < ATTEMPTS {
            attempts += 1;
            let asked = tokio::time::timeout(DEADLINE, self.ask(&request)).await;
            if let Ok(Ok(changed)) = asked {
                *self.changed.lock() += u64::from(changed);
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask(&self, request: &ClusterRequest) -> Result<bool, String> {
        let network = SimNetwork::new(self.entropy("operator"));
        let identity = self.authority.node(member_id(0)).identity();
        let operator = Operator::new(network, &identity, &self.node_settings(0), "simulation")
            .map_err(|error| error.to_string())?;
        let done = operator.change(request).await;
        done.map(|done| done.changed)
            .map_err(|error| error.to_string())
    }
}
