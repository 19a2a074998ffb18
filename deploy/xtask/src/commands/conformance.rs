//! `cargo xtask conformance`: what the OpenAPI document says, held against running nodes by
//! schemathesis. First a cluster in peace: every check, every phase, sequences of requests
//! included. Then rounds in each of which the leader is killed while another node is asked: the
//! same document holds, and of server errors only 503 may come.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::local::api::Probe;
use crate::local::process::End;
use crate::local::topology::Ports;
use crate::local::{Cluster, Kind, Name, Topology, files};
use crate::report;
use crate::repository::Repository;
use crate::toolchain::python::{self, SCHEMATHESIS};
use crate::toolchain::{Toolchain, describe};

/// What is checked of a cluster in peace.
const STEADY: &str = "deploy/conformance/steady.toml";

/// What is checked of one whose leader dies.
const FAULTS: &str = "deploy/conformance/faults.toml";

/// What the document does not tell.
const HOOKS: &str = "deploy/conformance/hooks.py";

/// How long a round takes, so that the leader dies once in that time.
const ROUND: Duration = Duration::from_secs(30);

/// How long a round goes on before the leader is killed.
const UNDISTURBED: Duration = Duration::from_secs(8);

/// How long the killed node is away.
const AWAY: Duration = Duration::from_secs(8);

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Requests made up for each operation and phase.
    pub examples: u32,
    /// How often the leader is killed.
    pub rounds: u32,
    /// What the made-up requests follow from.
    pub seed: u32,
    /// Whether a machine on which schemathesis cannot be installed is no failure.
    pub where_possible: bool,
}

/// Runs it.
///
/// # Errors
/// When the API does not do as its document says.
pub fn run(repository: &Repository, options: Options) -> Result<()> {
    let toolchain = Toolchain::prepare(repository)?;
    let program = match python::ensure(toolchain.cache(), SCHEMATHESIS) {
        Ok(program) => program,
        Err(error) if options.where_possible => {
            report::line(format_args!(
                "NOT DONE, because schemathesis cannot be installed here: {error:#}"
            ));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let folder = repository.conformance();
    end_what_was_left(&folder)?;
    let topology = Topology {
        nodes: 3,
        edges: 1,
        origins: 0,
        ports: Ports::CONFORMANCE,
    };
    report::step("Building as for tests");
    let built = toolchain.build_tested()?;
    let cluster = Cluster::prepare(&folder, topology)?;
    permit_bad_keys(&cluster)?;
    cluster.install_binaries(&built)?;
    let ground = Ground {
        repository: repository.clone(),
        program,
        key: String::new(),
        cluster,
    };
    let ground = ground.start()?;
    ground.steady(options)?;
    for round in 1..=options.rounds {
        ground.round(options, round)?;
    }
    report::step("The API does as its document says");
    Ok(())
}

/// Many requests come with a bad key, to see that it is refused, and all from one address.
fn permit_bad_keys(cluster: &Cluster) -> Result<()> {
    for node in cluster.topology().of(Kind::Node) {
        let path = cluster.folder().settings(node);
        let settings = files::read_if_there(&path)?.context("a node has settings")?;
        files::write(
            &path,
            format!("{settings}\n[limits]\nbad_keys_per_minute = 1000000\n"),
        )?;
    }
    Ok(())
}

/// Processes and data of an earlier run, which may have been interrupted.
fn end_what_was_left(folder: &std::path::Path) -> Result<()> {
    if let Some(left) = Cluster::open(folder)? {
        left.stop_all(End::Killed)?;
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    Ok(())
}

/// A running cluster and the program that tests it.
struct Ground {
    repository: Repository,
    program: PathBuf,
    key: String,
    cluster: Cluster,
}

impl Ground {
    fn start(mut self) -> Result<Self> {
        report::step("Starting three nodes and an edge");
        for name in self.cluster.topology().names() {
            self.cluster.start(name)?;
        }
        for node in self.nodes() {
            self.cluster.wait_ready(node)?;
        }
        self.key = self.cluster.bootstrap()?.environments.production.api_key;
        Ok(self)
    }

    fn nodes(&self) -> impl Iterator<Item = Name> + use<> {
        self.cluster.topology().of(Kind::Node)
    }

    /// All checks while nothing goes wrong.
    fn steady(&self, options: Options) -> Result<()> {
        let mut test = self.schemathesis(STEADY, Name::node(1), options.seed);
        test.args(["--max-examples", &options.examples.to_string()]);
        report::step(describe(&test));
        finish(start(test)?)
    }

    /// One run against a node that is no leader, while the leader dies and comes back.
    fn round(&self, options: Options, round: u32) -> Result<()> {
        let leader = self.cluster.leader()?;
        let asked = self
            .nodes()
            .find(|node| *node != leader)
            .context("a cluster has followers")?;
        let mut test = self.schemathesis(FAULTS, asked, options.seed.wrapping_add(round));
        test.args(["--phases", "fuzzing,stateful", "--max-time"])
            .arg(ROUND.as_secs().to_string());
        report::step(format_args!(
            "Round {round} of {}: {asked} is asked, {leader} leads and is killed",
            options.rounds
        ));
        let mut test = start(test)?;
        let died = self.kill_and_restart(leader);
        if died.is_err() {
            // The failure to be told is that of the cluster.
            test.kill().ok();
        }
        let outcome = finish(test);
        died?;
        let metrics = self.get(asked, "/metrics")?;
        let (all, refused) = (count(&metrics, None), count(&metrics, Some("503")));
        report::fact(format_args!(
            "{asked} has answered {all} requests since it started, {refused} of them with 503"
        ));
        outcome
    }

    fn kill_and_restart(&self, leader: Name) -> Result<()> {
        std::thread::sleep(UNDISTURBED);
        self.cluster.stop(leader, End::Killed)?;
        std::thread::sleep(AWAY);
        self.cluster.start(leader)?;
        self.cluster.wait_ready(leader)?;
        Ok(())
    }

    /// The program, with what all runs have in common. The key goes by the environment, where
    /// other users of the machine do not see it.
    fn schemathesis(&self, settings: &str, node: Name, seed: u32) -> Command {
        let base = format!("http://{}", self.cluster.topology().http(node));
        let root = self.repository.root();
        let mut command = Command::new(&self.program);
        command
            // Where it keeps what it found.
            .current_dir(self.cluster.folder().root())
            .env("VECTORGATE_API_KEY", &self.key)
            .env("SCHEMATHESIS_HOOKS", root.join(HOOKS))
            .args(["--no-color", "--config-file"])
            .arg(root.join(settings))
            .arg("run")
            .arg(format!("{base}/v2/openapi.json"))
            .args(["--url", &base, "--seed", &seed.to_string()])
            .stdin(Stdio::null());
        command
    }

    fn get(&self, node: Name, path: &str) -> Result<String> {
        let url = format!("http://{}{path}", self.cluster.topology().http(node));
        let request = ureq::http::Request::get(url).body(())?;
        Ok(Probe::new(Duration::from_secs(5)).get(request)?.body)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // There is nobody to tell; the next run ends what is left.
        drop(self.cluster.stop_all(End::Killed));
    }
}

fn start(mut test: Command) -> Result<Child> {
    test.spawn().context("schemathesis could not be started")
}

fn finish(mut test: Child) -> Result<()> {
    let status = test.wait().context("schemathesis cannot be waited for")?;
    if !status.success() {
        bail!(
            "schemathesis found differences; they stand above, each with the request that shows it"
        );
    }
    Ok(())
}

/// Adds up the requests in a node's metrics, all of them or those with one status.
fn count(metrics: &str, status: Option<&str>) -> u64 {
    let wanted = status.map(|status| format!("status=\"{status}\""));
    let counts = metrics.lines().filter(|line| {
        line.starts_with("vectorgate_http_requests_total{")
            && wanted.as_ref().is_none_or(|wanted| line.contains(wanted))
    });
    counts
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_added_up_over_operations_by_status() {
        let metrics = "\
# TYPE vectorgate_http_requests counter
vectorgate_http_requests_total{operation=\"rules.list\",status=\"503\"} 2
vectorgate_http_requests_total{operation=\"rules.list\",status=\"200\"} 40
vectorgate_http_requests_total{operation=\"rules.create\",status=\"503\"} 5
other_total{status=\"503\"} 9
";
        assert_eq!(count(metrics, Some("503")), 7);
        assert_eq!(count(metrics, Some("500")), 0);
        assert_eq!(count(metrics, None), 47);
    }
}
