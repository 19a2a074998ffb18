//! Edges: some on hosts of their own, and perhaps a herd of them that share one, so that many can
//! be had for little.

use std::sync::Arc;

use edge::assembly::{Own, Ports};
use edge::nodes::KnownNodes;
use edge::store::MemoryDirectory;
use edge::subscriber::Status;
use edge::workers::Placement;
use platform::trace::Tracer;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::Fleet;
use crate::fail_points::{Disk, Host, Machine};
use crate::history::{EdgeSight, EdgeWord, History};
use crate::hosts::{self, PUBLISHER_PORT, ROGUE};
use crate::network::SimNetwork;
use crate::options::Fault;
use crate::ports::SimClock;
use crate::workload::{DEBUG_KEY, now_us};

/// Where an edge that has a host of its own listens.
const PORT: u16 = 80;

/// Where the edges of the herd listen, from here on.
const HERD_PORT: u16 = 8000;

impl Fleet {
    /// Lives an edge's life, until its host dies.
    ///
    /// # Errors
    /// When the edge does not start.
    pub async fn run_edge(self, index: usize) -> turmoil::Result {
        let name = hosts::edge(index);
        let entropy = self.entropy(&name);
        let host = Host::Edge(index);
        // Those that share a host cannot die one by one.
        if index < self.options.edges {
            self.fail_points.begin(Machine {
                host,
                disk: Disk::Edge(self.directories[index].clone()),
                clock: SimClock::default(),
            });
        }
        let ports = Ports {
            network: SimNetwork::new(Arc::clone(&entropy)),
            clock: Arc::new(SimClock::default()),
            entropy,
            tracer: Tracer::off(),
        };
        let settings = self.edge_settings(index)?;
        let own = Own {
            identity: self.authority.edge(&name).identity(),
            nodes: KnownNodes::new(settings.control.nodes.clone(), Vec::new()),
            https: None,
            directory: Box::new(self.directories[index].clone()),
            access_log: None,
            trust: None,
            environment_id: None,
        };
        let started = edge::assembly::start(settings, ports, own, Placement::Here).await;
        if self.directories[index].is_dead() {
            // The machine died while the process started.
            return Ok(());
        }
        let running = match started {
            Ok(running) => running,
            Err(_) if self.fail_points.excuses(host) => return std::future::pending().await,
            Err(error) => return Err(error.into()),
        };
        let status = running.status();
        self.edges.lock().insert(index, status.clone());
        follow(index, status, &self.directories[index], &self.history).await;
        drop(running);
        Ok(())
    }

    /// Lives the lives of all edges that have no host of their own.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn run_herd(self) -> turmoil::Result {
        let options = self.options();
        let edges = (options.edges..options.all_edges()).map(|index| self.clone().run_edge(index));
        futures_util::future::try_join_all(edges).await?;
        Ok(())
    }

    fn edge_settings(
        &self,
        index: usize,
    ) -> Result<edge::settings::Settings, edge::settings::SettingsError> {
        let name = hosts::edge(index);
        let herd = index.checked_sub(self.options.edges);
        let port = herd
            .and_then(|place| u16::try_from(place).ok())
            .map_or(PORT, |place| HERD_PORT + place);
        let mut nodes: Vec<_> = (0..self.options.nodes()).map(hosts::node).collect();
        let planned = &self.options.faults;
        if planned
            .iter()
            .any(|planned| matches!(planned.fault, Fault::BadPublisher(_)))
        {
            nodes.push(ROGUE.to_owned());
        }
        let nodes: Vec<_> = nodes
            .iter()
            .map(|host| format!("\"{host}:{PUBLISHER_PORT}\""))
            .collect();
        let text = format!(
            r#"
            [edge]
            id = "{name}"
            region = "eu-central-1"
            environment = "production"
            data_dir = "/simulated"
            [http]
            listen = "0.0.0.0:{port}"
            workers = 1
            [control]
            nodes = [{}]
            [tls]
            ca_file = "/simulated/ca.pem"
            cert_file = "/simulated/cert.pem"
            key_file = "/simulated/key.pem"
            # Crashes are the simulation's doing here, not the manifests'.
            [breaker]
            enabled = false
            [debug]
            key_sha256 = "{}"
            "#,
            nodes.join(", "),
            hex::encode(Sha256::digest(DEBUG_KEY))
        );
        edge::settings::Settings::parse(&text, [])
    }

    /// What each edge that runs serves by: (edge, epoch, version, root).
    #[must_use]
    pub fn sights(&self) -> Vec<(usize, u64, u64, [u8; 32])> {
        let edges = self.edges.lock();
        edges
            .iter()
            .filter_map(|(index, status)| {
                let manifest = status.borrow().manifest?;
                Some((
                    *index,
                    manifest.epoch.0,
                    manifest.version.0,
                    manifest.root.0,
                ))
            })
            .collect()
    }
}

/// Writes down what an edge holds and says whenever that changes.
async fn follow(
    edge: usize,
    mut status: watch::Receiver<Status>,
    directory: &MemoryDirectory,
    history: &parking_lot::Mutex<History>,
) {
    let mut before = Status::default();
    loop {
        if directory.is_dead() {
            // What it does until it is ended nobody sees.
            return std::future::pending().await;
        }
        let now = status.borrow_and_update().clone();
        note(edge, &before, &now, &mut history.lock());
        before = now;
        if status.changed().await.is_err() {
            // The edge ended, which it does only with its host.
            return std::future::pending().await;
        }
    }
}

fn note(edge: usize, before: &Status, now: &Status, history: &mut History) {
    let at_us = now_us();
    if now.manifest != before.manifest
        && let Some(manifest) = now.manifest
    {
        history.sights.push(EdgeSight {
            edge,
            at_us,
            epoch: manifest.epoch.0,
            version: manifest.version.0,
            root: manifest.root.0,
        });
        if now.applied != before.applied {
            history.words.push(EdgeWord {
                edge,
                at_us,
                manifest: (manifest.epoch.0, manifest.version.0),
                root: manifest.root.0,
                refused: None,
            });
        }
    }
    if now.rejections != before.rejections
        && let Some((manifest, reason)) = &now.rejected
    {
        history.words.push(EdgeWord {
            edge,
            at_us,
            manifest: (manifest.epoch.0, manifest.version.0),
            root: manifest.root.0,
            refused: Some(reason.clone()),
        });
    }
}
