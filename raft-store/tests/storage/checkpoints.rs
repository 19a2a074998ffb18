//! Checkpoints: made while entries are applied, sent in chunks, installed as a whole or not at all.

use std::sync::Arc;
use std::sync::mpsc::channel;

use openraft::storage::{RaftLogStorage, RaftSnapshotBuilder, RaftStateMachine};
use raft_store::{CheckpointManifest, ReceiveError, SimDisk};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{Node, applied_to, entries, expected_hash, log_id, transfer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_made_while_entries_are_applied_is_exactly_the_state_at_its_log_id() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut node = Node::rocks(from.path()).unwrap();
    let mut checkpoints = Vec::new();
    let mut next = 0;
    for _ in 0..10 {
        node.apply(entries(1, next..next + 30)).await.unwrap();
        next += 30;
        let mut builder = node
            .machine
            .try_create_snapshot_builder(true)
            .await
            .unwrap();
        let building =
            tokio::spawn(async move { builder.build_snapshot().await.unwrap().snapshot });
        while !building.is_finished() {
            node.apply(entries(1, next..next + 1)).await.unwrap();
            next += 1;
        }
        checkpoints.push(building.await.unwrap());
    }
    let current = node.machine.get_current_snapshot().await.unwrap().unwrap();
    assert_eq!(
        current.meta,
        checkpoints.last().unwrap().meta(),
        "the newest one is kept"
    );

    let mut follower = Node::rocks(to.path()).unwrap();
    let mut installed = None;
    for checkpoint in checkpoints {
        let meta = checkpoint.meta();
        if meta.last_log_id == installed {
            continue;
        }
        let received = transfer(&checkpoint, &follower.checkpoints, 1000).await;
        assert_eq!(received.meta(), meta);
        follower.install(received).await.unwrap();
        installed = meta.last_log_id;
        assert_eq!(follower.applied().await, installed);
        assert_eq!(
            follower.machine.applied_state().await.unwrap().1,
            meta.last_membership
        );
        follower.check_state().await;
    }
    let last = installed.unwrap().index;
    // As consensus does: the log goes on from what was installed.
    follower.log.purge(installed.unwrap()).await.unwrap();
    let more = || entries(1, last + 1..last + 300);
    follower.append(more()).await.unwrap();
    follower.apply(more()).await.unwrap();
    follower.check_state().await;
    node.close();
    follower.close();
    let mut follower = Node::rocks(to.path()).unwrap();
    assert_eq!(
        follower.applied().await.map(|applied| applied.index),
        Some(last + 299)
    );
    follower.check_state().await;
    let current = follower
        .machine
        .get_current_snapshot()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        current.meta.last_log_id, installed,
        "what was installed can be sent on after a restart"
    );
    follower.close();
}

#[tokio::test]
async fn one_checkpoint_is_kept_and_a_second_one_of_the_same_state_is_the_first() {
    let disk = SimDisk::new();
    let mut node = Node::sim(&disk).unwrap();
    node.apply(entries(1, 0..20)).await.unwrap();
    let first = node.checkpoint().await.unwrap();
    let again = node.checkpoint().await.unwrap();
    assert_eq!(format!("{again:?}"), format!("{first:?}"));
    node.apply(entries(1, 20..30)).await.unwrap();
    node.checkpoint().await.unwrap();
    // The first one is obsolete, but still held, so that sending it can go on.
    assert!(!first.read_chunk(0, 0, 9).unwrap().is_empty());
    drop((first, again, node));
    let mut node = Node::sim(&disk).unwrap();
    let current = node.machine.get_current_snapshot().await.unwrap().unwrap();
    assert_eq!(current.meta.last_log_id, Some(log_id(1, 29)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn obsolete_checkpoints_and_generations_leave_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let names = |path: &str| {
        let mut names: Vec<_> = std::fs::read_dir(dir.path().join(path))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let mut node = Node::rocks(dir.path()).unwrap();
    node.apply(entries(1, 0..10)).await.unwrap();
    drop(node.checkpoint().await.unwrap());
    let leader = applied_to(1, 40).await;
    assert_eq!(names("checkpoints").len(), 1);
    drop(leader);
    // A checkpoint of the other engine cannot be opened as a RocksDB database, so the one that is
    // installed comes from a second RocksDB.
    let other = tempfile::tempdir().unwrap();
    let mut leader = Node::rocks(other.path()).unwrap();
    leader.apply(entries(1, 0..41)).await.unwrap();
    let checkpoint = leader.checkpoint().await.unwrap();
    let received = transfer(&checkpoint, &node.checkpoints, 1 << 20).await;
    node.install(received).await.unwrap();
    assert_eq!(names("checkpoints").len(), 1);
    assert_eq!(names("state"), ["00000000000000000002", "CURRENT"]);
    // What was begun and given up leaves nothing either.
    drop(
        node.checkpoints
            .begin(checkpoint.manifest().clone())
            .unwrap(),
    );
    let unused = transfer(&checkpoint, &node.checkpoints, 1 << 20).await;
    assert_eq!(names("checkpoints").len(), 2);
    drop(unused);
    assert_eq!(names("checkpoints").len(), 1);
    node.close();
    leader.close();
}

#[tokio::test]
async fn a_reader_sees_one_state_from_beginning_to_end_of_a_read_across_an_installation() {
    let mut node = applied_to(1, 9).await;
    let mut leader = applied_to(1, 60).await;
    let checkpoint = transfer(&leader.checkpoint().await.unwrap(), &node.checkpoints, 100).await;
    let (entered, wait_entered) = channel();
    let (go_on, wait_go_on) = channel();
    let reader = node.reader.clone();
    let reading = std::thread::spawn(move || {
        reader.read_at(|view| {
            let before = domain::machine::state_hash(view);
            entered.send(()).unwrap();
            wait_go_on.recv().unwrap();
            (before, domain::machine::state_hash(view))
        })
    });
    wait_entered.recv().unwrap();
    let applied = node.reader.applied();
    node.install(checkpoint).await.unwrap();
    assert_eq!(applied.borrow().0, 60);
    assert_eq!(node.reader.read_at(|_| ()).unwrap().1.0, 60);
    assert_eq!(node.hash(), expected_hash(Some(60)));
    go_on.send(()).unwrap();
    let ((before, after), revision) = reading.join().unwrap().unwrap();
    assert_eq!(
        (before, after, revision.0),
        (expected_hash(Some(9)), expected_hash(Some(9)), 9)
    );
}

#[tokio::test]
async fn what_is_received_is_checked_against_the_manifest() {
    let node = applied_to(1, 5).await;
    let mut leader = applied_to(1, 60).await;
    let checkpoint = leader.checkpoint().await.unwrap();
    let manifest = checkpoint.manifest();
    assert!(manifest.files().len() > 1, "the test wants several files");
    let chunk = checkpoint.read_chunk(0, 0, usize::MAX).unwrap();
    let refused = |result: Result<(), ReceiveError>, word: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, ReceiveError::Protocol(_)), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    };
    let begin = || node.checkpoints.begin(manifest.clone()).unwrap();

    let mut flipped = chunk.clone();
    flipped[3] ^= 1;
    refused(begin().write_chunk(0, 0, &flipped), "hash");
    refused(begin().write_chunk(1, 0, &chunk), "instead");
    refused(begin().write_chunk(0, 1, &chunk), "instead");
    let mut long = chunk.clone();
    long.push(0);
    refused(begin().write_chunk(0, 0, &long), "too many");
    let mut receiver = begin();
    receiver.write_chunk(0, 0, &chunk).unwrap();
    refused(receiver.write_chunk(0, 0, &chunk), "instead");
    refused(receiver.finish().await.map(|_| ()), "files came");
    refused(begin().write_chunk(999, 0, &chunk), "instead");
    assert!(
        node.faults.lock().is_empty(),
        "a sender's mistakes do not stop the node"
    );
}

#[tokio::test]
async fn damage_on_the_senders_disk_is_not_passed_on() {
    let disk = SimDisk::new();
    let mut leader = Node::sim(&disk).unwrap();
    leader.apply(entries(1, 0..60)).await.unwrap();
    let checkpoint = leader.checkpoint().await.unwrap();
    assert!(disk.flip("checkpoints/00000000000000000002/data/000000.rows", 20, 4));
    let node = applied_to(1, 5).await;
    let mut receiver = node
        .checkpoints
        .begin(checkpoint.manifest().clone())
        .unwrap();
    let chunk = checkpoint.read_chunk(0, 0, usize::MAX).unwrap();
    assert!(
        receiver
            .write_chunk(0, 0, &chunk)
            .unwrap_err()
            .to_string()
            .contains("hash")
    );
}

#[tokio::test]
async fn a_manifest_that_lies_about_where_it_stands_is_not_installed() {
    let mut node = applied_to(1, 5).await;
    let mut leader = applied_to(1, 60).await;
    let checkpoint = transfer(&leader.checkpoint().await.unwrap(), &node.checkpoints, 100).await;
    let mut meta = checkpoint.meta();
    meta.last_log_id = Some(log_id(1, 61));
    assert!(
        node.machine
            .install_snapshot(&meta, checkpoint)
            .await
            .is_err()
    );
    assert_eq!(node.faults.lock().len(), 1);
}

/// Interrupts an installation at each write and each sync, and crashes.
#[tokio::test]
async fn an_interrupted_installation_leaves_the_old_state_or_the_new_one() {
    let mut leader = applied_to(2, 80).await;
    let checkpoint = leader.checkpoint().await.unwrap();
    let manifest = CheckpointManifest::decode(&checkpoint.manifest().encode()).unwrap();
    assert_eq!(manifest, *checkpoint.manifest());
    let (mut old, mut new) = (0, 0);
    for (kind, arm) in [SimDisk::fail_write_after, SimDisk::fail_sync_after]
        .iter()
        .enumerate()
    {
        for number in 0.. {
            let disk = SimDisk::new();
            let mut node = Node::sim(&disk).unwrap();
            node.append(entries(1, 0..30)).await.unwrap();
            node.apply(entries(1, 0..20)).await.unwrap();
            node.checkpoint().await.unwrap();
            let received = transfer(&checkpoint, &node.checkpoints, 1 << 20).await;
            arm(&disk, number);
            let result = node.install(received).await;
            disk.crash(&mut ChaCha8Rng::seed_from_u64(number * 2 + kind as u64));
            drop(node);
            let mut node = Node::sim(&disk).unwrap();
            let found = node.machine.get_current_snapshot().await.unwrap().unwrap();
            let applied = node.applied().await;
            assert_eq!(
                found.meta.last_log_id, applied,
                "the checkpoint that goes with the state"
            );
            node.recover().await.unwrap();
            let applied = node.applied().await.unwrap().index;
            node.check_state().await;
            let current = node.machine.get_current_snapshot().await.unwrap().unwrap();
            match applied {
                80 => new += 1,
                // What was applied after the checkpoint of 19 was durable by it.
                19 => old += 1,
                other => panic!("applied up to {other}"),
            }
            assert!(current.meta.last_log_id.unwrap().index <= applied);
            if applied == 80 {
                assert_eq!(
                    node.last().await,
                    Some(log_id(2, 80)),
                    "consensus purges what the checkpoint covers"
                );
            } else {
                assert!(result.is_err(), "an acknowledged installation was lost");
            }
            if result.is_ok() {
                break;
            }
        }
    }
    assert!(old > 5 && new >= 2, "{old} old, {new} new");
}

#[tokio::test]
async fn a_checkpoint_makes_the_state_durable_before_the_log_may_be_purged() {
    for seed in 0..50 {
        let disk = SimDisk::new();
        let mut node = Node::sim(&disk).unwrap();
        node.append(entries(1, 0..50)).await.unwrap();
        node.apply(entries(1, 0..30)).await.unwrap();
        let checkpoint = node.checkpoint().await.unwrap();
        node.apply(entries(1, 30..50)).await.unwrap();
        node.log
            .purge(checkpoint.meta().last_log_id.unwrap())
            .await
            .unwrap();
        disk.crash(&mut ChaCha8Rng::seed_from_u64(seed));
        let mut node = Node::sim(&disk).unwrap();
        assert!(node.applied().await >= Some(log_id(1, 29)));
        node.check_state().await;
        node.recover().await.unwrap();
    }
}

#[tokio::test]
async fn a_checkpoint_outlives_the_state_it_was_made_of() {
    let mut node = applied_to(1, 30).await;
    let checkpoint = Arc::new(node.checkpoint().await.unwrap());
    let mut leader = applied_to(1, 60).await;
    let newer = transfer(&leader.checkpoint().await.unwrap(), &node.checkpoints, 100).await;
    node.install(newer).await.unwrap();
    let mut other = Node::sim(&SimDisk::new()).unwrap();
    let received = transfer(&checkpoint, &other.checkpoints, 77).await;
    other.install(received).await.unwrap();
    assert_eq!(other.hash(), expected_hash(Some(30)));
}

/// Others may have committed what this disk never had of the log: its log then begins behind the state, and nobody
/// who gets an older checkpoint from here could go on by it.
#[tokio::test]
async fn a_checkpoint_that_the_log_does_not_go_on_from_is_made_anew() {
    for purged_before in [false, true] {
        let disk = SimDisk::new();
        let mut node = Node::sim(&disk).unwrap();
        node.append(entries(1, 0..20)).await.unwrap();
        node.apply(entries(1, 0..20)).await.unwrap();
        node.checkpoint().await.unwrap();
        node.apply(entries(1, 20..30)).await.unwrap();
        if purged_before {
            node.log.purge(log_id(1, 29)).await.unwrap();
        }
        node.close();
        let mut node = Node::sim(&disk).unwrap();
        assert!(node.machine.get_current_snapshot().await.unwrap().is_none());
        node.recover().await.unwrap();
        let current = node.machine.get_current_snapshot().await.unwrap().unwrap();
        assert_eq!(current.meta.last_log_id, Some(log_id(1, 29)));
        node.close();
        let mut node = Node::sim(&disk).unwrap();
        node.recover().await.unwrap();
        let current = node.machine.get_current_snapshot().await.unwrap().unwrap();
        assert_eq!(current.meta.last_log_id, Some(log_id(1, 29)));
    }
}
