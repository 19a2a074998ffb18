//! Publisher and subscriber together, over real QUIC with certificates of a test authority, on a
//! state in memory: from a publish to requests that are served by it.

mod certificates;
mod enrolment;
mod hostile;
mod signing;
mod state;
mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::time::Timestamp;
use edge::store::{Directory, Store};
use edge_protocol::telemetry::{Batch, Counts, SeriesKey};
use node::rest::{FleetReader, Grouping, TelemetryQuery};
use platform::testing::TestAuthority;
use state::{State, production};
use tokio::time::Instant;
use world::{Edge, Maker, Node, PATIENCE, gather, reader};

/// Contract: R-05.
#[tokio::test]
async fn a_publish_is_applied_and_reported() {
    let state = State::with_rules(3);
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    let first = state.manifest();
    edge.applies(first).await;
    let active = edge.active.current();
    assert_eq!(active.manifest(), Some(&first));
    assert!(active.find("api.example.net").is_some());

    let second = state.change(1, 10);
    edge.applies(second).await;
    let known = node
        .knows("the ack", |edges| {
            edges
                .first()
                .is_some_and(|edge| edge.applied == Some(second))
        })
        .await;
    let seen = &known[0];
    assert_eq!(
        (
            seen.id.as_str(),
            seen.region.as_str(),
            seen.connected,
            seen.node_id
        ),
        ("edge-1", "eu", true, 1)
    );
    assert!(seen.applied_at.is_some() && seen.rejected.is_none());
    assert_eq!(
        seen.acks.iter().map(|ack| ack.version).collect::<Vec<_>>(),
        [first.version, second.version]
    );

    edge.stop().await;
    node.knows("that the edge is gone", |edges| !edges[0].connected)
        .await;
    node.shut_down().await;
}

#[tokio::test]
async fn the_second_publish_ships_only_what_changed() {
    let state = State::with_rules(2000);
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    let whole = edge.applies(state.manifest()).await;
    assert!(whole.chunks_fetched > 10, "{whole:?}");
    let written = edge.maker.directory.bytes_written();
    let changed = edge.applies(state.change(1, 5000)).await;
    let (chunks, bytes) = (
        changed.chunks_fetched - whole.chunks_fetched,
        changed.bytes_fetched - whole.bytes_fetched,
    );
    // The manifest's leaf, the route's head, and a path of the rules' tree.
    assert!(chunks <= 6, "{chunks} chunks");
    assert!(
        bytes * 4 < whole.bytes_fetched,
        "{bytes} of {} bytes",
        whole.bytes_fetched
    );
    let rewritten = edge.maker.directory.bytes_written() - written;
    assert!(
        rewritten < bytes + 4096,
        "{rewritten} bytes written for {bytes} fetched"
    );
    edge.stop().await;
}

/// Contract: D-60.
#[tokio::test]
async fn an_edge_starts_from_its_disk_with_every_node_down() {
    let state = State::with_rules(50);
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    let manifest = state.manifest();
    edge.applies(manifest).await;
    let maker = edge.stop().await;
    maker.directory.crash(7);
    node.shut_down().await;

    let edge = maker.start();
    assert_eq!(edge.restored, Some(manifest));
    assert!(edge.active.current().find("api.example.net").is_some());
    let mut maker = edge.stop().await;

    // A node of now ships nothing that is on the disk already.
    let node = Node::start(2, &state);
    maker.nodes = vec![node.address.clone()];
    let mut edge = maker.start();
    let newer = state.change(1, 900);
    let status = edge.applies(newer).await;
    assert!(status.chunks_fetched <= 6, "{status:?}");
    edge.stop().await;
}

#[tokio::test]
async fn an_edge_goes_to_the_next_node_when_its_node_dies_or_leaves() {
    let state = State::with_rules(3);
    let mut nodes: Vec<Node> = (1..=3).map(|id| Node::start(id, &state)).collect();
    let mut edge = Edge::start("edge-1", &nodes.iter().collect::<Vec<_>>());
    edge.applies(state.manifest()).await;

    let mut take =
        |id: u64| nodes.remove(nodes.iter().position(|node| node.control.id == id).unwrap());
    let first = edge
        .until("follows", |status| status.node.is_some())
        .await
        .node
        .unwrap();
    let died = Instant::now();
    take(first).kill();
    let second = edge
        .until("moves on", |status| {
            status.node.is_some_and(|node| node != first)
        })
        .await
        .node
        .unwrap();
    let took = died.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");

    let left = Instant::now();
    take(second).shut_down().await;
    let third = edge
        .until("moves on", |status| {
            status.node.is_some_and(|node| node != second)
        })
        .await
        .node
        .unwrap();
    assert_ne!(third, first, "the dead one is tried in vain");
    assert!(
        left.elapsed() < Duration::from_secs(8),
        "{:?}",
        left.elapsed()
    );

    edge.applies(state.change(1, 10)).await;
    edge.stop().await;
}

#[tokio::test]
async fn an_edge_learns_of_other_nodes_from_the_one_it_was_given() {
    let state = State::with_rules(3);
    let nodes = [Node::start(1, &state), Node::start(2, &state)];
    let mut edge = Edge::start("edge-1", &[&nodes[0]]);
    edge.until("follows", |status| status.node == Some(1)).await;
    let [one, two] = nodes;
    one.kill();
    edge.until("moves on", |status| status.node == Some(2))
        .await;
    edge.applies(state.change(1, 10)).await;
    let known = gather(&[&two]).await;
    assert_eq!((known.len(), known[0].node_id), (1, 2));
    edge.stop().await;
}

#[tokio::test]
async fn an_edge_that_moved_is_known_once() {
    let state = State::with_rules(3);
    let nodes = [Node::start(1, &state), Node::start(2, &state)];
    let mut edge = Edge::start("edge-1", &[&nodes[0]]);
    let manifest = state.manifest();
    edge.applies(manifest).await;
    nodes[0]
        .knows("the ack", |edges| {
            edges.first().is_some_and(|edge| edge.applied.is_some())
        })
        .await;
    let mut maker = edge.stop().await;
    maker.nodes = vec![nodes[1].address.clone()];
    let mut edge = maker.start();
    edge.until("follows the other", |status| status.node == Some(2))
        .await;
    nodes[1].knows("the edge", |edges| edges.len() == 1).await;
    let known = gather(&[&nodes[0], &nodes[1]]).await;
    assert_eq!(known.len(), 1, "{known:?}");
    assert_eq!(
        (known[0].node_id, known[0].connected, known[0].applied),
        (2, true, Some(manifest))
    );
    assert!(
        known[0].applied_at.is_some(),
        "the first node remembers when"
    );
    edge.stop().await;
}

/// What a publish that waits is driven by.
#[tokio::test]
async fn who_asked_one_node_hears_of_what_edges_of_another_say() {
    let state = State::with_rules(3);
    let nodes = [Node::start(1, &state), Node::start(2, &state)];
    let reader = reader(&[&nodes[0], &nodes[1]]);
    let environment = production();
    // Gathers whenever there are news, and never otherwise, until the edge is as far.
    let follow = async |wanted| {
        let mut looks = 0;
        loop {
            let seen = reader.gather(&environment).await;
            looks += 1;
            if seen
                .edges
                .first()
                .is_some_and(|edge| edge.applied == wanted)
            {
                return looks;
            }
            reader.news(&seen).await;
        }
    };
    let until = async |wanted| {
        let following = tokio::time::timeout(PATIENCE, follow(wanted)).await;
        following.expect("the edge gets there, and the news of it do")
    };
    let mut edge = Edge::start("edge-1", &[&nodes[1]]);
    until(Some(state.manifest())).await;
    let published = state.change(1, 10);
    let looks = until(Some(published)).await;
    assert!(looks < 20, "{looks} looks for one change");
    edge.applies(published).await;
    edge.stop().await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_by_either_side() {
    let state = State::with_rules(3);
    let node = Node::start(1, &state);
    let stranger = TestAuthority::new("a stranger");
    let mut maker = Maker::new("edge-1", &[&node]);
    // It trusts the node, and the node does not trust it.
    let ca = maker.pems.ca.clone();
    maker.pems = stranger.edge("edge-1");
    maker.pems.ca = ca;
    let mut edge = maker.start();
    let status = edge.until("fails", |status| status.trouble.is_some()).await;
    assert_eq!((status.welcomes, status.manifest), (0, None));
    edge.stop().await;

    // The node trusts it, and it does not trust the node.
    let ours = TestAuthority::default();
    let node = Node::start_with(2, &state, &stranger);
    let mut edge = Edge::start("edge-1", &[&node]);
    assert_eq!(edge.maker.pems.ca, ours.edge("edge-1").ca);
    let status = edge.until("fails", |status| status.trouble.is_some()).await;
    assert_eq!(status.welcomes, 0);
    assert!(node.edges().await.is_empty());
    edge.stop().await;
}

#[tokio::test]
async fn an_edge_is_who_its_certificate_says_and_a_node_is_no_edge() {
    let state = State::with_rules(3);
    let node = Node::start(1, &state);
    let authority = TestAuthority::default();
    for (pems, reasons) in [
        (
            authority.edge("edge-2"),
            &["does not belong to edge edge-1"][..],
        ),
        // It is turned away in the handshake, which its side may take for done by then.
        (authority.node(1), &["handshake", "connection lost"]),
    ] {
        let mut maker = Maker::new("edge-1", &[&node]);
        maker.pems = pems;
        let mut edge = maker.start();
        let status = edge
            .until("is refused", |status| status.trouble.is_some())
            .await;
        let trouble = status.trouble.as_ref().unwrap();
        let told = reasons.iter().any(|reason| trouble.contains(reason));
        assert!(told, "{status:?}");
        assert_eq!(status.welcomes, 0);
        edge.stop().await;
    }
    assert!(node.edges().await.is_empty());
}

#[tokio::test]
async fn an_environment_that_does_not_exist_yet_is_refused_until_it_does() {
    let state = State::empty();
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    let status = edge
        .until("is refused", |status| status.trouble.is_some())
        .await;
    assert!(
        status
            .trouble
            .unwrap()
            .contains("no environment production")
    );
    state.bootstrap();
    let status = edge.applies(state.manifest()).await;
    assert_eq!(status.manifest.unwrap().version.0, 0);
    state.route(1, "api.example.net");
    edge.applies(state.change(1, 1)).await;
    edge.stop().await;
}

#[tokio::test]
async fn a_node_that_ships_garbage_is_dropped_and_the_next_one_serves() {
    let state = State::with_rules(3);
    let bad = Node::start(1, &state);
    bad.control.tampers.store(true, Ordering::Relaxed);
    let mut edge = Edge::start("edge-1", &[&bad]);
    let status = edge
        .until("drops the node", |status| status.trouble.is_some())
        .await;
    assert!(
        status.trouble.as_ref().unwrap().contains("not asked for"),
        "{status:?}"
    );
    let known = bad
        .knows("the rejection", |edges| {
            edges.first().is_some_and(|edge| edge.rejected.is_some())
        })
        .await;
    assert!(
        known[0]
            .rejected
            .as_ref()
            .unwrap()
            .reason
            .contains("not asked for")
    );
    assert_eq!(edge.status().manifest, None);
    let mut maker = edge.stop().await;

    let good = Node::start(2, &state);
    maker.nodes.push(good.address.clone());
    let mut edge = maker.start();
    let status = edge.applies(state.manifest()).await;
    assert_eq!(status.node, Some(2));
    edge.stop().await;
}

#[tokio::test]
async fn what_an_edge_cannot_use_is_rejected_once_and_it_serves_on() {
    let state = State::with_rules(3);
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    let good = state.manifest();
    edge.applies(good).await;
    edge.refuse(true);
    let bad = state.change(1, 10);
    edge.until("refuses", |status| status.rejected.is_some())
        .await;
    let known = node
        .knows("the rejection", |edges| edges[0].rejected.is_some())
        .await;
    let rejected = known[0].rejected.as_ref().unwrap();
    assert_eq!(
        (rejected.manifest, rejected.reason.as_str()),
        (bad, "rule_1 does not compile")
    );
    assert_eq!(known[0].applied, Some(good));
    assert_eq!(edge.active.current().manifest(), Some(&good));

    // Nor is it tried again on a new connection, or found on the disk.
    let attempts = edge.attempts();
    let second = Node::start(2, &state);
    edge.until("knows both", |status| status.node == Some(1))
        .await;
    node.shut_down().await;
    let mut maker = edge.stop().await;
    assert_eq!(attempts, 2);
    maker.nodes = vec![second.address.clone()];
    let mut edge = maker.start();
    assert_eq!(edge.restored, Some(good));
    edge.applies(bad).await;
    let newer = state.change(1, 11);
    edge.applies(newer).await;
    second
        .knows("the ack", |edges| {
            edges[0].rejected.is_none() && edges[0].applied == Some(newer)
        })
        .await;
    edge.stop().await;
}

#[tokio::test]
async fn with_a_full_disk_an_edge_serves_on_and_says_so() {
    let state = State::with_rules(300);
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    let good = state.manifest();
    edge.applies(good).await;
    let directory = edge.maker.directory.clone();
    let used = directory
        .list()
        .unwrap()
        .iter()
        .map(|name| directory.read(name, 0, usize::MAX).unwrap().len())
        .sum();
    directory.set_bytes_max(Some(used));
    state.change(1, 500);
    let known = node
        .knows("the rejection", |edges| {
            edges.first().is_some_and(|edge| edge.rejected.is_some())
        })
        .await;
    assert!(
        known[0]
            .rejected
            .as_ref()
            .unwrap()
            .reason
            .contains("cannot be stored")
    );
    assert_eq!(edge.active.current().manifest(), Some(&good));
    directory.set_bytes_max(None);
    let newer = state.change(1, 501);
    edge.applies(newer).await;
    let maker = edge.stop().await;
    assert_eq!(maker.start().restored, Some(newer));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_edges_follow_one_node_and_the_state_is_read_once_for_all() {
    const EDGES: usize = 150;
    let state = State::with_rules(20);
    let node = Node::start(1, &state);
    let mut edges: Vec<Edge> = (0..EDGES)
        .map(|index| Edge::start(&format!("edge-{index}"), &[&node]))
        .collect();
    for edge in &mut edges {
        edge.applies(state.manifest()).await;
    }
    let views = node.control.views.load(Ordering::Relaxed);
    let published = Instant::now();
    let newer = state.change(1, 100);
    for edge in &mut edges {
        edge.applies(newer).await;
    }
    let took = published.elapsed();
    assert!(
        took < Duration::from_secs(10),
        "{EDGES} edges took {took:?}"
    );
    let views = node.control.views.load(Ordering::Relaxed) - views;
    assert!(
        views < EDGES / 2,
        "the state was looked at {views} times for {EDGES} edges"
    );
    node.knows("all acks", |known| {
        known.len() == EDGES && known.iter().all(|edge| edge.applied == Some(newer))
    })
    .await;
    futures_util::future::join_all(edges.into_iter().map(Edge::stop)).await;
}

#[tokio::test]
async fn a_manifest_on_which_an_edge_crashed_is_refused_and_its_node_knows_why() {
    let state = State::with_rules(3);
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    let good = state.manifest();
    edge.applies(good).await;
    let bad = state.change(1, 10);
    edge.applies(bad).await;
    let maker = edge.stop().await;
    for second in 0..3 {
        // A process that gets as far as this and no further.
        let directory = Box::new(maker.directory.clone());
        let mut store = Store::open(directory, "production").unwrap().store;
        let begun = store.note_starts(|starts| starts.begin(Some(bad), Timestamp(second)));
        assert_eq!((begun.0, begun.1.is_none()), (Ok(()), true));
    }
    let mut edge = maker.start();
    assert_eq!(edge.restored, Some(good));
    let known = node
        .knows("the rejection", |edges| {
            edges.first().is_some_and(|edge| edge.rejected.is_some())
        })
        .await;
    let rejected = known[0].rejected.as_ref().unwrap();
    assert_eq!(rejected.manifest, bad);
    assert!(rejected.reason.contains("crashed"), "{}", rejected.reason);
    assert_eq!(known[0].applied, Some(good));
    let newer = state.change(1, 11);
    edge.applies(newer).await;
    edge.stop().await;
}

#[tokio::test]
async fn what_an_edge_counts_reaches_its_node_also_what_it_counted_while_it_was_away() {
    let state = State::with_rules(3);
    let count = |edge: &Edge| {
        let mut counts = Counts::default();
        counts.answered(2, 1000);
        edge.hub.take_in(Batch {
            series: [(SeriesKey::beyond(), counts)].into(),
            ..Batch::default()
        });
    };
    let query = TelemetryQuery {
        environment_id: production(),
        routes: Vec::new(),
        rule: None,
        upstream: None,
        region: Some("eu".to_owned()),
        minutes: 60,
        by: Grouping::Region,
        samples: 0,
    };
    let counted = async |node: &Node| {
        let view = reader(&[node]).telemetry(&query).await;
        view.rows.values().map(Counts::answers).sum::<u64>()
    };
    let until = async |node: &Node, expect: u64| {
        let deadline = Instant::now() + PATIENCE;
        while counted(node).await != expect {
            assert!(Instant::now() < deadline, "{}", counted(node).await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (first, second) = (Node::start(1, &state), Node::start(2, &state));
    let mut edge = Edge::start("edge-1", &[&first]);
    edge.applies(state.manifest()).await;
    for _ in 0..3 {
        count(&edge);
    }
    until(&first, 3).await;
    assert_eq!(counted(&second).await, 0);
    drop(first);
    edge.until("loses its node", |status| status.node != Some(1))
        .await;
    for _ in 0..5 {
        count(&edge);
    }
    until(&second, 5).await;
    edge.stop().await;
}
