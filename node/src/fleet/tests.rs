//! What is remembered of edges, and how it comes together from several nodes.

mod steps;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::command::Stamped;
use domain::id::Seed;
use domain::model::{Epoch, ManifestVersion};
use domain::outcome::Applied;
use domain::time::{Revision, Timestamp};
use domain::tree::Hash;
use edge_protocol::{HealthReport, ManifestRef, PROTOCOL, Report, ReportState, TrustReport};
use futures_util::FutureExt;
use tokio::sync::watch;

use super::merge::{Known, merge};
use super::wire::{Ack, EdgeRow, Mark};
use super::*;
use crate::control_plane::{
    BoxFuture, Consistency, ControlPlane, Member, PeerError, PeerFleet, ProposeError, ReadError,
    Readiness, ViewVisitor,
};
use crate::rest::{EdgeSteps, EdgeView, FleetReader, FleetView, Grouping, TelemetryQuery};

#[derive(Debug, Default)]
struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

fn environment(random: u64) -> EnvironmentId {
    EnvironmentId::new(Seed { unix_ms: 0, random })
}

fn manifest(version: u64) -> ManifestRef {
    ManifestRef {
        epoch: Epoch(1),
        version: ManifestVersion(version),
        root: Hash([7; 32]),
    }
}

fn hello(edge: &str, have: Option<u64>) -> Hello {
    Hello {
        protocol: PROTOCOL,
        edge_id: edge.to_owned(),
        environment: "production".to_owned(),
        region: "eu".to_owned(),
        labels: BTreeMap::new(),
        software: "1".to_owned(),
        have: have.map(manifest),
    }
}

fn report(version: u64, state: ReportState) -> Report {
    Report {
        manifest: manifest(version),
        state,
        apply_ms: 5,
        chunks_fetched: 1,
        bytes_fetched: 1,
    }
}

fn rejected(reason: &str) -> ReportState {
    ReportState::Rejected {
        reason: reason.to_owned(),
    }
}

/// A node's fleet, its clock, and the cluster as that node sees it.
struct Node {
    fleet: Fleet,
    clock: Arc<TestClock>,
}

impl Node {
    fn new(id: MemberId) -> Self {
        let clock = Arc::new(TestClock::default());
        Self {
            fleet: Fleet::new(id, clock.clone()),
            clock,
        }
    }

    fn rows(&self) -> Vec<EdgeRow> {
        self.fleet
            .page(&Query {
                environment_id: environment(1),
                after: None,
            })
            .rows
    }
}

#[tokio::test(start_paused = true)]
async fn an_edge_is_remembered_with_what_it_says_and_when() {
    let node = Node::new(1);
    let seat = node.fleet.seat(&environment(1), &hello("edge-1", Some(4)));
    assert_eq!(node.rows()[0].applied, Some(manifest(4)));
    assert_eq!(
        node.rows()[0].acks,
        [],
        "when it took that is not known here"
    );
    node.clock.0.store(100, Ordering::Relaxed);
    seat.reported(&report(4, ReportState::Applied));
    assert_eq!(node.rows()[0].acks, [], "it only repeats itself");
    seat.reported(&report(5, ReportState::Received));
    seat.reported(&report(5, ReportState::Verified));
    assert_eq!(node.rows()[0].applied, Some(manifest(4)));
    seat.reported(&report(5, ReportState::Applied));
    let row = &node.rows()[0];
    assert_eq!(row.applied, Some(manifest(5)));
    let ack = Ack {
        epoch: Epoch(1),
        version: ManifestVersion(5),
        at: Timestamp(100),
        apply_ms: 5,
        steps: None,
    };
    assert_eq!(row.acks, [ack]);
}

#[tokio::test(start_paused = true)]
async fn what_an_edge_says_of_targets_holds_for_its_connection() {
    let node = Node::new(1);
    let seat = node.fleet.seat(&environment(1), &hello("edge-1", Some(4)));
    let told = HealthReport {
        more: 7,
        ..HealthReport::default()
    };
    let mark = node.fleet.mark();
    seat.health(told.clone());
    assert_ne!(
        node.fleet.mark(),
        mark,
        "whoever waits for news hears of it"
    );
    assert_eq!(node.rows()[0].health, told);
    let again = node.fleet.seat(&environment(1), &hello("edge-1", Some(4)));
    seat.health(told);
    assert_eq!(node.rows()[0].health, HealthReport::default());
    drop(again);
}

#[tokio::test(start_paused = true)]
async fn whom_an_edge_does_not_trust_is_known_as_long_as_it_holds() {
    let node = Node::new(1);
    let seat = node.fleet.seat(&environment(1), &hello("edge-1", Some(4)));
    let problem = Some("unvouched_key: …".to_owned());
    let report = |problem: &Option<String>| TrustReport {
        problem: problem.clone(),
    };
    let said = |node: &Node| {
        let distrusts = node.rows()[0].distrusts.clone();
        distrusts.map(|distrusts| distrusts.problem)
    };
    let mark = node.fleet.mark();
    seat.trust(report(&problem));
    assert_ne!(node.fleet.mark(), mark);
    assert_eq!(said(&node), problem);
    seat.trust(report(&None));
    assert_eq!(said(&node), None);
    seat.trust(report(&problem));
    // On the next connection the edge is told anew whom to trust.
    let again = node.fleet.seat(&environment(1), &hello("edge-1", Some(4)));
    assert_eq!(said(&node), None);
    drop(again);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_stands_until_something_as_new_is_applied() {
    let node = Node::new(1);
    let seat = node.fleet.seat(&environment(1), &hello("edge-1", None));
    seat.reported(&report(6, rejected("no")));
    seat.reported(&report(5, ReportState::Applied));
    assert_eq!(
        node.rows()[0]
            .rejected
            .as_ref()
            .map(|rejected| rejected.reason.as_str()),
        Some("no")
    );
    seat.reported(&report(6, ReportState::Applied));
    assert_eq!(node.rows()[0].rejected, None);
}

#[tokio::test(start_paused = true)]
async fn what_edges_counted_is_gathered_from_all_nodes_and_names_who_kept_silent() {
    use edge_protocol::telemetry::{Batch, SeriesKey};
    let nodes: BTreeMap<_, _> = (1..=3).map(|id| (id, Node::new(id))).collect();
    let mut seats = Vec::new();
    for (id, node) in &nodes {
        let seat = node
            .fleet
            .seat(&environment(1), &hello(&format!("edge-{id}"), None));
        let mut batch = Batch::default();
        let counts = batch.series.entry(SeriesKey::beyond()).or_default();
        for _ in 0..*id {
            counts.answered(2, 1000 * id);
        }
        seat.counted(batch);
        seats.push(seat);
    }
    let query = TelemetryQuery {
        environment_id: environment(1),
        routes: Vec::new(),
        rule: None,
        upstream: None,
        region: None,
        minutes: 5,
        by: Grouping::Region,
        samples: 0,
    };
    let ask = async |cut| {
        let fleets = nodes
            .iter()
            .map(|(id, node)| (*id, node.fleet.clone()))
            .collect();
        let reader = reader(Cluster { fleets, cut }, nodes[&1].clock.clone());
        let view = reader.telemetry(&query).await;
        let (_, counts) = view.rows.into_iter().next().unwrap();
        (counts.answers(), counts.latency.max(), view.silent)
    };
    assert_eq!(ask(None).await, (6, 3000, vec![]));
    assert_eq!(ask(Some(3)).await, (3, 2000, vec![3]));
}

#[tokio::test(start_paused = true)]
async fn a_seat_that_is_dropped_leaves_a_memory_and_a_newer_one_counts() {
    let node = Node::new(1);
    let old = node.fleet.seat(&environment(1), &hello("edge-1", Some(1)));
    tokio::time::advance(Duration::from_millis(700)).await;
    assert_eq!(
        (node.rows()[0].connected, node.rows()[0].quiet_ms),
        (true, 700)
    );
    old.heard();
    assert_eq!(node.rows()[0].quiet_ms, 0);
    let new = node.fleet.seat(&environment(1), &hello("edge-1", Some(2)));
    old.reported(&report(9, ReportState::Applied));
    drop(old);
    assert_eq!(
        (node.rows()[0].connected, node.rows()[0].applied),
        (true, Some(manifest(2)))
    );
    drop(new);
    assert_eq!(
        (
            node.rows().len(),
            node.rows()[0].connected,
            node.fleet.connected()
        ),
        (1, false, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_and_those_who_left_first_are_forgotten_first() {
    let node = Node::new(1);
    let first = node.fleet.seat(&environment(1), &hello("first", None));
    for index in 0..RECORDS_MAX {
        drop(
            node.fleet
                .seat(&environment(1), &hello(&format!("edge-{index:06}"), None)),
        );
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let registry = node.fleet.registry.lock();
    assert_eq!(registry.records.len(), RECORDS_MAX);
    let has = |edge: &str| {
        registry
            .records
            .contains_key(&(environment(1), edge.to_owned()))
    };
    assert!(has("first") && !has("edge-000000") && has("edge-000001"));
    drop(registry);
    drop(first);
}

#[test]
fn acks_of_an_edge_are_bounded() {
    let node = Node::new(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let seat = node.fleet.seat(&environment(1), &hello("edge-1", None));
    for version in 1..100 {
        seat.reported(&report(version, ReportState::Applied));
    }
    let acks = &node.rows()[0].acks;
    assert_eq!(
        (acks.len(), acks[0].version.0, acks[31].version.0),
        (32, 68, 99)
    );
}

fn row(edge: &str, connected: bool, quiet_ms: u64, applied: u64, acks: &[(u64, u64)]) -> EdgeRow {
    let ack = |&(version, at)| Ack {
        epoch: Epoch(1),
        version: ManifestVersion(version),
        at: Timestamp(at),
        apply_ms: 1,
        steps: None,
    };
    EdgeRow {
        edge_id: edge.to_owned(),
        region: "eu".to_owned(),
        labels: BTreeMap::new(),
        software: "1".to_owned(),
        connected,
        quiet_ms,
        applied: Some(manifest(applied)),
        rejected: None,
        acks: acks.iter().map(ack).collect(),
        health: HealthReport::default(),
        distrusts: None,
    }
}

fn answer(node_id: MemberId, rows: Vec<EdgeRow>) -> Answer {
    Answer {
        node_id,
        mark: Mark(0),
        rows,
        more: false,
    }
}

#[test]
fn an_edge_that_moved_appears_once_as_its_node_of_now_sees_it() {
    let old = || answer(1, vec![row("moved", false, 50, 4, &[(3, 10), (4, 20)])]);
    let new = || {
        answer(
            2,
            vec![
                row("moved", true, 900, 5, &[(4, 35), (5, 40)]),
                row("other", true, 1, 5, &[]),
            ],
        )
    };
    for answers in [vec![old(), new()], vec![new(), old()]] {
        let merged = merge(answers);
        assert_eq!(merged.len(), 2);
        let Known { node_id, row } = &merged[0];
        assert_eq!(
            (*node_id, row.connected, row.applied),
            (2, true, Some(manifest(5)))
        );
        let acks: Vec<_> = row
            .acks
            .iter()
            .map(|ack| (ack.version.0, ack.at.0))
            .collect();
        assert_eq!(
            acks,
            [(3, 10), (4, 20), (5, 40)],
            "each with the earliest time"
        );
    }
}

#[test]
fn of_two_nodes_that_think_they_have_an_edge_the_one_that_heard_of_it_last_counts() {
    let one = answer(1, vec![row("edge", true, 2900, 4, &[])]);
    let two = answer(2, vec![row("edge", true, 100, 5, &[])]);
    assert_eq!(merge([one.clone(), two.clone()])[0].node_id, 2);
    assert_eq!(merge([two, one])[0].node_id, 2);
}

/// Three nodes, of which any may be cut off.
struct Cluster {
    fleets: BTreeMap<MemberId, Fleet>,
    cut: Option<MemberId>,
}

impl PeerFleet for Cluster {
    fn ask(&self, member: MemberId, query: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, PeerError>> {
        Box::pin(async move {
            if self.cut == Some(member) {
                std::future::pending::<()>().await;
            }
            Ok(self.fleets[&member].answer(&query).await.unwrap())
        })
    }
}

impl ControlPlane for Cluster {
    fn propose(&self, _: Stamped) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        unreachable!("the fleet proposes nothing")
    }
    fn barrier(&self, _: Consistency) -> BoxFuture<'_, Result<Revision, ReadError>> {
        unreachable!("the fleet is not in the log")
    }
    fn with_view(&self, _: ViewVisitor<'_>) -> Result<Revision, ReadError> {
        unreachable!("the fleet is not in the state")
    }
    fn access_changed(&self) -> Revision {
        unreachable!("the fleet lets nobody in")
    }
    fn members(&self) -> Vec<Member> {
        self.fleets.keys().map(|id| member(*id)).collect()
    }
    fn this(&self) -> Member {
        member(1)
    }
    fn leader(&self) -> Option<MemberId> {
        None
    }
    fn changes(&self) -> watch::Receiver<Revision> {
        unreachable!("the fleet watches nothing")
    }
    fn readiness(&self) -> Readiness {
        unreachable!("the fleet is not asked")
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

async fn gather(cluster: Cluster, clock: Arc<TestClock>) -> FleetView {
    reader(cluster, clock).gather(&environment(1)).await
}

/// What the first node asks the others with.
fn reader(cluster: Cluster, clock: Arc<TestClock>) -> ClusterFleet {
    let cluster = Arc::new(cluster);
    ClusterFleet {
        fleet: cluster.fleets[&1].clone(),
        control: cluster.clone(),
        peers: cluster,
        clock,
    }
}

#[tokio::test(start_paused = true)]
async fn the_fleet_is_gathered_page_by_page_and_names_who_kept_silent() {
    let nodes: BTreeMap<_, _> = (1..=3).map(|id| (id, Node::new(id))).collect();
    let long = "x".repeat(1000);
    let mut seats = Vec::new();
    for index in 0..3000 {
        let node = &nodes[&(index % 3 + 1)];
        let seat = node.fleet.seat(
            &environment(1),
            &hello(&format!("edge-{index:04}"), Some(2)),
        );
        seat.reported(&report(3, rejected(&long)));
        seats.push(seat);
    }
    seats.push(
        nodes[&2]
            .fleet
            .seat(&environment(2), &hello("of another environment", None)),
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    let clock = nodes[&1].clock.clone();
    clock.0.store(50_000, Ordering::Relaxed);
    nodes[&2].clock.0.store(999_999_999, Ordering::Relaxed);
    let cluster = |cut| Cluster {
        fleets: nodes
            .iter()
            .map(|(id, node)| (*id, node.fleet.clone()))
            .collect(),
        cut,
    };

    let whole = gather(cluster(None), clock.clone()).await;
    assert_eq!((whole.edges.len(), whole.silent.len()), (3000, 0));
    let EdgeView {
        node_id,
        last_seen,
        applied,
        rejected,
        ..
    } = &whole.edges[1];
    assert_eq!(
        (*node_id, *last_seen, *applied),
        (2, Timestamp(49_000), Some(manifest(2))),
        "by the clock of who is asked"
    );
    assert_eq!(rejected.as_ref().unwrap().reason, long);

    let began = Instant::now();
    let part = gather(cluster(Some(3)), clock).await;
    assert_eq!((part.edges.len(), part.silent), (2000, vec![3]));
    assert!(began.elapsed() <= Duration::from_secs(3));
}

/// Whether something is over before anything else can happen.
fn is_over<F: Future>(future: Pin<&mut F>) -> bool {
    future.now_or_never().is_some()
}

#[tokio::test(start_paused = true)]
async fn news_of_any_node_wake_who_waits_and_what_came_before_is_not_missed() {
    let nodes: BTreeMap<_, _> = (1..=3).map(|id| (id, Node::new(id))).collect();
    let fleets = nodes
        .iter()
        .map(|(id, node)| (*id, node.fleet.clone()))
        .collect();
    let reader = reader(Cluster { fleets, cut: None }, nodes[&1].clock.clone());
    for id in 1..=3 {
        let seat = nodes[&id]
            .fleet
            .seat(&environment(1), &hello("edge-1", None));
        let seen = reader.gather(&environment(1)).await;
        let mut news = std::pin::pin!(reader.news(&seen));
        assert!(!is_over(news.as_mut()), "node {id}: nothing happened");
        seat.heard();
        // Longer than a node holds a question.
        tokio::time::advance(HOLD * 3).await;
        assert!(!is_over(news.as_mut()), "node {id}: it only said something");
        let waited = Instant::now();
        tokio::join!(news, async {
            seat.reported(&report(3, ReportState::Applied))
        });
        assert!(waited.elapsed() < HOLD, "node {id}");
        // The same for who asks for news only after they came.
        reader.news(&seen).await;
        assert!(waited.elapsed() < HOLD, "node {id}");
        let seen = reader.gather(&environment(1)).await;
        drop(seat);
        reader.news(&seen).await;
        assert!(waited.elapsed() < HOLD, "node {id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_asked_again_after_a_pause() {
    let fleets = (1..=3).map(|id| (id, Node::new(id).fleet)).collect();
    let cluster = Cluster {
        fleets,
        cut: Some(3),
    };
    let reader = reader(cluster, Arc::default());
    let seen = reader.gather(&environment(1)).await;
    assert_eq!(seen.silent, [3]);
    let waited = Instant::now();
    reader.news(&seen).await;
    assert_eq!(waited.elapsed(), Duration::from_secs(1));
}

#[tokio::test]
async fn garbage_is_not_answered() {
    assert_eq!(Node::new(1).fleet.answer(b"garbage").await, None);
}
