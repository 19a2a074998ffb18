//! Nodes that fall behind, and membership changes that were left half done.

use std::collections::{BTreeMap, BTreeSet};

use openraft::Membership;
use openraft::async_runtime::watch::WatchReceiver;
use raft_store::types::Payload;

use crate::commands::{bootstrap, create, has};
use crate::world::{World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_missed_more_than_the_log_keeps_is_sent_a_checkpoint() {
    let mut world = World::new(3);
    world.raft.checkpoint_every_entries = 50;
    world.raft.entries_kept_after_checkpoint = 5;
    world.start_all().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let away = world.follower().await;
    world.kill(away);
    let through = world.leader().await;
    for number in 100..400 {
        world
            .propose(through, create(number))
            .await
            .unwrap()
            .reply
            .unwrap();
    }
    eventually("the leader purges what the node misses", || {
        let metrics = world.consensus(through).raft().metrics();
        let purged = metrics.borrow_watched().purged;
        purged.filter(|purged| purged.index > 100)
    })
    .await;
    world.start(away).await;
    world.barrier(away).await.unwrap();
    assert!((100..400).all(|number| has(&world.consensus(away), number)));
    assert!(
        world
            .consensus(away)
            .raft()
            .metrics()
            .borrow_watched()
            .snapshot
            .is_some_and(|covered| covered.index > 100)
    );
    // And it goes on from there.
    world
        .propose(away, create(400))
        .await
        .unwrap()
        .reply
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_change_that_was_left_half_done_is_finished_by_the_next_leader() {
    let world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let leader = world.leader().await;
    let raft = world.consensus(leader).raft().clone();
    let nodes: BTreeMap<_, _> = {
        let metrics = raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics
            .membership_config
            .nodes()
            .map(|(id, member)| (*id, member.clone()))
            .collect()
    };
    let everybody = BTreeSet::from([1, 2, 3]);
    let others: BTreeSet<u64> = everybody
        .iter()
        .copied()
        .filter(|id| *id != leader)
        .collect();
    let joint = Membership::new(vec![everybody, others.clone()], nodes).unwrap();
    raft.append_membership(joint, Payload::Blank, [])
        .await
        .unwrap();
    world.consensus(leader).hand_over().await;
    let next = *others.first().unwrap();
    eventually("the membership is uniform again", || {
        let metrics = world.consensus(next).raft().server_metrics();
        let membership = metrics.borrow_watched().committed_membership_config.clone();
        (membership.membership().get_joint_config() == &vec![others.clone()]).then_some(())
    })
    .await;
    world
        .propose(next, create(70))
        .await
        .unwrap()
        .reply
        .unwrap();
}
