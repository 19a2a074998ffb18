//! A local cluster as a whole: prepared, started, bootstrapped, stopped.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;
use ureq::http::Request;

use super::api::Probe;
use super::files::{self, Folder};
use super::process::{End, Process, State};
use super::settings;
use super::topology::{Kind, Name, Topology};

/// How long a process may take until it is ready. A node on a busy machine replays its log first.
pub const READY_DEADLINE: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(20);

/// The exit code of `vectorgate-node bootstrap` when nothing was done because no leader was there.
const UNAVAILABLE: i32 = 75;

/// How many lines of a log a failure shows.
const LOG_LINES: usize = 20;

/// A cluster in a folder.
pub struct Cluster {
    folder: Folder,
    topology: Topology,
    /// Processes that this process started, to be reaped when they end.
    children: Mutex<BTreeMap<Name, Child>>,
}

/// What bootstrap prints, once. It holds API keys, so none of this can be printed by accident.
#[derive(Clone, Deserialize)]
pub struct Bootstrap {
    /// The workspace.
    pub workspace_id: String,
    /// Its environments.
    pub environments: Environments,
}

/// The two environments that bootstrap makes.
#[derive(Clone, Deserialize)]
pub struct Environments {
    /// Live.
    pub production: Environment,
    /// For tests.
    pub sandbox: Environment,
}

/// An environment and its key.
#[derive(Clone, Deserialize)]
pub struct Environment {
    /// Its identifier.
    pub id: String,
    /// Its API key.
    pub api_key: String,
}

impl Cluster {
    /// The cluster that is in a folder, if one is.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open(root: &Path) -> Result<Option<Self>> {
        let folder = Folder::at(root.to_owned());
        let topology = files::read_json(&folder.topology())?;
        Ok(topology.map(|topology| Self::with(folder, topology)))
    }

    /// A cluster of this topology in a folder: directories, certificates and settings. Data that is
    /// there stays.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn prepare(root: &Path, topology: Topology) -> Result<Self> {
        let folder = Folder::at(root.to_owned());
        files::make_folder(folder.root())?;
        settings::write_all(&folder, &topology)?;
        files::write(&folder.topology(), serde_json::to_string_pretty(&topology)?)?;
        Ok(Self::with(folder, topology))
    }

    fn with(folder: Folder, topology: Topology) -> Self {
        Self {
            folder,
            topology,
            children: Mutex::default(),
        }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What it consists of.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The binaries that its processes are.
    #[must_use]
    pub fn binaries(topology: &Topology) -> Vec<(&'static str, &'static str)> {
        let kinds = [Kind::Node, Kind::Edge, Kind::Origin];
        let used = kinds
            .into_iter()
            .filter(|kind| topology.of(*kind).next().is_some());
        used.map(|kind| (kind.package(), kind.binary())).collect()
    }

    /// Copies the binaries out of cargo's target folder, where another build would replace them.
    ///
    /// # Errors
    /// When one is not there or cannot be copied.
    pub fn install_binaries(&self, built: &Path) -> Result<()> {
        files::make_folder(&self.folder.root().join("bin"))?;
        for (_, binary) in Self::binaries(&self.topology) {
            let to = self.folder.root().join("bin").join(binary);
            let beside = to.with_extension("partial");
            let from = built.join(binary);
            fs::copy(&from, &beside)
                .with_context(|| format!("{} cannot be copied", from.display()))?;
            // Renaming leaves a running binary alone; writing over it would not.
            fs::rename(&beside, &to)
                .with_context(|| format!("{} cannot be put in its place", to.display()))?;
        }
        Ok(())
    }

    /// Whether the binaries were copied.
    #[must_use]
    pub fn has_binaries(&self) -> bool {
        let binaries = Self::binaries(&self.topology);
        let folder = self.folder.root().join("bin");
        binaries
            .iter()
            .all(|(_, binary)| folder.join(binary).is_file())
    }

    /// How a process stands.
    ///
    /// # Errors
    /// When its pid file cannot be read.
    pub fn state(&self, name: Name) -> Result<State> {
        self.process(name).state()
    }

    /// How all processes stand.
    ///
    /// # Errors
    /// When a pid file cannot be read.
    pub fn states(&self) -> Result<Vec<(Name, State)>> {
        self.topology
            .names()
            .map(|name| Ok((name, self.state(name)?)))
            .collect()
    }

    /// Starts a process, unless it runs.
    ///
    /// # Errors
    /// When it cannot be started, or its address is taken.
    pub fn start(&self, name: Name) -> Result<()> {
        if let State::Running(_) = self.state(name)? {
            return Ok(());
        }
        self.refuse_taken_address(name)?;
        let child = self.process(name).start()?;
        let before = self.children().insert(name, child);
        reap(before)
    }

    /// Ends a process, if it runs.
    ///
    /// # Errors
    /// When it does not go.
    pub fn stop(&self, name: Name, end: End) -> Result<State> {
        let before = self.process(name).stop(end)?;
        let child = self.children().remove(&name);
        reap(child)?;
        Ok(before)
    }

    /// Ends all processes, edges first so that no request meets a missing origin.
    ///
    /// # Errors
    /// When one does not go.
    pub fn stop_all(&self, end: End) -> Result<Vec<Name>> {
        let mut stopped = Vec::new();
        for name in self.topology.names().rev() {
            if let State::Running(_) = self.stop(name, end)? {
                stopped.push(name);
            }
        }
        Ok(stopped)
    }

    /// Waits until a process says that it is ready.
    ///
    /// # Errors
    /// When it ends or the time does, with the end of its log.
    pub fn wait_ready(&self, name: Name) -> Result<Duration> {
        self.wait(name, &self.topology.readiness(name), "ready")
    }

    /// Waits until a process says that it lives, whether it can be of use already or not.
    ///
    /// # Errors
    /// When it ends or the time does, with the end of its log.
    pub fn wait_live(&self, name: Name) -> Result<Duration> {
        self.wait(name, &self.topology.liveness(name), "alive")
    }

    /// Whether so many nodes run that they can elect a leader.
    ///
    /// # Errors
    /// When the processes cannot be looked at.
    pub fn has_quorum(&self) -> Result<bool> {
        let nodes: Vec<Name> = self.topology.of(Kind::Node).collect();
        let mut running = 0;
        for node in &nodes {
            running += usize::from(matches!(self.state(*node)?, State::Running(_)));
        }
        Ok(running > nodes.len() / 2)
    }

    /// Which node leads, by what the nodes say of themselves. Waits while none does.
    ///
    /// # Errors
    /// When none does for [`READY_DEADLINE`].
    pub fn leader(&self) -> Result<Name> {
        let began = Instant::now();
        let probe = Probe::new(Duration::from_secs(5));
        while began.elapsed() < READY_DEADLINE {
            for node in self.topology.of(Kind::Node) {
                let url = format!("http://{}/readyz?verbose", self.topology.http(node));
                let said = probe.get(Request::get(url).body(())?);
                if said.is_ok_and(|said| said.body.contains("leader leading")) {
                    return Ok(node);
                }
            }
            std::thread::sleep(POLL);
        }
        bail!("no node leads")
    }

    fn wait(&self, name: Name, url: &str, wanted: &str) -> Result<Duration> {
        let began = Instant::now();
        let probe = Probe::new(Duration::from_secs(2));
        loop {
            let answer = probe.status(url);
            if matches!(answer, Ok(200)) {
                return Ok(began.elapsed());
            }
            if let Some(exit) = self.exit_of(name)? {
                return Err(self.with_log(name, anyhow!("{name} ended{exit}")));
            }
            if began.elapsed() > READY_DEADLINE {
                let said = answer.map_or_else(
                    |error| error.to_string(),
                    |status| format!("status {status}"),
                );
                let seconds = READY_DEADLINE.as_secs();
                return Err(self.with_log(
                    name,
                    anyhow!("{name} is not {wanted} after {seconds} s: {url} gives {said}"),
                ));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Bootstraps the cluster, or finds what an earlier bootstrap said.
    ///
    /// # Errors
    /// When it cannot be bootstrapped, or was and what it said is lost.
    pub fn bootstrap(&self) -> Result<Bootstrap> {
        let file = self.folder.bootstrap();
        if let Some(known) = files::read_json(&file)? {
            return Ok(known);
        }
        // The keys are shown once. They go to a file as they are printed, so that our being killed
        // in between does not lose them.
        let beside = file.with_extension("partial");
        if let Ok(Some(known)) = files::read_json::<Bootstrap>(&beside) {
            fs::rename(&beside, &file)
                .context("the bootstrap's output cannot be put in its place")?;
            return Ok(known);
        }
        self.run_bootstrap(&beside)?;
        fs::rename(&beside, &file).context("the bootstrap's output cannot be put in its place")?;
        files::read_json(&file)?.context("bootstrap printed nothing")
    }

    fn run_bootstrap(&self, output: &Path) -> Result<()> {
        let began = Instant::now();
        loop {
            let run = Command::new(self.folder.binary(Kind::Node))
                .args(["bootstrap", "--settings"])
                .arg(self.folder.settings(Name::node(1)))
                .stdin(Stdio::null())
                .stdout(files::create_secret(output)?)
                .output()
                .context("`vectorgate-node bootstrap` could not be started")?;
            let said = String::from_utf8_lossy(&run.stderr);
            let said = said.trim();
            if run.status.success() {
                return Ok(());
            }
            if said.contains("already bootstrapped") {
                bail!(
                    "the cluster was bootstrapped before, but its keys are not in {}. They are shown once and \
                     stored nowhere else; `cargo xtask down --wipe` and `cargo xtask up` begin anew",
                    self.folder.bootstrap().display()
                );
            }
            let is_worth_another_try = run.status.code() == Some(UNAVAILABLE);
            if !is_worth_another_try || began.elapsed() > READY_DEADLINE {
                bail!(
                    "`vectorgate-node bootstrap` failed ({}): {said}",
                    run.status
                );
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// An error together with the end of a process's log.
    #[must_use]
    pub fn with_log(&self, name: Name, error: anyhow::Error) -> anyhow::Error {
        let tail = self.process(name).log_tail(LOG_LINES);
        let path = self.folder.log(name);
        if tail.is_empty() {
            return error.context(format!("{} is empty", path.display()));
        }
        anyhow!("{error:#}\n--- the end of {}\n{tail}\n---", path.display())
    }

    /// Somebody else's listener would otherwise be taken for ours.
    fn refuse_taken_address(&self, name: Name) -> Result<()> {
        let address = self.topology.http(name);
        if std::net::TcpStream::connect(&address).is_ok() {
            bail!("{name} cannot start: another program listens on {address}");
        }
        Ok(())
    }

    /// How a process ended, if it did; only for our own children that is more than the fact.
    fn exit_of(&self, name: Name) -> Result<Option<String>> {
        if let Some(child) = self.children().get_mut(&name) {
            let status = child.try_wait().context("a process cannot be waited for")?;
            return Ok(status.map(|status| format!(" ({status})")));
        }
        let is_running = matches!(self.state(name)?, State::Running(_));
        Ok((!is_running).then(String::new))
    }

    fn process(&self, name: Name) -> Process<'_> {
        Process::new(&self.folder, name)
    }

    fn children(&self) -> MutexGuard<'_, BTreeMap<Name, Child>> {
        // A panic while it was held cannot have left a map of handles half changed.
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collects the exit status of a process that has ended, so that no zombie stays.
fn reap(child: Option<Child>) -> Result<()> {
    if let Some(mut child) = child {
        child.wait().context("a process cannot be waited for")?;
    }
    Ok(())
}
