//! Faults that a simulation arms.

use std::io::ErrorKind;
use std::path::Path;

use crate::fault::{FaultKind, StorageFault};

/// Counts down to one failure.
#[derive(Default)]
pub(super) struct Countdown(Option<u64>);

impl Countdown {
    pub(super) fn arm(&mut self, after: u64) {
        self.0 = Some(after);
    }

    fn due(&mut self) -> bool {
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
    pub(super) full: bool,
}

impl Faults {
    pub(super) fn on_read(&mut self, path: &Path) -> Result<(), StorageFault> {
        if self.read.due() {
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
            let kind = FaultKind::Io(ErrorKind::StorageFull);
            return Err(StorageFault::new(
                kind,
                operation,
                path,
                "no space left on the simulated disk",
            ));
        }
        if self.write.due() {
            Err(eio(operation, path))
        } else {
            Ok(())
        }
    }

    pub(super) fn on_sync(&mut self, path: &Path) -> Result<(), StorageFault> {
        if self.sync.due() {
            Err(eio("sync", path))
        } else {
            Ok(())
        }
    }
}

fn eio(operation: &'static str, path: &Path) -> StorageFault {
    StorageFault::new(
        FaultKind::Io(ErrorKind::Other),
        operation,
        path,
        "simulated input/output error",
    )
}
