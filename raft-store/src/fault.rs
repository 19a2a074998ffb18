//! What goes wrong with a disk, and the rule that follows: after the first fault nothing is
//! acknowledged any more.
//!
//! A failed sync must never be tried again, because the second one may succeed without the data
//! (the page was marked clean). RocksDB latches after a fault and may still hold the failed write
//! after a restart, so the outcome of whatever was under way is *unknown*. `Breaker` is the one
//! place where this is enforced: it remembers the first fault, tells the process through the
//! [`Fatal`] hook, and refuses everything after it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use injection::{Broken, Point};

/// Called once, with the first fault, before anyone else learns of it. Production logs it and
/// exits with code 74; a simulation crashes the host.
pub type Fatal = Arc<dyn Fn(&StorageFault) + Send + Sync>;

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The disk or the file system refused.
    Io(io::ErrorKind),
    /// What was read cannot be what was written.
    Corrupt,
    /// Something that has to be there is not.
    Missing,
    /// The storage had stopped already: by an earlier fault, by being closed, or by a crash.
    Stopped,
}

/// A storage operation that did not succeed. Whether it took effect is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("storage: cannot {operation} {}: {reason}", .path.display())]
pub struct StorageFault {
    /// What was attempted: a verb phrase.
    pub operation: &'static str,
    /// On which file or directory.
    pub path: PathBuf,
    /// Of which kind.
    pub kind: FaultKind,
    /// What the layer below said.
    pub reason: String,
}

impl StorageFault {
    /// A fault of `kind`.
    pub fn new(
        kind: FaultKind,
        operation: &'static str,
        path: impl AsRef<Path>,
        reason: impl ToString,
    ) -> Self {
        Self {
            operation,
            path: path.as_ref().to_owned(),
            kind,
            reason: reason.to_string(),
        }
    }

    /// What was read cannot be what was written.
    pub fn corrupt(operation: &'static str, path: impl AsRef<Path>, reason: impl ToString) -> Self {
        Self::new(FaultKind::Corrupt, operation, path, reason)
    }

    /// What a fail point made of an operation.
    fn injected(point: Point, broken: Broken) -> Self {
        let kind = match broken {
            Broken::Io => FaultKind::Io(io::ErrorKind::Other),
            Broken::Dead => FaultKind::Stopped,
        };
        Self::new(kind, "pass", point.name(), broken)
    }

    /// An error of the operating system.
    pub fn io(operation: &'static str, path: impl AsRef<Path>, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => FaultKind::Missing,
            other => FaultKind::Io(other),
        };
        Self::new(kind, operation, path, error)
    }
}

impl From<StorageFault> for io::Error {
    fn from(fault: StorageFault) -> Self {
        let kind = match fault.kind {
            FaultKind::Io(kind) => kind,
            FaultKind::Corrupt => io::ErrorKind::InvalidData,
            FaultKind::Missing => io::ErrorKind::NotFound,
            FaultKind::Stopped => io::ErrorKind::BrokenPipe,
        };
        Self::new(kind, fault)
    }
}

/// Remembers the first fault and refuses everything after it.
pub(crate) struct Breaker {
    first: OnceLock<StorageFault>,
    fatal: Fatal,
}

impl Breaker {
    pub(crate) fn new(fatal: Fatal) -> Arc<Self> {
        Arc::new(Self {
            first: OnceLock::new(),
            fatal,
        })
    }

    /// Refuses if there was a fault.
    pub(crate) fn check(&self) -> Result<(), StorageFault> {
        match self.first.get() {
            None => Ok(()),
            Some(first) => Err(StorageFault::new(
                FaultKind::Stopped,
                "go on after a fault with",
                &first.path,
                first,
            )),
        }
    }

    /// Passes a result on; a fault stops everything.
    pub(crate) fn watch<T>(&self, result: Result<T, StorageFault>) -> Result<T, StorageFault> {
        result.inspect_err(|fault| self.trip(fault))
    }

    /// Passes a fail point; what goes wrong there stops everything.
    pub(crate) fn hit(&self, point: Point) -> Result<(), StorageFault> {
        self.watch(
            injection::point::hit(point).map_err(|broken| StorageFault::injected(point, broken)),
        )
    }

    /// Likewise, and time may pass there.
    pub(crate) async fn pass(&self, point: Point) -> Result<(), StorageFault> {
        let passed = injection::point::pass(point).await;
        self.watch(passed.map_err(|broken| StorageFault::injected(point, broken)))
    }

    /// Runs `work` unless there was a fault already; a fault in it stops everything.
    pub(crate) fn run<T>(
        &self,
        work: impl FnOnce() -> Result<T, StorageFault>,
    ) -> Result<T, StorageFault> {
        self.check()?;
        self.watch(work())
    }

    fn trip(&self, fault: &StorageFault) {
        let mut first = false;
        self.first.get_or_init(|| {
            first = true;
            fault.clone()
        });
        // What has been stopped needs no second stop: a closed store, a crashed simulated machine.
        if first && fault.kind != FaultKind::Stopped {
            (self.fatal)(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_hook_hears_of_the_first_fault_alone_and_everything_after_it_is_refused() {
        let heard = Arc::new(AtomicUsize::new(0));
        let breaker = Breaker::new({
            let heard = Arc::clone(&heard);
            Arc::new(move |_| {
                heard.fetch_add(1, Ordering::Relaxed);
            })
        });
        assert_eq!(breaker.run(|| Ok(1)), Ok(1));
        let fault = StorageFault::corrupt("read", "log", "bad checksum");
        assert_eq!(
            breaker.run(|| Err::<(), _>(fault.clone())),
            Err(fault.clone())
        );
        assert_eq!(
            breaker.run(|| Ok(1)).map_err(|fault| fault.kind),
            Err(FaultKind::Stopped)
        );
        assert!(breaker.watch(Err::<(), _>(fault)).is_err());
        assert_eq!(heard.load(Ordering::Relaxed), 1);
    }
}
