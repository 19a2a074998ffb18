//! Which disks may take part in consensus.

use openraft::storage::RaftLogStorage;
use raft_store::SimDisk;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{Node, entries, vote};

fn crash(disk: &SimDisk) {
    disk.crash(&mut ChaCha8Rng::seed_from_u64(1));
}

#[tokio::test]
async fn an_empty_disk_stays_unadmitted_over_any_number_of_starts_until_it_is_admitted() {
    let disk = SimDisk::new();
    for _ in 0..3 {
        let node = Node::sim(&disk).unwrap();
        assert!(!node.admission.is_admitted());
        drop(node);
        crash(&disk);
    }
    let node = Node::sim(&disk).unwrap();
    node.admission.admit().await.unwrap();
    assert!(node.admission.is_admitted());
    drop(node);
    crash(&disk);
    assert!(Node::sim(&disk).unwrap().admission.is_admitted());
}

#[tokio::test]
async fn an_admission_on_rocksdb_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::rocks(dir.path()).unwrap();
    assert!(!node.admission.is_admitted());
    node.admission.admit().await.unwrap();
    node.closer.close().unwrap();
    drop(node);
    assert!(Node::rocks(dir.path()).unwrap().admission.is_admitted());
}

#[tokio::test]
async fn a_disk_that_holds_a_vote_or_entries_was_admitted_once() {
    let disk = SimDisk::new();
    Node::sim(&disk)
        .unwrap()
        .log
        .save_vote(&vote(1))
        .await
        .unwrap();
    assert!(Node::sim(&disk).unwrap().admission.is_admitted());
    let disk = SimDisk::new();
    let mut node = Node::sim(&disk).unwrap();
    node.append(entries(1, 0..2)).await.unwrap();
    drop(node);
    assert!(Node::sim(&disk).unwrap().admission.is_admitted());
}

#[tokio::test]
async fn an_admission_that_the_disk_refuses_is_none() {
    let disk = SimDisk::new();
    let node = Node::sim(&disk).unwrap();
    disk.fail_sync_after(0);
    assert!(node.admission.admit().await.is_err());
    assert!(!node.admission.is_admitted());
    assert_eq!(node.faults.lock().len(), 1);
}
