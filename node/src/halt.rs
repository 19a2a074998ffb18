//! The ends that a node cannot go on from, and the one hook that is told of them. Production logs
//! the reason and exits; a simulation crashes the host.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::model::{KekId, PepperId};
use raft_store::{FaultKind, StorageFault};

/// Why a node cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FatalReason {
    /// The disk failed. What was under way has an unknown outcome.
    #[error("the storage failed: {0}")]
    Storage(StorageFault),
    /// Consensus stopped without being asked to.
    #[error("consensus stopped")]
    ConsensusStopped,
    /// The cluster's keys are hashed under another pepper, so none that is made would be recognised here.
    #[error(
        "security.pepper_file lacks the pepper {0}, which this cluster's keys are hashed under; give it the lines \
         that the other nodes have"
    )]
    Pepper(PepperId),
    /// Secrets of the cluster are sealed under keys that this node lacks.
    #[error(
        "security.kek_file or security.kek_command lacks {}: secrets of this cluster are sealed under it; \
         give this node the keys that the others have",
        named(.0)
    )]
    Keks(Vec<KekId>),
    /// The cluster knows this node, but its disk has never held anything.
    #[error(
        "the cluster knows node {0}, but this disk is empty: what it promised to keep is lost; \
         replace the node under a new id"
    )]
    DiskLost(u64),
    /// Most other members have another state at the same log position.
    #[error(
        "the state of node {node} at log position {position} is not the one that a majority has, {}: what is on this \
         disk is not what the cluster agreed on, and no node starts on it any more; replace the node under a new id",
        nodes(.others)
    )]
    StateDiffers {
        /// This node.
        node: u64,
        /// The log entry after which states were compared.
        position: u64,
        /// Who has the same state.
        others: Vec<u64>,
    },
    /// Another node had this node's number, and was removed.
    #[error(
        "node.id: the number {0} was used by a node that was removed, and is never used again; give \
         this node a number that no node has had, and a certificate for it"
    )]
    UsedBefore(u64),
    /// The cluster removed this node.
    #[error(
        "the cluster removed node {0}; to bring this machine back, give it a new number and an empty \
         data directory, and add it"
    )]
    Removed(u64),
}

impl FatalReason {
    /// The process's exit code, for its supervisor: 74 for the disk, 64 for the settings, 65 for
    /// data that is not what it has to be, 77 for a node that was removed.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            // Found while the node ran or at its start, it is the same, and the same again after a restart.
            Self::Storage(fault) => match fault.kind {
                FaultKind::Corrupt | FaultKind::Missing => 65,
                FaultKind::Io(_) | FaultKind::Stopped => 74,
            },
            Self::ConsensusStopped => 74,
            Self::Pepper(_) | Self::Keks(_) | Self::UsedBefore(_) => 64,
            Self::DiskLost(_) | Self::StateDiffers { .. } => 65,
            Self::Removed(_) => 77,
        }
    }
}

fn nodes(ids: &[u64]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| format!("node {id}")).collect();
    ids.join(", ")
}

fn named(keys: &[KekId]) -> String {
    let names: Vec<_> = keys.iter().map(|id| format!("the key {id}")).collect();
    names.join(" and ")
}

/// Told once of the reason, from any task.
pub type FatalHook = Arc<dyn Fn(&FatalReason) + Send + Sync>;

/// Passes the first reason on, unless the node is stopping anyway. Cloning shares it.
#[derive(Clone)]
pub struct Halt {
    done: Arc<AtomicBool>,
    hook: FatalHook,
}

impl Halt {
    /// Around a hook.
    #[must_use]
    pub fn new(hook: FatalHook) -> Self {
        Self {
            done: Arc::default(),
            hook,
        }
    }

    /// The node cannot go on.
    pub fn fatal(&self, reason: &FatalReason) {
        if !self.done.swap(true, Ordering::SeqCst) {
            (self.hook)(reason);
        }
    }

    /// The node is stopping: what ends from now on ends as it should.
    pub fn stopping(&self) {
        self.done.store(true, Ordering::SeqCst);
    }
}

impl fmt::Debug for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Halt").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_supervisor_is_told_whether_another_start_can_be_of_use() {
        let storage =
            |kind| FatalReason::Storage(StorageFault::new(kind, "read", "000007.sst", "why"));
        for (reason, code) in [
            (storage(FaultKind::Io(ErrorKind::StorageFull)), 74),
            (storage(FaultKind::Stopped), 74),
            (FatalReason::ConsensusStopped, 74),
            (storage(FaultKind::Corrupt), 65),
            (storage(FaultKind::Missing), 65),
            (FatalReason::DiskLost(1), 65),
            (
                FatalReason::StateDiffers {
                    node: 1,
                    position: 7,
                    others: vec![2, 3],
                },
                65,
            ),
            (FatalReason::Pepper(PepperId([0; 8])), 64),
            (FatalReason::UsedBefore(1), 64),
            (FatalReason::Removed(1), 77),
        ] {
            assert_eq!(reason.exit_code(), code, "{reason}");
        }
    }
}
