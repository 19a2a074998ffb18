//! What the leader takes while voters' disks are full.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::command::Command;
use parking_lot::Mutex;
use raft_store::types::NodeId;

/// What is known of voters' disks, and what follows. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<Mutex<Known>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    /// Whose disks are full.
    full: BTreeSet<NodeId>,
    /// Whether those that have room are no majority.
    is_shut: bool,
}

impl Gate {
    /// These voters' disks are full, and what grows is not taken if the others are too few. Answers whether that is news.
    pub(super) fn set(&self, full: BTreeSet<NodeId>, is_shut: bool) -> bool {
        let now = Known { full, is_shut };
        let mut known = self.0.lock();
        let is_news = *known != now;
        *known = now;
        is_news
    }

    /// Whose disks are full.
    pub(crate) fn full(&self) -> BTreeSet<NodeId> {
        self.0.lock().full.clone()
    }

    /// Whether nothing that grows is taken.
    pub(crate) fn is_shut(&self) -> bool {
        self.0.lock().is_shut
    }

    /// Fails, with the reason for people, if the command is not to be taken now.
    pub(crate) fn judge(&self, command: &Command) -> Result<(), String> {
        let known = self.0.lock();
        if !known.is_shut || !command.grows() {
            return Ok(());
        }
        let full: Vec<String> = known.full.iter().map(|id| format!("node {id}")).collect();
        Err(format!("the disk of {} is full", full.join(", ")))
    }
}
