//! Backups of a running cluster, clusters that are made of them, and one that goes on with what one member
//! had while the others come back.

use std::path::Path;
use std::sync::Arc;

use domain::machine::state_hash;
use domain::model::{Epoch, MemberId};
use domain::query;
use domain::time::{Revision, Timestamp};
use node::backup::recover::{self, Asked};
use node::backup::restore::{self, Ports};
use node::backup::{Backup, BackupError, BackupKey, Manifest, Protection, create};
use node::consensus::membership::ClusterRequest;
use node::control_plane::ControlPlane;
use node::settings::BackupSettings;
use platform::{SystemClock, SystemEntropy, TokioNetwork};
use raft_store::{Options, SimDisk, Storage};

use crate::commands::{bootstrap, create as created, has, stamped};
use crate::world::{World, eventually, pepper};

fn key() -> BackupKey {
    BackupKey::new([5; 32])
}

fn options() -> Options {
    Options {
        fatal: Arc::new(|_| ()),
    }
}

/// A cluster of three with a workspace, that signs.
async fn furnished() -> World {
    let world = World::formed().await;
    let leader = world.leader().await;
    for entry in [
        bootstrap(),
        stamped(
            90,
            node::signing::founding((&pepper(7), None), Timestamp(1), &SystemEntropy).unwrap(),
        ),
    ] {
        world.propose(leader, entry).await.unwrap().reply.unwrap();
    }
    world
}

async fn back_up(world: &World, by: u64, to: &Path) -> Result<Manifest, BackupError> {
    create::create(
        TokioNetwork,
        &world.authority.node(by).identity(),
        &world.settings(by),
        to,
        &Protection::Key(key()),
        &SystemEntropy,
    )
    .await
}

fn epoch(control: &dyn ControlPlane) -> Epoch {
    let mut epoch = Epoch(0);
    control
        .with_view(&mut |view| epoch = query::epoch(view))
        .unwrap();
    epoch
}

fn hash(control: &dyn ControlPlane) -> ([u8; 32], Revision) {
    let mut hash = [0; 32];
    let revision = control.with_view(&mut |view| hash = state_hash(view));
    (hash, revision.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_of_one_revision_and_holds_all_that_was_acknowledged_before() {
    let dir = tempfile::tempdir().unwrap();
    let world = furnished().await;
    let follower = world.follower().await;
    let leader = world.leader().await;
    let early = back_up(&world, follower, &dir.path().join("early"))
        .await
        .unwrap();
    for number in 10..40 {
        let writing = world.propose(leader, created(number)).await;
        writing.unwrap().reply.unwrap();
    }
    // Writes go on while the backup is made.
    let writes = async {
        for number in 40..80 {
            world
                .propose(leader, created(number))
                .await
                .unwrap()
                .reply
                .unwrap();
        }
    };
    let path = dir.path().join("backup");
    let (manifest, ()) = tokio::join!(back_up(&world, follower, &path), writes);
    let manifest = manifest.unwrap();
    let said = &manifest.signed.statement;
    assert!(said.revision >= early.signed.statement.revision + 30);
    assert_eq!((said.node, said.epoch), (follower, 1));

    let backup = Backup::open(&path, Some(&key())).unwrap();
    let mut rows = domain::rows::MemoryRows::default();
    backup
        .read(|some| {
            rows.0.extend(some.iter().cloned());
            Ok(())
        })
        .unwrap();
    assert_eq!(hex::encode(state_hash(&rows)), said.state_sha256);
    let upstreams = |number| {
        let id = crate::commands::upstream_id(number);
        query::upstream(&rows, &crate::commands::actor().environment_id, &id).is_some()
    };
    assert!((10..40).all(upstreams));

    // With nothing written since, it is the state that every node has.
    let path = dir.path().join("quiet");
    let manifest = back_up(&world, leader, &path).await.unwrap();
    let at = Revision(manifest.signed.statement.revision);
    for id in 1..=3 {
        world.barrier(id).await.unwrap();
        let (hash, revision) = hash(&world.consensus(id));
        assert_eq!(revision, at);
        assert_eq!(hex::encode(hash), manifest.signed.statement.state_sha256);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_or_a_workspace_there_is_no_backup() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::formed().await;
    world.leader().await;
    let path = dir.path().join("backup");
    let refused = back_up(&world, 1, &path).await.unwrap_err();
    assert_eq!(refused.exit_code(), 1, "{refused}");
    assert!(
        refused.to_string().contains("no workspace yet"),
        "{refused}"
    );
    world.kill(2);
    world.kill(3);
    let unavailable = back_up(&world, 1, &path).await.unwrap_err();
    assert_eq!(unavailable.exit_code(), 75, "{unavailable}");
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_becomes_a_new_cluster_in_a_new_epoch_which_others_join() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup");
    let mut world = furnished().await;
    let leader = world.leader().await;
    world
        .propose(leader, created(10))
        .await
        .unwrap()
        .reply
        .unwrap();
    let manifest = back_up(&world, 1, &path).await.unwrap();
    // What is written after it is not in it.
    world
        .propose(leader, created(11))
        .await
        .unwrap()
        .reply
        .unwrap();
    for id in 1..=3 {
        world.kill(id);
    }

    let member = world.settings(1).initial_members().remove(&1).unwrap();
    let wrong = restore::open(&path, Some(&key()), &member, None, &pepper(8));
    assert!(matches!(wrong.err(), Some(BackupError::Pepper(_))));
    let low = restore::open(&path, Some(&key()), &member, Some(1), &pepper(7));
    assert_eq!(low.err().map(|error| error.exit_code()), Some(1));
    let opened = restore::open(&path, Some(&key()), &member, None, &pepper(7));
    let (backup, plan) = opened.unwrap();
    assert!(!plan.written);
    assert_eq!((plan.epoch, plan.node), (2, 1));

    for id in 1..=3 {
        world.set_disk(id, crate::world::Disk::Simulated(SimDisk::new()));
    }
    let storage = || Storage::Sim(world.simulated_disk(1));
    let ports = Ports {
        keys: &pepper(7),
        clock: &SystemClock,
        entropy: &SystemEntropy,
    };
    let restored = restore::restore(&backup, &plan, member.clone(), storage(), options(), ports);
    let restored = restored.await.unwrap();
    assert!(restored.written);
    assert_eq!(
        restored.state_sha256,
        manifest.signed.statement.state_sha256
    );
    let again = restore::restore(&backup, &plan, member, storage(), options(), ports);
    assert_eq!(again.await.err().map(|error| error.exit_code()), Some(1));

    world.start(1).await;
    world.leader().await;
    world.barrier(1).await.unwrap();
    assert_eq!(epoch(&world.consensus(1)), Epoch(2));
    assert!(has(&world.consensus(1), 10));
    assert!(!has(&world.consensus(1), 11));
    world.propose(1, created(12)).await.unwrap().reply.unwrap();

    let new = world.newcomer();
    let id = new.id;
    world.start(id).await;
    world.change(1, ClusterRequest::Add(new)).await;
    world
        .until_status(1, "the new node has caught up", |status| {
            let member = status.members.iter().find(|member| member.id == id);
            member.is_some_and(|member| member.lag == Some(0))
        })
        .await;
    world.change(1, ClusterRequest::Promote(id)).await;
    world.propose(id, created(13)).await.unwrap().reply.unwrap();
    assert!(
        [10, 12, 13]
            .iter()
            .all(|number| has(&world.consensus(id), *number))
    );
    assert_eq!(epoch(&world.consensus(id)), Epoch(2));
    let status = world.status(1).await;
    assert_eq!(status.members.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_majority_that_comes_back_gets_nothing_from_the_node_that_went_on_without_it() {
    let mut world = furnished().await;
    let leader = world.leader().await;
    world
        .propose(leader, created(10))
        .await
        .unwrap()
        .reply
        .unwrap();
    for id in 1..=3 {
        world.barrier(id).await.unwrap();
    }
    for id in 1..=3 {
        world.stop(id).await;
    }
    let member = world.settings(1).initial_members().remove(&1).unwrap();
    let storage = || Storage::Sim(world.simulated_disk(1));
    let mut asked = Asked {
        cluster_id: "cl_somebody_elses".to_owned(),
        epoch: None,
        dry_run: false,
    };
    let recovering = |asked: Asked, member| {
        let storage = storage();
        async move {
            recover::recover(
                &asked,
                member,
                storage,
                options(),
                &SystemClock,
                &SystemEntropy,
            )
            .await
        }
    };
    let refused = recovering(asked.clone(), member.clone()).await.unwrap_err();
    assert_eq!(refused.exit_code(), 1);
    let said = refused.to_string();
    asked.cluster_id = said.rsplit(' ').next().unwrap().to_owned();
    asked.dry_run = true;
    let looked = recovering(asked.clone(), member.clone()).await.unwrap();
    assert_eq!((looked.written, looked.epoch), (false, 2));
    assert_eq!(looked.lost, [2, 3]);
    asked.dry_run = false;
    let recovered = recovering(asked, member).await.unwrap();
    assert!(recovered.written);

    world.start(1).await;
    world.leader().await;
    world.propose(1, created(11)).await.unwrap().reply.unwrap();
    assert!(has(&world.consensus(1), 10) && has(&world.consensus(1), 11));
    let mut retired = Vec::new();
    let consensus = world.consensus(1);
    consensus
        .with_view(&mut |view| retired = query::retired_members(view).into_keys().collect())
        .unwrap();
    assert_eq!(retired, [MemberId(2), MemberId(3)]);

    // The others are two of three, and agree with one another.
    world.start(2).await;
    world.start(3).await;
    let old = eventually("the old majority has a leader", || {
        let leader = world.consensus(2).leader();
        leader.filter(|leader| *leader != 1 && world.consensus(3).leader() == Some(*leader))
    })
    .await;
    world
        .propose(old, created(12))
        .await
        .unwrap()
        .reply
        .unwrap();
    let term = world.consensus(1).readiness().term;
    for number in 20..30 {
        world
            .propose(old, created(number))
            .await
            .unwrap()
            .reply
            .unwrap();
        world
            .propose(1, created(number + 100))
            .await
            .unwrap()
            .reply
            .unwrap();
    }
    assert_eq!(world.consensus(1).leader(), Some(1));
    assert!((20..30).all(|number| !has(&world.consensus(1), number)));
    assert!((20..30).all(|number| !has(&world.consensus(old), number + 100)));
    assert_eq!(world.consensus(1).readiness().term, term);
    world
        .until_status(
            old,
            "the survivor answers the old leader nothing",
            |status| {
                let member = status.members.iter().find(|member| member.id == 1);
                member.is_some_and(|member| member.alive == Some(false))
            },
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leads_makes_backups_by_itself_and_keeps_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(1);
    world.backup = Some(BackupSettings {
        directory: dir.path().join("backups"),
        every_minutes: 60,
        keep: 2,
        key_file: None,
        plain: true,
    });
    let old = dir.path().join("backups/backup-1");
    std::fs::create_dir_all(&old).unwrap();
    world.start(1).await;
    world.leader().await;
    for entry in [
        bootstrap(),
        stamped(
            90,
            node::signing::founding((&pepper(7), None), Timestamp(1), &SystemEntropy).unwrap(),
        ),
    ] {
        world.propose(1, entry).await.unwrap().reply.unwrap();
    }
    let made = eventually("a backup is made", || {
        let folders = std::fs::read_dir(dir.path().join("backups")).unwrap();
        folders
            .map(|folder| folder.unwrap().path())
            .find(|path| path.join("manifest.json").exists())
    })
    .await;
    let backup = Backup::open(&made, None).unwrap();
    backup.verify().unwrap();
    assert!(!old.exists(), "what broke off stays");
    let metrics = world.metrics(1);
    assert!(
        metrics.contains("vectorgate_backup_interval_seconds 3600"),
        "{metrics}"
    );
}
