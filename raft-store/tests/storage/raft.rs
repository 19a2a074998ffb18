//! Storage under a real consensus of one: commands are answered, checkpoints are made, the log is
//! purged, and everything is there after a restart.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use domain::outcome::Outcome;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{Config, OptionalSend, RaftNetworkFactory, RaftNetworkV2, SnapshotPolicy};
use raft_store::{
    Checkpoint, Closer, Member, Outcomes, Raft, Reader, SimDisk, Snapshot, Storage, TypeConfig,
    Vote,
};

use crate::support::{Node, bootstrap, create_upstream};

/// Nobody is there.
struct Alone;

impl RaftNetworkFactory<TypeConfig> for Alone {
    type Network = Self;

    async fn new_client(&mut self, _: u64, _: &Member) -> Self {
        Self
    }
}

fn unreachable() -> Unreachable<TypeConfig> {
    Unreachable::new(&io::Error::other("nobody is there"))
}

impl RaftNetworkV2<TypeConfig> for Alone {
    type SnapshotData = Checkpoint;

    async fn append_entries(
        &mut self,
        _: AppendEntriesRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(unreachable().into())
    }

    async fn vote(
        &mut self,
        _: VoteRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(unreachable().into())
    }

    async fn full_snapshot(
        &mut self,
        _: Vote,
        _: Snapshot,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        Err(unreachable().into())
    }
}

async fn start(storage: &Storage) -> (Raft, Reader, Outcomes, Closer) {
    let node = Node::open(storage.clone()).unwrap();
    let config = Config {
        snapshot_policy: SnapshotPolicy::LogsSinceLast(50),
        max_in_snapshot_log_to_keep: 20,
        purge_batch_size: 1,
        ..Config::default()
    };
    let config = Arc::new(config.validate().unwrap());
    let raft = Raft::new(1, config, Alone, node.log, node.machine)
        .await
        .unwrap();
    (raft, node.reader, node.outcomes, node.closer)
}

async fn check(storage: Storage) {
    let (raft, reader, outcomes, closer) = start(&storage).await;
    let mut applied = reader.applied();
    raft.initialize(BTreeMap::from([(
        1,
        Member {
            id: 1,
            ..Member::default()
        },
    )]))
    .await
    .unwrap();
    raft.wait(None)
        .current_leader(1, "it elects itself")
        .await
        .unwrap();
    raft.client_write(bootstrap().into()).await.unwrap();
    let mut revision = 0;
    for index in 1..=200 {
        let command = create_upstream(index);
        let mut outcome = outcomes.expect(command.request_id.clone());
        let answer = raft.client_write(command.into()).await.unwrap();
        let answered = outcome.take().expect("what was applied has an outcome");
        assert!(
            matches!(answered.reply, Ok(Outcome::Upstream(_))),
            "{answered:?}"
        );
        assert_eq!(answered.revision.0, answer.log_id.index);
        revision = answer.log_id.index;
        assert!(
            applied.borrow_and_update().0 >= revision,
            "answered before it can be read"
        );
    }
    let metrics = raft
        .wait(None)
        .metrics(|metrics| metrics.purged.is_some(), "the log is purged")
        .await
        .unwrap();
    assert!(metrics.purged <= metrics.snapshot && metrics.snapshot <= metrics.last_applied);
    let hash = reader
        .read(|view| domain::machine::state_hash(view))
        .unwrap();
    raft.shutdown().await.unwrap();
    drop((raft, reader, applied));
    closer.close().unwrap();
    drop(closer);

    let (raft, reader, _, closer) = start(&storage).await;
    assert_eq!(
        reader
            .read(|view| domain::machine::state_hash(view))
            .unwrap(),
        hash
    );
    raft.wait(None)
        .current_leader(1, "it leads again")
        .await
        .unwrap();
    let answer = raft
        .client_write(create_upstream(201).into())
        .await
        .unwrap();
    assert!(answer.log_id.index > revision);
    raft.shutdown().await.unwrap();
    drop(raft);
    closer.close().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consensus_of_one_keeps_its_word_on_rocksdb() {
    let dir = tempfile::tempdir().unwrap();
    check(Storage::Rocks {
        dir: dir.path().to_owned(),
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_consensus_of_one_keeps_its_word_on_the_simulated_disk() {
    check(Storage::Sim(SimDisk::new())).await;
}
