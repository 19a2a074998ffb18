//! A process whose system calls are made to fail or to take long: `strace`, attached while it runs.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::tools;

/// What happens to syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first one fails with an input/output error, and so do those after it.
    Fail,
    /// Each takes so much longer.
    Delay(Duration),
}

/// An attached tracer. It lets go when dropped.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    notes: PathBuf,
}

impl Tracer {
    /// Attaches to a process and has its syncs go wrong. What it does to them it notes in a file.
    ///
    /// # Errors
    /// When the process cannot be traced.
    pub fn attach(pid: u32, fault: Fault, notes: &Path) -> Result<Self> {
        let injected = match fault {
            Fault::Fail => "inject=fsync,fdatasync:error=EIO".to_owned(),
            Fault::Delay(by) => format!("inject=fsync,fdatasync:delay_enter={}", by.as_micros()),
        };
        let shown = notes.to_str().context("a path is no text")?;
        let pid = pid.to_string();
        // -ttt: seconds since 1970 in front of each line.
        let mut command = tools::command(
            "strace",
            &[
                "-f",
                "-qq",
                "-ttt",
                "-o",
                shown,
                "-e",
                "trace=fsync,fdatasync",
                "-e",
                &injected,
                "-p",
                &pid,
            ],
        )?;
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("strace could not be started")?;
        Ok(Self {
            child,
            notes: notes.to_owned(),
        })
    }

    /// When the first sync was hit, if one was.
    ///
    /// # Errors
    /// When the notes cannot be read, or the tracer was refused.
    pub fn first_hit(&mut self) -> Result<Option<SystemTime>> {
        let notes = std::fs::read_to_string(&self.notes).unwrap_or_default();
        if let Some(hit) = notes.lines().find_map(hit_at) {
            return Ok(Some(hit));
        }
        let ended = self
            .child
            .try_wait()
            .context("strace cannot be waited for")?;
        if let Some(status) = ended {
            bail!("strace ended ({status}) before it hit anything");
        }
        Ok(None)
    }

    /// How many syncs were hit.
    #[must_use]
    pub fn hits(&self) -> usize {
        let notes = std::fs::read_to_string(&self.notes).unwrap_or_default();
        notes.lines().filter_map(hit_at).count()
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // SIGINT has it detach first. It may have ended with the process that it traced.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::INT);
        }
        drop(self.child.wait());
    }
}

/// `4711 1790000000.123456 fdatasync(9) = -1 EIO (Input/output error) (INJECTED)`.
fn hit_at(line: &str) -> Option<SystemTime> {
    if !line.contains("(INJECTED)") && !line.contains("(DELAYED)") {
        return None;
    }
    let seconds = line.split_whitespace().find(|word| word.contains('.'))?;
    let (seconds, micros) = seconds.split_once('.')?;
    let since = Duration::new(seconds.parse().ok()?, micros.parse::<u32>().ok()? * 1000);
    Some(UNIX_EPOCH + since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_of_a_hit_is_read_from_what_the_tracer_notes() {
        let line = "4711 1790000000.250000 fdatasync(9) = -1 EIO (Input/output error) (INJECTED)";
        let expected = UNIX_EPOCH + Duration::from_millis(1_790_000_000_250);
        assert_eq!(hit_at(line), Some(expected));
        assert_eq!(hit_at("4711 1790000000.250000 fdatasync(9) = 0"), None);
    }
}
