//! Load generators from Debian: what others measure proxies with, too.

mod h2load;
mod wrk;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::load::Round;
use crate::processes::on_core;

/// What is asked for, from which core.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// Of whom.
    pub address: SocketAddr,
    /// In `Host` or `:authority`.
    pub host: &'a str,
    /// How long.
    pub length: Duration,
    /// Where the generator runs.
    pub core: usize,
    /// What is sent.
    pub shape: Shape<'a>,
}

/// What requests look like.
#[derive(Clone, Copy, Debug)]
pub enum Shape<'a> {
    /// HTTP/1.1 on so many connections, one request at a time on each, always the same.
    Http1 {
        /// How many.
        connections: usize,
    },
    /// The same, with paths that a Lua script gives.
    Scripted {
        /// How many.
        connections: usize,
        /// The script, as wrk takes it.
        script: &'a Path,
    },
    /// HTTP/2 without TLS.
    Http2 {
        /// Connections.
        connections: usize,
        /// Requests at a time on each.
        streams: usize,
        /// Where the generator writes down each request.
        log: &'a Path,
    },
}

/// What a generator saw.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Requests that were answered with success.
    pub requests: u64,
    /// Rate and latencies.
    pub round: Round,
}

impl Load<'_> {
    /// Runs it.
    ///
    /// # Errors
    /// When the generator fails, or any request did.
    pub fn run(&self) -> Result<Seen> {
        match self.shape {
            Shape::Http1 { connections } => wrk::run(self, connections, None),
            Shape::Scripted {
                connections,
                script,
            } => wrk::run(self, connections, Some(script)),
            Shape::Http2 {
                connections,
                streams,
                log,
            } => h2load::run(self, connections, streams, log),
        }
    }
}

/// What a program on one core says.
fn output(core: usize, program: &str, arguments: &[String]) -> Result<String> {
    let mut command: Command = on_core(core, Path::new(program));
    let output = command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} could not be started"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{program} failed ({}): {said}{errors}", output.status);
    }
    Ok(said)
}
