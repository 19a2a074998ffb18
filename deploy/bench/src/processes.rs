//! What the operating system says of a process, and where it lets it run: processor time, memory,
//! cores. Linux's `/proc`, and `taskset` of util-linux.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// `/proc` counts processor time in hundredths of a second, on every architecture that Linux runs
/// on today (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Which of the fields after a process's name are its user and its system time (proc(5)).
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;

/// By when a process that is told to stands still: the kernel stops it at its next moment, however busy
/// the machine is.
const STANDSTILL_DEADLINE: Duration = Duration::from_secs(5);

/// A process that ends with this.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts a program; what it says goes to a file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut program: Command, log: &Path) -> Result<Self> {
        let shown = log.display();
        let output = fs::File::create(log).with_context(|| format!("{shown} cannot be made"))?;
        let errors = output.try_clone().context("a log cannot be shared")?;
        program
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map(Self)
            .with_context(|| format!("{} could not be started", program.get_program().display()))
    }

    /// Its identifier.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid(self.0.id())
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn has_ended(&mut self) -> Result<bool> {
        let status = self
            .0
            .try_wait()
            .context("a process cannot be waited for")?;
        Ok(status.is_some())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid(pub u32);

impl Pid {
    /// Has all of its threads run on one core.
    ///
    /// # Errors
    /// When there is no such core or process.
    pub fn pin(self, core: usize) -> Result<()> {
        let pinned = Command::new("taskset")
            .args(["--all-tasks", "--cpu-list", "--pid"])
            .args([core.to_string(), self.0.to_string()])
            .stdin(Stdio::null())
            .output()
            .context("taskset (Debian package util-linux) could not be started")?;
        if !pinned.status.success() {
            let said = String::from_utf8_lossy(&pinned.stderr);
            bail!("process {} cannot be pinned: {}", self.0, said.trim());
        }
        Ok(())
    }

    /// How much processor time it has taken so far, in all its threads.
    ///
    /// # Errors
    /// When it does not run.
    pub fn processor_time(self) -> Result<Duration> {
        let stat = self.read("stat")?;
        processor_time(&stat).context("a process without processor time")
    }

    /// Its resident memory, in bytes.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resident_bytes(self) -> Result<u64> {
        bytes_of(&self.read("status")?, "VmRSS:").context("a process without memory")
    }

    /// The most resident memory that it had since [`Self::forget_peak`], in bytes.
    ///
    /// # Errors
    /// When it does not run.
    pub fn peak_bytes(self) -> Result<u64> {
        bytes_of(&self.read("status")?, "VmHWM:").context("a process without memory")
    }

    /// Begins to watch for the peak of its memory anew.
    ///
    /// # Errors
    /// When it does not run or is not ours.
    pub fn forget_peak(self) -> Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.0), "5")
            .context("the peak of a process's memory cannot be reset")
    }

    /// The first process that it has started, if it has started any.
    ///
    /// # Errors
    /// When it does not run.
    pub fn child(self) -> Result<Option<Self>> {
        let children = self.read(&format!("task/{}/children", self.0))?;
        let first = children.split_whitespace().next();
        first
            .map(|child| child.parse().map(Self).context("a child's identifier"))
            .transpose()
    }

    /// Has it do nothing until what is given is dropped. Blocks until it stands still.
    ///
    /// # Errors
    /// When it does not run, or goes on for long.
    pub fn hold(self) -> Result<Held> {
        self.signal(Signal::STOP)?;
        let held = Held(self);
        let deadline = Instant::now() + STANDSTILL_DEADLINE;
        while !self.read("stat")?.contains(") T ") {
            ensure!(
                Instant::now() < deadline,
                "process {} does not stand still",
                self.0
            );
            thread::sleep(Duration::from_millis(1));
        }
        Ok(held)
    }

    fn signal(self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.0)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("a process's identifier")?;
        kill_process(pid, signal).with_context(|| format!("process {} takes no signal", self.0))
    }

    fn read(self, file: &str) -> Result<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.0))
            .with_context(|| format!("process {} does not run", self.0))
    }
}

/// A process that does nothing until this is dropped.
#[derive(Debug)]
pub struct Held(Pid);

impl Drop for Held {
    fn drop(&mut self) {
        // It may have been ended meanwhile.
        drop(self.0.signal(Signal::CONT));
    }
}

/// A command that runs on one core from its beginning.
#[must_use]
pub fn on_core(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
}

/// Takes as many file descriptors as the system lets us have, and says how many that are.
///
/// # Errors
/// When the system refuses.
pub fn raise_descriptor_limit() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).context("the limit of descriptors cannot be raised")?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

fn processor_time(stat: &str) -> Option<Duration> {
    // The name stands in brackets and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<u32>().ok();
    Some(TICK * (ticks(USER_TICKS)? + ticks(SYSTEM_TICKS)?))
}

fn bytes_of(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_user_and_system_time_whatever_the_process_is_called() {
        let stat = "77 (a) b (c)) S 1 77 77 0 -1 4194304 100 0 0 0 250 50 7 8 20 0 2 0 900 1 1";
        assert_eq!(processor_time(stat), Some(Duration::from_secs(3)));
        assert_eq!(processor_time("77 (a) S 1"), None);
    }

    #[test]
    fn memory_is_read_from_the_status_of_a_process() {
        let status = "Name:\tnode\nVmHWM:\t  200 kB\nVmRSS:\t  123 kB\nThreads:\t9\n";
        assert_eq!(bytes_of(status, "VmRSS:"), Some(123 * 1024));
        assert_eq!(bytes_of(status, "VmHWM:"), Some(200 * 1024));
        assert_eq!(bytes_of("Name:\tkthreadd\n", "VmRSS:"), None);
    }

    #[test]
    fn a_program_is_pinned_looked_at_and_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut sleep = Command::new("sleep");
        sleep.arg("60");
        let mut running = Running::start(sleep, &folder.path().join("log")).expect("started");
        let pid = running.pid();
        pid.pin(0).expect("pinned");
        assert_eq!(pid.child().expect("a list"), None);
        let held = pid.hold().expect("held");
        assert!(pid.read("stat").expect("a state").contains(") T "));
        drop(held);
        assert!(pid.resident_bytes().expect("memory") > 0);
        assert!(!running.has_ended().expect("a status"));
        drop(running);
        assert!(pid.processor_time().is_err());
    }
}
