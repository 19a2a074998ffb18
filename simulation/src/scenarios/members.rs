//! What scripts do to the cluster's members, and see of them.

use std::time::Duration;

use node::consensus::Observation;
use node::consensus::membership::{ClusterRequest, NewMember};
use tokio::time::{Instant, sleep};

use super::Script;
use crate::hosts;

/// How long a change may take in a cluster with a quorum.
const CHANGED_WITHIN: Duration = Duration::from_secs(30);

/// Pause between two attempts at one.
const PAUSE: Duration = Duration::from_millis(200);

/// As often as hosts hear of each other.
const TICK: Duration = Duration::from_millis(1);

impl Script {
    /// A node's number as a member.
    #[must_use]
    pub fn number(index: usize) -> u64 {
        index as u64 + 1
    }

    /// Has an operator who asks these nodes change the cluster, again and again until it is done.
    ///
    /// # Errors
    /// When it is not done for long.
    pub async fn change(&self, nodes: &[usize], request: &ClusterRequest) -> Result<(), String> {
        self.tell(&format!("an operator asks for {request}"));
        let deadline = Instant::now() + CHANGED_WITHIN;
        loop {
            match self.fleet.ask_of(nodes, request).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(format!("{request} is not done: {error}"));
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Starts a node that was not there before and adds it as a learner.
    ///
    /// # Errors
    /// When it is not added for long.
    pub async fn add_learner(&self, index: usize) -> Result<(), String> {
        self.fleet.start_new(index);
        let new = NewMember {
            id: Self::number(index),
            internal: format!("{}:{}", hosts::node(index), hosts::INTERNAL_PORT),
            region: None,
            rest: None,
            publisher: None,
        };
        let nodes: Vec<usize> = (0..self.nodes()).collect();
        self.change(&nodes, &ClusterRequest::Add(new)).await
    }

    /// Has an operator ask for a change, and cuts the leader off from the others, both ways, in the moment in which its log has
    /// the change and nobody else's has.
    ///
    /// # Errors
    /// When the leader does not begin the change.
    pub async fn lose_change(
        &self,
        leader: usize,
        others: &[usize],
        request: ClusterRequest,
    ) -> Result<(), String> {
        self.tell(&format!(
            "an operator asks for {request}, which is to be lost"
        ));
        let fleet = self.fleet.clone();
        // What becomes of it nobody is told.
        tokio::task::spawn_local(async move { drop(fleet.ask(&request).await) });
        let deadline = Instant::now() + CHANGED_WITHIN;
        while !self.is_changing(leader) {
            if Instant::now() > deadline {
                return Err("the leader never began the change".to_owned());
            }
            sleep(TICK).await;
        }
        for other in others {
            self.cut(leader, &[*other]);
        }
        match others.iter().find(|other| self.is_changing(**other)) {
            Some(other) => Err(format!("node {} knows of the change", other + 1)),
            None => Ok(()),
        }
    }

    /// Whether a node's log has a change of the voters that is not finished.
    #[must_use]
    pub fn is_changing(&self, index: usize) -> bool {
        let now = self.observe(index);
        now.is_some_and(|now| now.voters.len() > 1)
    }

    /// How consensus stands on a node, if it runs.
    #[must_use]
    pub fn observe(&self, index: usize) -> Option<Observation> {
        let mut seen = None;
        self.fleet.each_consensus(|other, consensus| {
            if other == index {
                seen = Some(consensus.observe());
            }
        });
        seen
    }

    /// The index of the last entry of a node's log; 0 if it does not run.
    #[must_use]
    pub fn last(&self, index: usize) -> u64 {
        let last = self.observe(index).and_then(|now| now.last);
        last.map_or(0, |last| last.index)
    }

    /// Up to where a node's log was purged; 0 if it does not run.
    #[must_use]
    pub fn purged(&self, index: usize) -> u64 {
        let purged = self.observe(index).and_then(|now| now.purged);
        purged.map_or(0, |purged| purged.index)
    }

    /// The version of the configuration that an edge serves by, if it runs and has one.
    #[must_use]
    pub fn version_at(&self, edge: usize) -> Option<(u64, u64)> {
        let sights = self.fleet.sights().into_iter();
        let mut sights = sights.filter(|(index, ..)| *index == edge);
        sights.next().map(|(_, epoch, version, _)| (epoch, version))
    }
}
