//! Calling the operating system's tools (`ip`, `nft`, `mount` and the like), and whether they are
//! there and may do what they are needed for.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use xtask::toolchain::{describe, find_server};

/// Runs a tool to its end and gives what it printed.
///
/// # Errors
/// When it is not there or fails, with what it said.
pub fn run(name: &str, arguments: &[&str]) -> Result<String> {
    finish(command(name, arguments)?, None)
}

/// Runs a tool that reads `input`.
///
/// # Errors
/// As [`run`].
pub fn feed(name: &str, arguments: &[&str], input: &str) -> Result<String> {
    finish(command(name, arguments)?, Some(input))
}

/// A tool as a command.
///
/// # Errors
/// When it is not installed.
pub fn command(name: &str, arguments: &[&str]) -> Result<Command> {
    let program = find_server(name).with_context(|| format!("{name} is not installed"))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    Ok(command)
}

fn finish(mut command: Command, input: Option<&str>) -> Result<String> {
    let shown = describe(&command);
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{shown}` could not be started"))?;
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        pipe.write_all(input.as_bytes())
            .with_context(|| format!("`{shown}` reads nothing"))?;
    }
    let output = child
        .wait_with_output()
        .with_context(|| format!("`{shown}` cannot be waited for"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` failed ({}): {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Something of the machine that a scenario cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A process may be traced and its system calls made to fail.
    Strace,
    /// A library that shows a process another time.
    Faketime,
    /// The kernel drops packets at random.
    RandomDrop,
}

impl Need {
    /// Why it cannot be had here, if it cannot.
    #[must_use]
    pub fn missing(self) -> Option<String> {
        match self {
            Self::Strace => strace(),
            Self::Faketime => faketime_library()
                .is_none()
                .then(|| "libfaketime is not installed".to_owned()),
            Self::RandomDrop => super::namespaces::random_drop()
                .err()
                .map(|error| format!("the kernel cannot drop packets at random: {error:#}")),
        }
    }
}

/// Why nobody but an administrator may play any scenario.
#[must_use]
pub fn forbidden() -> Option<String> {
    let is_root = rustix::process::geteuid().is_root();
    (!is_root).then(|| "namespaces, mounts and signals take root".to_owned())
}

/// Why no scenario can be played here at all, if none can.
#[must_use]
pub fn missing() -> Option<String> {
    let tools = ["ip", "nft", "losetup", "mkfs.ext4", "mount", "python3"];
    if let Some(tool) = tools.iter().find(|tool| find_server(tool).is_none()) {
        return Some(format!("{tool} is not installed"));
    }
    namespaces_work()
        .and_then(|()| disks_work())
        .err()
        .map(|error| format!("{error:#}"))
}

fn namespaces_work() -> Result<()> {
    super::namespaces::try_out().context("the kernel gives no network namespaces")
}

fn disks_work() -> Result<()> {
    run("losetup", &["--find"])
        .map(drop)
        .context("the kernel gives no loop devices")
}

fn strace() -> Option<String> {
    let inject = ["-qq", "-o", "/dev/null", "-e", "trace=fdatasync"];
    let arguments = [&inject[..], &["-e", "inject=fdatasync:error=EIO", "true"]].concat();
    run("strace", &arguments)
        .err()
        .map(|error| format!("{error:#}"))
}

/// The library that shows a process another time, where Debian puts it.
#[must_use]
pub fn faketime_library() -> Option<std::path::PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?;
    folders
        .flatten()
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|library| library.is_file())
}
