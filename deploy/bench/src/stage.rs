//! Where a benchmark plays: a fresh cluster under `target/bench/NAME/`, with its API key at hand.
//! Its processes end with the benchmark, also with one that fails or is interrupted.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xtask::local::process::{End, State};
use xtask::local::topology::Ports;
use xtask::local::{Cluster, Kind, Name, Topology};

use crate::client::{RestClient, Target};
use crate::processes::Pid;

/// What every benchmark is given.
#[derive(Clone, Debug)]
pub struct House {
    /// Where the binaries are that are measured.
    pub binaries: PathBuf,
    /// Where benchmarks keep what they make.
    pub folder: PathBuf,
    /// Whether the binaries are of another time, which may not know the settings of this one.
    pub is_foreign: bool,
}

/// More than a machine can answer, where the default would be what is measured.
const UNLIMITED: &str = "
[limits]
enterprise_requests_per_minute = 1000000000
enterprise_route_mutations_per_minute = 1000000000
";

impl House {
    /// The folder of a benchmark, emptied. Processes that an interrupted run left are ended.
    ///
    /// # Errors
    /// When it cannot be emptied.
    pub fn empty_folder(&self, benchmark: &str) -> Result<PathBuf> {
        let folder = self.folder.join(benchmark);
        if let Some(left) = Cluster::open(&folder.join("cluster"))? {
            left.stop_all(End::Killed)?;
        }
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("{} cannot be removed", folder.display()))?;
        }
        fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(folder)
    }

    /// Where a benchmark's figures go.
    #[must_use]
    pub fn figures(&self, benchmark: &str) -> PathBuf {
        self.folder.join(format!("{benchmark}.json"))
    }
}

/// A running cluster of nodes, bootstrapped.
pub struct Stage {
    cluster: Cluster,
    target: Target,
    sandbox: Target,
}

impl Stage {
    /// Starts three nodes in `folder`. Blocks until they are ready.
    ///
    /// # Errors
    /// When they do not start.
    pub fn three_nodes(house: &House, folder: &Path) -> Result<Self> {
        Self::three_nodes_on(house, folder, Ports::BENCH)
    }

    /// Starts three nodes of another build, whose binaries are in `binaries`, in a folder within `folder` and
    /// on other ports, beside those of a stage that is open.
    ///
    /// # Errors
    /// When they do not start.
    pub fn three_nodes_beside(house: &House, binaries: &Path, folder: &Path) -> Result<Self> {
        let beside = House {
            binaries: binaries.to_owned(),
            folder: house.folder.clone(),
            is_foreign: true,
        };
        Self::three_nodes_on(&beside, &folder.join("beside"), Ports::BESIDE)
    }

    fn three_nodes_on(house: &House, folder: &Path, ports: Ports) -> Result<Self> {
        let topology = Topology {
            nodes: 3,
            edges: 0,
            origins: 0,
            ports,
        };
        Self::open(house, folder, topology)
    }

    /// Starts the nodes of a cluster; its other processes are there to be started.
    ///
    /// # Errors
    /// When they do not start.
    pub fn open(house: &House, folder: &Path, topology: Topology) -> Result<Self> {
        let cluster = Cluster::prepare(&folder.join("cluster"), topology)?;
        cluster.install_binaries(&house.binaries)?;
        if !house.is_foreign {
            lift_limits(&cluster)?;
        }
        let stage = Self {
            target: Target::new(Vec::new(), "")?,
            sandbox: Target::new(Vec::new(), "")?,
            cluster,
        };
        for node in stage.nodes() {
            stage.cluster.start(node)?;
        }
        for node in stage.nodes() {
            stage.cluster.wait_ready(node)?;
        }
        let bootstrap = stage.cluster.bootstrap()?;
        let addresses: Vec<_> = stage.nodes().map(|node| topology.http(node)).collect();
        let environments = &bootstrap.environments;
        let target = Target::new(addresses.clone(), &environments.production.api_key)?;
        let sandbox = Target::new(addresses, &environments.sandbox.api_key)?;
        Ok(stage.with(target, sandbox))
    }

    fn with(mut self, target: Target, sandbox: Target) -> Self {
        self.target = target;
        self.sandbox = sandbox;
        self
    }

    /// Its processes.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// How to reach it.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Its nodes.
    pub fn nodes(&self) -> impl Iterator<Item = Name> + use<> {
        self.cluster.topology().of(Kind::Node)
    }

    /// A client of its first node.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn client(&self) -> Result<RestClient> {
        self.target.client(0).await
    }

    /// A client of its first node that works in the environment that no edge follows.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn sandbox_client(&self) -> Result<RestClient> {
        self.sandbox.client(0).await
    }

    /// The process of that name.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self, name: Name) -> Result<Pid> {
        match self.cluster.state(name)? {
            State::Running(pid) => Ok(Pid(pid.unsigned_abs())),
            _ => anyhow::bail!("{name} does not run"),
        }
    }

    /// The resident memory of a node, in bytes.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resident_bytes(&self, node: Name) -> Result<u64> {
        self.pid(node)?.resident_bytes()
    }
}

fn lift_limits(cluster: &Cluster) -> Result<()> {
    for node in cluster.topology().of(Kind::Node) {
        let path = cluster.folder().settings(node);
        let mut settings = fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .with_context(|| format!("{} cannot be opened", path.display()))?;
        settings
            .write_all(UNLIMITED.as_bytes())
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

impl Drop for Stage {
    fn drop(&mut self) {
        // There is nobody to tell; the next run ends what is left.
        drop(self.cluster.stop_all(End::Killed));
    }
}
