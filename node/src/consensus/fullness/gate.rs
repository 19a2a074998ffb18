//! What the leader takes while a voter's disk is full.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::command::Command;
use parking_lot::Mutex;
use raft_store::types::NodeId;

/// Whose disks are full; what grows is not taken while there are any. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<Mutex<BTreeSet<NodeId>>>);

impl Gate {
    /// These voters' disks are full. Answers whether that is news.
    pub(super) fn set(&self, full: BTreeSet<NodeId>) -> bool {
        let mut known = self.0.lock();
        let is_news = *known != full;
        *known = full;
        is_news
    }

    /// Whose disks are full.
    pub(crate) fn full(&self) -> BTreeSet<NodeId> {
        self.0.lock().clone()
    }

    /// Fails, with the reason for people, if the command is not to be taken now.
    pub(crate) fn judge(&self, command: &Command) -> Result<(), String> {
        let full = self.0.lock();
        if full.is_empty() || !command.grows() {
            return Ok(());
        }
        let full: Vec<String> = full.iter().map(|id| format!("node {id}")).collect();
        Err(format!("the disk of {} is full", full.join(", ")))
    }
}
