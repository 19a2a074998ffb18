//! What comparisons have found so far. A member that differed stays named until it is seen equal, or is no member any
//! more: one that has left over it does not answer, and must not turn into one of which nothing is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use raft_store::types::NodeId;
use serde::{Deserialize, Serialize};

use super::compare::Comparison;

/// How the states of the members compare, by the one that says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCheck {
    /// How often states are compared, in milliseconds; 0 where they are not.
    pub every_ms: u64,
    /// The log position at which they were last compared.
    pub position: Option<u64>,
    /// When that was, in milliseconds since the Unix epoch.
    pub compared_ms: Option<u64>,
    /// Whether most voters had the same state then.
    pub is_decided: bool,
    /// Who had the same state.
    pub equal: Vec<NodeId>,
    /// Who had another one, then or before, and was not seen with the same since.
    pub different: Vec<NodeId>,
    /// Who did not say.
    pub unknown: Vec<NodeId>,
}

/// Shows what was found. Clones show the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board(Arc<Mutex<StateCheck>>);

impl Board {
    /// Nothing was found yet, and states are compared that often, or not at all.
    pub(crate) fn new(every_ms: Option<u64>) -> Self {
        Self(Arc::new(Mutex::new(StateCheck {
            every_ms: every_ms.unwrap_or_default(),
            ..StateCheck::default()
        })))
    }

    /// What was found so far.
    pub(crate) fn show(&self) -> StateCheck {
        self.0.lock().clone()
    }

    /// Adds a comparison of those members, at `position`.
    pub(super) fn add(&self, comparison: &Comparison, position: u64, now_ms: u64) -> StateCheck {
        let mut shown = self.0.lock();
        let members = [
            &comparison.equal,
            &comparison.different,
            &comparison.unknown,
        ];
        let is_member = |id: &NodeId| members.iter().any(|members| members.contains(id));
        let mut different: BTreeSet<NodeId> = shown.different.iter().copied().collect();
        different.retain(|id| is_member(id) && !comparison.equal.contains(id));
        different.extend(&comparison.different);
        let unknown = comparison.unknown.difference(&different);
        *shown = StateCheck {
            every_ms: shown.every_ms,
            position: Some(position),
            compared_ms: Some(now_ms),
            is_decided: comparison.is_decided,
            equal: comparison.equal.iter().copied().collect(),
            unknown: unknown.copied().collect(),
            different: different.into_iter().collect(),
        };
        shown.clone()
    }
}

impl StateCheck {
    /// How many members are equal, different and unknown.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, usize> {
        BTreeMap::from([
            ("equal", self.equal.len()),
            ("different", self.different.len()),
            ("unknown", self.unknown.len()),
        ])
    }

    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        let Some(position) = self.position else {
            return match self.every_ms {
                0 => "not compared: check.enabled is off".to_owned(),
                _ => "not compared yet".to_owned(),
            };
        };
        let mut parts = vec![format!("compared at {position}")];
        let sets = [
            (&self.equal, "equal"),
            (&self.different, "DIFFERENT"),
            (&self.unknown, "unknown"),
        ];
        for (members, what) in sets {
            if !members.is_empty() {
                let members: Vec<String> = members.iter().map(ToString::to_string).collect();
                parts.push(format!("{what}: {}", members.join(", ")));
            }
        }
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(equal: &[NodeId], different: &[NodeId], unknown: &[NodeId]) -> Comparison {
        let set = |ids: &[NodeId]| ids.iter().copied().collect();
        Comparison {
            equal: set(equal),
            different: set(different),
            unknown: set(unknown),
            is_decided: true,
        }
    }

    #[test]
    fn who_differed_stays_named_until_it_is_equal_or_gone() {
        let board = Board::new(Some(30_000));
        assert_eq!(board.show().words(), "not compared yet");
        board.add(&comparison(&[1, 2], &[3], &[]), 7, 1);
        assert_eq!(
            board.show().words(),
            "compared at 7; equal: 1, 2; DIFFERENT: 3"
        );
        let silent = board.add(&comparison(&[1, 2], &[], &[3, 4]), 8, 2);
        assert_eq!((silent.different, silent.unknown), (vec![3], vec![4]));
        let gone = board.add(&comparison(&[1, 2], &[], &[4]), 9, 3);
        assert_eq!((gone.different, gone.unknown), (vec![], vec![4]));
        board.add(&comparison(&[1, 2], &[4], &[]), 10, 4);
        let equal = board.add(&comparison(&[1, 2, 4], &[], &[]), 11, 5);
        assert_eq!((equal.different.len(), equal.equal), (0, vec![1, 2, 4]));
        assert_eq!(
            Board::new(None).show().words(),
            "not compared: check.enabled is off"
        );
    }
}
