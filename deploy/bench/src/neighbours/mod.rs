//! The proxies that an edge is measured beside, and the origin that all of them forward to. Each is
//! one process on one core, set up as one would for production: connections to the origin are
//! kept, nothing is logged, the origin is told the client's address.

mod haproxy;
mod nginx;
mod varnish;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xtask::toolchain::find_server;

use crate::processes::{Pid, Running, on_core};

/// Ports of its own, beside those of a benchmark's cluster.
const FIRST_PORT: u16 = 18301;

/// How many bytes the origin answers with.
pub const ANSWER_BYTES: usize = 100;

/// Below this path, the origin's answers may be kept for an hour.
pub const KEPT_PATH: &str = "/kept/";

/// For a program to listen after it was started.
const READY_DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// A program that the benchmark runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Origin,
    Nginx,
    Haproxy,
    /// nginx as a cache.
    NginxCache,
    Varnish,
}

/// One of them, running.
#[derive(Debug)]
pub struct Neighbour {
    running: Running,
    kind: Kind,
    /// What it says it is.
    pub version: String,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Origin | Self::Nginx | Self::NginxCache => "nginx",
            Self::Haproxy => "haproxy",
            Self::Varnish => "varnishd",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::NginxCache => "nginx-cache",
            Self::Varnish => "varnish",
        }
    }

    /// Where it takes HTTP/1.1.
    fn http1(self) -> SocketAddr {
        address(2 * (self as u16))
    }

    /// Where it takes HTTP/2 without TLS.
    fn http2(self) -> SocketAddr {
        address(2 * (self as u16) + 1)
    }

    fn configuration(self, folder: &Path) -> String {
        match self {
            Self::Origin => nginx::origin(folder, self.http1()),
            Self::Nginx => nginx::proxy(folder, [self.http1(), self.http2()], Self::Origin.http1()),
            Self::Haproxy => haproxy::proxy([self.http1(), self.http2()], Self::Origin.http1()),
            Self::NginxCache => nginx::cache(folder, self.http1(), Self::Origin.http1()),
            Self::Varnish => varnish::cache(Self::Origin.http1()),
        }
    }

    fn arguments(self, file: &Path) -> Vec<PathBuf> {
        match self {
            Self::Origin | Self::Nginx | Self::NginxCache => vec!["-c".into(), file.into()],
            // In the foreground.
            Self::Haproxy => vec!["-db".into(), "-f".into(), file.into()],
            Self::Varnish => varnish::arguments(file, self.http1()),
        }
    }

    /// What has it say its version.
    fn asks_version(self) -> &'static str {
        match self {
            Self::Varnish => "-V",
            _ => "-v",
        }
    }
}

impl Neighbour {
    /// Starts the origin.
    ///
    /// # Errors
    /// When it does not start.
    pub fn origin(folder: &Path, core: usize) -> Result<Self> {
        Self::start(Kind::Origin, folder, core)
    }

    /// Starts nginx.
    ///
    /// # Errors
    /// When it does not start.
    pub fn nginx(folder: &Path, core: usize) -> Result<Self> {
        Self::start(Kind::Nginx, folder, core)
    }

    /// Starts `HAProxy`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn haproxy(folder: &Path, core: usize) -> Result<Self> {
        Self::start(Kind::Haproxy, folder, core)
    }

    /// Starts nginx as a cache.
    ///
    /// # Errors
    /// When it does not start.
    pub fn nginx_cache(folder: &Path, core: usize) -> Result<Self> {
        Self::start(Kind::NginxCache, folder, core)
    }

    /// Starts Varnish.
    ///
    /// # Errors
    /// When it does not start.
    pub fn varnish(folder: &Path, core: usize) -> Result<Self> {
        Self::start(Kind::Varnish, folder, core)
    }

    fn start(kind: Kind, folder: &Path, core: usize) -> Result<Self> {
        let folder = folder.join(kind.name());
        fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let (file, log) = (folder.join("configuration"), folder.join("log"));
        fs::write(&file, kind.configuration(&folder))
            .with_context(|| format!("{} cannot be written", file.display()))?;
        for address in [kind.http1(), kind.http2()] {
            if TcpStream::connect(address).is_ok() {
                bail!("another program listens on {address}");
            }
        }
        let name = kind.program();
        let program = find_server(name).with_context(|| format!("{name} is not installed"))?;
        let mut command = on_core(core, &program);
        command.args(kind.arguments(&file));
        let mut neighbour = Self {
            running: Running::start(command, &log)?,
            version: version(&program, kind.asks_version())?,
            kind,
        };
        neighbour.wait_ready(&log)?;
        Ok(neighbour)
    }

    fn wait_ready(&mut self, log: &Path) -> Result<()> {
        let began = Instant::now();
        while TcpStream::connect(self.http1()).is_err() {
            if self.running.has_ended()? || began.elapsed() > READY_DEADLINE {
                let said = fs::read_to_string(log).unwrap_or_default();
                bail!("{} does not start: {}", self.kind.name(), said.trim());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// The process that serves.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> Result<Pid> {
        let started = self.running.pid();
        match self.kind {
            // What was started watches over what serves.
            Kind::Varnish => started
                .child()?
                .context("Varnish has no process that serves"),
            _ => Ok(started),
        }
    }

    /// Where it takes HTTP/1.1.
    #[must_use]
    pub fn http1(&self) -> SocketAddr {
        self.kind.http1()
    }

    /// Where it takes HTTP/2 without TLS. The origin does not.
    #[must_use]
    pub fn http2(&self) -> SocketAddr {
        self.kind.http2()
    }
}

fn address(offset: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST_PORT + offset))
}

fn version(program: &Path, asks: &str) -> Result<String> {
    let output = Command::new(program)
        .arg(asks)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} could not be started", program.display()))?;
    // nginx and Varnish say it on standard error.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().next().unwrap_or_default();
    Ok(line.trim_start_matches("nginx version: ").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_the_port_of_another() {
        let all = [
            Kind::Origin,
            Kind::Nginx,
            Kind::Haproxy,
            Kind::NginxCache,
            Kind::Varnish,
        ]
        .into_iter()
        .flat_map(|kind| [kind.http1(), kind.http2()]);
        let distinct: std::collections::BTreeSet<SocketAddr> = all.collect();
        assert_eq!(distinct.len(), 10);
    }

    #[test]
    fn every_configuration_names_its_ports_and_the_origin() {
        let folder = Path::new("/folder");
        let origin = Kind::Origin.http1().to_string();
        for kind in [Kind::Nginx, Kind::Haproxy] {
            let text = kind.configuration(folder);
            for address in [kind.http1(), kind.http2()] {
                assert!(text.contains(&address.to_string()), "{text}");
            }
            assert!(text.contains(&origin), "{text}");
        }
        for kind in [Kind::NginxCache, Kind::Varnish] {
            let said = kind.arguments(Path::new("/folder/configuration"));
            let said: Vec<_> = said
                .iter()
                .map(|argument| argument.to_string_lossy())
                .collect();
            let text = format!("{} {}", said.join(" "), kind.configuration(folder));
            assert!(text.contains(&kind.http1().to_string()), "{text}");
            let (host, port) = origin.split_once(':').expect("an address");
            assert!(text.contains(host) && text.contains(port), "{text}");
        }
        let text = Kind::Origin.configuration(folder);
        assert!(text.contains(&origin) && text.contains(&"x".repeat(ANSWER_BYTES)));
    }
}
