//! `cargo xtask conformance-cache`: how an edge's HTTP cache behaves, by the suite of
//! cache-tests.fyi, side by side with nginx and Varnish on this machine, with the same suite against
//! the same origin. Fails where the edge passes fewer of the required tests than the better of the
//! two.

mod neighbours;
mod results;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::local::api::Api;
use crate::local::process::End;
use crate::local::topology::Ports;
use crate::local::{Cluster, Name, Topology, files};
use crate::report;
use crate::repository::Repository;
use crate::toolchain::npm::{self, HTTP_CACHE_TESTS};
use crate::toolchain::packages::{self, TO_COMPARE_CACHES};
use crate::toolchain::{Toolchain, describe};

use results::Results;

/// What runs the suite.
const SCRIPT: &str = "deploy/conformance/caches/run.mjs";

/// The hostname of the route; what the suite asks for.
const HOSTNAME: &str = "localhost";

/// The ports of the suite's origin, nginx and Varnish.
const ORIGIN: u16 = 9601;
const NGINX: u16 = 9602;
const VARNISH: u16 = 9603;

/// How long a program may take until it listens.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The edge alone, without its neighbours.
    pub alone: bool,
}

/// Runs it.
///
/// # Errors
/// When something cannot be started, or the edge is worse than its neighbours.
pub fn run(repository: &Repository, options: Options) -> Result<()> {
    let toolchain = Toolchain::prepare(repository)?;
    if !options.alone {
        packages::ensure(TO_COMPARE_CACHES)?;
    }
    let suite = Suite {
        package: npm::ensure(toolchain.cache(), HTTP_CACHE_TESTS)?,
        script: repository.root().join(SCRIPT),
    };
    let folder = repository.caches();
    end_what_was_left(&folder)?;
    let cluster = prepare(&toolchain, &folder)?;
    let _origin = suite.origin(&folder)?;
    let edge = Edge::start(cluster)?;
    let mut columns = vec![("edge", suite.against("edge", edge.port())?)];
    drop(edge);
    if !options.alone {
        let nginx = neighbours::nginx(repository, &folder, NGINX, ORIGIN)?;
        columns.push(("nginx", suite.against("nginx", NGINX)?));
        drop(nginx);
        let varnish = neighbours::varnish(repository, &folder, VARNISH, ORIGIN)?;
        columns.push(("varnish", suite.against("varnish", VARNISH)?));
        drop(varnish);
    }
    results::print(&columns);
    judge(&columns)
}

fn judge(columns: &[(&str, Results)]) -> Result<()> {
    let passed = |results: &Results| results.count("required", "pass");
    let (Some((_, edge)), others) = (columns.first(), columns.iter().skip(1)) else {
        bail!("nothing was measured");
    };
    let best = others.map(|(_, results)| passed(results)).max();
    if best.is_some_and(|best| passed(edge) < best) {
        bail!("the edge passes fewer of the required tests than its neighbours");
    }
    Ok(())
}

/// Processes and data of an earlier run, which may have been interrupted.
fn end_what_was_left(folder: &Path) -> Result<()> {
    if let Some(left) = Cluster::open(folder)? {
        left.stop_all(End::Killed)?;
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    Ok(())
}

fn prepare(toolchain: &Toolchain, folder: &Path) -> Result<Cluster> {
    let topology = Topology {
        nodes: 1,
        edges: 1,
        origins: 0,
        ports: Ports::CACHES,
    };
    report::step("Building a node and an edge (as for tests)");
    let mut built = PathBuf::new();
    for (package, binary) in Cluster::binaries(&topology) {
        built = toolchain.build_dev(package, binary)?;
    }
    built.pop();
    let cluster = Cluster::prepare(folder, topology)?;
    cluster.install_binaries(&built)?;
    Ok(cluster)
}

/// The suite, as it was installed.
struct Suite {
    package: PathBuf,
    script: PathBuf,
}

impl Suite {
    /// Starts the origin that does as the tests tell it.
    fn origin(&self, folder: &Path) -> Result<Background> {
        let mut node = Command::new("node");
        node.current_dir(&self.package)
            .arg("server/server.mjs")
            .env("npm_config_protocol", "http")
            .env("npm_config_port", ORIGIN.to_string())
            .env("npm_config_pidfile", folder.join("origin.pid"));
        Background::start(node, &folder.join("origin.log"), ORIGIN)
    }

    /// Runs all tests against the cache on a port.
    fn against(&self, name: &str, port: u16) -> Result<Results> {
        let mut node = Command::new("node");
        node.arg("--no-warnings")
            .arg(&self.script)
            .arg(&self.package)
            .arg(format!("http://{HOSTNAME}:{port}"))
            .stdin(Stdio::null());
        report::step(format_args!("{name}: {}", describe(&node)));
        let output = node.output().context("node could not be started")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("the suite did not get to its end: {}", said.trim());
        }
        Results::read(&output.stdout)
    }
}

/// An edge with a route for the suite's origin.
struct Edge(Cluster);

impl Edge {
    fn start(cluster: Cluster) -> Result<Self> {
        report::step("Starting a node and an edge");
        let edge = Self(cluster);
        let cluster = &edge.0;
        for name in cluster.topology().names() {
            cluster.start(name)?;
        }
        cluster.wait_ready(Name::node(1))?;
        edge.publish()?;
        cluster.wait_ready(Name::edge(1))?;
        Ok(edge)
    }

    /// A balanced route keeps what answers allow, and nothing beyond: what the suite is about.
    fn publish(&self) -> Result<()> {
        let key = self.0.bootstrap()?.environments.production.api_key;
        let node = format!("http://{}", self.0.topology().http(Name::node(1)));
        let api = Api::new(vec![node], key);
        let post = |path: &str, body| api.post(path, &body, &files::uuid()?);
        let target = json!({ "address": "127.0.0.1", "port": ORIGIN, "weight": 1 });
        let upstream = post(
            "/v2/upstreams",
            json!({ "name": "Suite", "targets": [target] }),
        )?;
        let route = post(
            "/v2/routes",
            json!({
                "name": "Suite",
                "hostname": HOSTNAME,
                "mode": "balanced",
                "config": { "upstreams": [{ "upstream_id": upstream["id"], "weight": 1 }] },
            }),
        )?;
        let route = route["id"].as_str().context("a route has an id")?;
        post(&format!("/v2/routes/{route}/publish"), json!({}))?;
        Ok(())
    }

    fn port(&self) -> u16 {
        self.0.topology().ports.edge
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // There is nobody to tell; the next run ends what is left.
        drop(self.0.stop_all(End::Killed));
    }
}

/// A program that runs for as long as this lives.
struct Background(Child);

impl Background {
    /// Starts a program and waits until it listens.
    fn start(mut command: Command, log: &Path, port: u16) -> Result<Self> {
        let shown = describe(&command);
        let address = format!("127.0.0.1:{port}");
        if std::net::TcpStream::connect(&address).is_ok() {
            bail!("another program listens on {address}");
        }
        let output = std::fs::File::create(log)
            .with_context(|| format!("{} cannot be written", log.display()))?;
        let errors = output
            .try_clone()
            .context("the log's handle cannot be doubled")?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command
            .spawn()
            .with_context(|| format!("`{shown}` could not be started"))?;
        let mut running = Self(child);
        let began = Instant::now();
        while std::net::TcpStream::connect(&address).is_err() {
            if let Some(status) = running
                .0
                .try_wait()
                .context("a process cannot be waited for")?
            {
                bail!("`{shown}` ended ({status}); see {}", log.display());
            }
            if began.elapsed() > START_DEADLINE {
                bail!(
                    "`{shown}` does not listen on {address}; see {}",
                    log.display()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // SIGTERM first: killed at once, Varnish and nginx would leave their workers behind.
        let ended = rustix::process::Pid::from_raw(self.0.id().cast_signed())
            .map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
        if !matches!(ended, Some(Ok(()))) {
            drop(self.0.kill());
        }
        drop(self.0.wait());
    }
}
