//! The cluster as its leader sees it at one moment: who is a member in which role, who answers, how
//! far each has come. Plain data, so that what is decided on it can be tested by tables.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use raft_store::types::{Member, NodeId};

/// After how long without an answer a member counts as silent: twenty heartbeats.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// What the leader knows of its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) leader: NodeId,
    pub(super) members: BTreeMap<NodeId, Known>,
    /// The voters, where a joint membership is left: those that it leads to.
    pub(super) voters: BTreeSet<NodeId>,
    /// Whether an earlier change is not finished.
    pub(super) unfinished: bool,
    /// Whose numbers are used up.
    pub(super) retired: BTreeSet<NodeId>,
    pub(super) preferred_region: Option<String>,
}

/// What the leader knows of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) member: Member,
    /// When it last answered the leader; `None` if it never did.
    pub(super) heard: Option<Duration>,
    /// How many entries it lacks; `None` if it never acknowledged one.
    pub(super) lag: Option<u64>,
}

impl View {
    pub(super) fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id)
    }

    /// Whether a member answered the leader lately. A leader answers itself.
    pub(super) fn is_alive(&self, id: NodeId) -> bool {
        let heard = |known: &Known| known.heard.is_some_and(|ago| ago < SILENCE);
        id == self.leader || self.members.get(&id).is_some_and(heard)
    }

    /// Whether every voter answered the leader at least once since it leads. Before that, who does not
    /// count as alive may just not have been asked yet.
    pub(super) fn has_heard_voters(&self) -> bool {
        let heard = |id| {
            self.members
                .get(id)
                .is_some_and(|known| known.heard.is_some())
        };
        self.voters.iter().all(|id| *id == self.leader || heard(id))
    }

    /// How many entries a member lacks, if that is known.
    pub(super) fn lag(&self, id: NodeId) -> Option<u64> {
        if id == self.leader {
            return Some(0);
        }
        self.members.get(&id)?.lag
    }

    pub(super) fn region(&self, id: NodeId) -> &str {
        let known = self.members.get(&id);
        known.map_or("", |known| known.member.region.as_str())
    }

    /// Those of `voters` that answer.
    pub(super) fn alive<'a>(
        &'a self,
        voters: &'a BTreeSet<NodeId>,
    ) -> impl Iterator<Item = NodeId> + 'a {
        voters.iter().copied().filter(|id| self.is_alive(*id))
    }

    /// The voter that is best suited to lead after the leader: one that answers, in the preferred
    /// region before others, with most of the log. `except` and members that leave are out.
    pub(super) fn heir(&self, except: Option<NodeId>) -> Option<NodeId> {
        self.voters
            .iter()
            .copied()
            .filter(|id| *id != self.leader && Some(*id) != except)
            .filter(|id| self.is_alive(*id) && !self.retired.contains(id))
            .filter_map(|id| Some((id, self.lag(id)?)))
            .min_by_key(|(id, lag)| (!self.is_preferred(*id), *lag, *id))
            .map(|(id, _)| id)
    }

    /// Whether a member stands where the leader should be.
    pub(super) fn is_preferred(&self, id: NodeId) -> bool {
        let preferred = self.preferred_region.as_deref();
        preferred.is_some_and(|region| self.region(id) == region)
    }
}

/// How many of so many voters have to agree.
pub(super) fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// What may go wrong before writes stop, in words, worst first. Empty where any one region and any
/// one voter may be lost.
pub(super) fn risks(view: &View) -> Vec<String> {
    let needed = majority(view.voters.len());
    let alive: Vec<NodeId> = view.alive(&view.voters).collect();
    if alive.len() < needed {
        return vec![format!(
            "no quorum: {} of {} voters answer, {needed} are needed: writes are stopped",
            alive.len(),
            view.voters.len()
        )];
    }
    let mut risks = Vec::new();
    let regions: BTreeSet<&str> = alive.iter().map(|id| view.region(*id)).collect();
    for region in regions {
        let elsewhere = alive
            .iter()
            .filter(|id| view.region(**id) != region)
            .count();
        if elsewhere < needed {
            risks.push(format!("losing region {region} stops writes"));
        }
    }
    if alive.len() == needed {
        risks.push("losing any one more voter stops writes".to_owned());
    }
    let silent: Vec<String> = view
        .voters
        .iter()
        .filter(|id| !view.is_alive(**id))
        .map(|id| format!("node {id}"))
        .collect();
    if !silent.is_empty() {
        risks.push(format!("voters that do not answer: {}", silent.join(", ")));
    }
    if view.voters.len() > 1 && view.voters.len().is_multiple_of(2) {
        risks.push(format!(
            "{} voters stand no more losses than {} would",
            view.voters.len(),
            view.voters.len() - 1
        ));
    }
    risks
}
