//! Group commit: one sync for everything that waits.
//!
//! Appends write to the database at once and queue here for their sync. In production one thread
//! takes whatever has queued, syncs once, writes the mark, and only then lets the callbacks go;
//! what arrives meanwhile waits for the next round. So the more writers there are, the more of
//! them share a sync, and nothing is acknowledged before its own.
//!
//! On a disk that wants everything inline, in simulations, each request is served on the caller's
//! thread: a real thread would break the determinism. If that disk is slow, requests wait in a task
//! for as long as its sync takes, and share it in the same way.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use injection::Point;
use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::mark::{Mark, MarkRecord};
use crate::engine::Database;
use crate::fault::{Breaker, FaultKind, StorageFault};
use crate::types::{LogId, TypeConfig, Vote};

/// Requests that wait for a sync. Consensus batches what it appends, so dozens are many; at the
/// bound it waits for the disk instead of running ahead of it.
const QUEUE_MAX: usize = 1024;

/// How often the thread looks whether the mark has to be written or synced when nothing else
/// happens.
const TICK: Duration = Duration::from_secs(1);

pub(super) type Done = oneshot::Sender<Result<(), StorageFault>>;

/// What has to become durable.
pub(super) enum Request {
    /// Entries up to this one were written.
    Appended(LogId, IOFlushed<TypeConfig>),
    /// A vote was written.
    Vote(Vote, Done),
    /// The entries after this one are about to be removed: the mark has to go first.
    Lower(Option<LogId>, Done),
    /// Something else was written.
    Sync(Done),
    /// The last request: everything, the mark included.
    Close(Done),
}

impl Request {
    fn wants_sync(&self) -> bool {
        !matches!(self, Self::Lower(..))
    }

    fn answer(self, result: Result<(), StorageFault>) {
        match self {
            Self::Appended(_, callback) => callback.io_completed(result.map_err(io::Error::from)),
            // Whoever asked may have gone; nobody is left to tell then.
            Self::Vote(_, done) | Self::Lower(_, done) | Self::Sync(done) | Self::Close(done) => {
                done.send(result).ok();
            }
        }
    }
}

/// The committed log id that consensus last told.
pub(super) type Committed = Arc<Mutex<Option<LogId>>>;

/// Serves requests.
pub(super) struct Worker {
    pub(super) database: Arc<dyn Database>,
    pub(super) mark: Mark,
    pub(super) breaker: Arc<Breaker>,
    pub(super) committed: Committed,
}

impl Worker {
    /// Makes durable what all `requests` want, in one go, and answers them.
    fn serve(&mut self, requests: Vec<Request>) {
        let breaker = Arc::clone(&self.breaker);
        let result = breaker.run(|| self.commit(&requests));
        for request in requests {
            request.answer(result.clone());
        }
    }

    fn commit(&mut self, requests: &[Request]) -> Result<(), StorageFault> {
        if requests.iter().any(Request::wants_sync) {
            self.breaker.hit(Point::BeforeWalFsync)?;
            self.database.sync()?;
            self.breaker.hit(Point::AfterWalFsync)?;
        }
        let mut record = *self.mark.record();
        record.committed = *self.committed.lock();
        let (mut lower, mut sync) = (false, false);
        for request in requests {
            match request {
                Request::Appended(last, _) => record.last = Some(*last),
                Request::Vote(vote, _) => (record.vote, sync) = (Some(*vote), true),
                Request::Lower(last, _) => (record.last, lower) = (*last, true),
                Request::Sync(_) => {}
                Request::Close(_) => sync = true,
            }
        }
        self.note(record, lower, sync)
    }

    fn note(&mut self, record: MarkRecord, lower: bool, sync: bool) -> Result<(), StorageFault> {
        if lower {
            return self.mark.lower(record);
        }
        self.mark.write(record)?;
        if sync { self.mark.sync() } else { Ok(()) }
    }

    /// Notes what consensus committed since, and syncs the mark if that is due.
    fn tick(&mut self) {
        let breaker = Arc::clone(&self.breaker);
        // A fault has been reported by the breaker; the next request is refused.
        let _ = breaker.run(|| {
            let record = MarkRecord {
                committed: *self.committed.lock(),
                ..*self.mark.record()
            };
            self.mark.write(record)?;
            self.mark.sync_if_due()
        });
    }

    fn run(mut self, queue: &Receiver<Request>) {
        loop {
            let first = match queue.recv_timeout(TICK) {
                Ok(request) => request,
                Err(RecvTimeoutError::Timeout) => {
                    self.tick();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut requests = vec![first];
            requests.extend(queue.try_iter().take(QUEUE_MAX));
            let last = requests
                .iter()
                .any(|request| matches!(request, Request::Close(_)));
            self.serve(requests);
            if last {
                return;
            }
            self.tick();
        }
    }
}

/// Takes requests to whoever serves them.
pub(super) enum Syncer {
    Thread {
        queue: SyncSender<Request>,
        thread: Mutex<Option<JoinHandle<()>>>,
    },
    Inline(Arc<Inline>),
}

/// Serves on the caller's thread.
pub(super) struct Inline {
    worker: Mutex<Worker>,
    /// What waits for a sync that takes its time, in order.
    waiting: Mutex<Vec<Request>>,
}

impl Inline {
    fn submit(self: &Arc<Self>, request: Request) {
        let takes = self.worker.lock().database.sync_takes();
        let mut waiting = self.waiting.lock();
        waiting.push(request);
        let last = matches!(waiting.last(), Some(Request::Close(_)));
        match waiting.len() {
            _ if last => {}
            1 if takes.is_zero() => {}
            1 => {
                let this = Arc::clone(self);
                tokio::spawn(async move {
                    tokio::time::sleep(takes).await;
                    let waiting = std::mem::take(&mut *this.waiting.lock());
                    this.serve(waiting);
                });
                return;
            }
            _ => return,
        }
        let waiting = std::mem::take(&mut *waiting);
        self.serve(waiting);
    }

    fn serve(&self, requests: Vec<Request>) {
        let mut worker = self.worker.lock();
        worker.serve(requests);
        worker.tick();
    }
}

impl Syncer {
    pub(super) fn start(worker: Worker, inline: bool) -> Result<Self, StorageFault> {
        if inline {
            return Ok(Self::Inline(Arc::new(Inline {
                worker: Mutex::new(worker),
                waiting: Mutex::default(),
            })));
        }
        let (queue, requests) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("log-sync".to_owned())
            .spawn(move || worker.run(&requests))
            .map_err(|error| StorageFault::io("start the thread that syncs", "log", &error))?;
        Ok(Self::Thread {
            queue,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) fn submit(&self, request: Request) {
        match self {
            Self::Thread { queue, .. } => {
                if let Err(refused) = queue.send(request) {
                    let reason = "the log was closed";
                    refused.0.answer(Err(StorageFault::new(
                        FaultKind::Stopped,
                        "sync",
                        "log",
                        reason,
                    )));
                }
            }
            Self::Inline(inline) => inline.submit(request),
        }
    }

    /// Submits a request and waits for its answer.
    pub(super) async fn submit_and_wait(
        &self,
        request: impl FnOnce(Done) -> Request,
    ) -> Result<(), StorageFault> {
        let (done, answer) = oneshot::channel();
        self.submit(request(done));
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// The committed log id changed: on the caller's thread it is noted now, else with the next
    /// request or tick.
    pub(super) fn committed(&self) {
        if let Self::Inline(inline) = self {
            inline.worker.lock().tick();
        }
    }

    /// Makes everything durable and ends the thread. Blocks.
    pub(super) fn close(&self) -> Result<(), StorageFault> {
        let (done, mut answer) = oneshot::channel();
        self.submit(Request::Close(done));
        if let Self::Thread { thread, .. } = self
            && let Some(thread) = thread.lock().take()
        {
            // It cannot panic on its own account; if it did, the answer below is missing.
            thread.join().ok();
        }
        match answer.try_recv() {
            Ok(result) => result,
            Err(_) => Err(stopped()),
        }
    }
}

fn stopped() -> StorageFault {
    StorageFault::new(
        FaultKind::Stopped,
        "sync",
        "log",
        "the thread that syncs has ended",
    )
}
