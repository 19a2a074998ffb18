//! Several nodes without sockets, and what is between them: messages take two milliseconds of a
//! virtual clock, or get nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::command::Stamped;
use domain::id::{ApiKeyId, Seed};
use domain::outcome::Applied;
use domain::time::Revision;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::super::id::WindowId;
use super::super::lease::Verdict;
use super::super::{LimitMetrics, LimitParts, Limits, order, window};

use crate::control_plane::{
    BoxFuture, Consistency, ControlPlane, LocalLimits, Member, MemberId, PeerError, PeerLimits,
    ProposeError, ReadError, Readiness, ViewVisitor,
};
use crate::settings::LimitSettings;

/// How long a message takes.
pub(super) const LATENCY: Duration = Duration::from_millis(2);

/// What is between the nodes.
#[derive(Default)]
pub(super) struct Network {
    desks: BTreeMap<MemberId, Arc<dyn LocalLimits>>,
    members: Vec<MemberId>,
    cut: BTreeSet<MemberId>,
    /// Whom no message reaches, which they do not notice.
    deaf: BTreeSet<MemberId>,
    processes: u64,
    /// How many were sent.
    pub(super) messages: usize,
}

/// A node's view of the others.
#[derive(Clone)]
struct Port {
    this: MemberId,
    network: Arc<Mutex<Network>>,
}

impl Port {
    fn is_cut(&self) -> bool {
        self.network.lock().cut.contains(&self.this)
    }
}

impl PeerLimits for Port {
    fn ask_limits(
        &self,
        member: MemberId,
        query: Vec<u8>,
    ) -> BoxFuture<'_, Result<Vec<u8>, PeerError>> {
        Box::pin(async move {
            sleep(LATENCY).await;
            let silent = |id| PeerError::Silent {
                id,
                reason: "gone".to_owned(),
            };
            let desk = {
                let mut network = self.network.lock();
                network.messages += 1;
                let there = |id| network.desks.contains_key(id) && !network.cut.contains(id);
                let heard = !network.deaf.contains(&member);
                let reached = heard && there(&member) && there(&self.this);
                network.desks.get(&member).filter(|_| reached).cloned()
            };
            let answer = desk.and_then(|desk| desk.answer(&query));
            sleep(LATENCY).await;
            answer.ok_or_else(|| silent(member))
        })
    }
}

impl ControlPlane for Port {
    fn propose(&self, _: Stamped) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        panic!("limits do not write")
    }

    fn barrier(&self, _: Consistency) -> BoxFuture<'_, Result<Revision, ReadError>> {
        panic!("limits do not read")
    }

    fn with_view(&self, _: ViewVisitor<'_>) -> Result<Revision, ReadError> {
        panic!("limits do not read")
    }

    fn access_changed(&self) -> Revision {
        Revision(0)
    }

    fn members(&self) -> Vec<Member> {
        let members = self.network.lock().members.clone();
        members.into_iter().map(member).collect()
    }

    fn this(&self) -> Member {
        member(self.this)
    }

    fn leader(&self) -> Option<MemberId> {
        None
    }

    fn changes(&self) -> watch::Receiver<Revision> {
        watch::channel(Revision(0)).1
    }

    fn readiness(&self) -> Readiness {
        Readiness {
            leader: None,
            leading: false,
            term: 0,
            applied: Revision(0),
            committed: Revision(0),
            last_contact: (!self.is_cut()).then_some(Duration::ZERO),
            draining: false,
        }
    }
}

fn member(id: MemberId) -> Member {
    Member {
        id,
        region: String::new(),
        internal: String::new(),
        rest: String::new(),
        publisher: String::new(),
    }
}

/// Nodes, a window, and when something passed.
pub(super) struct World {
    pub(super) network: Arc<Mutex<Network>>,
    pub(super) nodes: BTreeMap<MemberId, Limits>,
    pub(super) started: Instant,
    pub(super) passed: Vec<u64>,
    pub(super) id: WindowId,
    pub(super) limit: u32,
}

impl World {
    /// So many nodes that have just started.
    pub(super) fn new(size: u64, limit: u32) -> Self {
        let members: Vec<_> = (1..=size).collect();
        let network = Network {
            members: members.clone(),
            ..Network::default()
        };
        let key = ApiKeyId::new(Seed {
            unix_ms: 1,
            random: 1,
        });
        let mut world = Self {
            network: Arc::new(Mutex::new(network)),
            nodes: BTreeMap::new(),
            started: Instant::now(),
            passed: Vec::new(),
            id: WindowId::of_key(&key),
            limit,
        };
        for id in members {
            world.start(id);
        }
        world
    }

    /// The same, when none of them can have missed anything any more.
    pub(super) async fn settled(size: u64, limit: u32) -> Self {
        let world = Self::new(size, limit);
        sleep(Duration::from_secs(70)).await;
        world
    }

    pub(super) fn start(&mut self, id: MemberId) {
        let port = Arc::new(Port {
            this: id,
            network: Arc::clone(&self.network),
        });
        let process = {
            let mut network = self.network.lock();
            network.processes += 1;
            network.processes
        };
        let limits = Limits::new(LimitParts {
            settings: LimitSettings::default(),
            control: Arc::clone(&port) as _,
            peers: port,
            process,
            metrics: LimitMetrics::register(&mut Registry::default()),
        });
        self.network.lock().desks.insert(id, limits.desk());
        self.nodes.insert(id, limits);
    }

    pub(super) fn kill(&mut self, id: MemberId) {
        self.nodes.remove(&id);
        self.network.lock().desks.remove(&id);
    }

    pub(super) fn cut(&self, id: MemberId) {
        self.network.lock().cut.insert(id);
    }

    pub(super) fn heal(&self, id: MemberId) {
        self.network.lock().cut.remove(&id);
    }

    pub(super) fn deafen(&self, id: MemberId, deaf: bool) {
        let mut network = self.network.lock();
        if deaf {
            network.deaf.insert(id);
        } else {
            network.deaf.remove(&id);
        }
    }

    /// Who keeps the window when all are well, and who would next.
    pub(super) fn order(&self) -> Vec<MemberId> {
        order::order(&self.network.lock().members, self.id)
    }

    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    pub(super) async fn ask(&mut self, node: MemberId) -> Verdict {
        let verdict = self.nodes[&node].admit(self.id, self.limit).await;
        if verdict.admitted {
            self.passed.push(self.now_ms());
        }
        verdict
    }

    /// Asks so often, one node after the other.
    pub(super) async fn ask_around(&mut self, count: usize) -> usize {
        let before = self.passed.len();
        let nodes: Vec<_> = self.nodes.keys().copied().collect();
        for node in nodes.iter().cycle().take(count) {
            self.ask(*node).await;
        }
        self.passed.len() - before
    }

    /// The most that passed in any 60 s.
    pub(super) fn most(&self) -> usize {
        let mut first = 0;
        let within = |(last, at): (usize, &u64)| {
            while self.passed[first] + window::SPAN_MS <= *at {
                first += 1;
            }
            last + 1 - first
        };
        self.passed
            .iter()
            .enumerate()
            .map(within)
            .max()
            .unwrap_or(0)
    }
}
