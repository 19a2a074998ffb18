//! Disks that go on by themselves: with the rows of a backup, and with what they hold where the others are
//! gone. Until it is finished no node starts on them.

use std::sync::Arc;

use domain::command::{ChangeCluster, ChangeSigningKeys, Command, NewSigningKey, SigningChange};
use domain::id::{ClusterId, RequestId, Seed};
use domain::machine;
use domain::model::{ClusterChange, Epoch, MemberId, SealedKey, SigningPublicKey};
use domain::query;
use domain::rows::{MemoryRows, Row, View};
use domain::time::Revision;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use raft_store::{
    Entry, Heir, Member, OpenError, Options, Payload, Recovery, Restoration, SimDisk, Storage,
    SuccessionError, Undertaking,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{Node, bootstrap, entries, log_id, vote};

fn options() -> Options {
    Options {
        fatal: Arc::new(|_| ()),
    }
}

fn sim(disk: &SimDisk) -> Storage {
    Storage::Sim(disk.clone())
}

fn stamped(number: u64, command: Command) -> domain::command::Stamped {
    domain::command::Stamped {
        request_id: RequestId::new(Seed {
            unix_ms: 2,
            random: number,
        }),
        command,
        ..bootstrap()
    }
}

fn founding() -> Command {
    let seed = Seed {
        unix_ms: 1,
        random: 9,
    };
    let key = NewSigningKey {
        public: SigningPublicKey([1; 32]),
        private: SealedKey {
            nonce: [1; 12],
            sealed: vec![1; 48],
        },
    };
    let cluster_id = ClusterId::new(seed);
    Command::ChangeSigningKeys(ChangeSigningKeys {
        change: SigningChange::Found { cluster_id, key },
    })
}

fn heir(id: u64, epoch: u64) -> Heir {
    let change = ClusterChange::Recovered {
        epoch: Epoch(epoch),
        member: MemberId(id),
        lost: vec![MemberId(2), MemberId(3)],
    };
    Heir {
        member: Member {
            id,
            ..Member::default()
        },
        stamped: stamped(77, Command::ChangeCluster(ChangeCluster { change })),
    }
}

/// The entry that has the cluster sign.
fn founded(index: u64) -> Entry {
    Entry {
        log_id: log_id(1, index),
        payload: Payload::Normal(stamped(index, founding()).into()),
    }
}

/// A state with a few upstreams, of a cluster that signs.
fn rows() -> Vec<Row> {
    let mut rows = MemoryRows::default();
    for entry in entries(1, 0..40).into_iter().chain([founded(40)]) {
        if let Payload::Normal(proposal) = entry.payload {
            machine::step(&mut rows, Revision(entry.log_id.index), proposal.stamped());
        }
    }
    rows.scan(&[], &[0xff], usize::MAX)
}

fn unfinished(error: &OpenError) -> Option<Undertaking> {
    match error {
        OpenError::Unfinished { undertaking, .. } => Some(*undertaking),
        _ => None,
    }
}

async fn restores(storage: Storage) {
    let rows = rows();
    let memory = MemoryRows(rows.iter().cloned().collect());
    let restoration = Restoration::begin(storage.clone(), options()).unwrap();
    for some in rows.chunks(7) {
        restoration.put(some).unwrap();
    }
    let hash = restoration.reader().read(|view| machine::state_hash(view));
    assert_eq!(hash.unwrap(), machine::state_hash(&memory));
    let last = restoration.finish(Revision(40), heir(7, 2)).await.unwrap();
    assert_eq!(last, Revision(42));

    let mut node = Node::open(storage.clone()).unwrap();
    assert!(node.admission.is_admitted());
    node.recover().await.unwrap();
    let (applied, membership) = node.machine.applied_state().await.unwrap();
    assert_eq!(applied.map(|applied| applied.index), Some(42));
    assert_eq!(membership.voter_ids().collect::<Vec<_>>(), [7]);
    assert_eq!(node.last().await, applied);
    let applied_in = applied.map(|applied| applied.leader_id);
    assert_eq!(node.vote().await.map(|vote| vote.leader_id), applied_in);
    let mut expected = memory;
    machine::step(&mut expected, Revision(41), &heir(7, 2).stamped);
    assert_eq!(node.hash(), machine::state_hash(&expected));
    node.close();
    let full = Restoration::begin(storage, options()).err().unwrap();
    assert!(matches!(full, OpenError::NotEmpty { .. }), "{full}");
    assert_eq!(full.exit_code(), 65);
}

#[tokio::test]
async fn a_backups_rows_become_a_cluster_of_one_on_either_engine() {
    let dir = tempfile::tempdir().unwrap();
    restores(Storage::Rocks {
        dir: dir.path().to_owned(),
    })
    .await;
    restores(sim(&SimDisk::new())).await;
}

#[tokio::test]
async fn an_interrupted_restore_does_not_start_and_begins_anew() {
    let disk = SimDisk::new();
    let restoration = Restoration::begin(sim(&disk), options()).unwrap();
    restoration.put(&rows()[..5]).unwrap();
    drop(restoration);
    disk.crash(&mut ChaCha8Rng::seed_from_u64(1));
    let refused = Node::sim(&disk).err().unwrap();
    assert_eq!(
        unfinished(&refused),
        Some(Undertaking::Restore),
        "{refused}"
    );
    assert_eq!(refused.exit_code(), 65);
    let refused = Recovery::open(sim(&disk), options()).await.err().unwrap();
    assert!(
        refused.to_string().contains("restore of a backup"),
        "{refused}"
    );
    restores(sim(&disk)).await;
}

/// A member that has applied some entries and holds more of them, on a disk of its own.
async fn survivor() -> SimDisk {
    let disk = SimDisk::new();
    let mut node = Node::sim(&disk).unwrap();
    node.log.save_vote(&vote(1)).await.unwrap();
    let mut held = entries(1, 0..40);
    held.push(founded(40));
    held.extend(entries(1, 41..50));
    node.append(held.clone()).await.unwrap();
    node.apply(held[..45].to_vec()).await.unwrap();
    node.close();
    disk
}

#[tokio::test]
async fn a_survivor_goes_on_with_all_that_its_log_holds() {
    let disk = survivor().await;
    let mut recovery = Recovery::open(sim(&disk), options()).await.unwrap();
    assert_eq!(recovery.last(), Revision(49));
    assert_eq!(recovery.members(), [1, 2, 3]);
    recovery.begin().await.unwrap();
    assert_eq!(recovery.finish(heir(1, 2)).await.unwrap(), Revision(51));
    let mut node = Node::sim(&disk).unwrap();
    node.recover().await.unwrap();
    let (applied, membership) = node.machine.applied_state().await.unwrap();
    assert_eq!(applied.map(|applied| applied.index), Some(51));
    assert_eq!(membership.voter_ids().collect::<Vec<_>>(), [1]);
    assert!(node.vote().await > Some(vote(1)));
    let (epoch, retired) = node
        .reader
        .read(|view| (query::epoch(view), query::retired_members(view).len()))
        .unwrap();
    assert_eq!((epoch, retired), (Epoch(2), 2));
    let mut expected = MemoryRows::default();
    let held = entries(1, 0..40)
        .into_iter()
        .chain([founded(40)])
        .chain(entries(1, 41..50));
    for entry in held {
        if let Payload::Normal(proposal) = entry.payload {
            machine::step(
                &mut expected,
                Revision(entry.log_id.index),
                proposal.stamped(),
            );
        }
    }
    machine::step(&mut expected, Revision(50), &heir(1, 2).stamped);
    assert_eq!(node.hash(), machine::state_hash(&expected));
}

#[tokio::test]
async fn a_recovery_that_is_only_looked_at_changes_nothing_and_one_that_was_begun_is_finished() {
    let disk = survivor().await;
    let recovery = Recovery::open(sim(&disk), options()).await.unwrap();
    recovery.close().unwrap();
    let mut node = Node::sim(&disk).unwrap();
    assert_eq!(node.applied().await.map(|applied| applied.index), Some(44));
    node.close();

    let mut recovery = Recovery::open(sim(&disk), options()).await.unwrap();
    recovery.begin().await.unwrap();
    drop(recovery);
    disk.crash(&mut ChaCha8Rng::seed_from_u64(1));
    let refused = Node::sim(&disk).err().unwrap();
    assert_eq!(
        unfinished(&refused),
        Some(Undertaking::Recovery),
        "{refused}"
    );
    let refused = Restoration::begin(sim(&disk), options()).err().unwrap();
    assert_eq!(
        unfinished(&refused),
        Some(Undertaking::Recovery),
        "{refused}"
    );
    let mut recovery = Recovery::open(sim(&disk), options()).await.unwrap();
    recovery.begin().await.unwrap();
    recovery.finish(heir(1, 2)).await.unwrap();
    assert!(Node::sim(&disk).is_ok());
}

#[tokio::test]
async fn a_state_that_refuses_the_entry_stays_unfinished() {
    let disk = survivor().await;
    let mut recovery = Recovery::open(sim(&disk), options()).await.unwrap();
    recovery.begin().await.unwrap();
    let refused = recovery.finish(heir(1, 1)).await.err().unwrap();
    assert!(matches!(refused, SuccessionError::Rejected(_)), "{refused}");
    assert!(Node::sim(&disk).is_err());
    let empty = Recovery::open(sim(&SimDisk::new()), options()).await;
    assert!(matches!(
        empty.err(),
        Some(SuccessionError::Open(OpenError::Nothing { .. }))
    ));
}
