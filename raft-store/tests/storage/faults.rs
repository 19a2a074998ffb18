//! Faults of the disk: the process is told, nothing is acknowledged, and nothing is tried again.

use std::time::Duration;

use openraft::storage::{RaftLogReader, RaftLogStorage, RaftStateMachine};
use raft_store::{FaultKind, SimDisk};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;

use crate::support::{Node, entries, expected_hash, log_id, vote};

/// What the fatal hook heard: one fault of the disk, and not a second one.
fn heard_once(node: &Node) -> FaultKind {
    let faults = node.faults.lock();
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].kind
}

#[tokio::test]
async fn a_failed_sync_is_not_acknowledged_and_never_tried_again() {
    let disk = SimDisk::new();
    let mut node = Node::sim(&disk).unwrap();
    node.append(entries(1, 0..2)).await.unwrap();
    disk.fail_sync_after(0);
    assert!(node.append(entries(1, 2..3)).await.is_err());
    assert!(matches!(heard_once(&node), FaultKind::Io(_)));
    let syncs = disk.statistics().syncs;
    assert!(node.append(entries(1, 3..4)).await.is_err());
    assert!(node.log.save_vote(&vote(1)).await.is_err());
    assert!(node.apply(entries(1, 0..1)).await.is_err());
    assert!(node.reader.read(|_| ()).is_err());
    assert!(node.checkpoint().await.is_err());
    assert!(node.closer.close().is_err());
    assert_eq!(
        disk.statistics().syncs,
        syncs,
        "something was synced after a fault"
    );
    heard_once(&node);
}

#[tokio::test]
async fn what_a_failed_sync_was_for_may_be_there_afterwards_or_not() {
    let mut seen = [false; 2];
    for seed in 0..50 {
        let disk = SimDisk::new();
        let mut node = Node::sim(&disk).unwrap();
        node.append(entries(1, 0..2)).await.unwrap();
        disk.fail_sync_after(0);
        assert!(node.append(entries(1, 2..3)).await.is_err());
        disk.crash(&mut ChaCha8Rng::seed_from_u64(seed));
        let mut node = Node::sim(&disk).unwrap();
        let last = node.last().await.unwrap();
        assert!(last == log_id(1, 1) || last == log_id(1, 2));
        seen[usize::from(last == log_id(1, 2))] = true;
    }
    assert_eq!(seen, [true; 2]);
}

#[tokio::test]
async fn what_was_written_before_a_disk_died_can_still_be_told() {
    let disk = SimDisk::new();
    let mut node = Node::sim(&disk).unwrap();
    node.append(entries(1, 0..3)).await.unwrap();
    let mut reader = node.log.get_log_reader().await;
    disk.die_after(0);
    assert!(node.append(entries(1, 3..4)).await.is_err());
    assert!(reader.try_get_log_entries(0..9).await.is_err());
    let recent = reader.recent(1..=9).into_iter().map(|entry| entry.log_id);
    assert_eq!(recent.collect::<Vec<_>>(), [log_id(1, 1), log_id(1, 2)]);
}

#[tokio::test]
async fn a_vote_that_was_not_synced_is_not_given() {
    let disk = SimDisk::new();
    let mut node = Node::sim(&disk).unwrap();
    disk.fail_sync_after(0);
    assert!(node.log.save_vote(&vote(7)).await.is_err());
    heard_once(&node);
}

#[tokio::test]
async fn a_full_disk_stops_the_node_and_loses_nothing() {
    let disk = SimDisk::new();
    let mut node = Node::sim(&disk).unwrap();
    node.append(entries(1, 0..5)).await.unwrap();
    node.apply(entries(1, 0..3)).await.unwrap();
    disk.set_full(true);
    assert!(node.append(entries(1, 5..6)).await.is_err());
    assert_eq!(
        heard_once(&node),
        FaultKind::Io(std::io::ErrorKind::StorageFull)
    );
    drop(node);
    disk.set_full(false);
    let mut node = Node::sim(&disk).unwrap();
    assert_eq!(node.last().await, Some(log_id(1, 4)));
    assert_eq!(node.hash(), expected_hash(Some(2)));
    node.append(entries(1, 5..6)).await.unwrap();
}

#[tokio::test]
async fn an_apply_batch_that_cannot_be_written_changes_nothing() {
    let disk = SimDisk::new();
    let mut node = Node::sim(&disk).unwrap();
    node.apply(entries(1, 0..3)).await.unwrap();
    let applied = node.reader.applied();
    disk.fail_write_after(0);
    assert!(node.apply(entries(1, 3..6)).await.is_err());
    assert!(matches!(heard_once(&node), FaultKind::Io(_)));
    assert_eq!(
        applied.borrow().0,
        2,
        "readers were told of what was not written"
    );
    assert!(node.machine.applied_state().await.is_err());
}

#[tokio::test]
async fn a_read_that_fails_answers_with_the_fault_and_not_with_nothing() {
    let disk = SimDisk::new();
    let mut node = Node::sim(&disk).unwrap();
    node.apply(entries(1, 0..3)).await.unwrap();
    disk.fail_read_after(0);
    let seen = node.reader.read(|view| view.scan(&[], &[255], 9).len());
    assert!(matches!(seen.unwrap_err().kind, FaultKind::Io(_)));
    assert!(matches!(heard_once(&node), FaultKind::Io(_)));
}

#[tokio::test]
async fn a_read_that_fails_while_applying_applies_nothing() {
    let disk = SimDisk::new();
    let mut node = Node::sim(&disk).unwrap();
    node.apply(entries(1, 0..3)).await.unwrap();
    disk.fail_read_after(0);
    assert!(node.apply(entries(1, 3..5)).await.is_err());
    heard_once(&node);
    drop(node);
    let mut node = Node::sim(&disk).unwrap();
    assert_eq!(node.applied().await, Some(log_id(1, 2)));
    node.check_state().await;
}

#[tokio::test]
async fn an_entry_that_was_applied_is_not_applied_again() {
    let mut node = Node::sim(&SimDisk::new()).unwrap();
    node.apply(entries(1, 0..3)).await.unwrap();
    assert!(node.apply(entries(1, 2..4)).await.is_err());
    assert_eq!(heard_once(&node), FaultKind::Corrupt);
}

#[tokio::test(start_paused = true)]
async fn a_slow_sync_is_waited_for_and_shared_by_all_that_wait() {
    let disk = SimDisk::new();
    let mut node = Node::sim(&disk).unwrap();
    node.append(entries(1, 0..1)).await.unwrap();
    disk.set_sync_takes(Duration::from_secs(2));
    let began = Instant::now();
    let syncs = disk.statistics().syncs;
    let first = node.append_later(entries(1, 1..2)).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let second = node.append_later(entries(1, 2..3)).await;
    assert_eq!(disk.statistics().syncs, syncs, "it was synced too early");
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    node.log.save_vote(&vote(7)).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(4));
    // Who closes waits for nothing, and leaves nobody behind.
    let last = node.append_later(entries(1, 3..4)).await;
    node.closer.close().unwrap();
    last.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_slow_sync_is_not_durable() {
    let mut kept = [false; 2];
    for seed in 0..50 {
        let disk = SimDisk::new();
        let mut node = Node::sim(&disk).unwrap();
        node.append(entries(1, 0..1)).await.unwrap();
        disk.set_sync_takes(Duration::from_secs(2));
        let answer = node.append_later(entries(1, 1..2)).await;
        disk.crash(&mut ChaCha8Rng::seed_from_u64(seed));
        assert!(answer.await.is_err(), "it was acknowledged after the crash");
        let mut node = Node::sim(&disk).unwrap();
        kept[usize::from(node.last().await.unwrap().index == 1)] = true;
    }
    assert_eq!(kept, [true; 2]);
}
