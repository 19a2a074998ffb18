//! Pauses in long work beside requests. A thread that compiles a manifest may share its core with one that
//! serves, and keeps it for a whole slice of the scheduler, which is milliseconds: longer than most
//! requests take. Work in pieces that are far shorter than a slice, with pauses of the same length
//! between them, delays a request by one piece at most, and takes twice as long.

use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// How long a piece of work takes, and the pause after it.
const PIECE: Duration = Duration::from_micros(200);

/// Whether, and since when, there is work without a pause.
#[derive(Clone, Copy, Debug)]
pub(super) enum Breather {
    /// There are no pauses: nobody waits for the core, or all threads are the same one.
    Never,
    /// There are, and the current piece of work began then.
    Between(Instant),
}

impl Breather {
    /// With pauses, if `beside_requests`.
    pub(super) fn new(beside_requests: bool) -> Self {
        if beside_requests {
            Self::Between(Instant::now())
        } else {
            Self::Never
        }
    }

    /// One for another thread.
    pub(super) fn another(&self) -> Self {
        Self::new(matches!(self, Self::Between(_)))
    }

    /// Pauses, if it is time to. To be called more often than that.
    #[expect(
        clippy::disallowed_methods,
        reason = "this thread is there for nothing else, and there is no pause in simulation"
    )]
    pub(super) fn breathe(&mut self) {
        if let Self::Between(began) = self
            && began.elapsed() >= PIECE
        {
            thread::sleep(PIECE);
            *began = Instant::now();
        }
    }
}
