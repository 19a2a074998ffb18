//! One process on a host of its own.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use xtask::local::Name;

use crate::machine::namespaces;

/// What begins the line that separates one start from the next in a log.
const START_MARK: &str = "--- started by xtask:";

/// How much of a log is shown.
const LOG_LINES: usize = 12;

/// A process that was started. It is killed when dropped.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    /// When it was started.
    pub(super) started: Instant,
    /// How it ended, once that was seen.
    ended: Option<ExitStatus>,
}

/// What a process is started as.
#[derive(Debug)]
pub(super) struct Program<'a> {
    /// The host.
    pub(super) name: Name,
    /// The binary.
    pub(super) binary: &'a Path,
    /// Its settings file.
    pub(super) settings: &'a Path,
    /// What it says goes to the end of this.
    pub(super) log: PathBuf,
    /// More of its environment.
    pub(super) environment: &'a [(String, OsString)],
}

impl Running {
    /// Starts a process on its host.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(program: &Program<'_>) -> Result<Self> {
        let shown = program.log.display();
        let mut log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&program.log)
            .with_context(|| format!("{shown} cannot be written"))?;
        writeln!(log, "{START_MARK} {}", program.name).context("a log cannot be written")?;
        let errors = log
            .try_clone()
            .context("a log's handle cannot be doubled")?;
        let mut command = Command::new(program.binary);
        command
            .arg("--settings")
            .arg(program.settings)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        for (variable, _) in std::env::vars_os() {
            if variable
                .to_str()
                .is_some_and(|name| name.starts_with("VECTORGATE_"))
            {
                command.env_remove(variable);
            }
        }
        for (variable, value) in program.environment {
            command.env(variable, value);
        }
        let child = namespaces::on(&program.name.to_string(), || {
            command
                .spawn()
                .with_context(|| format!("{} could not be started", program.binary.display()))
        })?;
        Ok(Self {
            child,
            started: Instant::now(),
            ended: None,
        })
    }

    /// Its identifier.
    #[must_use]
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When that cannot be told.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self
                .child
                .try_wait()
                .context("a process cannot be waited for")?;
        }
        Ok(self.ended)
    }

    /// Sends it a signal. Fine if it has ended.
    ///
    /// # Errors
    /// When that is refused.
    pub(super) fn signal(&mut self, signal: Signal) -> Result<()> {
        // Until we have waited for it, its identifier is nobody else's.
        if self.ended()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.context("a pid is positive")?;
        kill_process(pid, signal).context("a process cannot be signalled")
    }

    /// Kills it, and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub(super) fn kill(mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.child
            .wait()
            .context("a process cannot be waited for")?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // It may have ended by itself; either way it is gone afterwards.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// What a process said since it was last started, the end of it.
#[must_use]
pub fn log_tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut last: Vec<&str> = text
        .lines()
        .rev()
        .take_while(|line| !line.starts_with(START_MARK))
        .take(LOG_LINES)
        .collect();
    last.reverse();
    last.join("\n")
}
