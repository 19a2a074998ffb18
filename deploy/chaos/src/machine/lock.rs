//! One run at a time: hosts and disks go by the same names in each, and what an earlier run left is taken away.

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};
use xtask::report::step;

/// What is locked, beside where `ip` keeps namespaces.
const PATH: &str = "/run/vectorgate-chaos.lock";

/// How long is waited for another run: as long as one takes.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How often is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whether this is the only run.
#[derive(Debug)]
pub enum Lock {
    /// It is, until this is dropped.
    Taken(File),
    /// Another one goes on.
    Elsewhere,
}

/// Waits until no other run goes on, for as long as one takes.
///
/// # Errors
/// When the lock cannot be had for another reason.
pub fn take() -> Result<Lock> {
    let file = File::create(PATH).with_context(|| format!("{PATH} cannot be made"))?;
    let began = Instant::now();
    let mut said = false;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Lock::Taken(file)),
            Err(rustix::io::Errno::WOULDBLOCK) if began.elapsed() > PATIENCE => {
                return Ok(Lock::Elsewhere);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error).with_context(|| format!("{PATH} cannot be locked")),
        }
        if !said {
            step("Waiting for another run of these scenarios to end");
            said = true;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
