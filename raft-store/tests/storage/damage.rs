//! Damage behind the engine's back: storage that holds less than was acknowledged does not open,
//! and says which file is to blame; what a crash does to a disk every day opens.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use openraft::storage::RaftLogStorage;
use raft_store::{OpenError, SimDisk};
use tempfile::TempDir;

use crate::support::{Node, entries, entry, log_id, vote};

const ENTRIES: u64 = 100;

/// The directory of a node that acknowledged a vote and [`ENTRIES`] entries, one by one.
async fn stopped_node() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::rocks(dir.path()).unwrap();
    node.log.save_vote(&vote(1)).await.unwrap();
    for index in 0..ENTRIES {
        node.append(vec![entry(1, index)]).await.unwrap();
    }
    node.apply(entries(1, 0..50)).await.unwrap();
    node.close();
    dir
}

fn copy(from: &Path) -> TempDir {
    fn copy_into(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                fs::create_dir(&target).unwrap();
                copy_into(&entry.path(), &target);
            } else if let Err(error) = fs::copy(entry.path(), target) {
                // A running database removes what it no longer needs.
                assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            }
        }
    }
    let to = tempfile::tempdir().unwrap();
    copy_into(from, to.path());
    to
}

/// The write-ahead log of a database that holds something.
fn write_ahead_log(database: &Path) -> PathBuf {
    let mut logs: Vec<_> = fs::read_dir(database)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .filter(|path| fs::metadata(path).unwrap().len() > 0)
        .collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    logs.remove(0)
}

fn refused(dir: &TempDir) -> OpenError {
    Node::rocks(dir.path())
        .err()
        .expect("damaged storage must not open")
}

fn refused_with(dir: &TempDir, words: &[&str]) {
    let error = refused(dir);
    let text = error.to_string();
    assert_eq!(error.exit_code(), 65, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

#[tokio::test]
async fn a_flipped_byte_anywhere_in_the_write_ahead_log_refuses_to_open() {
    let original = stopped_node().await;
    let log = write_ahead_log(&original.path().join("log"));
    let bytes = fs::read(&log).unwrap();
    let name = log.file_name().unwrap().to_str().unwrap();
    const POSITIONS: usize = 40;
    for step in 0..POSITIONS {
        let dir = copy(original.path());
        let mut damaged = bytes.clone();
        damaged[step * bytes.len() / POSITIONS + step % 7] ^= 0x10;
        fs::write(dir.path().join("log").join(name), damaged).unwrap();
        refused_with(&dir, &["log"]);
    }
}

/// The mark would notice what the recovery mode lets pass, unless the damage is younger than what
/// a power cut left of the mark. So here the mark is old, and the recovery mode has to notice.
#[tokio::test]
async fn a_flipped_byte_before_the_tail_refuses_to_open_whatever_the_mark_says() {
    let original = stopped_node().await;
    let young = tempfile::tempdir().unwrap();
    let mut node = Node::rocks(young.path()).unwrap();
    node.log.save_vote(&vote(1)).await.unwrap();
    node.close();
    fs::copy(young.path().join("hwm"), original.path().join("hwm")).unwrap();
    let log = write_ahead_log(&original.path().join("log"));
    let bytes = fs::read(&log).unwrap();
    const POSITIONS: usize = 40;
    for step in 0..POSITIONS {
        let dir = copy(original.path());
        let mut damaged = bytes.clone();
        // The last tenth is left alone: damage in the last record is a torn tail.
        damaged[step * (bytes.len() * 9 / 10) / POSITIONS + step % 7] ^= 0x10;
        fs::write(
            dir.path().join("log").join(log.file_name().unwrap()),
            damaged,
        )
        .unwrap();
        refused_with(&dir, &["log", log.file_name().unwrap().to_str().unwrap()]);
    }
}

#[tokio::test]
async fn a_truncated_write_ahead_log_refuses_to_open() {
    let original = stopped_node().await;
    let log = write_ahead_log(&original.path().join("log"));
    let bytes = fs::read(&log).unwrap();
    for kept in [
        0,
        1,
        bytes.len() / 4,
        bytes.len() / 2,
        bytes.len() - 200,
        bytes.len() - 1,
    ] {
        let dir = copy(original.path());
        fs::write(
            dir.path().join("log").join(log.file_name().unwrap()),
            &bytes[..kept],
        )
        .unwrap();
        refused_with(&dir, &["log", "hwm"]);
    }
}

#[tokio::test]
async fn a_deleted_write_ahead_log_refuses_to_open() {
    let dir = stopped_node().await;
    fs::remove_file(write_ahead_log(&dir.path().join("log"))).unwrap();
    refused_with(&dir, &["/log ends at nothing", "/hwm", "T1-N1.99"]);
}

#[tokio::test]
async fn a_torn_tail_that_was_never_acknowledged_opens() {
    let acknowledged = stopped_node().await;
    // The next entry reaches the write-ahead log, but the process dies before it is synced: the
    // mark does not know of it.
    let dir = copy(acknowledged.path());
    let mark = fs::read(dir.path().join("hwm")).unwrap();
    let before = fs::metadata(write_ahead_log(&dir.path().join("log")))
        .unwrap()
        .len();
    fs::remove_dir_all(dir.path().join("log")).unwrap();
    let torn = stopped_node_with_one_more().await;
    fs::rename(torn.path().join("log"), dir.path().join("log")).unwrap();
    let log = write_ahead_log(&dir.path().join("log"));
    let bytes = fs::read(&log).unwrap();
    assert!(bytes.len() as u64 > before + 5);
    for (kept, last) in [
        (bytes.len() - 5, 99),
        (before as usize + 3, 99),
        (bytes.len(), 100),
    ] {
        let dir = copy(dir.path());
        fs::write(dir.path().join("hwm"), &mark).unwrap();
        fs::write(
            dir.path().join("log").join(log.file_name().unwrap()),
            &bytes[..kept],
        )
        .unwrap();
        let mut node = Node::rocks(dir.path()).unwrap();
        assert_eq!(node.last().await, Some(log_id(1, last)));
        node.append(entries(2, last + 1..last + 3)).await.unwrap();
        node.close();
    }
}

async fn stopped_node_with_one_more() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::rocks(dir.path()).unwrap();
    node.log.save_vote(&vote(1)).await.unwrap();
    for index in 0..=ENTRIES {
        node.append(vec![entry(1, index)]).await.unwrap();
    }
    node.close();
    dir
}

#[tokio::test]
async fn a_mark_or_database_that_is_missing_refuses_to_open() {
    let original = stopped_node().await;
    let without = |path: &str| {
        let dir = copy(original.path());
        let path = dir.path().join(path);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
        dir
    };
    refused_with(&without("hwm"), &["/hwm is not there", "/log holds data"]);
    refused_with(&without("log"), &["/log/CURRENT"]);
    refused_with(&without("log/CURRENT"), &["/log/CURRENT"]);
    refused_with(&without("state"), &["/state/CURRENT"]);
    refused_with(&without("state/CURRENT"), &["/state/CURRENT"]);
    refused_with(
        &without("state/00000000000000000001"),
        &["/state/00000000000000000001/CURRENT"],
    );
    let dir = without("hwm");
    fs::remove_dir_all(dir.path().join("log")).unwrap();
    refused_with(&dir, &["/hwm is not there", "/state holds data"]);
}

#[tokio::test]
async fn a_damaged_mark_refuses_to_open() {
    let dir = stopped_node().await;
    let mark = dir.path().join("hwm");
    fs::write(&mark, vec![0; 8192]).unwrap();
    refused_with(&dir, &["hwm", "neither of its two slots"]);
}

#[tokio::test]
async fn a_state_that_names_no_generation_refuses_to_open() {
    let dir = stopped_node().await;
    fs::write(dir.path().join("state/CURRENT"), "one\n").unwrap();
    refused_with(&dir, &["state/CURRENT", "names no generation"]);
}

/// What a process that is killed leaves: the state's rows since its last flush were in memory.
#[tokio::test]
async fn a_state_that_was_not_flushed_is_replayed_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::rocks(dir.path()).unwrap();
    node.append(entries(1, 0..90)).await.unwrap();
    node.log.save_committed(Some(log_id(1, 89))).await.unwrap();
    // The mark that goes with these says what was committed.
    node.append(entries(1, 90..100)).await.unwrap();
    node.apply(entries(1, 0..40)).await.unwrap();
    node.checkpoint().await.unwrap();
    for index in 40..80 {
        node.apply(vec![entry(1, index)]).await.unwrap();
    }
    let left = copy(dir.path());
    node.close();
    let mut node = Node::rocks(left.path()).unwrap();
    assert_eq!(node.applied().await, Some(log_id(1, 39)));
    node.check_state().await;
    node.recover().await.unwrap();
    assert_eq!(node.applied().await, Some(log_id(1, 89)));
    node.check_state().await;
    node.close();
}

#[tokio::test]
async fn a_state_that_lost_what_the_log_no_longer_has_refuses_to_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::rocks(dir.path()).unwrap();
    node.append(entries(1, 0..100)).await.unwrap();
    node.apply(entries(1, 0..50)).await.unwrap();
    node.checkpoint().await.unwrap();
    let older = copy(dir.path());
    node.apply(entries(1, 50..90)).await.unwrap();
    node.checkpoint().await.unwrap();
    node.log.purge(log_id(1, 89)).await.unwrap();
    node.close();
    fs::remove_dir_all(dir.path().join("state")).unwrap();
    fs::rename(older.path().join("state"), dir.path().join("state")).unwrap();
    refused_with(&dir, &["applied up to T1-N1.49", "purged up to T1-N1.89"]);
}

#[tokio::test]
async fn a_missing_table_file_refuses_to_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::rocks(dir.path()).unwrap();
    node.append(entries(1, 0..100)).await.unwrap();
    node.apply(entries(1, 0..90)).await.unwrap();
    node.checkpoint().await.unwrap();
    node.close();
    let state = dir.path().join("state/00000000000000000001");
    let table = fs::read_dir(&state)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "sst"))
        .unwrap();
    fs::remove_file(&table).unwrap();
    refused_with(
        &dir,
        &[
            "state/00000000000000000001",
            table.file_name().unwrap().to_str().unwrap(),
        ],
    );
}

#[tokio::test]
async fn the_simulated_disk_notices_a_cut_log_and_a_lost_vote_too() {
    let disk = SimDisk::new();
    let mut node = Node::sim(&disk).unwrap();
    node.log.save_vote(&vote(3)).await.unwrap();
    node.append(entries(3, 0..10)).await.unwrap();
    node.close();
    assert_eq!(disk.cut_rows("log", 1), 1);
    let error = Node::sim(&disk).err().unwrap();
    assert!(
        matches!(&error, OpenError::Shortened { found, expected, .. }
        if *found == Some(log_id(3, 8)) && *expected == Some(log_id(3, 9))),
        "{error}"
    );

    let disk = SimDisk::new();
    let mut node = Node::sim(&disk).unwrap();
    node.log.save_vote(&vote(3)).await.unwrap();
    node.close();
    assert_eq!(disk.cut_rows("log", 1), 1);
    let error = Node::sim(&disk).err().unwrap();
    assert!(
        matches!(&error, OpenError::VoteLost { found: None, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn opening_twice_at_a_time_is_refused_as_the_systems_fault_and_not_as_damage() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::rocks(dir.path()).unwrap();
    assert_eq!(refused(&dir).exit_code(), 74);
    node.close();
}
