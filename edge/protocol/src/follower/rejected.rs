//! The roots that turned out to be of no use, so that they are not fetched again and again.

use std::collections::VecDeque;

use domain::tree::Hash;

use crate::limits::REJECTED_ROOTS_MAX;

/// Rejected roots and why; the oldest gives way.
#[derive(Debug, Default)]
pub(super) struct RejectedRoots(VecDeque<(Hash, String)>);

impl RejectedRoots {
    pub(super) fn insert(&mut self, root: Hash, reason: String) {
        self.0.retain(|(known, _)| *known != root);
        if self.0.len() >= REJECTED_ROOTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((root, reason));
    }

    pub(super) fn reason(&self, root: &Hash) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == root)
            .map(|(_, reason)| reason.as_str())
    }
}
