//! Hashes of the state at blank entries, and disks under quarantine, on both engines.

use std::path::Path;
use std::time::Duration;

use raft_store::{OpenError, Options, Progress, Recovery, SimDisk, StateHash, Storage};

use crate::support::{Node, entries, expected_hash, log_id, transfer};

/// The generation of a state that no checkpoint has replaced.
const STATE: &str = "state/00000000000000000001";

/// Far more than a test has in a second.
const UNBOUNDED: u64 = 1 << 40;

/// Upstreams, as they are stored.
const UPSTREAMS: [u8; 2] = [1, 0x10];

/// A disk of each kind.
enum Medium {
    Rocks(tempfile::TempDir),
    Sim(SimDisk),
}

impl Medium {
    fn both() -> [Self; 2] {
        [
            Self::Rocks(tempfile::tempdir().unwrap()),
            Self::Sim(SimDisk::new()),
        ]
    }

    fn storage(&self) -> Storage {
        match self {
            Self::Rocks(dir) => Storage::Rocks {
                dir: dir.path().to_owned(),
            },
            Self::Sim(disk) => Storage::Sim(disk.clone()),
        }
    }

    fn node(&self) -> Node {
        let node = Node::open(self.storage()).unwrap();
        node.state_hashes.enable(UNBOUNDED);
        node
    }

    /// Changes a row while no node runs, as nothing that checks checksums would notice.
    fn alter(&self) {
        match self {
            Self::Rocks(dir) => {
                let path = dir.path().join(STATE);
                let database = rocksdb::DB::open_default(path).unwrap();
                let mode = rocksdb::IteratorMode::From(&UPSTREAMS, rocksdb::Direction::Forward);
                let (key, mut value) = database
                    .iterator(mode)
                    .next()
                    .map(|row| row.unwrap())
                    .map(|(key, value)| (key, value.to_vec()))
                    .unwrap();
                *value.last_mut().unwrap() ^= 1;
                database.put(key, value).unwrap();
                database.flush().unwrap();
            }
            Self::Sim(disk) => assert!(disk.alter_row(STATE, &UPSTREAMS)),
        }
    }
}

/// The hash at a blank entry, once it is there.
async fn hash_at(node: &Node, index: u64) -> StateHash {
    let mut latest = node.state_hashes.latest();
    let position = log_id(1, index);
    let found = latest.wait_for(|latest| latest.is_some_and(|hash| hash.position == position));
    let found = tokio::time::timeout(Duration::from_secs(30), found).await;
    found.expect("it is hashed in time").unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_is_hashed_as_it_was_at_a_blank_entry_whatever_is_applied_later() {
    for medium in Medium::both() {
        let mut node = medium.node();
        // Each eleventh entry is blank.
        for (upto, blank) in [(12, 11), (30, 22), (100, 99)] {
            let from = node.applied().await.map_or(0, |applied| applied.index + 1);
            node.apply(entries(1, from..upto)).await.unwrap();
            let hash = hash_at(&node, blank).await;
            assert_eq!(hash.sha256, expected_hash(Some(blank)), "{blank}");
            node.check_state().await;
        }
        assert!(node.faults.lock().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_hashed_where_nobody_asks_for_it() {
    let mut node = Node::sim(&SimDisk::new()).unwrap();
    node.apply(entries(1, 0..40)).await.unwrap();
    assert_eq!(node.state_hashes.at(log_id(1, 33)), Progress::Unknown);
    assert_eq!(node.state_hashes.bytes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_was_changed_behind_the_nodes_back_changes_the_next_hash() {
    for medium in Medium::both() {
        let mut node = medium.node();
        node.apply(entries(1, 0..12)).await.unwrap();
        node.close();
        let mut node = medium.node();
        node.apply(entries(1, 12..23)).await.unwrap();
        assert_eq!(hash_at(&node, 22).await.sha256, expected_hash(Some(22)));
        node.close();
        medium.alter();
        let mut node = medium.node();
        node.apply(entries(1, 23..34)).await.unwrap();
        assert_ne!(hash_at(&node, 33).await.sha256, expected_hash(Some(33)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installed_checkpoint_ends_what_was_known_of_the_state_before_it() {
    for (from, to) in Medium::both().into_iter().zip(Medium::both()) {
        let (mut leader, mut follower) = (from.node(), to.node());
        leader.apply(entries(1, 0..50)).await.unwrap();
        follower.apply(entries(1, 0..12)).await.unwrap();
        hash_at(&follower, 11).await;
        let checkpoint = leader.checkpoint().await.unwrap();
        let received = transfer(&checkpoint, &follower.checkpoints, 1000).await;
        follower.install(received).await.unwrap();
        assert_eq!(follower.state_hashes.at(log_id(1, 11)), Progress::Unknown);
        assert_eq!(*follower.state_hashes.latest().borrow(), None);
        follower.apply(entries(1, 50..60)).await.unwrap();
        let hash = hash_at(&follower, 55).await;
        assert_eq!(hash.sha256, expected_hash(Some(55)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_under_quarantine_opens_for_nobody_and_says_why() {
    for medium in Medium::both() {
        let mut node = medium.node();
        node.apply(entries(1, 0..12)).await.unwrap();
        node.quarantine.impose("node 1 differs").await.unwrap();
        // A second reason takes the place of the first.
        let long = "é".repeat(9000);
        node.quarantine.impose(&long).await.unwrap();
        node.quarantine
            .impose("node 1 differs at 11")
            .await
            .unwrap();
        node.close();
        let refused = Node::open(medium.storage()).err().unwrap();
        let OpenError::Quarantined { path, reason } = &refused else {
            panic!("{refused}");
        };
        assert!(path.ends_with("quarantined"), "{}", path.display());
        assert_eq!(reason, "node 1 differs at 11");
        assert_eq!(refused.exit_code(), 65);
        let options = Options {
            fatal: std::sync::Arc::new(|_| {}),
        };
        let recovery = Recovery::open(medium.storage(), options).await;
        assert!(recovery.is_err_and(|error| error.to_string().contains("differs at 11")));
        if let Medium::Rocks(dir) = &medium {
            assert!(
                Path::new(&dir.path().join("log")).exists(),
                "nothing is removed"
            );
        }
    }
}
