//! Takes a manifest into use: onto the disk first, then into service, so that what an edge serves
//! never is newer than what it would start with.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::tree::{ChunkSource, Hash};
use edge_protocol::follower::{ApplyFailure, Chunks, Held, Holdings};
use edge_protocol::limits::RETRY_INTERVAL;
use edge_protocol::signing::TrustSet;
use edge_protocol::{ManifestRef, SignedManifest};
use parking_lot::Mutex;
use platform::trace::{Kind, Span, child};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::restore::warn;
use super::spans;
use super::status::Status;
use crate::breaker::{SETTLED_AFTER, Starts};
use crate::configuration::Apply;
use crate::store::{Store, StoreError};

/// Where manifests are compiled and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyOn {
    /// On a thread of its own, beside the serving ones: a large configuration compiles for
    /// seconds, and the disk may be slow.
    Thread,
    /// In the subscriber's own task, where there must be no threads: in simulation.
    Task,
}

/// A manifest was taken into use, or not.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) took: Duration,
    pub(super) result: Result<(), ApplyFailure>,
}

/// One at a time.
pub(super) struct Applying {
    shared: Shared,
    on: ApplyOn,
    /// There is never more than one result, because the next manifest waits for the last.
    done: mpsc::Sender<Done>,
    results: mpsc::Receiver<Done>,
}

#[derive(Clone)]
struct Shared {
    store: Arc<Mutex<Store>>,
    applier: Arc<dyn Apply>,
    /// Whether the journal of starts is kept.
    breaker: bool,
    /// Whom to believe from now on, until whoever has the store next writes it down. It has a lock of its own: a
    /// store that is compiled from stays locked for seconds.
    trusted: Arc<Mutex<Option<TrustSet>>>,
}

struct Job {
    signed: SignedManifest,
    chunks: Chunks,
    span: Span,
}

impl Applying {
    pub(super) fn new(store: Store, applier: Arc<dyn Apply>, on: ApplyOn, breaker: bool) -> Self {
        let (done, results) = mpsc::channel(1);
        Self {
            shared: Shared {
                store: Arc::new(Mutex::new(store)),
                applier,
                breaker,
                trusted: Arc::default(),
            },
            on,
            done,
            results,
        }
    }

    /// Begins. The result comes from [`Self::done`].
    pub(super) fn begin(&self, signed: SignedManifest, chunks: Chunks, span: Span) {
        let manifest = signed.manifest;
        let job = Job {
            signed,
            chunks,
            span,
        };
        let (shared, done) = (self.shared.clone(), self.done.clone());
        match self.on {
            ApplyOn::Task => shared.run(job, &done),
            ApplyOn::Thread => {
                tokio::spawn(async move {
                    let (working, reporting) = (shared.clone(), done.clone());
                    let work = tokio::task::spawn_blocking(move || working.run(job, &reporting));
                    if work.await.is_err() {
                        shared.panicked(manifest, &done);
                    }
                });
            }
        }
    }

    /// Keeps whom to believe, so that it holds after a restart: in any case before a manifest that is kept later.
    /// A disk that does not take it is asked again.
    pub(super) fn keep_trusted(&self, set: TrustSet) {
        *self.shared.trusted.lock() = Some(set);
        let shared = self.shared.clone();
        match self.on {
            ApplyOn::Task => {
                if !shared.write_trusted(&mut shared.store.lock()) {
                    tokio::spawn(shared.keep_on_writing_trusted(self.on));
                }
            }
            ApplyOn::Thread => drop(tokio::spawn(shared.keep_on_writing_trusted(self.on))),
        }
    }

    /// For who keeps the journal of starts beside.
    pub(super) fn journal(&self) -> Journal {
        Journal {
            shared: self.shared.clone(),
            on: self.on,
        }
    }

    /// The next result; it waits for as long as nothing is being applied.
    pub(super) async fn done(&mut self) -> Done {
        match self.results.recv().await {
            Some(done) => done,
            // It holds a sender itself.
            None => std::future::pending().await,
        }
    }
}

/// The journal of starts of a process that runs.
pub(super) struct Journal {
    shared: Shared,
    on: ApplyOn,
}

impl Journal {
    /// Writes down, each time when a manifest has been in use for long enough, that it was.
    pub(super) async fn watch(self, mut status: watch::Receiver<Status>) {
        loop {
            let manifest = status.borrow_and_update().manifest;
            let other = status.wait_for(|status| status.manifest != manifest);
            match timeout(SETTLED_AFTER, other).await {
                Ok(Ok(_)) => continue,
                Ok(Err(_)) => return,
                Err(_) => {}
            }
            self.note(Starts::settle).await;
            let other = status.wait_for(|status| status.manifest != manifest);
            if other.await.is_err() {
                return;
            }
        }
    }

    /// Writes down that the process ends as it was told to.
    pub(super) async fn end(self) {
        self.note(Starts::end).await;
    }

    async fn note(&self, change: fn(&mut Starts)) {
        let shared = self.shared.clone();
        let work = move || shared.note(&mut shared.store.lock(), change);
        match self.on {
            ApplyOn::Task => work(),
            // It does not panic, and nothing waits for what it says.
            ApplyOn::Thread => drop(tokio::task::spawn_blocking(work).await),
        }
    }
}

impl Shared {
    /// Writes down whom to believe, again and again until the disk takes it.
    async fn keep_on_writing_trusted(self, on: ApplyOn) {
        loop {
            let shared = self.clone();
            let write = move || shared.write_trusted(&mut shared.store.lock());
            let written = match on {
                ApplyOn::Task => write(),
                // It does not panic; at the end of the process there is nobody to write for.
                ApplyOn::Thread => tokio::task::spawn_blocking(write).await.unwrap_or(true),
            };
            if written {
                return;
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// Writes down whom to believe, if that is not written yet.
    fn write_trusted(&self, store: &mut Store) -> bool {
        let set = self.trusted.lock().take();
        let written = match &set {
            Some(set) => store.keep_trusted(set),
            None => store.write_trusted(),
        };
        if let Err(error) = &written {
            tracing::error!(%error, "whose signatures to believe cannot be written down; until it is, a restarted edge believes whom it did before");
        }
        written.is_ok()
    }

    fn run(&self, mut job: Job, done: &mpsc::Sender<Done>) {
        let began = Instant::now();
        let span = std::mem::take(&mut job.span);
        let result = span.within(|| self.take_into_use(job));
        spans::ended(span, &result);
        let good = result.is_ok();
        // A receiver that is gone has no use for it.
        let _ = done.try_send(Done {
            took: began.elapsed(),
            result,
        });
        if good && let Some(error) = self.store.lock().tidy() {
            tracing::warn!(%error, "old configurations could not be removed; trying again later");
        }
    }

    fn take_into_use(&self, job: Job) -> Result<(), ApplyFailure> {
        let Job { signed, chunks, .. } = job;
        let manifest = signed.manifest;
        let mut store = self.store.lock();
        // What it says is told where it fails; without it the manifest is not kept either.
        self.write_trusted(&mut store);
        let storing = child("store", Kind::Internal);
        if let Err(error) = store.keep(&signed, &chunks) {
            return Err(failure(&error, chunks));
        }
        drop(storing);
        let before = self.applier.active();
        self.note(&mut store, |starts| starts.change(Some(manifest)));
        let damaged_before = store.is_damaged();
        let compiling = child("compile and swap", Kind::Internal);
        let applied = self.applier.apply(
            manifest,
            &Layers {
                chunks: &chunks,
                store: &store,
            },
        );
        drop(compiling);
        let Err(error) = applied else { return Ok(()) };
        self.note(&mut store, |starts| starts.change(before));
        if let Some(error) = store.withdraw(&manifest) {
            tracing::warn!(%error, "a manifest that cannot be used could not be removed from disk");
        }
        if store.is_damaged() && !damaged_before {
            let reason = format!("the disk gave something else than was written: {error}");
            return Err(ApplyFailure::Local { reason, chunks });
        }
        Err(ApplyFailure::Content(error.reason))
    }

    /// Changes the journal of starts, if there is to be one.
    fn note(&self, store: &mut Store, change: impl FnOnce(&mut Starts)) {
        if self.breaker {
            warn(store.note_starts(change).1);
        }
    }

    fn panicked(&self, manifest: ManifestRef, done: &mpsc::Sender<Done>) {
        let before = self.applier.active();
        let mut store = self.store.lock();
        self.note(&mut store, |starts| starts.change(before));
        if let Some(error) = store.withdraw(&manifest) {
            tracing::warn!(%error, "a manifest that cannot be used could not be removed from disk");
        }
        let result = Err(ApplyFailure::Content(
            "compiling it failed in a way that nobody thought of".to_owned(),
        ));
        let _ = done.try_send(Done {
            took: Duration::ZERO,
            result,
        });
    }
}

fn failure(error: &StoreError, chunks: Chunks) -> ApplyFailure {
    let reason = format!("the configuration cannot be stored: {error}");
    match error {
        StoreError::Chunk(_) | StoreError::Pointer(_) => ApplyFailure::Content(reason),
        StoreError::Write { .. } | StoreError::Missing(_) => ApplyFailure::Local { reason, chunks },
    }
}

/// What was fetched, without reading it back from disk, over what was there.
struct Layers<'a> {
    chunks: &'a Chunks,
    store: &'a Store,
}

impl ChunkSource for Layers<'_> {
    fn chunk(&self, hash: &Hash) -> Option<Vec<u8>> {
        match self.chunks.get(hash) {
            Some(chunk) => Some(chunk.to_vec()),
            None => ChunkSource::chunk(self.store, hash),
        }
    }
}

/// The follower looks at the store only between two manifests, when the lock is free or about to be.
impl Holdings for Applying {
    fn held(&self, hash: &Hash) -> Held {
        self.shared.store.lock().held(hash)
    }

    fn chunk(&self, hash: &Hash) -> Option<Bytes> {
        Holdings::chunk(&*self.shared.store.lock(), hash)
    }
}
