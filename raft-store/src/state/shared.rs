//! What applying, reading, and making and installing checkpoints share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::id::RequestId;
use domain::machine;
use domain::outcome::Applied;
use domain::rows::{Overlay, Row};
use domain::schema::{ANSWERS, JOURNAL, decides_access};
use domain::table::Span;
use domain::time::Revision;
use injection::{Mutant, Point, mutant};
use parking_lot::{Mutex as SyncMutex, RwLock};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use super::generation::{self, Generation, OpenedState};
use super::hashes::{Pace, StateHashes};
use super::hot::{HotRows, HotView};
use super::keys;
use super::outcomes::Outcomes;
use super::view::StateView;
use crate::checkpoint::{Checkpoint, Checkpoints, Shelf};
use crate::codec;
use crate::engine::{self, Batch, Disk};
use crate::fault::{Breaker, StorageFault};
use crate::open::OpenError;
use crate::types::{Entry, LogId, Payload, SnapshotMeta, StoredMembership};

/// Up to where the state was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) applied: Option<LogId>,
    pub(crate) membership: StoredMembership,
}

impl Position {
    pub(crate) fn revision(&self) -> Revision {
        Revision(self.applied.map_or(0, |applied| applied.index))
    }

    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
        }
    }
}

/// The state of a node.
pub(crate) struct StateShared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) shelf: Arc<Shelf>,
    /// The generation that is read and written. A reader keeps the one that it began with.
    current: RwLock<Arc<Generation>>,
    /// Held by whoever changes the state or has to see that it does not change. Whoever waits for
    /// it may wait for the disk, so it is waited for without holding a thread.
    writer: Arc<Mutex<Position>>,
    /// Used by whoever holds `writer`.
    hot: SyncMutex<HotRows>,
    revision: watch::Sender<Revision>,
    /// The last revision that changed who may ask for what.
    access_changed: AtomicU64,
    pub(crate) outcomes: Outcomes,
    pub(crate) state_hashes: StateHashes,
}

/// What applying a batch of entries comes to.
struct Step<'a> {
    batch: Batch,
    results: Vec<(&'a RequestId, Applied)>,
    /// Whether it changes who may ask for what.
    access: bool,
}

/// The fail points around writing a row of the domain's, where its table has any.
fn points(key: &[u8]) -> Option<(Point, Point)> {
    if !injection::ENABLED {
        return None;
    }
    match *key.first()? {
        tag if tag == ANSWERS.tag() => {
            Some((Point::BeforeIdempotencyStore, Point::AfterIdempotencyStore))
        }
        tag if tag == JOURNAL.tag() => Some((Point::BeforeAuditAppend, Point::AfterAuditAppend)),
        _ => None,
    }
}

/// Removes rows of the domain's: what mutants leave out of a checkpoint.
fn without(span: &Span) -> Batch {
    let mut batch = Batch::default();
    batch.delete_range(keys::row(&span.from), keys::row(&span.until));
    batch
}

impl StateShared {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        opened: OpenedState,
        shelf: Shelf,
        breaker: Arc<Breaker>,
    ) -> Arc<Self> {
        let position = opened.position();
        let revision = position.revision();
        Arc::new(Self {
            disk,
            breaker,
            shelf: Arc::new(shelf),
            current: RwLock::new(Arc::new(opened.generation)),
            hot: SyncMutex::default(),
            revision: watch::Sender::new(revision),
            writer: Arc::new(Mutex::new(position)),
            access_changed: AtomicU64::new(revision.0),
            outcomes: Outcomes::default(),
            state_hashes: StateHashes::default(),
        })
    }

    pub(crate) fn checkpoints(self: &Arc<Self>) -> Checkpoints {
        Checkpoints::new(
            Arc::clone(&self.disk),
            Arc::clone(&self.breaker),
            Arc::clone(&self.shelf),
        )
    }

    /// The generation in use.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.current.read())
    }

    pub(super) async fn position(&self) -> Position {
        self.writer.lock().await.clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    /// The last revision that may have changed who may ask for what.
    pub(super) fn access_changed(&self) -> Revision {
        Revision(self.access_changed.load(Ordering::Acquire))
    }

    /// Lets it be known where the state stands, once that can be read.
    fn announce(&self, position: &Position, access: bool) {
        let revision = position.revision();
        if access {
            self.access_changed.store(revision.0, Ordering::Release);
        }
        self.revision.send_replace(revision);
    }

    /// Makes what was applied durable.
    pub(crate) fn sync(&self) -> Result<(), StorageFault> {
        self.breaker.run(|| self.generation().database().sync())
    }

    /// Writes rows of the domain's beside consensus: a backup's, before anything was applied.
    pub(crate) fn put_rows(&self, rows: &[Row]) -> Result<(), StorageFault> {
        let mut batch = Batch::default();
        for (key, value) in rows {
            batch.put(keys::row(key), value.clone());
        }
        self.breaker
            .run(|| self.generation().database().write(batch))
    }

    /// Applies entries in one atomic write, and tells whoever proposed them what came of it.
    pub(super) async fn apply(&self, entries: &[Entry]) -> Result<(), StorageFault> {
        let mut writer = self.writer.lock().await;
        self.breaker.pass(Point::BeforeApplyBatch).await?;
        let (position, results, access) = self.breaker.run(|| {
            let generation = self.generation();
            let mut position = writer.clone();
            let mut step = self.step(&generation, &mut position, entries)?;
            if mutant::active(Mutant::ApplyInTwoWrites) {
                let applied = step
                    .batch
                    .operations
                    .split_off(step.batch.operations.len() - 1);
                generation.database().write(Batch {
                    operations: applied,
                })?;
            }
            generation.database().write(step.batch)?;
            Ok((position, step.results, step.access))
        })?;
        self.breaker.pass(Point::AfterApplyBatch).await?;
        *writer = position;
        // Whoever sees the revision has heard of the result already.
        self.outcomes.tell(results.into_iter());
        self.announce(&writer, access);
        Ok(())
    }

    /// What the entries do to the rows, and what came of the commands in them; it is to be written
    /// next, or never.
    fn step<'a>(
        &self,
        generation: &Generation,
        position: &mut Position,
        entries: &'a [Entry],
    ) -> Result<Step<'a>, StorageFault> {
        let view = StateView::new(generation.database().view());
        let mut rows = Overlay::new(HotView::new(&self.hot, view));
        let mut results = Vec::with_capacity(entries.len());
        let mut batch = Batch::default();
        for entry in entries {
            let log_id = entry.log_id;
            if position
                .applied
                .is_some_and(|applied| applied.index >= log_id.index)
            {
                let reason = format!("{log_id} was to be applied after {:?}", position.applied);
                return Err(StorageFault::corrupt(
                    "apply entries to",
                    self.disk.locate(&generation.path),
                    reason,
                ));
            }
            position.applied = Some(log_id);
            match &entry.payload {
                Payload::Blank => {}
                Payload::Normal(proposal) => {
                    let stamped = proposal.stamped();
                    let applied = machine::step(&mut rows, Revision(log_id.index), stamped);
                    results.push((&stamped.request_id, applied));
                }
                Payload::Membership(membership) => {
                    self.breaker.hit(Point::BeforeMembershipApply)?;
                    position.membership = StoredMembership::new(Some(log_id), membership.clone());
                    batch.put(
                        keys::MEMBERSHIP,
                        codec::encode_membership(&position.membership),
                    );
                    self.breaker.hit(Point::AfterMembershipApply)?;
                }
            }
        }
        let (view, pending) = rows.into_parts();
        view.into_inner().fault()?;
        let access = pending.keys().any(|key| decides_access(key));
        let mut hot = self.hot.lock();
        for (key, value) in pending {
            // If the batch then cannot be written, nothing is ever applied to this state again.
            hot.written(&key, value.as_deref());
            let points = value.as_ref().and_then(|_| points(&key));
            points.map_or(Ok(()), |(before, _)| self.breaker.hit(before))?;
            match value {
                Some(value) => batch.put(keys::row(&key), value),
                None => batch.delete(keys::row(&key)),
            }
            points.map_or(Ok(()), |(_, after)| self.breaker.hit(after))?;
        }
        batch.put(keys::APPLIED, codec::encode_log_id(position.applied));
        Ok(Step {
            batch,
            results,
            access,
        })
    }

    /// Has the state be hashed as it is now that the blank entry at `position` was applied. Nothing is applied until a view is
    /// taken; on a disk that wants everything inline, until it is hashed.
    pub(super) async fn hash_at(self: &Arc<Self>, position: LogId) -> Result<(), StorageFault> {
        let Some(turn) = self.state_hashes.begin(position) else {
            return Ok(());
        };
        let frozen = self.freeze().await;
        let shared = Arc::clone(self);
        let take = move |pace| {
            shared.breaker.run(|| {
                let generation = shared.generation();
                let view = generation.database().view();
                drop(frozen);
                shared.state_hashes.take(&*view, position, turn, pace)
            })
        };
        if self.disk.inline() {
            return take(Pace::Unbounded);
        }
        // A fault in it has ended the process by the time that anybody could look.
        tokio::task::spawn_blocking(move || take(Pace::Bounded));
        Ok(())
    }

    /// While the answer is held, nothing is applied and the state is not replaced.
    pub(crate) async fn freeze(&self) -> OwnedMutexGuard<Position> {
        Arc::clone(&self.writer).lock_owned().await
    }

    /// Runs `work` where it may block; a fault in it stops everything.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, StorageFault> + Send + 'static,
    ) -> Result<T, StorageFault> {
        let shared = Arc::clone(self);
        let inline = self.disk.inline();
        engine::blocking(inline, move || shared.breaker.run(|| work(&shared))).await
    }

    /// Replaces the state by a checkpoint of this disk.
    ///
    /// 1. The checkpoint's files become the database of a new generation, synced.
    /// 2. It is opened, and must stand where the checkpoint says.
    /// 3. A received checkpoint gets its place among the kept ones.
    /// 4. `CURRENT` is flipped: from here on the new generation is the state.
    /// 5. Readers find the new one; the old one goes when the last reader lets go of it.
    ///
    /// A crash before 4 leaves the old state, and opening removes the rest: a generation that
    /// `CURRENT` does not name, and a checkpoint that is ahead of the state.
    pub(super) async fn install(
        self: &Arc<Self>,
        meta: SnapshotMeta,
        checkpoint: Checkpoint,
    ) -> Result<(), StorageFault> {
        let mut writer = self.freeze().await;
        if meta.last_log_id <= writer.applied {
            tracing::warn!(checkpoint = ?meta.last_log_id, applied = ?writer.applied, "the state is as new as the checkpoint");
            return Ok(());
        }
        self.blocking(move |shared| {
            if mutant::active(Mutant::InstallNotAtomic) {
                generation::flip(&*shared.disk, shared.generation().number + 1)?;
            }
            shared.breaker.hit(Point::BeforeCheckpointAdopt)?;
            let opened = shared.adopt(&meta, &checkpoint)?;
            shared.breaker.hit(Point::AfterCheckpointAdopt)?;
            if mutant::active(Mutant::AnswersNotInCheckpoint) {
                opened
                    .generation
                    .database()
                    .write(without(&ANSWERS.all()))?;
            }
            if mutant::active(Mutant::JournalNotInCheckpoint) {
                opened
                    .generation
                    .database()
                    .write(without(&JOURNAL.all()))?;
            }
            shared.breaker.hit(Point::BeforeCheckpointInstallMeta)?;
            shared.shelf.keep(&checkpoint)?;
            shared.breaker.hit(Point::AfterCheckpointInstallMeta)?;
            shared.breaker.hit(Point::BeforeCheckpointInstallSwap)?;
            generation::flip(&*shared.disk, opened.generation.number)?;
            shared.breaker.hit(Point::AfterCheckpointInstallSwap)?;
            *writer = opened.position();
            shared.hot.lock().clear();
            shared.state_hashes.forget();
            let new = Arc::new(opened.generation);
            std::mem::replace(&mut *shared.current.write(), new).retire();
            shared.shelf.replace(&checkpoint);
            shared.announce(&writer, true);
            Ok(())
        })
        .await
    }

    fn adopt(
        &self,
        meta: &SnapshotMeta,
        checkpoint: &Checkpoint,
    ) -> Result<OpenedState, StorageFault> {
        let number = self.generation().number + 1;
        let into = generation::directory(number);
        self.disk.remove(&into)?;
        self.disk.adopt(&checkpoint.data_path(), &into)?;
        let opened =
            generation::open_generation(&self.disk, number, false).map_err(
                |error| match error {
                    OpenError::Fault(fault) => fault,
                    other => StorageFault::corrupt(
                        "install a checkpoint as",
                        self.disk.locate(&into),
                        other,
                    ),
                },
            )?;
        if opened.position().meta() != *meta || checkpoint.meta() != *meta {
            let reason = format!(
                "it stands at {:?}, and was said to stand at {meta:?}",
                opened.position()
            );
            return Err(StorageFault::corrupt(
                "install a checkpoint as",
                self.disk.locate(&into),
                reason,
            ));
        }
        Ok(opened)
    }
}
