//! Nodes: what each is started with, and its life.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use domain::id::EnvironmentId;
use ipnet::{IpNet, Ipv4Net};
use node::assembly::{self, Running};
use node::halt::FatalReason;
use node::keys::KeyRing;
use node::settings::{
    CheckSettings, ClusterSettings, LimitSettings, ListenSettings, LogSettings, MemberSettings,
    NodeSettings, PublisherSettings, RaftSettings, RestSettings, SecuritySettings, Settings,
    TlsSettings, WebhookSettings,
};
use platform::trace::{Tracer, TracingSettings};
use raft_store::Storage;
use tokio::sync::mpsc;

use super::{End, Exit, Fleet, Keys, ORDERS_MAX, Order, Process};
use crate::fail_points::{Disk, Host, Machine};
use crate::history::Environment;
use crate::hosts::{self, INTERNAL_PORT, PUBLISHER_PORT};
use crate::network::SimNetwork;
use crate::workload::REQUESTS_PER_MINUTE;

/// The pepper of every simulated cluster.
pub(super) const PEPPER: [u8; 32] = [7; 32];

/// How often nodes compare their states: a few times while faults last. Each run shows that nobody is taken for
/// another one, whatever happens meanwhile.
const CHECK_EVERY_MS: u64 = 2_000;

impl Fleet {
    /// Lives a node's life, until its host dies, it is told to stop, or it cannot go on. How it
    /// ended is told by [`Fleet::exits`].
    ///
    /// # Errors
    /// Never: that a node does not start is for the supervisor to judge.
    pub async fn run_node(self, index: usize) -> turmoil::Result {
        let ports = match self.node_ports(index) {
            Ok(ports) => ports,
            Err(error) => return Err(error.into()),
        };
        let host = Host::Node(index);
        self.fail_points.begin(Machine {
            host,
            disk: Disk::Node(self.disks[index].clone()),
            clock: self.clocks[index].clone(),
        });
        match assembly::start(self.node_settings(index), ports).await {
            Ok(running) => self.live(index, running).await,
            // What died while it started is started again by the supervisor.
            Err(_) if self.fail_points.excuses(host) => std::future::pending().await,
            Err(error) => self.exit(
                index,
                End::Refused {
                    code: error.exit_code(),
                    reason: error.to_string(),
                },
            ),
        }
        Ok(())
    }

    async fn live(&self, index: usize, running: Running) {
        let (orders, mut inbox) = mpsc::channel(ORDERS_MAX);
        let consensus = running.consensus().clone();
        let life = {
            let mut lives = self.lives.lock();
            let life = lives.entry(index).or_default();
            *life += 1;
            *life
        };
        let process = Process {
            life,
            consensus,
            orders,
        };
        self.nodes.lock().insert(index, process);
        while let Some(order) = inbox.recv().await {
            match order {
                Order::HandOver => running.consensus().hand_over().await,
                Order::ShutDown => {
                    running.shut_down().await;
                    return self.exit(index, End::Stopped);
                }
            }
        }
        // Nobody can ask for anything any more: the host is about to die.
        std::future::pending::<()>().await;
    }

    fn exit(&self, index: usize, end: End) {
        self.exits.lock().push(Exit { index, end });
    }

    fn node_ports(&self, index: usize) -> Result<assembly::Ports<SimNetwork>, String> {
        let entropy = self.entropy(&hosts::node(index));
        let this = self.clone();
        Ok(assembly::Ports {
            network: SimNetwork::new(Arc::clone(&entropy)),
            clock: Arc::new(self.clocks[index].clone()),
            entropy,
            storage: Storage::Sim(self.disks[index].clone()),
            identity: self.authority.node(member_id(index)).identity(),
            keys: KeyRing::new(&PEPPER).map_err(|error| error.to_string())?,
            rest_tls: None,
            enrolment: None,
            tracer: Tracer::off(),
            fatal: Arc::new(move |reason: &FatalReason| {
                // What died at a fail point is heard of from there.
                if this.fail_points.excuses(Host::Node(index)) {
                    return;
                }
                this.exit(
                    index,
                    End::Halted {
                        code: reason.exit_code(),
                        reason: reason.to_string(),
                    },
                );
            }),
        })
    }

    pub(super) fn node_settings(&self, index: usize) -> Settings {
        let any = |port| ListenSettings {
            listen: SocketAddr::from(([0, 0, 0, 0], port)),
        };
        let raft = self.options.raft;
        Settings {
            node: NodeSettings {
                id: member_id(index),
                region: format!("region-{index}"),
                data_dir: PathBuf::new(),
                worker_threads: None,
            },
            rest: RestSettings {
                listen: SocketAddr::from(([0, 0, 0, 0], 80)),
                cert_file: None,
                key_file: None,
                plain_http_beyond_loopback: true,
            },
            internal: any(INTERNAL_PORT),
            publisher: PublisherSettings {
                listen: any(PUBLISHER_PORT).listen,
                connections_of_address_max: 1024,
            },
            admin: None,
            tls: TlsSettings {
                ca_file: PathBuf::new(),
                cert_file: PathBuf::new(),
                key_file: PathBuf::new(),
            },
            metrics: None,
            enrolment: None,
            security: SecuritySettings {
                pepper_file: PathBuf::new(),
                ..SecuritySettings::default()
            },
            cluster: self.cluster_settings(index),
            log: LogSettings::default(),
            raft: RaftSettings {
                heartbeat_ms: raft.heartbeat_ms,
                election_timeout_min_ms: raft.election_timeout_min_ms,
                election_timeout_max_ms: raft.election_timeout_max_ms,
                checkpoint_every_entries: raft.checkpoint_every,
                entries_kept_after_checkpoint: raft.kept,
            },
            limits: LimitSettings {
                enterprise_requests_per_minute: REQUESTS_PER_MINUTE,
                ..LimitSettings::default()
            },
            webhooks: WebhookSettings {
                // All of the simulated network.
                allowed_ranges: vec![IpNet::V4(Ipv4Net::new_assert([192, 168, 0, 0].into(), 16))],
                ca_file: None,
            },
            backup: None,
            check: CheckSettings {
                every_ms: CHECK_EVERY_MS,
                ..CheckSettings::default()
            },
            tracing: TracingSettings::default(),
        }
    }

    /// Those that are there at first know each other; whoever comes later knows them.
    fn cluster_settings(&self, index: usize) -> ClusterSettings {
        let join = index >= self.options.voters;
        let own = join.then_some(index);
        ClusterSettings {
            members: own
                .into_iter()
                .chain(0..self.options.voters)
                .map(member)
                .collect(),
            join,
        }
    }

    /// Bootstraps the cluster and gives the key of each environment, and the one that edges follow.
    ///
    /// # Errors
    /// When no node takes it.
    pub async fn bootstrap(&self) -> Result<(Keys, EnvironmentId), String> {
        let network = SimNetwork::new(self.entropy("bootstrap"));
        let identity = self.authority.node(member_id(0)).identity();
        let settings = self.node_settings(0);
        let made = node::bootstrap::command::run(network, &identity, &settings, "simulated")
            .await
            .map_err(|error| error.to_string())?;
        let made = made.environments;
        let id = EnvironmentId::parse(&made.production.id).map_err(|error| error.to_string())?;
        let keys = [
            (Environment::Production, made.production.api_key),
            (Environment::Sandbox, made.sandbox.api_key),
        ];
        Ok((keys.into(), id))
    }
}

pub(super) fn member_id(index: usize) -> u64 {
    index as u64 + 1
}

pub(super) fn member(index: usize) -> MemberSettings {
    let host = hosts::node(index);
    MemberSettings {
        id: member_id(index),
        region: format!("region-{index}"),
        internal: format!("{host}:{INTERNAL_PORT}"),
        rest: format!("http://{host}"),
        publisher: format!("{host}:{PUBLISHER_PORT}"),
    }
}
