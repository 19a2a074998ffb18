//! Nodes that join, vote, lose their vote and leave, as operators ask.

use std::collections::BTreeSet;

use domain::command::{ChangeCluster, Command};
use domain::model::{ClusterChange, MemberId};
use node::consensus::membership::command::{Operator, OperatorError};
use node::consensus::membership::{
    ClusterError, ClusterReply, ClusterRequest, ClusterStatus, Role,
};
use node::control_plane::ControlPlane;
use node::doctor;
use node::halt::FatalReason;
use platform::{SystemClock, TokioNetwork};
use raft_store::SimDisk;

use crate::commands::{bootstrap, create, has, stamped};
use crate::world::{Disk, World, eventually, fate};

fn voters(status: &ClusterStatus) -> BTreeSet<u64> {
    let votes = |role| matches!(role, Role::Leader | Role::Voter);
    let members = status.members.iter();
    members
        .filter(|member| votes(member.role))
        .map(|member| member.id)
        .collect()
}

fn is_caught_up(status: &ClusterStatus, id: u64) -> bool {
    let member = status.members.iter().find(|member| member.id == id);
    member.is_some_and(|member| member.alive == Some(true) && member.lag == Some(0))
}

/// Three nodes with some data.
async fn furnished() -> World {
    let world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    for number in 10..20 {
        world
            .propose(1, create(number))
            .await
            .unwrap()
            .reply
            .unwrap();
    }
    world
}

/// The same, and a fourth node that was added and has caught up.
async fn with_learner() -> World {
    let mut world = furnished().await;
    let new = world.newcomer();
    world.start(4).await;
    world.change(1, ClusterRequest::Add(new)).await;
    world
        .until_status(1, "node 4 catches up", |status| is_caught_up(status, 4))
        .await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_as_a_learner_serves_votes_and_leaves_for_good() {
    let mut world = furnished().await;
    let new = world.newcomer();
    let follower = world.follower().await;
    let end = world.start(4).await;
    assert!(!world.consensus(4).has_joined());
    let done = world
        .change(follower, ClusterRequest::Add(new.clone()))
        .await;
    assert!(done.changed, "{done:?}");
    let status = world
        .until_status(4, "node 4 catches up", |status| is_caught_up(status, 4))
        .await;
    assert_eq!(voters(&status), BTreeSet::from([1, 2, 3]));
    let joined = &status.members[3];
    assert_eq!(
        (joined.role, joined.region.as_str(), &joined.internal),
        (Role::Learner, "region-4", &new.internal)
    );
    // A learner answers reads and passes writes on.
    world.barrier(4).await.unwrap();
    assert!(world.consensus(4).has_joined());
    assert!((10..20).all(|number| has(&world.consensus(4), number)));
    world.propose(4, create(20)).await.unwrap().reply.unwrap();
    assert!(has(&world.consensus(4), 20));
    let known: Vec<_> = world.consensus(2).members();
    assert_eq!(known.len(), 4, "everybody knows where it is");

    let again = world.change(1, ClusterRequest::Add(new.clone())).await;
    assert!(!again.changed, "asking twice does no harm");
    world.change(4, ClusterRequest::Promote(4)).await;
    let at_rest = |status: &ClusterStatus| status.under_way.is_none();
    let status = world.until_status(1, "node 4 votes", at_rest).await;
    assert_eq!(voters(&status), BTreeSet::from([1, 2, 3, 4]));
    world.change(2, ClusterRequest::Demote(4)).await;
    let status = world.until_status(1, "node 4 votes no more", at_rest).await;
    assert_eq!(voters(&status), BTreeSet::from([1, 2, 3]));
    world.change(3, ClusterRequest::Remove(4)).await;
    let status = world.until_status(1, "node 4 is gone", at_rest).await;
    assert!(status.members.iter().all(|member| member.id != 4));

    assert_eq!(fate(end).await, FatalReason::Removed(4));
    let again = world.change(1, ClusterRequest::Remove(4)).await;
    assert!(!again.changed);
    let refused = world.refused(1, ClusterRequest::Add(new)).await;
    assert_eq!(refused, "id_used_before");
    world.kill(4);
    world.set_disk(4, Disk::Simulated(SimDisk::new()));
    let end = world.start(4).await;
    assert_eq!(fate(end).await, FatalReason::UsedBefore(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_there_or_not_empty_is_not_added() {
    let mut world = furnished().await;
    let new = world.newcomer();
    let refused = world.refused(1, ClusterRequest::Add(new.clone())).await;
    assert_eq!(refused, "node_not_ready");
    let mut disguised = new.clone();
    disguised.internal.clone_from(&world.members[1].internal);
    let refused = world.refused(1, ClusterRequest::Add(disguised)).await;
    assert_eq!(refused, "node_not_ready", "another node answers there");
    // What was refused has changed nothing: it can still be added.
    world.start(4).await;
    world.change(1, ClusterRequest::Add(new)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_member_that_loses_its_disk_is_told_to_come_back_under_another_number() {
    let mut world = with_learner().await;
    world.kill(4);
    world.set_disk(4, Disk::Simulated(SimDisk::new()));
    for _ in 0..2 {
        let end = world.start(4).await;
        assert_eq!(fate(end).await, FatalReason::DiskLost(4));
        world.kill(4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_member_that_dies_before_it_caught_up_goes_on_where_it_was() {
    let mut world = furnished().await;
    let new = world.newcomer();
    world.start(4).await;
    world.change(1, ClusterRequest::Add(new)).await;
    world.kill(4);
    world.propose(1, create(30)).await.unwrap().reply.unwrap();
    world.start(4).await;
    world.barrier(4).await.unwrap();
    assert!(has(&world.consensus(4), 30));
}

/// Codes of what is wrong, and the node that it is about. How full the disk of the machine is that tests run on is its matter.
async fn diagnosis(operator: &Operator) -> Vec<(&'static str, Option<u64>)> {
    let facts = doctor::examine(operator, &SystemClock).await;
    let findings = doctor::diagnose(&facts).into_iter();
    let findings = findings.map(|finding| (finding.code, finding.node));
    findings.filter(|(code, _)| *code != "disk_full").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_nothing_and_then_the_nodes_that_are_gone() {
    let mut world = furnished().await;
    let operator = Operator::new(
        TokioNetwork,
        &world.authority.node(1).identity(),
        &world.settings(1),
        "doctor",
    )
    .unwrap();
    // All nodes of this world are in one region.
    let at_risk = ("risk", None);
    let well = diagnosis(&operator).await;
    assert!(well.iter().all(|found| *found == at_risk), "{well:?}");

    let leader = world.leader().await;
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    world.kill(others[0]);
    let found = diagnosis(&operator).await;
    assert!(
        found.contains(&("node_silent", Some(others[0]))),
        "{found:?}"
    );
    assert!(
        !found.iter().any(|(code, _)| *code == "no_quorum"),
        "{found:?}"
    );

    world.kill(others[1]);
    let found = diagnosis(&operator).await;
    let expected = [
        ("no_quorum", None),
        ("node_silent", Some(others[0])),
        ("node_silent", Some(others[1])),
    ];
    assert!(expected.iter().all(|it| found.contains(it)), "{found:?}");
    assert_eq!(found[0], expected[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_is_replaced_by_one_command_which_can_be_run_again() {
    let mut world = furnished().await;
    let dead = world.follower().await;
    world.kill(dead);
    let new = world.newcomer();
    world.start(4).await;
    let operator = Operator::new(
        TokioNetwork,
        &world.authority.node(4).identity(),
        &world.settings(4),
        "members replace",
    )
    .unwrap();
    let done = operator.replace(dead, new.clone(), |_| {}).await.unwrap();
    assert!(done.changed, "{done:?}");
    let status = operator.status().await.unwrap();
    let expected: BTreeSet<u64> = (1..=4).filter(|id| *id != dead).collect();
    assert_eq!(voters(&status), expected);
    assert_eq!(status.members.len(), 3);
    let again = operator.replace(dead, new, |_| {}).await.unwrap();
    assert!(!again.changed, "{again:?}");
    world.propose(4, create(40)).await.unwrap().reply.unwrap();
    let changes = operator.changes().await.unwrap();
    assert_eq!(changes[0].change, format!("replace node {dead} by node 4"));
    assert_eq!(changes[0].by.path, "members replace");

    // The dead one comes back with the disk that it had.
    let end = world.start(dead).await;
    assert_eq!(fate(end).await, FatalReason::Removed(dead));
    assert_eq!(voters(&world.status(4).await), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_that_would_lose_the_quorum() {
    let mut world = furnished().await;
    let leader = world.leader().await;
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    world.kill(others[0]);
    world
        .until_status(leader, "the dead one is missed", |status| {
            status
                .risks
                .iter()
                .any(|risk| risk.contains("do not answer"))
        })
        .await;
    for request in [
        ClusterRequest::Remove(others[1]),
        ClusterRequest::Demote(others[1]),
        ClusterRequest::Remove(leader),
        ClusterRequest::Demote(leader),
    ] {
        let refused = world.refused(others[1], request).await;
        assert_eq!(refused, "would_lose_quorum");
    }
    let refused = world
        .refused(leader, ClusterRequest::TransferLeader(Some(others[0])))
        .await;
    assert_eq!(refused, "member_silent");
    let done = world
        .change(leader, ClusterRequest::Remove(others[0]))
        .await;
    assert!(
        done.risks
            .iter()
            .any(|risk| risk.contains("any one more voter")),
        "{done:?}"
    );
    world.kill(others[1]);
    let answer = world.ask(leader, ClusterRequest::Remove(others[1])).await;
    assert!(
        matches!(
            answer,
            Err(ClusterError::Unavailable { .. } | ClusterError::Refused { .. })
        ),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_changes_that_are_asked_for_at_once_one_is_made_at_a_time() {
    let world = with_learner().await;
    let wishes = [
        ClusterRequest::Promote(4),
        ClusterRequest::Demote(2),
        ClusterRequest::Demote(3),
        ClusterRequest::PreferRegion(Some("region-1".to_owned())),
        ClusterRequest::Promote(4),
        ClusterRequest::Remove(2),
    ];
    let asked = wishes.iter().zip(1..).map(|(wish, number)| {
        let through = number % 4 + 1;
        world.ask(through, wish.clone())
    });
    let answers = futures_util::future::join_all(asked).await;
    let mut made = 0;
    for (wish, answer) in wishes.iter().zip(answers) {
        match answer {
            Ok(ClusterReply::Done(_)) => made += 1,
            Err(ClusterError::Refused { code, .. }) => assert!(
                [
                    "change_in_progress",
                    "change_unfinished",
                    "unknown_member",
                    "being_removed"
                ]
                .contains(&code.as_str()),
                "{wish:?}: {code}"
            ),
            // A leader that is demoted hands over, and is asked again.
            Err(ClusterError::Unavailable { .. } | ClusterError::Unfinished { .. }) => {}
            other => panic!("{wish:?}: {other:?}"),
        }
    }
    assert!(made > 0);
    let status = world
        .until_status(1, "the membership is settled", |status| {
            status.under_way.is_none() && status.leader.is_some()
        })
        .await;
    assert!(!voters(&status).is_empty());
    let through = status.leader.unwrap();
    world
        .propose(through, create(60))
        .await
        .unwrap()
        .reply
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_was_left_half_done_is_finished_by_whoever_leads() {
    let world = with_learner().await;
    world.change(1, ClusterRequest::Promote(4)).await;
    let leader = world.leader().await;
    let leaving = (1..=4).find(|id| *id != leader).unwrap();
    // As a leader leaves it that dies after it has written down what it is about to do.
    let change = ClusterChange::MemberRetired {
        member: MemberId(leaving),
        replaced_by: None,
    };
    let retire = stamped(70, Command::ChangeCluster(ChangeCluster { change }));
    world.propose(leader, retire).await.unwrap().reply.unwrap();
    let consensus = world.consensus(leader);
    eventually("the member is gone", || {
        let members = consensus.members();
        members
            .iter()
            .all(|member| member.id != leaving)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_nodes_may_ask() {
    let world = furnished().await;
    let edge = world.authority.edge("edge-1").identity();
    let operator = Operator::new(TokioNetwork, &edge, &world.settings(1), "status").unwrap();
    let answer = operator.status().await;
    assert!(
        matches!(
            answer,
            Err(OperatorError::Cluster(ClusterError::Unavailable { .. }))
        ),
        "{answer:?}"
    );
}
