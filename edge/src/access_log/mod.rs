//! One line for each request, or for a sample of them: JSON, to a file or standard output.
//!
//! A request never waits for its line. Serving threads put lines into a queue that holds
//! [`LINES_MAX`] of them; a thread of its own writes them. While the disk or the reader of standard
//! output does not keep up, lines are dropped, and counted.
//!
//! What stands in a line is `Entry`'s matter. It holds no header field but `Host`, and of the
//! target no query: both carry secrets.

mod entry;

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

pub(crate) use entry::{Entry, Watch};

/// Lines that wait to be written, some 500 bytes each: what a busy edge logs in a tenth of a
/// second, 4 MiB.
pub const LINES_MAX: usize = 8192;

/// How long the last lines may take to be written when the edge stops.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Takes lines. Clones are the same log.
#[derive(Clone)]
pub struct AccessLog {
    lines: SyncSender<Line>,
    /// A random number up to this is in the sample.
    threshold: u64,
    counts: Arc<LogCounts>,
}

/// What becomes of lines.
#[derive(Debug, Default)]
pub struct LogCounts {
    written: AtomicU64,
    dropped: AtomicU64,
}

/// The log as a whole: who has it ends it.
pub struct Writing {
    log: AccessLog,
    ended: Receiver<()>,
}

enum Line {
    Text(Vec<u8>),
    /// There will be no more.
    End,
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writing").field("log", &self.log).finish()
    }
}

/// Shows what becomes of lines.
#[derive(Debug)]
pub(crate) struct Shown(pub(crate) Arc<LogCounts>);

impl LogCounts {
    /// Lines written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Lines dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, value) in [
            (
                "access_log_lines",
                "Lines of the access log written",
                self.0.written(),
            ),
            (
                "access_log_lines_dropped",
                "Lines of the access log dropped, because nobody took them in time",
                self.0.dropped(),
            ),
        ] {
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }
}

impl AccessLog {
    /// Starts a log of so large a share of all requests, between 0 and 1, that is written to `sink`.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(share: f64, sink: Box<dyn Write + Send>) -> io::Result<Writing> {
        let (lines, queue) = sync_channel(LINES_MAX);
        let (end, ended) = sync_channel(1);
        let counts = Arc::<LogCounts>::default();
        let writer = Writer {
            sink,
            counts: Arc::clone(&counts),
            failing: AtomicBool::new(false),
        };
        thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                writer.run(&queue);
                drop(queue);
                // When nobody waits any more nobody wants to know.
                let _ = end.send(());
            })?;
        let log = Self {
            lines,
            threshold: threshold(share),
            counts,
        };
        Ok(Writing { log, ended })
    }

    /// Whether a request for which this random number was drawn is in the sample.
    pub(crate) fn samples(&self, random: u64) -> bool {
        random <= self.threshold && self.threshold > 0
    }

    /// What became of lines.
    #[must_use]
    pub fn counts(&self) -> &Arc<LogCounts> {
        &self.counts
    }

    /// Puts a line into the queue, or drops it.
    fn put(&self, line: Vec<u8>) {
        if self.lines.try_send(Line::Text(line)).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Writing {
    /// For those who log.
    #[must_use]
    pub fn log(&self) -> AccessLog {
        self.log.clone()
    }

    /// Writes what is in the queue, if that does not take too long, and ends.
    pub fn close(self) {
        let Self { log, ended } = self;
        let mut end = Line::End;
        // A queue that is full gets room as soon as a line is written, if it ever is.
        for _ in 0..2 {
            match log.lines.try_send(end) {
                Ok(()) => break,
                Err(error) => {
                    end = match error {
                        TrySendError::Full(end) => end,
                        TrySendError::Disconnected(_) => return,
                    };
                    if let Err(RecvTimeoutError::Disconnected) = ended.recv_timeout(CLOSE_MAX / 2) {
                        return;
                    }
                }
            }
        }
        let _ = ended.recv_timeout(CLOSE_MAX);
    }
}

/// So large a share of all numbers.
fn threshold(share: f64) -> u64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a float's conversion stops at the ends, which is what is wanted"
    )]
    let threshold = (share * u64::MAX as f64) as u64;
    threshold
}

/// Writes lines.
struct Writer {
    sink: Box<dyn Write + Send>,
    counts: Arc<LogCounts>,
    /// Whether the last line could not be written, so that it is said once and not for each line.
    failing: AtomicBool,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Line>) {
        while let Ok(line) = queue.recv() {
            let mut next = Some(line);
            // All that waits is written at once; then it is given out of hand.
            while let Some(line) = next.take() {
                let Line::Text(line) = line else {
                    return self.flush();
                };
                self.write(&line);
                next = queue.try_recv().ok();
            }
            self.flush();
        }
    }

    fn write(&mut self, line: &[u8]) {
        let outcome = self.sink.write_all(line);
        let counter = if outcome.is_ok() {
            &self.counts.written
        } else {
            &self.counts.dropped
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.note(outcome);
    }

    fn flush(&mut self) {
        let outcome = self.sink.flush();
        self.note(outcome);
    }

    fn note(&self, outcome: io::Result<()>) {
        let was_failing = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Err(error) if !was_failing => {
                tracing::error!(%error, "the access log cannot be written; lines are dropped");
            }
            Ok(()) if was_failing => tracing::info!("the access log can be written again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
