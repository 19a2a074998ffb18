//! openraft's own suite for log stores and state machines, on both engines.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use raft_store::{LogStore, SimDisk, StateMachine, Storage, TypeConfig};
use tempfile::TempDir;

use crate::support::Node;

struct Rocks;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Rocks {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::open(Storage::Rocks {
            dir: dir.path().to_owned(),
        })
        .unwrap();
        Ok((dir, node.log, node.machine))
    }
}

struct Simulated;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, SimDisk> for Simulated {
    async fn build(&self) -> Result<(SimDisk, LogStore, StateMachine), StorageError<TypeConfig>> {
        let disk = SimDisk::new();
        let node = Node::sim(&disk).unwrap();
        Ok((disk, node.log, node.machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rocksdb_passes_the_suite() {
    Suite::test_all(Rocks).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_simulated_disk_passes_the_suite() {
    Suite::test_all(Simulated).await.unwrap();
}
