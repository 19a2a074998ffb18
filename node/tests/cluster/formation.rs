//! How clusters come to be, and which nodes are kept out.

use std::time::Duration;

use domain::model::Plan;
use domain::rejection::Rejection;
use node::assembly::StartError;
use node::bootstrap::command::{self, BootstrapError};
use node::control_plane::ControlPlane;
use node::halt::FatalReason;
use platform::TokioNetwork;
use raft_store::SimDisk;

use crate::commands::{bootstrap, create, has};
use crate::world::{Disk, World, eventually, fate, pepper};

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_on_rocksdb_form_a_cluster_and_keep_what_they_were_told_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(3);
    for id in 1..=3 {
        world.set_disk(id, Disk::Real(dir.path().join(id.to_string())));
    }
    world.start_all().await;
    world.leader().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    for (number, id) in [(10, 1), (11, 2), (12, 3)] {
        world
            .propose(id, create(number))
            .await
            .unwrap()
            .reply
            .unwrap();
        assert!(
            has(&world.consensus(id), number),
            "node {id} reads its own write"
        );
    }
    for id in 1..=3 {
        world.stop(id).await;
    }
    world.start_all().await;
    world.leader().await;
    for id in 1..=3 {
        world.barrier(id).await.unwrap();
        for number in 10..=12 {
            assert!(has(&world.consensus(id), number), "node {id} has {number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_forms_a_cluster_before_all_initial_members_have_answered() {
    let mut world = World::new(3);
    world.start(1).await;
    world.start(2).await;
    // Two of three would be a quorum. It must not be enough: node 3 may have the data.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.consensus(1).leader(), None);
    assert!(!world.consensus(1).raft().is_initialized().await.unwrap());
    world.start(3).await;
    world.leader().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_node_is_a_cluster() {
    let mut world = World::new(1);
    world.start(1).await;
    assert_eq!(world.leader().await, 1);
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    world.barrier(1).await.unwrap();
    let metrics = world.metrics(1);
    for line in [
        "vectorgate_raft_is_leader 1",
        "vectorgate_proposals_total{outcome=\"done\"} 1",
        "vectorgate_log_syncs_total ",
    ] {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }
}

/// Contract: D-19, D-20.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_workspace_is_made_once_and_its_keys_are_good() {
    let world = World::formed().await;
    let identity = world.authority.node(2).identity();
    let settings = world.settings(2);
    let made = command::run(TokioNetwork, &identity, &settings, "Acme")
        .await
        .unwrap();
    let live = made.environments.production.api_key;
    assert!(live.starts_with("vg_live_sk_v2_"));
    assert!(
        made.environments
            .sandbox
            .api_key
            .starts_with("vg_test_sk_v2_")
    );

    let keys = pepper(7);
    let hash = keys.hash(node::keys::PresentedKey::parse(&live).unwrap());
    let control: &dyn ControlPlane = &world.consensus(3);
    world.barrier(3).await.unwrap();
    let (found, _) = control
        .read_local(|view| domain::query::api_key_by_hash(view, &hash))
        .unwrap();
    let found = found.unwrap();
    assert_eq!(
        found.environment_id.to_string(),
        made.environments.production.id
    );
    let (workspace, _) = control
        .read_local(|view| domain::query::workspace(view, &found.workspace_id))
        .unwrap();
    assert_eq!(workspace.unwrap().plan, Plan::Enterprise);

    let again = command::run(TokioNetwork, &identity, &settings, "Acme").await;
    assert!(matches!(again, Err(BootstrapError::Already)), "{again:?}");
    let again = world.propose(1, bootstrap()).await.unwrap();
    assert_eq!(again.reply, Err(Rejection::AlreadyBootstrapped));
    let unnamed = command::run(TokioNetwork, &identity, &settings, "").await;
    assert!(
        matches!(unnamed, Err(BootstrapError::Refused(_))),
        "{unnamed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_node_may_ask_and_nobody_may_answer_for_another_node() {
    let world = World::formed().await;
    let mut settings = world.settings(2);
    let edge = world.authority.edge("edge-1").identity();
    let answer = command::run(TokioNetwork, &edge, &settings, "Acme").await;
    assert!(answer.is_err(), "{answer:?}");

    // The addresses of two members are swapped: each answers as itself, which is not who is meant.
    let node = world.authority.node(2).identity();
    settings.cluster.members.truncate(2);
    let first = settings.cluster.members[0].internal.clone();
    settings.cluster.members[0].internal = settings.cluster.members[1].internal.clone();
    settings.cluster.members[1].internal = first;
    let answer = command::run(TokioNetwork, &node, &settings, "Acme").await;
    let Err(BootstrapError::Unavailable(reason)) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        reason.contains("not node 1") && reason.contains("not node 2"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lost_its_disk_ends_instead_of_voting() {
    let mut world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let lost = world.follower().await;
    world.kill(lost);
    world.set_disk(lost, Disk::Simulated(SimDisk::new()));
    let end = world.start(lost).await;
    assert_eq!(fate(end).await, FatalReason::DiskLost(lost));
    let raft = world.consensus(lost).raft().clone();
    assert!(
        !raft.is_initialized().await.unwrap(),
        "it took nothing from the leader"
    );
    // Its supervisor starts it again, and by now the disk is not as new as it was.
    world.kill(lost);
    let end = world.start(lost).await;
    assert_eq!(fate(end).await, FatalReason::DiskLost(lost));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_pepper_neither_joins_nor_serves() {
    let mut world = World::new(3);
    world.start(2).await;
    world.start(3).await;
    let end = world.start_with(1, pepper(8)).await.unwrap();
    assert_eq!(fate(end).await, FatalReason::Pepper(pepper(7).wanted()));
    world.kill(1);
    world.start(1).await;
    world.leader().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    eventually("node 2 knows the pepper", || {
        let control: &dyn ControlPlane = &world.consensus(2);
        control
            .read_local(|view| domain::query::pepper_check(view))
            .unwrap()
            .0
    })
    .await;
    world.stop(2).await;
    let refused = world.start_with(2, pepper(8)).await;
    let Err(StartError::Consensus(error)) = refused else {
        panic!("it started")
    };
    assert!(
        error.to_string().contains("security.pepper_file"),
        "{error}"
    );
    assert_eq!(StartError::Consensus(error).exit_code(), 64);
}
