//! Several nodes on one virtual clock, without sockets: what they let through together, with and
//! without losses. The oracle is a log of all times at which a request passed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::command::Stamped;
use domain::id::{ApiKeyId, Seed};
use domain::outcome::Applied;
use domain::time::Revision;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::{advance, sleep};

use super::*;
use crate::control_plane::{
    BoxFuture, Consistency, Member, PeerError, ProposeError, ReadError, Readiness, ViewVisitor,
};

/// How long a message takes.
const LATENCY: Duration = Duration::from_millis(2);

/// What is between the nodes.
#[derive(Default)]
struct Network {
    desks: BTreeMap<MemberId, Arc<dyn LocalLimits>>,
    members: Vec<MemberId>,
    cut: BTreeSet<MemberId>,
    messages: usize,
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
                let reached = !network.cut.contains(&member) && !network.cut.contains(&self.this);
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
struct World {
    network: Arc<Mutex<Network>>,
    nodes: BTreeMap<MemberId, Limits>,
    started: Instant,
    passed: Vec<u64>,
    id: WindowId,
    limit: u32,
}

impl World {
    /// So many nodes that have just started.
    fn new(size: u64, limit: u32) -> Self {
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
    async fn settled(size: u64, limit: u32) -> Self {
        let world = Self::new(size, limit);
        advance(Duration::from_secs(70)).await;
        world
    }

    fn start(&mut self, id: MemberId) {
        let port = Arc::new(Port {
            this: id,
            network: Arc::clone(&self.network),
        });
        let limits = Limits::new(LimitParts {
            settings: LimitSettings::default(),
            control: Arc::clone(&port) as _,
            peers: port,
            metrics: LimitMetrics::register(&mut Registry::default()),
        });
        self.network.lock().desks.insert(id, limits.desk());
        self.nodes.insert(id, limits);
    }

    fn kill(&mut self, id: MemberId) {
        self.nodes.remove(&id);
        self.network.lock().desks.remove(&id);
    }

    fn cut(&self, id: MemberId) {
        self.network.lock().cut.insert(id);
    }

    /// Who keeps the window when all are well, and who would next.
    fn order(&self) -> Vec<MemberId> {
        order::order(&self.network.lock().members, self.id)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    async fn ask(&mut self, node: MemberId) -> Verdict {
        let verdict = self.nodes[&node].admit(self.id, self.limit).await;
        if verdict.admitted {
            self.passed.push(self.now_ms());
        }
        verdict
    }

    /// Asks so often, one node after the other.
    async fn ask_around(&mut self, count: usize) -> usize {
        let before = self.passed.len();
        let nodes: Vec<_> = self.nodes.keys().copied().collect();
        for node in nodes.iter().cycle().take(count) {
            self.ask(*node).await;
        }
        self.passed.len() - before
    }

    /// The most that passed in any 60 s.
    fn most(&self) -> usize {
        let within = |(first, start): (usize, &u64)| {
            let inside = |at: &&u64| **at < start + window::SPAN_MS;
            self.passed[first..].iter().take_while(inside).count()
        };
        self.passed
            .iter()
            .enumerate()
            .map(within)
            .max()
            .unwrap_or(0)
    }
}

#[tokio::test(start_paused = true)]
async fn five_nodes_let_through_together_exactly_what_one_key_may() {
    for mut world in [World::new(5, 60), World::settled(5, 60).await] {
        assert_eq!(world.ask_around(600).await, 60);
        let refused = world.ask(3).await;
        assert!(!refused.admitted);
        // What one is told is true on every node.
        sleep(Duration::from_millis(refused.retry_in_ms)).await;
        assert!(world.ask(4).await.admitted);
        assert!(world.most() <= 60, "{}", world.most());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_remembered_and_costs_the_others_nothing() {
    let mut world = World::settled(5, 60).await;
    world.ask_around(70).await;
    let before = world.network.lock().messages;
    assert_eq!(world.ask_around(1_000).await, 0);
    assert_eq!(world.network.lock().messages, before);
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_at_once_on_all_nodes_share_one_limit() {
    let world = World::settled(5, 60).await;
    let asking = (0..600_u64).map(|number| {
        let limits = world.nodes[&(1 + number % 5)].clone();
        tokio::spawn(async move { limits.admit(world.id, 60).await.admitted })
    });
    let mut passed = 0;
    for answer in asking.collect::<Vec<_>>() {
        passed += u32::from(answer.await.unwrap());
    }
    assert_eq!(passed, 60);
}

#[tokio::test(start_paused = true)]
async fn losing_the_keeper_neither_blocks_a_key_nor_gives_it_a_second_limit() {
    for (first, second) in [(0, 1), (1, 0)] {
        let mut world = World::settled(5, 60).await;
        let order = world.order();
        assert_eq!(world.ask_around(40).await, 40);
        world.kill(order[first]);
        assert_eq!(world.ask_around(10).await, 10);
        world.kill(order[second]);
        assert_eq!(world.ask_around(600).await, 10);
        sleep(Duration::from_secs(61)).await;
        assert_eq!(world.ask_around(600).await, 60);
        assert!(world.most() <= 60, "{}", world.most());
    }
}

#[tokio::test(start_paused = true)]
async fn a_keeper_that_is_lost_in_the_middle_of_a_burst_loses_what_was_under_way_at_most() {
    let mut world = World::settled(5, 60).await;
    let keeper = world.order()[0];
    // The keeper itself serves, is killed at once, and its last note never leaves.
    for _ in 0..30 {
        world.ask(keeper).await;
        sleep(LATENCY * 3).await;
    }
    world.ask(keeper).await;
    world.kill(keeper);
    world.ask_around(600).await;
    assert!((60..=61).contains(&world.most()), "{}", world.most());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_does_not_forget_for_the_others() {
    let mut world = World::settled(5, 60).await;
    let keeper = world.order()[0];
    world.ask_around(30).await;
    world.kill(keeper);
    world.ask_around(10).await;
    world.start(keeper);
    // All of the old count goes while the node is fresh; what is granted meanwhile is noted.
    for _ in 0..120 {
        world.ask_around(5).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert!(world.most() <= 60, "{}", world.most());
    assert_eq!(world.passed.len(), 120);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_lets_through_its_share_and_the_others_the_limit() {
    let mut world = World::settled(5, 60).await;
    let keeper = world.order()[0];
    world.cut(keeper);
    sleep(Duration::from_secs(1)).await;
    let mut alone = 0;
    for _ in 0..100 {
        alone += u32::from(world.ask(keeper).await.admitted);
    }
    assert_eq!(alone, 60 / 5);
    let cut_off = world.nodes.remove(&keeper);
    assert_eq!(world.ask_around(600).await, 60);
    drop(cut_off);
}

#[tokio::test(start_paused = true)]
async fn a_large_limit_is_held_within_two_percent_and_no_request_waits_while_it_lasts() {
    let limit = 20_000;
    let mut world = World::settled(5, limit).await;
    // Twice as much as is allowed, spread over two minutes and all nodes.
    for _ in 0..2_000 {
        for node in 1..=5 {
            for _ in 0..4 {
                let before = world.now_ms();
                if world.ask(node).await.admitted && world.passed.len() < 19_000 {
                    assert_eq!(world.now_ms(), before, "waited at {}", world.passed.len());
                }
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
    let (most, limit) = (world.most(), usize::try_from(limit).unwrap());
    assert!(
        (limit * 98 / 100..=limit * 102 / 100).contains(&most),
        "{most}"
    );
    // A slice is 40 requests: questions are two orders of magnitude rarer than requests.
    assert!(world.network.lock().messages < 8_000);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_and_when_all_is_back_is_said_and_true() {
    for limit in [60, 100_000] {
        let mut world = World::settled(3, limit).await;
        let first = world.ask(1).await;
        assert_eq!(first.remaining, limit - 1);
        assert!((60_000..=60_500).contains(&first.reset_in_ms), "{first:?}");
        sleep(Duration::from_millis(first.reset_in_ms)).await;
        let again = world.ask(1).await.remaining;
        // Slices that are held count as left only where they are held.
        assert!(limit - again <= limit / 100 + 1, "{again}");
    }
}

#[tokio::test(start_paused = true)]
async fn limits_that_are_gone_answer_nobody() {
    let mut world = World::settled(2, 60).await;
    let desk = world.nodes[&1].desk();
    let notes = wire::encode(&Query::Notes(Vec::new()));
    assert_eq!(desk.answer(&notes), Some(wire::encode(&Reply::Noted)));
    assert_eq!(desk.answer(b"garbage"), None);
    world.kill(1);
    assert_eq!(desk.answer(&notes), None);
}
