//! Who leads, and how leadership moves: as operators ask, as they prefer, and when a leader stops.

use std::collections::BTreeSet;
use std::time::Duration;

use node::consensus::membership::{ClusterRequest, Role};
use node::control_plane::ControlPlane;

use crate::commands::{bootstrap, create, has};
use crate::world::{World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn leadership_goes_round_while_clients_write_and_nothing_is_lost() {
    let world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let mut written = BTreeSet::new();
    for round in 0..6_u64 {
        let leader = world.leader().await;
        let to = leader % 3 + 1;
        let writes = (0..20).map(|number| {
            let number = 1000 + round * 100 + number;
            let write = world.propose(number % 3 + 1, create(number));
            async move { (number, write.await) }
        });
        let (done, outcomes) = tokio::join!(
            world.change(leader, ClusterRequest::TransferLeader(Some(to))),
            futures_util::future::join_all(writes),
        );
        assert!(done.changed);
        assert_eq!(world.leader().await, to);
        let acknowledged = outcomes
            .into_iter()
            .filter_map(|(number, outcome)| outcome.ok().map(|_| number));
        written.extend(acknowledged);
    }
    assert!(!written.is_empty());
    for id in 1..=3 {
        world.barrier(id).await.unwrap();
        let missing: Vec<_> = written
            .iter()
            .filter(|number| !has(&world.consensus(id), **number))
            .collect();
        assert!(missing.is_empty(), "node {id} lacks {missing:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_removed_hands_over_first() {
    let mut world = World::new(4);
    world.start_all().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let leader = world.leader().await;
    let through = leader % 4 + 1;
    let done = world.change(through, ClusterRequest::Remove(leader)).await;
    assert!(done.changed, "{done:?}");
    let status = world.status(through).await;
    assert!(status.leader.is_some_and(|now| now != leader));
    assert!(status.members.iter().all(|member| member.id != leader));
    world
        .propose(through, create(5))
        .await
        .unwrap()
        .reply
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_moves_to_the_preferred_region_by_itself_and_stays() {
    let world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let leader = world.leader().await;
    let wanted = leader % 3 + 1;
    let region = Some(format!("region-{wanted}"));
    let prefer = ClusterRequest::PreferRegion(region.clone());
    assert!(world.change(leader, prefer.clone()).await.changed);
    assert!(!world.change(wanted, prefer).await.changed);
    let nowhere = ClusterRequest::PreferRegion(Some("region-9".to_owned()));
    assert_eq!(world.refused(leader, nowhere).await, "no_voter_there");
    let consensus = world.consensus(leader);
    eventually("the preferred region leads", || {
        (consensus.leader() == Some(wanted)).then_some(())
    })
    .await;
    assert_eq!(world.leader().await, wanted);
    let status = world.status(leader).await;
    assert_eq!(status.preferred_region, region);
    let role = |id: u64| {
        let member = status.members.iter().find(|member| member.id == id);
        member.unwrap().role
    };
    assert_eq!((role(wanted), role(leader)), (Role::Leader, Role::Voter));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_told_to_stop_leaves_a_leader_behind() {
    let mut world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let leader = world.leader().await;
    let through = leader % 3 + 1;
    let terms_before = world.consensus(through).readiness().term;
    world.stop(leader).await;
    let next = world.consensus(through).leader();
    assert!(
        next.is_some_and(|next| next != leader),
        "nobody waits for an election: {next:?}"
    );
    assert_eq!(world.consensus(through).readiness().term, terms_before + 1);
    world
        .propose(through, create(9))
        .await
        .unwrap()
        .reply
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_leader_still_says_what_it_knows() {
    let mut world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    world.kill(1);
    world.kill(2);
    eventually("node 3 misses its leader", || {
        let readiness = world.consensus(3).readiness();
        let silent = readiness
            .last_contact
            .is_none_or(|ago| ago > Duration::from_secs(2));
        silent.then_some(())
    })
    .await;
    let status = world.status(3).await;
    assert_eq!(status.members.len(), 3);
    assert_eq!(status.answered_by, 3);
    assert!(!status.risks.is_empty(), "{status:?}");
}
