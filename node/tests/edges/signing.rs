//! Whose signatures edges believe: as keys change, as nodes of another cluster call, and as somebody else
//! writes to their disks.

use domain::id::{EnvironmentId, Seed};
use edge::store::{Directory as _, Store};
use edge_protocol::follower::Chunks;
use platform::Entropy;
use platform::SystemEntropy;

use crate::state::{State, production};
use crate::world::{Edge, Maker, Node};

#[tokio::test]
async fn keys_change_while_edges_follow_and_while_they_are_away() {
    let state = State::with_rules(3);
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    edge.applies(state.manifest()).await;
    let first = state.rotate();
    edge.applies(state.change(1, 10)).await;
    state.retire(first);
    let kept = state.change(1, 11);
    edge.applies(kept).await;
    let maker = edge.stop().await;

    // Two keys come and the one that has signed what the edge has goes.
    let second = state.rotate();
    state.rotate();
    state.retire(second);
    let mut edge = maker.start();
    assert_eq!(edge.restored, Some(kept));
    edge.applies(state.change(1, 12)).await;
    assert!(edge.status().untrusted.is_empty(), "{:?}", edge.status());
    // What it has learned is on its disk.
    let maker = edge.stop().await;
    let store = Store::open(Box::new(maker.directory.clone()), "production").unwrap();
    assert_eq!(store.store.trusted(), Some(&state.trust()));
}

#[tokio::test]
async fn a_node_of_another_cluster_is_not_followed_and_the_edge_says_what_to_do() {
    let (state, other) = (State::with_rules(3), State::with_rules(3));
    let (node, stranger) = (Node::start(1, &state), Node::start(2, &other));
    let mut edge = Edge::start("edge-1", &[&node]);
    let good = state.manifest();
    edge.applies(good).await;
    let mut maker = edge.stop().await;
    other.change(1, 10);
    maker.nodes = vec![stranger.address.clone()];
    let mut edge = maker.start();
    let status = edge
        .until("refuses", |status| {
            let words = status.trouble.as_deref().unwrap_or_default();
            words.contains("is of cluster")
                && words.contains("remove all but `identity` from its data directory")
        })
        .await;
    assert_eq!(status.manifest, Some(good));
    assert!(status.untrusted.contains_key("foreign_cluster"));
    edge.stop().await;
}

#[tokio::test]
async fn what_the_operator_trusts_rules_and_nodes_hear_what_is_refused() {
    let state = State::with_rules(3);
    let node = Node::start(1, &state);
    let mut maker = Maker::new("edge-1", &[&node]);
    maker.trust = Some(state.trust());
    let mut edge = maker.start();
    let good = state.manifest();
    edge.applies(good).await;
    let old = state.rotate();
    let refused = state.change(1, 10);
    let known = node
        .knows("the rejection", |edges| {
            let rejected = edges.first().and_then(|edge| edge.rejected.as_ref());
            rejected.is_some_and(|rejected| rejected.manifest == refused)
        })
        .await;
    let rejected = known[0].rejected.as_ref().unwrap();
    assert!(
        rejected.reason.starts_with("unknown_key: "),
        "{}",
        rejected.reason
    );
    assert!(known[0].connected, "it waits for whom it trusts");
    assert_eq!(edge.active.current().manifest(), Some(&good));
    assert!(edge.status().untrusted["unknown_key"] > 0);

    // The operator has the edge trust the new key as well.
    let mut maker = edge.stop().await;
    maker.trust = Some(state.trust());
    let mut edge = maker.start();
    assert_eq!(edge.restored, Some(good));
    edge.applies(refused).await;

    // Without the old one nothing is believed that it has signed, on the disk neither.
    let mut maker = edge.stop().await;
    let mut set = state.trust();
    set.keys.retain(|key| key.public.id() == old);
    maker.trust = Some(set);
    let edge = maker.start();
    assert_eq!(edge.restored, Some(good));
    edge.stop().await;
}

#[tokio::test]
async fn what_cannot_be_verified_stays_for_when_it_can_be() {
    let state = State::with_rules(3);
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    let good = state.manifest();
    edge.applies(good).await;
    let mut maker = edge.stop().await;
    // Nobody is there to say whom to trust, and what was said is lost.
    maker.nodes = vec!["127.0.0.1:9".to_owned()];
    let trust = maker.directory.read("trust", 0, 16 * 1024).unwrap();
    for name in ["trust", "trust-copy"] {
        maker.directory.remove(name).unwrap();
    }
    let edge = maker.start();
    assert_eq!(edge.restored, None);
    let maker = edge.stop().await;
    maker.directory.write("trust", &trust).unwrap();
    let edge = maker.start();
    assert_eq!(edge.restored, Some(good));
    edge.stop().await;
}

#[tokio::test]
async fn a_node_does_not_say_which_environment_is_followed_where_the_operator_has() {
    let state = State::with_rules(3);
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    let good = state.manifest();
    edge.applies(good).await;
    let mut maker = edge.stop().await;
    let other = EnvironmentId::new(Seed {
        unix_ms: 1,
        random: 99,
    });
    maker.environment_id = Some(other.clone());
    let mut edge = maker.start();
    assert_eq!(edge.restored, None, "it is of another environment");
    edge.until("refuses the node", |status| {
        let words = status.trouble.as_deref().unwrap_or_default();
        words.contains(other.as_str())
    })
    .await;
    assert_eq!(edge.active.current().manifest(), None);

    let mut maker = edge.stop().await;
    maker.environment_id = Some(production());
    let mut edge = maker.start();
    assert_eq!(edge.restored, Some(good), "it is still there");
    edge.applies(state.change(1, 10)).await;
    edge.stop().await;
}

#[tokio::test]
async fn what_somebody_else_put_on_the_disk_is_not_served() {
    let state = State::with_rules(3);
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    let good = state.manifest();
    edge.applies(good).await;
    let maker = edge.stop().await;
    {
        let directory = Box::new(maker.directory.clone());
        let mut store = Store::open(directory, "production").unwrap().store;
        let mut forged = store.kept().next().unwrap().signed();
        forged.manifest.version.0 += 1;
        store.keep(&forged, &Chunks::new()).unwrap();
        let mut seed = [0; 32];
        SystemEntropy.fill(&mut seed);
        forged.manifest.version.0 += 1;
        forged.sign_again(&edge_protocol::signing::KeyPair::new(&seed).unwrap());
        store.keep(&forged, &Chunks::new()).unwrap();
    }
    let mut edge = maker.start();
    assert_eq!(edge.restored, Some(good));
    edge.applies(state.change(1, 10)).await;
    edge.stop().await;
}

#[tokio::test]
async fn after_a_restore_edges_follow_although_versions_went_back_and_nothing_of_before_any_more() {
    let state = State::with_rules(3);
    let backup = state.copy();
    let node = Node::start(1, &state);
    let mut edge = Edge::start("edge-1", &[&node]);
    edge.applies(state.manifest()).await;
    let mut last = state.manifest();
    for priority in 10..15 {
        last = state.change(1, priority);
        edge.applies(last).await;
    }
    // What is restored goes on from long before; without an epoch of its own it would be refused for ever.
    backup.restore(2);
    let restored = Node::start(2, &backup);
    let mut maker = edge.stop().await;
    maker.nodes = vec![restored.address.clone()];
    let mut edge = maker.start();
    assert_eq!(edge.restored, Some(last));
    let new = backup.manifest();
    assert!(new.version < last.version && new.epoch > last.epoch);
    edge.applies(new).await;
    edge.applies(backup.change(1, 20)).await;
    let held = backup.manifest();

    // A node of before comes back, and publishes.
    let mut maker = edge.stop().await;
    maker.nodes = vec![node.address.clone()];
    state.change(1, 30);
    let mut edge = maker.start();
    assert_eq!(edge.restored, Some(held));
    let status = edge
        .until("refuses", |status| {
            status.untrusted.contains_key("older_epoch")
        })
        .await;
    assert_eq!(status.manifest, Some(held));
    assert_eq!(edge.active.current().manifest(), Some(&held));
    edge.stop().await;
}
