//! Disks that fill: what the cluster takes while too few voters have room, and that it is the same through every node.

use domain::command::{Command, DeleteUpstream, Stamped};
use node::consensus::membership::ClusterRequest;
use node::control_plane::ProposeError;

use crate::commands::{actor, bootstrap, create, create_once, has, stamped, upstream_id};
use crate::world::{World, eventually};

/// So many percent of a disk are used.
fn fill(world: &World, id: u64, percent: u64) {
    world.simulated_disk(id).set_usage(percent, 100 - percent);
}

fn delete(number: u64) -> Stamped {
    let delete = DeleteUpstream {
        id: upstream_id(number),
    };
    stamped(5_000 + number, Command::DeleteUpstream(actor(), delete))
}

fn shows(world: &World, id: u64, line: &str) -> bool {
    world.metrics(id).lines().any(|found| found == line)
}

async fn until_shown(world: &World, id: u64, line: &str) {
    eventually(line, || shows(world, id, line).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_two_of_three_disks_are_full_nothing_grows_through_any_node_and_room_can_be_made() {
    let world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    for number in 10..14 {
        let made = world.propose(1, create(number)).await.unwrap();
        made.reply.unwrap();
    }
    let (leader, follower) = (world.leader().await, world.follower().await);
    let other = (1..=3).find(|id| ![leader, follower].contains(id)).unwrap();
    // One full disk of three is a sick node: the others are a majority, and the cluster only says so.
    fill(&world, follower, 96);
    until_shown(&world, follower, "vectorgate_disk_step_percent 95").await;
    let told = format!("the disk of node {follower} is full");
    world
        .until_status(leader, "it is named", |status| {
            status.risks.iter().any(|risk| risk.contains(&told))
        })
        .await;
    let made = world.propose(leader, create(20)).await.unwrap();
    made.reply.unwrap();
    fill(&world, other, 95);
    until_shown(&world, leader, "vectorgate_growth_refused 1").await;
    for through in 1..=3 {
        for growing in [create(100 + through), create_once(200 + through)] {
            let refused = world.propose(through, growing).await;
            let Err(ProposeError::StorageFull { reason }) = &refused else {
                panic!("{through}: {refused:?}");
            };
            assert!(reason.contains(&format!("node {follower}")), "{reason}");
        }
        let number = 9 + through;
        let deleted = world.propose(through, delete(number)).await.unwrap();
        deleted.reply.unwrap();
        assert!(!has(&world.consensus(through), number));
    }
    let status = world.status(follower).await;
    let named = status.risks.iter().any(|risk| risk.contains(&told));
    assert!(named, "{:?}", status.risks);
    // A little room is not enough to begin anew; more is.
    fill(&world, follower, 93);
    fill(&world, leader, 86);
    until_shown(&world, leader, "vectorgate_disk_step_percent 85").await;
    assert!(shows(&world, leader, "vectorgate_growth_refused 1"));
    fill(&world, follower, 90);
    until_shown(&world, leader, "vectorgate_growth_refused 0").await;
    for through in 1..=3 {
        let made = world.propose(through, create(300 + through)).await.unwrap();
        made.reply.unwrap();
        // What was refused was not done.
        let consensus = world.consensus(through);
        assert!((1..=3).all(|id| !has(&consensus, 100 + id) && !has(&consensus, 200 + id)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_leader_refuses_as_well_and_a_learner_s_disk_does_not_count() {
    let mut world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let new = world.newcomer();
    let learner = new.id;
    world.start(learner).await;
    world.change(1, ClusterRequest::Add(new)).await;
    fill(&world, learner, 99);
    until_shown(&world, learner, "vectorgate_disk_step_percent 95").await;
    let made = world.propose(1, create(10)).await.unwrap();
    made.reply.unwrap();
    let first = world.leader().await;
    let other = (1..=3).find(|id| *id != first).unwrap();
    fill(&world, first, 95);
    fill(&world, other, 95);
    until_shown(&world, first, "vectorgate_growth_refused 1").await;
    world
        .change(first, ClusterRequest::TransferLeader(None))
        .await;
    let second = eventually("another one leads", || {
        (1..=3).find(|id| *id != first && shows(&world, *id, "vectorgate_growth_refused 1"))
    })
    .await;
    let refused = world.propose(second, create(11)).await;
    assert!(
        matches!(refused, Err(ProposeError::StorageFull { .. })),
        "{refused:?}"
    );
}
