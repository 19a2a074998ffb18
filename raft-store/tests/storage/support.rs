//! Nodes without consensus: entries that are a function of their index, so that the state at any
//! index is known, and a node's storage with helpers around it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use domain::command::{Bootstrap, Command, CreateUpstream, NewEnvironment, Stamped};
use domain::id::{ApiKeyId, EnvironmentId, OrgId, RequestId, Seed, UpstreamId, WorkspaceId};
use domain::machine;
use domain::model::{Algorithm, ApiVersion, KeyHash, Plan, Target};
use domain::rows::MemoryRows;
use domain::time::{Revision, Timestamp};
use futures_util::stream;
use openraft::storage::{
    IOFlushed, RaftLogReaderExt, RaftLogStorage, RaftLogStorageExt, RaftSnapshotBuilder,
    RaftStateMachine,
};
use openraft::{RaftLogReader, StorageHelper};
use parking_lot::Mutex;
use raft_store::{
    Admission, Checkpoint, CheckpointManifest, Checkpoints, Closer, Entry, LeaderId, LogId,
    LogStore, Member, Membership, OpenError, Options, Outcomes, Payload, Quarantine, Reader,
    SimDisk, StateHashes, StateMachine, Storage, StorageFault, TypeConfig, Vote, open,
};
use tokio::sync::oneshot;

/// Entries from here on are blank, because the expected state is computed at each index before.
const INDEXES: u64 = 400;

pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(LeaderId { term, node_id: 1 }, index)
}

pub(crate) fn vote(term: u64) -> Vote {
    Vote {
        leader_id: LeaderId { term, node_id: 1 },
        committed: true,
    }
}

/// The entry with this index: mostly commands, some of consensus' own.
pub(crate) fn entry(term: u64, index: u64) -> Entry {
    let payload = match index {
        0 => Payload::Normal(bootstrap().into()),
        INDEXES.. => Payload::Blank,
        _ if index.is_multiple_of(11) => Payload::Blank,
        _ if index.is_multiple_of(13) => Payload::Membership(membership(index)),
        _ => Payload::Normal(create_upstream(index).into()),
    };
    Entry {
        log_id: log_id(term, index),
        payload,
    }
}

pub(crate) fn entries(term: u64, indexes: std::ops::Range<u64>) -> Vec<Entry> {
    indexes.map(|index| entry(term, index)).collect()
}

fn membership(index: u64) -> Membership {
    let member = |id| Member {
        id,
        region: format!("region-{index}"),
        ..Member::default()
    };
    let nodes: BTreeMap<_, _> = (1..=3).map(|id| (id, member(id))).collect();
    Membership::new(vec![BTreeSet::from([1, 2, 3])], nodes).unwrap()
}

fn seed(random: u64) -> Seed {
    Seed { unix_ms: 1, random }
}

fn stamped(index: u64, command: Command) -> Stamped {
    Stamped {
        at: Timestamp(1_000 + index),
        request_id: RequestId::new(seed(index)),
        idempotency: None,
        command,
        origin: Default::default(),
        precondition: None,
    }
}

pub(crate) fn bootstrap() -> Stamped {
    let environment = |number: u8| NewEnvironment {
        id: EnvironmentId::new(seed(number.into())),
        key_id: ApiKeyId::new(seed(number.into())),
        key_hash: KeyHash([number; 32]),
    };
    let command = Bootstrap {
        org_id: OrgId::new(seed(1)),
        workspace_id: WorkspaceId::new(seed(1)),
        workspace_name: "test".to_owned(),
        plan: Plan::Enterprise,
        api_version: ApiVersion("2026-01-14".to_owned()),
        production: environment(1),
        sandbox: environment(2),
        pepper_check: KeyHash([3; 32]),
    };
    stamped(0, Command::Bootstrap(Box::new(command)))
}

pub(crate) fn create_upstream(index: u64) -> Stamped {
    let actor = domain::command::Actor {
        workspace_id: WorkspaceId::new(seed(1)),
        environment_id: EnvironmentId::new(seed(1)),
        api_key_id: ApiKeyId::new(seed(1)),
    };
    let target = Target {
        id: domain::id::TargetId::new(seed(index)),
        address: "origin".to_owned(),
        port: 80,
        weight: 1,
        regions: Vec::new(),
        drain: false,
    };
    let command = CreateUpstream {
        id: UpstreamId::new(seed(index)),
        name: format!("upstream {index}"),
        algorithm: Algorithm::WeightedRoundRobin,
        targets: vec![target],
        settings: None,
    };
    stamped(index, Command::CreateUpstream(actor, command))
}

/// The hash of the state after the entries up to `applied`.
pub(crate) fn expected_hash(applied: Option<u64>) -> [u8; 32] {
    static HASHES: OnceLock<Vec<[u8; 32]>> = OnceLock::new();
    let hashes = HASHES.get_or_init(|| {
        let mut rows = MemoryRows::default();
        let mut hashes = vec![machine::state_hash(&rows)];
        for index in 0..INDEXES {
            if let Payload::Normal(proposal) = entry(1, index).payload {
                machine::step(&mut rows, Revision(index), proposal.stamped());
            }
            hashes.push(machine::state_hash(&rows));
        }
        hashes
    });
    let entries = applied.map_or(0, |index| INDEXES.min(index + 1));
    hashes[usize::try_from(entries).unwrap()]
}

/// A node's storage, and what its fatal hook heard.
pub(crate) struct Node {
    pub(crate) log: LogStore,
    pub(crate) machine: StateMachine,
    pub(crate) reader: Reader,
    pub(crate) outcomes: Outcomes,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) admission: Admission,
    pub(crate) state_hashes: StateHashes,
    pub(crate) quarantine: Quarantine,
    pub(crate) closer: Closer,
    pub(crate) faults: Arc<Mutex<Vec<StorageFault>>>,
}

impl Node {
    pub(crate) fn open(storage: Storage) -> Result<Self, OpenError> {
        let faults = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&faults);
        let options = Options {
            fatal: Arc::new(move |fault| heard.lock().push(fault.clone())),
        };
        let opened = open(storage, options)?;
        Ok(Self {
            log: opened.log,
            machine: opened.machine,
            reader: opened.reader,
            outcomes: opened.outcomes,
            checkpoints: opened.checkpoints,
            admission: opened.admission,
            state_hashes: opened.state_hashes,
            quarantine: opened.quarantine,
            closer: opened.closer,
            faults,
        })
    }

    pub(crate) fn rocks(dir: &Path) -> Result<Self, OpenError> {
        Self::open(Storage::Rocks {
            dir: dir.to_owned(),
        })
    }

    pub(crate) fn sim(disk: &SimDisk) -> Result<Self, OpenError> {
        Self::open(Storage::Sim(disk.clone()))
    }

    /// Appends and waits until it is acknowledged.
    pub(crate) async fn append(&mut self, entries: Vec<Entry>) -> Result<(), String> {
        self.log
            .blocking_append(entries)
            .await
            .map_err(|error| error.to_string())
    }

    /// Appends, and answers what will say that it is acknowledged.
    pub(crate) async fn append_later(
        &mut self,
        entries: Vec<Entry>,
    ) -> impl Future<Output = Result<(), std::io::Error>> + use<> {
        let (done, answer) = oneshot_pair();
        self.log
            .append(entries, IOFlushed::signal(done))
            .await
            .unwrap();
        async move { answer.await.unwrap() }
    }

    pub(crate) async fn apply(&mut self, entries: Vec<Entry>) -> Result<(), std::io::Error> {
        self.machine
            .apply(stream::iter(
                entries.into_iter().map(|entry| Ok((entry, None))),
            ))
            .await
    }

    pub(crate) async fn applied(&mut self) -> Option<LogId> {
        self.machine.applied_state().await.unwrap().0
    }

    pub(crate) async fn last(&mut self) -> Option<LogId> {
        self.log.get_log_state().await.unwrap().last_log_id
    }

    pub(crate) async fn log_ids(&mut self, indexes: std::ops::Range<u64>) -> Vec<LogId> {
        let mut reader = self.log.get_log_reader().await;
        let entries = reader.try_get_log_entries(indexes).await.unwrap();
        entries.into_iter().map(|entry| entry.log_id).collect()
    }

    pub(crate) async fn entry(&mut self, index: u64) -> Option<Entry> {
        self.log
            .get_log_reader()
            .await
            .try_get_log_entry(index)
            .await
            .unwrap()
    }

    pub(crate) async fn vote(&mut self) -> Option<Vote> {
        self.log.get_log_reader().await.read_vote().await.unwrap()
    }

    /// What consensus does when it starts: among other things, it applies what was committed.
    pub(crate) async fn recover(&mut self) -> Result<(), String> {
        let mut helper = StorageHelper::new(&mut self.log, &mut self.machine).with_id(1);
        helper
            .get_initial_state()
            .await
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    pub(crate) async fn checkpoint(&mut self) -> Result<Checkpoint, std::io::Error> {
        let mut builder = self
            .machine
            .try_create_snapshot_builder(true)
            .await
            .unwrap();
        Ok(builder.build_snapshot().await?.snapshot)
    }

    pub(crate) async fn install(&mut self, checkpoint: Checkpoint) -> Result<(), std::io::Error> {
        self.machine
            .install_snapshot(&checkpoint.meta(), checkpoint)
            .await
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        self.reader.read(|view| machine::state_hash(view)).unwrap()
    }

    /// Whether the state is what the entries up to the last applied one make of it.
    pub(crate) async fn check_state(&mut self) {
        let applied = self.applied().await.map(|applied| applied.index);
        assert_eq!(
            self.hash(),
            expected_hash(applied),
            "the state at {applied:?} is another one"
        );
    }

    /// Closes everything, so that the same storage can be opened again.
    pub(crate) fn close(self) {
        self.closer.close().unwrap();
    }
}

type Answer = Result<(), std::io::Error>;
type OneshotSender = openraft::alias::OneshotSenderOf<TypeConfig, Answer>;

fn oneshot_pair() -> (OneshotSender, oneshot::Receiver<Answer>) {
    use openraft::type_config::TypeConfigExt;
    TypeConfig::oneshot()
}

/// Sends a checkpoint as it would travel: the manifest as bytes, then chunks.
pub(crate) async fn transfer(from: &Checkpoint, to: &Checkpoints, chunk: usize) -> Checkpoint {
    let manifest = CheckpointManifest::decode(&from.manifest().encode()).unwrap();
    let mut receiver = to.begin(manifest).unwrap();
    for (number, file) in from.manifest().files().iter().enumerate() {
        let mut offset = 0;
        while offset < file.len {
            let bytes = from.read_chunk(number, offset, chunk).unwrap();
            receiver.write_chunk(number, offset, &bytes).unwrap();
            offset += bytes.len() as u64;
        }
    }
    receiver.finish().await.unwrap()
}

/// A node that has applied the entries up to `index`, on a disk of its own.
pub(crate) async fn applied_to(term: u64, index: u64) -> Node {
    let mut node = Node::sim(&SimDisk::new()).unwrap();
    node.apply(entries(term, 0..index + 1)).await.unwrap();
    node
}
