//! What nodes hold: while they run, for comparison, and at the end.

use std::collections::BTreeMap;

use domain::id::EnvironmentId;
use domain::model::Manifest;
use domain::{machine, query};
use node::consensus::membership::StateCheck;
use node::control_plane::ControlPlane;

use super::Fleet;
use crate::collect;
use crate::history::{Committed, FinalState, Finals, History};

impl Fleet {
    /// Looks at the consensus of the nodes that run.
    pub fn observe(&self, at_us: u64, history: &mut History) {
        let mut observer = self.observer.lock();
        for (index, process) in self.nodes.lock().iter() {
            let place = (index + 1, process.life);
            observer.look(place, at_us, &process.consensus, history);
        }
    }

    /// (node, revision, state hash) of the nodes that run.
    #[must_use]
    pub fn hashes(&self) -> Vec<(usize, u64, [u8; 32])> {
        self.each_node(|view| machine::state_hash(&view))
            .into_iter()
            .map(|(index, revision, hash)| (index + 1, revision, hash))
            .collect()
    }

    /// How the members' states compare, as each node that runs has seen it.
    #[must_use]
    pub fn state_checks(&self) -> Vec<(usize, StateCheck)> {
        let mut found = Vec::new();
        self.each_consensus(|index, consensus| found.push((index + 1, consensus.state_check())));
        found
    }

    /// The current manifest as each node that runs knows it.
    #[must_use]
    pub fn manifests(&self, environment: &EnvironmentId) -> Vec<Manifest> {
        self.each_node(|view| query::manifest(&view, environment))
            .into_iter()
            .map(|(_, _, manifest)| manifest)
            .collect()
    }

    /// The current manifest as each node knows it that applied something since it was `seen`.
    pub fn new_manifests(
        &self,
        environment: &EnvironmentId,
        seen: &mut BTreeMap<usize, u64>,
    ) -> Vec<Manifest> {
        let mut applied = Vec::new();
        self.each_consensus(|index, consensus| {
            applied.push((index, consensus.readiness().applied.0));
        });
        if applied
            .iter()
            .all(|(index, revision)| seen.get(index) == Some(revision))
        {
            return Vec::new();
        }
        seen.extend(applied);
        self.manifests(environment)
    }

    /// What each node holds.
    #[must_use]
    pub fn finals(&self) -> Finals {
        self.each_node(|view| collect::final_state(view))
            .into_iter()
            .map(|(index, applied, state)| (index + 1, FinalState { applied, ..state }))
            .collect()
    }

    /// The journal, as the first node that runs has it.
    #[must_use]
    pub fn journal(&self) -> Vec<Committed> {
        self.each_node(collect::journal)
            .into_iter()
            .next()
            .map(|(_, _, journal)| journal)
            .unwrap_or_default()
    }

    /// Whether all members but the lost ones run and stand at one revision, and all edges hold the
    /// current manifest. Whoever has left does not run.
    #[must_use]
    pub fn has_converged(&self, environment: &EnvironmentId, lost: usize) -> bool {
        let applied: Vec<u64> = self
            .each_node(|_| ())
            .into_iter()
            .map(|(_, revision, ())| revision)
            .collect();
        Some(applied.len() + lost) == self.members_settled()
            && applied.windows(2).all(|pair| pair[0] == pair[1])
            && self.edges_follow(environment)
    }

    /// Whether all edges run and hold the newest manifest.
    #[must_use]
    pub fn edges_follow(&self, environment: &EnvironmentId) -> bool {
        let manifests = self.manifests(environment).into_iter();
        let Some(newest) = manifests
            .map(|manifest| (manifest.epoch.0, manifest.version.0))
            .max()
        else {
            return false;
        };
        let sights = self.sights();
        sights.len() == self.options.all_edges()
            && sights
                .iter()
                .all(|(_, epoch, version, _)| (*epoch, *version) == newest)
    }

    /// How many members there are, once nobody changes that any more.
    fn members_settled(&self) -> Option<usize> {
        let members = self.members().filter(|_| !self.is_changing())?;
        Some(members.voters.len() + members.learners.len())
    }
}
