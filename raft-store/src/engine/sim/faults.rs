//! Faults that a simulation arms, and how often they struck.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use crate::fault::{FaultKind, StorageFault};

/// Counts down to one failure.
#[derive(Default)]
pub(super) struct Countdown(Option<u64>);

impl Countdown {
    pub(super) fn arm(&mut self, after: u64) {
        self.0 = Some(after);
    }

    pub(super) fn due(&mut self) -> bool {
        match self.0 {
            None => false,
            Some(0) => {
                self.0 = None;
                true
            }
            Some(left) => {
                self.0 = Some(left - 1);
                false
            }
        }
    }
}

/// What is armed.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) read: Countdown,
    pub(super) write: Countdown,
    pub(super) sync: Countdown,
    /// The machine dies before this write or sync.
    pub(super) death: Countdown,
    pub(super) full: bool,
    /// How long a sync takes.
    pub(super) sync_takes: Duration,
    pub(super) struck: FaultsStruck,
}

/// How often faults struck since the last crash: what a process that fails may point at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultsStruck {
    /// Reads, writes and syncs that failed.
    pub failed: u64,
    /// Writes for which there was no room.
    pub full: u64,
    /// Reads that found what had rotted.
    pub rot_found: u64,
    /// Whether the machine died at an operation by [`SimDisk::die_after`](super::SimDisk::die_after).
    pub died: bool,
}

impl Faults {
    pub(super) fn on_read(&mut self, path: &Path) -> Result<(), StorageFault> {
        if self.read.due() {
            self.struck.failed += 1;
            Err(eio("read", path))
        } else {
            Ok(())
        }
    }

    pub(super) fn on_write(
        &mut self,
        operation: &'static str,
        path: &Path,
    ) -> Result<(), StorageFault> {
        if self.full {
            self.struck.full += 1;
            let kind = FaultKind::Io(ErrorKind::StorageFull);
            return Err(StorageFault::new(
                kind,
                operation,
                path,
                "no space left on the simulated disk",
            ));
        }
        if self.write.due() {
            self.struck.failed += 1;
            Err(eio(operation, path))
        } else {
            Ok(())
        }
    }

    pub(super) fn on_sync(&mut self, path: &Path) -> Result<(), StorageFault> {
        if self.sync.due() {
            self.struck.failed += 1;
            Err(eio("sync", path))
        } else {
            Ok(())
        }
    }
}

/// What is read from a place that rotted: the checksum that RocksDB keeps of it does not match.
pub(super) fn rotten(operation: &'static str, path: &Path) -> StorageFault {
    StorageFault::corrupt(
        operation,
        path,
        "simulated rot: the checksum does not match",
    )
}

fn eio(operation: &'static str, path: &Path) -> StorageFault {
    StorageFault::new(
        FaultKind::Io(ErrorKind::Other),
        operation,
        path,
        "simulated input/output error",
    )
}
