//! Rate limits of a whole cluster, over real sockets, while nodes are lost.

use std::collections::BTreeMap;

use domain::model::{KeyKind, Plan};
use platform::SystemEntropy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::commands::bootstrap_with;
use crate::world::{PATIENCE, World, eventually, pepper};

/// What the free plan allows in a minute.
const LIMIT: u64 = 60;

/// An answer, as far as limits go.
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
}

impl Reply {
    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines
            .map_while(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            status: status.parse().unwrap(),
            headers: headers.collect(),
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.headers.get(name).map(|value| value.parse().unwrap())
    }
}

/// Reads something that needs no leader.
#[allow(
    clippy::disallowed_methods,
    reason = "a client of the API is outside the node"
)]
pub(crate) async fn ask(world: &World, node: u64, key: &str) -> Reply {
    let address = world.settings(node).rest.listen;
    let asking = async {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /v2/routes HTTP/1.1\r\nHost: vectorgate\r\nAuthorization: Bearer {key}\r\n\
             VectorGate-Consistency: stale\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        Reply::parse(&text)
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap()
}

/// Asks so often, one node after the other; how often that passed.
async fn ask_around(world: &World, key: &str, count: usize) -> u64 {
    let mut passed = 0;
    for node in world.running().into_iter().cycle().take(count) {
        let reply = ask(world, node, key).await;
        assert_eq!(reply.number("x-ratelimit-limit"), Some(LIMIT));
        assert!(reply.number("x-ratelimit-remaining").unwrap() < LIMIT);
        assert!(reply.number("x-ratelimit-reset").is_some());
        let retry_after = reply.number("retry-after");
        match reply.status {
            200 => {
                assert_eq!(retry_after, None);
                passed += 1;
            }
            429 => assert!((1..=61).contains(&retry_after.unwrap()), "{retry_after:?}"),
            other => panic!("{other}"),
        }
    }
    passed
}

/// How often a node asked others about limits.
fn questions(world: &World, node: u64) -> u64 {
    let metrics = world.metrics(node);
    let line = metrics
        .lines()
        .find(|line| line.starts_with("vectorgate_rate_limit_asked_total "));
    line.unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

/// Five nodes, and a key that all of them know.
async fn five_nodes() -> (World, String) {
    let mut world = World::new(5);
    world.start_all().await;
    world.leader().await;
    let (secret, hash) = pepper(7).mint(KeyKind::Live, &SystemEntropy);
    let stamped = bootstrap_with(Plan::Free, hash);
    world.propose(1, stamped).await.unwrap().reply.unwrap();
    for node in world.running() {
        world.barrier(node).await.unwrap();
    }
    (world, secret.reveal().to_owned())
}

/// Contract: D-59.
#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_hold_one_limit_while_its_keeper_and_the_leader_are_killed() {
    let (mut world, key) = five_nodes().await;
    // All of them find out about each other, and by the second round only the keeper asks nobody.
    let mut passed = ask_around(&world, &key, 10).await;
    let before: BTreeMap<_, _> = world
        .running()
        .into_iter()
        .map(|node| (node, questions(&world, node)))
        .collect();
    passed += ask_around(&world, &key, 10).await;
    let silent = |node: &u64| questions(&world, *node) == before[node];
    let keepers: Vec<_> = world.running().into_iter().filter(silent).collect();
    assert_eq!((keepers.len(), passed), (1, 20));
    world.kill(keepers[0]);
    passed += ask_around(&world, &key, 10).await;
    assert_eq!(passed, 30);
    let leader = world.leader().await;
    world.kill(leader);
    passed += ask_around(&world, &key, 600).await;
    assert!((LIMIT..=LIMIT + 1).contains(&passed), "{passed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_without_a_majority_let_through_no_more_than_their_shares() {
    let (mut world, key) = five_nodes().await;
    world.stop(5).await;
    world.stop(4).await;
    world.stop(3).await;
    // Two of five are no majority: each of them has a fifth.
    eventually("both nodes notice", || {
        let lonely = |node: u64| {
            let consensus = world.consensus(node);
            let contact = node::control_plane::ControlPlane::readiness(&consensus).last_contact;
            contact.is_none_or(|ago| ago > std::time::Duration::from_secs(4))
        };
        (lonely(1) && lonely(2)).then_some(())
    })
    .await;
    let passed = ask_around(&world, &key, 200).await;
    assert_eq!(passed, 2 * LIMIT / 5);
    let metrics = world.metrics(1);
    assert!(
        !metrics.contains("vectorgate_rate_limit_fallback_total 0"),
        "{metrics}"
    );
}
