//! A town: nodes and edges, each on a host and a disk of its own, with what their operator does for them. One scenario plays
//! in one town; nothing of it is left for the next.

mod members;
mod process;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use parking_lot::Mutex;
use rustix::process::Signal;
use xtask::local::cluster::Bootstrap;
use xtask::local::files::{self, Folder};
use xtask::local::topology::Ports;
use xtask::local::{Kind, Name, Topology, settings};

use crate::blocking;
use crate::client::Target;
use crate::machine::disks::Disk;
use crate::machine::namespaces;

pub use members::{By, MemberSeen, REMOVED};
pub use process::log_tail;
use process::{Program, Running};
pub use watch::Standing;

/// What has not come about by then never will, however busy the machine is. How soon it has to come about is for the
/// scenarios' figures.
pub const READY_WITHIN: Duration = Duration::from_secs(120);

/// How often a condition is looked at that is waited for.
pub const POLL: Duration = Duration::from_millis(15);

/// Disks are of this size; only what is written takes room.
const DISK_BYTES: u64 = 2 << 30;

/// The exit code of `vectorgate-node bootstrap` when nothing was done because no leader was there.
const UNAVAILABLE: i32 = 75;

/// What a scenario wants a town to be like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many nodes.
    pub nodes: u16,
    /// How many edges.
    pub edges: u16,
    /// After how many entries a checkpoint is made, and how many entries stay in the log behind it; the defaults if none.
    pub checkpoints: Option<(u64, u64)>,
    /// The size of disks, if it matters.
    pub disk_bytes: u64,
}

impl Plan {
    /// So many nodes, and no edge.
    #[must_use]
    pub fn nodes(nodes: u16) -> Self {
        Self {
            nodes,
            edges: 0,
            checkpoints: None,
            disk_bytes: DISK_BYTES,
        }
    }
}

/// Where towns are built, and of what.
#[derive(Clone, Debug)]
pub struct Site {
    /// Where the binaries are.
    pub binaries: PathBuf,
    /// What is kept of a run: settings, logs, disks.
    pub folder: PathBuf,
}

/// A town.
pub struct Town {
    folder: Folder,
    topology: Topology,
    binaries: PathBuf,
    checkpoints: Option<(u64, u64)>,
    disk_bytes: u64,
    /// The nodes that clients know: members, but for those that have just come or gone.
    nodes: Mutex<BTreeSet<Name>>,
    /// Those of them that are on their way out.
    leaving: Mutex<BTreeSet<Name>>,
    /// The highest number that a node had.
    highest: Mutex<u16>,
    // Processes end before their disks go.
    processes: Mutex<BTreeMap<Name, Running>>,
    disks: Mutex<BTreeMap<Name, Arc<Disk>>>,
    target: Target,
    environment: Mutex<BTreeMap<Name, Vec<(String, OsString)>>>,
}

impl Town {
    /// Builds a town, starts all of it, and bootstraps its first workspace.
    ///
    /// # Errors
    /// When something of it does not start.
    pub async fn build(site: &Site, scenario: &str, plan: &Plan) -> Result<Self> {
        let town = blocking(|| Self::prepare(site, scenario, plan))?;
        town.open().await
    }

    /// The same, with more environment for its processes.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub async fn build_with(
        site: &Site,
        scenario: &str,
        plan: &Plan,
        environment: impl Fn(Name) -> Vec<(String, OsString)>,
    ) -> Result<Self> {
        let town = blocking(|| Self::prepare(site, scenario, plan))?;
        for name in town.topology.names() {
            town.environment.lock().insert(name, environment(name));
        }
        town.open().await
    }

    fn prepare(site: &Site, scenario: &str, plan: &Plan) -> Result<Self> {
        let root = site.folder.join(scenario);
        if root.exists() {
            fs::remove_dir_all(&root)
                .with_context(|| format!("{} cannot be removed", root.display()))?;
        }
        let folder = Folder::at(root);
        files::make_folder(folder.root())?;
        let topology = Topology {
            nodes: plan.nodes,
            edges: plan.edges,
            origins: 0,
            ports: Ports::CHAOS,
        };
        for name in topology.names() {
            namespaces::ensure(&name.to_string(), name.host())?;
        }
        settings::write_all(&folder, &topology)?;
        // A key that nobody has, until there is one.
        let target = Target::new(&folder.pki().join("ca.pem"), "none")?;
        let town = Self {
            folder,
            topology,
            binaries: site.binaries.clone(),
            checkpoints: plan.checkpoints,
            disk_bytes: plan.disk_bytes,
            nodes: Mutex::new(topology.of(Kind::Node).collect()),
            leaving: Mutex::default(),
            highest: Mutex::new(plan.nodes),
            processes: Mutex::default(),
            disks: Mutex::default(),
            target,
            environment: Mutex::default(),
        };
        for name in topology.names() {
            town.make_disk(name)?;
        }
        for node in topology.of(Kind::Node) {
            append(&town.folder.settings(node), &town.more_settings())?;
        }
        Ok(town)
    }

    fn make_disk(&self, name: Name) -> Result<()> {
        let image = self.folder.root().join(format!("{name}.disk"));
        let disk = Disk::make(image, self.folder.data(name), self.disk_bytes)?;
        self.disks.lock().insert(name, Arc::new(disk));
        Ok(())
    }

    async fn open(mut self) -> Result<Self> {
        for name in self.topology.names() {
            self.start(name)?;
        }
        for node in self.nodes() {
            self.wait_ready(node, READY_WITHIN).await?;
        }
        let bootstrap = self.bootstrap().await?;
        let key = bootstrap.environments.production.api_key;
        self.target = Target::new(&self.folder.pki().join("ca.pem"), &key)?;
        Ok(self)
    }

    async fn bootstrap(&self) -> Result<Bootstrap> {
        let began = Instant::now();
        loop {
            let run = blocking(|| {
                std::process::Command::new(self.binary(Kind::Node))
                    .args(["bootstrap", "--settings"])
                    .arg(self.folder.settings(Name::node(1)))
                    .stdin(Stdio::null())
                    .output()
            });
            let run = run.context("`vectorgate-node bootstrap` could not be started")?;
            if run.status.success() {
                return serde_json::from_slice(&run.stdout).context("bootstrap prints JSON");
            }
            if run.status.code() != Some(UNAVAILABLE) || began.elapsed() > READY_WITHIN {
                bail!(
                    "`vectorgate-node bootstrap` failed ({}): {}",
                    run.status,
                    String::from_utf8_lossy(&run.stderr).trim()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What it consists of.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Its nodes, as clients know them.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = Name> + use<> {
        self.nodes.lock().clone().into_iter()
    }

    /// All of its processes.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = Name> + use<> {
        self.nodes().chain(self.edges())
    }

    /// Its edges.
    pub fn edges(&self) -> impl DoubleEndedIterator<Item = Name> + use<> {
        (1..=self.topology.edges).map(Name::edge)
    }

    /// How to ask its nodes.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Where a process answers HTTP.
    #[must_use]
    pub fn http(&self, name: Name) -> SocketAddr {
        let port = match name.kind {
            Kind::Node => self.topology.ports.rest,
            Kind::Edge => self.topology.ports.edge,
            Kind::Origin => self.topology.ports.origin,
        };
        SocketAddr::from((name.host(), port))
    }

    /// The disk of a process.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn disk(&self, name: Name) -> Result<Arc<Disk>> {
        let disk = self.disks.lock().get(&name).map(Arc::clone);
        disk.with_context(|| format!("{name} has no disk"))
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    fn binary(&self, kind: Kind) -> PathBuf {
        self.binaries.join(kind.binary())
    }

    /// Gives a process more environment, from its next start on.
    pub fn set_environment(&self, name: Name, environment: Vec<(String, OsString)>) {
        self.environment.lock().insert(name, environment);
    }

    /// Starts a process, if it does not run.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, name: Name) -> Result<()> {
        if self.is_running(name)? {
            return Ok(());
        }
        let environment = self.environment.lock().get(&name).cloned();
        let running = Running::start(&Program {
            name,
            binary: &self.binary(name.kind),
            settings: &self.folder.settings(name),
            log: self.folder.log(name),
            environment: &environment.unwrap_or_default(),
        })?;
        self.processes.lock().insert(name, running);
        Ok(())
    }

    /// Whether a process runs.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn is_running(&self, name: Name) -> Result<bool> {
        match self.processes.lock().get_mut(&name) {
            Some(running) => Ok(running.ended()?.is_none()),
            None => Ok(false),
        }
    }

    /// How a process ended, if it has by itself.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn ended(&self, name: Name) -> Result<Option<ExitStatus>> {
        match self.processes.lock().get_mut(&name) {
            Some(running) => running.ended(),
            None => Ok(None),
        }
    }

    /// When a process was last started.
    #[must_use]
    pub fn started(&self, name: Name) -> Option<Instant> {
        let processes = self.processes.lock();
        processes.get(&name).map(|running| running.started)
    }

    /// The identifier of a process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self, name: Name) -> Result<u32> {
        let processes = self.processes.lock();
        let running = processes.get(&name);
        running
            .map(Running::pid)
            .with_context(|| format!("{name} does not run"))
    }

    /// Kills a process, as a crash would.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn kill(&self, name: Name) -> Result<()> {
        let running = self.processes.lock().remove(&name);
        match running {
            Some(running) => blocking(|| running.kill()),
            None => Ok(()),
        }
    }

    /// Kills processes at the same moment.
    ///
    /// # Errors
    /// When one cannot be signalled.
    pub fn kill_together(&self, names: &[Name]) -> Result<()> {
        for name in names {
            self.signal(*name, Signal::KILL)?;
        }
        names.iter().try_for_each(|name| self.kill(*name))
    }

    /// Sends a signal to a process.
    ///
    /// # Errors
    /// When it does not run or cannot be signalled.
    pub fn signal(&self, name: Name, signal: Signal) -> Result<()> {
        let mut processes = self.processes.lock();
        let running = processes.get_mut(&name);
        running
            .with_context(|| format!("{name} does not run"))?
            .signal(signal)
    }

    /// Cuts the power of processes at the same moment: what their disks had not synced is lost. They are down afterwards, and
    /// their disks are there again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cut_power(&self, names: &[Name]) -> Result<()> {
        blocking(|| {
            for name in names {
                self.disk(*name)?.cut_power()?;
            }
            self.kill_together(names)?;
            for name in names {
                self.disk(*name)?.unmount()?;
                self.disk(*name)?.mount()?;
            }
            Ok(())
        })
    }

    /// Cuts the network from one process to another, in that direction alone.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cut(&self, from: Name, to: Name) -> Result<()> {
        blocking(|| namespaces::cut(&from.to_string(), to.host()))
    }

    /// Cuts a process off from others, in both directions. Clients still reach it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn isolate(&self, name: Name, from: impl Iterator<Item = Name>) -> Result<()> {
        for other in from.filter(|other| *other != name) {
            self.cut(name, other)?;
            self.cut(other, name)?;
        }
        Ok(())
    }

    /// Undoes all faults of the network.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn heal(&self) -> Result<()> {
        blocking(|| {
            let mut names = self.names();
            names.try_for_each(|name| namespaces::heal(&name.to_string()))?;
            namespaces::heal(namespaces::CLIENT)
        })
    }

    /// What a process said last.
    #[must_use]
    pub fn log(&self, name: Name) -> String {
        log_tail(&self.folder.log(name))
    }

    /// What nodes are started with besides the settings of any local cluster: limits beyond what a machine can
    /// answer, webhooks to the client's host, and the operators' socket.
    fn more_settings(&self) -> String {
        let mut text = format!(
            "\n[limits]\nenterprise_requests_per_minute = 1000000000\n\
             enterprise_route_mutations_per_minute = 1000000000\n\
             \n[webhooks]\nallowed_ranges = [\"{}/32\"]\n\
             \n[admin]\nlisten = \"{}\"\n",
            namespaces::CLIENT_ADDRESS,
            members::SOCKET
        );
        if let Some((every, kept)) = self.checkpoints {
            text.push_str(&format!(
                "\n[raft]\ncheckpoint_every_entries = {every}\nentries_kept_after_checkpoint = {kept}\n"
            ));
        }
        text
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        // The next town has the same hosts. There is nobody to tell if that fails.
        drop(
            self.names()
                .try_for_each(|name| namespaces::heal(&name.to_string())),
        );
        drop(namespaces::heal(namespaces::CLIENT));
    }
}

fn append(path: &Path, text: &str) -> Result<()> {
    let file = fs::OpenOptions::new().append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("{} cannot be written", path.display()))
}
