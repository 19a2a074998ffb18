//! The state machine as consensus drives it.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use injection::{Mutant, mutant};
use openraft::storage::{EntryResponder, RaftStateMachine};

use super::shared::StateShared;
use crate::checkpoint::{Checkpoint, CheckpointBuilder};
use crate::types::{
    Entry, LogId, Payload, Response, Snapshot, SnapshotMeta, StoredMembership, TypeConfig,
};

/// Entries in one atomic write. More would save little, and each look at rows that the batch has
/// changed walks past what it changed.
const BATCH_ENTRIES_MAX: usize = 128;

/// Applies committed entries. There is one.
pub struct StateMachine {
    shared: Arc<StateShared>,
}

impl StateMachine {
    pub(crate) fn new(shared: Arc<StateShared>) -> Self {
        Self { shared }
    }

    /// Applies one batch and answers whoever waits for it.
    async fn apply_batch(&self, batch: Vec<EntryResponder<TypeConfig>>) -> Result<(), io::Error> {
        let (entries, responders): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        if self.shared.state_hashes.is_enabled() {
            // A blank entry is the last of its write, so that the state can be looked at as it is there.
            for part in entries.chunk_by(|entry, _| !is_blank(entry)) {
                self.shared.apply(part).await?;
                if let Some(blank) = part.last().filter(|entry| is_blank(entry)) {
                    self.shared.hash_at(blank.log_id).await?;
                }
            }
        } else {
            self.shared.apply(&entries).await?;
        }
        for responder in responders.into_iter().flatten() {
            responder.send(Response);
        }
        Ok(())
    }
}

fn is_blank(entry: &Entry) -> bool {
    matches!(entry.payload, Payload::Blank)
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Checkpoint;
    type SnapshotBuilder = CheckpointBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        self.shared.breaker.check()?;
        let position = self.shared.position().await;
        Ok((position.applied, position.membership))
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + Send,
    {
        // The entries are there already, so that a batch waits for nothing.
        let mut batches = entries.chunks(BATCH_ENTRIES_MAX);
        while let Some(batch) = batches.next().await {
            self.apply_batch(batch.into_iter().collect::<Result<_, _>>()?)
                .await?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> CheckpointBuilder {
        CheckpointBuilder::new(Arc::clone(&self.shared))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Checkpoint,
    ) -> Result<(), io::Error> {
        let checkpoint = self.shared.checkpoints().localise(snapshot).await?;
        let meta = if mutant::active(Mutant::MembershipKept) {
            checkpoint.meta()
        } else {
            meta.clone()
        };
        Ok(self.shared.install(meta, checkpoint).await?)
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        self.shared.breaker.check()?;
        Ok(self.shared.shelf.of_use().map(|checkpoint| Snapshot {
            meta: checkpoint.meta(),
            snapshot: checkpoint,
        }))
    }
}
