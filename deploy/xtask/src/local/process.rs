//! One process in the background: started in a session of its own so that it outlives us and the
//! terminal, found again by its pid file, stopped by signal.
//!
//! A pid alone is no proof: it may have been given to another program since. A process is ours if
//! its command line ends with `--settings` and the path of our settings file.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::files::{self, Folder};
use super::topology::Name;
use crate::toolchain::find_program;

/// How long a process may drain after SIGTERM before it is killed.
pub const DRAIN: Duration = Duration::from_secs(30);

/// What begins the line that separates one start from the next in a log.
const START_MARK: &str = "--- started by xtask:";

/// How much of a long line is shown.
const LOG_LINE_CHARS_MAX: usize = 400;

const POLL: Duration = Duration::from_millis(20);

/// How a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running(i32),
    /// There is a pid file, but no such process.
    Dead,
    /// It was never started, or stopped as it should.
    Stopped,
}

/// How a process is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// SIGTERM: it drains. Killed if it takes longer than [`DRAIN`].
    Drained,
    /// SIGKILL: a crash.
    Killed,
}

/// A process by name, in the folder of its cluster.
pub struct Process<'a> {
    folder: &'a Folder,
    name: Name,
}

impl<'a> Process<'a> {
    /// The process `name` of the cluster in `folder`.
    #[must_use]
    pub fn new(folder: &'a Folder, name: Name) -> Self {
        Self { folder, name }
    }

    /// How it stands.
    ///
    /// # Errors
    /// When its pid file cannot be read.
    pub fn state(&self) -> Result<State> {
        let Some(text) = files::read_if_there(&self.folder.pid(self.name))? else {
            return Ok(State::Stopped);
        };
        let pid = text.trim().parse().ok().filter(|pid| self.is_ours(*pid));
        Ok(pid.map_or(State::Dead, State::Running))
    }

    fn is_ours(&self, pid: i32) -> bool {
        let Ok(command_line) = fs::read(format!("/proc/{pid}/cmdline")) else {
            return false;
        };
        let settings = self.folder.settings(self.name);
        let words: Vec<&[u8]> = command_line
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty())
            .collect();
        // A zombie has an empty command line, so it is never taken for alive.
        words.ends_with(&[b"--settings", settings.as_os_str().as_encoded_bytes()])
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started. That it lives on is for the caller to see.
    pub fn start(&self) -> Result<Child> {
        let binary = self.folder.binary(self.name.kind);
        let log = self.folder.log(self.name);
        let output = OpenOptions::new().create(true).append(true).open(&log);
        let mut output = output.with_context(|| format!("{} cannot be written", log.display()))?;
        writeln!(output, "{START_MARK} {}", self.name).context("the log cannot be written")?;
        let errors = output
            .try_clone()
            .context("the log's handle cannot be doubled")?;
        let mut command = detached(&binary)?;
        command
            .arg("--settings")
            .arg(self.folder.settings(self.name));
        command
            .current_dir(self.folder.root())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        // Each setting can come from the environment; a caller that sourced `env` means clients.
        for (variable, _) in std::env::vars_os() {
            if variable
                .to_str()
                .is_some_and(|variable| variable.starts_with("VECTORGATE_"))
            {
                command.env_remove(variable);
            }
        }
        let child = command
            .spawn()
            .with_context(|| format!("{} could not be started", binary.display()))?;
        files::write(&self.folder.pid(self.name), format!("{}\n", child.id()))?;
        Ok(child)
    }

    /// Ends it and waits until it is gone. Fine if it does not run.
    ///
    /// # Errors
    /// When it cannot be signalled or does not go.
    pub fn stop(&self, end: End) -> Result<State> {
        let before = self.state()?;
        if let State::Running(pid) = before {
            self.signal(
                pid,
                if end == End::Drained {
                    Signal::TERM
                } else {
                    Signal::KILL
                },
            )?;
            if !self.is_gone_within(pid, DRAIN) {
                self.signal(pid, Signal::KILL)?;
                if !self.is_gone_within(pid, DRAIN) {
                    bail!(
                        "{} (process {pid}) does not end, not even when killed",
                        self.name
                    );
                }
            }
        }
        let pid_file = self.folder.pid(self.name);
        if before != State::Stopped {
            fs::remove_file(&pid_file)
                .with_context(|| format!("{} cannot be removed", pid_file.display()))?;
        }
        Ok(before)
    }

    fn signal(&self, pid: i32, signal: Signal) -> Result<()> {
        let target = Pid::from_raw(pid).context("a pid is positive")?;
        match kill_process(target, signal) {
            // It ended between the look and the signal.
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error)
                .with_context(|| format!("{} (process {pid}) cannot be signalled", self.name)),
        }
    }

    fn is_gone_within(&self, pid: i32, limit: Duration) -> bool {
        let began = Instant::now();
        while self.is_ours(pid) {
            if began.elapsed() > limit {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }

    /// The last lines that it said since it was started, each cut to what one reads.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let text = fs::read(self.folder.log(self.name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut last: Vec<String> = text
            .lines()
            .rev()
            .take_while(|line| !line.starts_with(START_MARK))
            .take(lines)
            .map(cut)
            .collect();
        last.reverse();
        last.join("\n")
    }
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LOG_LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// A command that leaves our session, so that neither our end nor the terminal's reaches it.
/// `setsid` replaces itself by the program, so the pid stays.
fn detached(binary: &Path) -> Result<Command> {
    let setsid: PathBuf =
        find_program("setsid").context("setsid (Debian package util-linux) is not installed")?;
    let mut command = Command::new(setsid);
    command.arg(binary);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::local::topology::Kind;

    /// A cluster folder whose node "binary" is a shell script.
    fn folder_with(script: &str) -> (tempfile::TempDir, Folder) {
        let root = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(root.path().to_owned());
        let binary = folder.binary(Kind::Node);
        files::make_folder(binary.parent().expect("a parent")).expect("made");
        fs::write(&binary, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("executable");
        (root, folder)
    }

    fn wait_until(is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "it does not come to that"
            );
            std::thread::sleep(POLL);
        }
    }

    #[test]
    fn a_process_is_started_found_again_and_stopped() {
        let (_root, folder) = folder_with("echo hello; while :; do sleep 0.05; done");
        let process = Process::new(&folder, Name::node(1));
        assert_eq!(process.state().expect("a state"), State::Stopped);
        let mut child = process.start().expect("started");
        wait_until(|| matches!(process.state().expect("a state"), State::Running(_)));
        wait_until(|| process.log_tail(5) == "hello");
        assert!(matches!(
            process.stop(End::Drained).expect("stopped"),
            State::Running(_)
        ));
        assert_eq!(process.state().expect("a state"), State::Stopped);
        assert!(!folder.pid(Name::node(1)).exists());
        child.wait().expect("reaped");
    }

    #[test]
    fn a_process_that_ended_by_itself_is_dead_and_stopping_it_clears_that() {
        let (_root, folder) = folder_with("echo going; exit 3");
        let process = Process::new(&folder, Name::node(1));
        let mut child = process.start().expect("started");
        assert_eq!(child.wait().expect("ended").code(), Some(3));
        assert_eq!(process.state().expect("a state"), State::Dead);
        assert_eq!(process.stop(End::Drained).expect("cleared"), State::Dead);
        assert_eq!(process.state().expect("a state"), State::Stopped);
    }

    #[test]
    fn the_end_of_a_log_is_that_of_the_last_start() {
        let (_root, folder) = folder_with("echo once");
        let process = Process::new(&folder, Name::node(1));
        for _ in 0..2 {
            process.start().expect("started").wait().expect("ended");
        }
        assert_eq!(process.log_tail(5), "once");
        assert_eq!(
            cut(&"x".repeat(1000)).chars().count(),
            LOG_LINE_CHARS_MAX + 1
        );
    }

    #[test]
    fn another_program_that_got_the_pid_is_not_taken_for_ours() {
        let (_root, folder) = folder_with("exit 0");
        let process = Process::new(&folder, Name::node(1));
        files::write(&folder.pid(Name::node(1)), std::process::id().to_string()).expect("written");
        assert_eq!(process.state().expect("a state"), State::Dead);
    }
}
