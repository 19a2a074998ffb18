//! The pepper that keys are hashed under, on running clusters: changed, and missing.

use domain::model::{KeyKind, PepperId, Plan};
use node::assembly::StartError;
use node::consensus::membership::{ClusterRequest, PepperStatus};
use node::halt::FatalReason;
use node::keys::KeyRing;
use node::sealing::KekRing;
use platform::SystemEntropy;
use tokio::time::Instant;

use crate::commands::bootstrap_with;
use crate::limits::ask;
use crate::world::{PATIENCE, World, eventually, fate, pepper};

/// Peppers of so many equal bytes, and one key-encryption key.
fn with(peppers: &[u8]) -> KeyRing {
    let lines = peppers.iter().map(|byte| format!("{byte:02x}").repeat(32));
    let ring = KeyRing::parse(&lines.collect::<Vec<_>>().join("\n")).unwrap();
    ring.with_keks(KekRing::parse(&"01".repeat(32)).unwrap())
}

fn id(pepper: u8) -> PepperId {
    with(&[pepper]).wanted()
}

impl World {
    async fn restart(&mut self, node: u64, keys: KeyRing) {
        self.stop(node).await;
        self.start_with(node, keys).await.unwrap();
        self.leader().await;
    }

    /// Waits until the leader says so of the pepper.
    async fn until_pepper(&self, what: &str, is_so: impl Fn(&PepperStatus) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.secrets().await.pepper.unwrap();
            if is_so(&status) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {status:?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

/// How many API keys are hashed under a pepper.
fn under(status: &PepperStatus, pepper: u8) -> u64 {
    let name = id(pepper).to_string();
    let keys = status.keys.iter().find(|keys| keys.pepper == name);
    keys.map_or(0, |keys| keys.api_keys)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pepper_is_used_once_all_members_have_it_and_keys_move_to_it_when_they_are_used() {
    let mut world = World::new(3);
    for node in 1..=3 {
        // Secrets are under the pepper, so that it cannot be changed yet.
        world.start_with(node, pepper(7)).await.unwrap();
    }
    world.leader().await;
    let (key, hash) = with(&[7]).mint(KeyKind::Live, &SystemEntropy);
    let made = bootstrap_with(Plan::Enterprise, hash);
    world.propose(1, made).await.unwrap().reply.unwrap();
    for node in 1..=3 {
        let keys = KeyRing::parse(&format!("{}\n{}", "08".repeat(32), "07".repeat(32)));
        world.restart(node, keys.unwrap()).await;
    }
    world
        .until_pepper("it waits for a key", |status| {
            let waits = status.waits_for.join(" ");
            status.wanted == id(8).to_string() && waits.contains("key-encryption key")
        })
        .await;
    for node in 1..=2 {
        world.restart(node, with(&[8, 7])).await;
    }
    world.restart(3, with(&[7])).await;
    world.settled(1).await;
    world.led_by(1).await;
    world
        .until_pepper("node 3 lacks it", |status| {
            status.active == id(7).to_string() && status.waits_for == ["node 3 lacks it"]
        })
        .await;

    world.restart(3, with(&[8, 7])).await;
    // By itself: nobody asks for it.
    world
        .until_pepper("it is used", |status| status.active == id(8).to_string())
        .await;
    // A node notices within seconds that another pepper is the active one; a use before that moves nothing.
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert_eq!(ask(&world, 2, key.reveal()).await.status, 200);
        let status = world.secrets().await.pepper.unwrap();
        // The key moves, and the one that nobody uses stays.
        if under(&status, 8) == 1 && under(&status, 7) == 1 {
            break;
        }
        assert!(Instant::now() < deadline, "{status:?}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    for node in 1..=3 {
        world.restart(node, with(&[8])).await;
    }
    for node in 1..=3 {
        let line = format!("vectorgate_hashed_keys{{pepper=\"{}\"}} 1", id(7));
        eventually("what a node lacks is counted", || {
            world.metrics(node).contains(&line).then_some(())
        })
        .await;
        assert_eq!(ask(&world, node, key.reveal()).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_the_pepper_that_keys_are_hashed_under_does_not_start_and_none_joins() {
    let mut world = World::new(3);
    for node in 1..=3 {
        world.start_with(node, with(&[8, 7])).await.unwrap();
    }
    world.leader().await;
    let made = bootstrap_with(Plan::Enterprise, domain::model::KeyHash([1; 32]));
    world.propose(1, made).await.unwrap().reply.unwrap();
    world
        .until_pepper("it is used", |status| status.active == id(8).to_string())
        .await;
    let follower = world.follower().await;
    world.barrier(follower).await.unwrap();
    world.stop(follower).await;
    let refused = world.start_with(follower, with(&[7])).await;
    let Err(StartError::Consensus(error)) = refused else {
        panic!("it started")
    };
    let said = error.to_string();
    assert!(
        said.contains("security.pepper_file") && said.contains(&id(8).to_string()),
        "{said}"
    );
    assert_eq!(StartError::Consensus(error).exit_code(), 64);
    world.start_with(follower, with(&[8])).await.unwrap();

    let newcomer = world.newcomer();
    let node = newcomer.id;
    let end = world.start_with(node, with(&[7])).await.unwrap();
    assert_eq!(fate(end).await, FatalReason::Pepper(id(8)));
    world.kill(node);
    world.start_with(node, with(&[8])).await.unwrap();
    world.change(follower, ClusterRequest::Add(newcomer)).await;
}
