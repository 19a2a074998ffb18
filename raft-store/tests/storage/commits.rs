//! Group commit: nothing is acknowledged before its sync, and what waits shares one.

use futures_util::StreamExt;
use openraft::RaftLogReader;
use openraft::storage::RaftLogStorage;
use raft_store::SimDisk;

use crate::support::{Node, entries, entry, log_id, vote};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_that_queue_while_a_sync_is_under_way_share_the_next_one() {
    const APPENDS: u64 = 2_000;
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::rocks(dir.path()).unwrap();
    let before = node.closer.statistics().log;
    let mut answers = Vec::new();
    for index in 0..APPENDS {
        answers.push(node.append_later(vec![entry(1, index)]).await);
    }
    for answer in answers {
        answer.await.unwrap();
    }
    let after = node.closer.statistics().log;
    assert_eq!(after.writes - before.writes, APPENDS);
    let syncs = after.syncs - before.syncs;
    assert!(
        (1..APPENDS).contains(&syncs),
        "{syncs} syncs for {APPENDS} appends"
    );
    assert_eq!(node.last().await, Some(log_id(1, APPENDS - 1)));
    node.close();
    let mut node = Node::rocks(dir.path()).unwrap();
    assert_eq!(node.log_ids(0..u64::MAX).await.len() as u64, APPENDS);
    node.close();
}

#[tokio::test]
async fn an_append_and_a_vote_are_synced_before_they_are_acknowledged() {
    let disk = SimDisk::new();
    let mut node = Node::sim(&disk).unwrap();
    let syncs = |node: &Node| node.closer.statistics().log.syncs;
    let before = syncs(&node);
    node.append(entries(1, 0..3)).await.unwrap();
    assert_eq!(syncs(&node), before + 1);
    node.log.save_vote(&vote(2)).await.unwrap();
    assert_eq!(syncs(&node), before + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_beyond_the_cache_are_read_from_the_database() {
    const ENTRIES: u64 = 9_000;
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::rocks(dir.path()).unwrap();
    for start in (0..ENTRIES).step_by(500) {
        node.append(entries(1, start..start + 500)).await.unwrap();
    }
    let expected: Vec<_> = (0..ENTRIES).map(|index| log_id(1, index)).collect();
    assert_eq!(node.log_ids(0..u64::MAX).await, expected);
    assert_eq!(node.entry(17).await, Some(entry(1, 17)));
    // Across the boundary between the two.
    assert_eq!(node.log_ids(800..820).await, expected[800..820]);
    node.log
        .truncate_after(Some(log_id(1, 8_000)))
        .await
        .unwrap();
    node.log.purge(log_id(1, 810)).await.unwrap();
    node.append(entries(2, 8_001..8_003)).await.unwrap();
    let ids = node.log_ids(0..u64::MAX).await;
    assert_eq!(
        (ids.first(), ids.last()),
        (Some(&log_id(1, 811)), Some(&log_id(2, 8_002)))
    );
    assert_eq!(ids.len(), 8_002 - 810);
    node.close();
    // The state never got so far, so this log is more than its state can start from; it is the
    // mark and the entries that are looked at here.
    let refused = Node::rocks(dir.path()).err().unwrap();
    assert!(
        refused.to_string().contains("purged up to T1-N1.810"),
        "{refused}"
    );
}

#[tokio::test]
async fn an_entry_that_leaves_a_gap_is_refused() {
    let mut node = Node::sim(&SimDisk::new()).unwrap();
    node.append(entries(1, 0..3)).await.unwrap();
    assert!(
        node.append(vec![entry(1, 4)])
            .await
            .unwrap_err()
            .contains("gapless")
    );
    assert_eq!(node.faults.lock().len(), 1);
}

#[tokio::test]
async fn what_begins_behind_a_purge_is_not_offered_for_replication() {
    let mut node = Node::sim(&SimDisk::new()).unwrap();
    node.append(entries(1, 0..10)).await.unwrap();
    node.log.purge(log_id(1, 4)).await.unwrap();
    let mut reader = node.log.get_log_reader().await;
    assert_eq!(reader.limited_get_log_entries(4, 8).await.unwrap(), []);
    assert_eq!(
        reader.limited_get_log_entries(5, 8).await.unwrap(),
        entries(1, 5..8)
    );
}

#[tokio::test]
async fn what_is_read_at_once_is_bounded() {
    const ENTRIES: u64 = 1_000;
    let mut node = Node::sim(&SimDisk::new()).unwrap();
    node.append(entries(1, 0..ENTRIES)).await.unwrap();
    let mut reader = node.log.get_log_reader().await;
    let mut start = 0;
    while start < ENTRIES {
        let read = reader
            .limited_get_log_entries(start, ENTRIES)
            .await
            .unwrap();
        assert!((1..=256).contains(&read.len()));
        assert_eq!(read[0].log_id.index, start);
        start += read.len() as u64;
    }
    let streamed: Vec<_> = reader
        .entries_stream(0..ENTRIES)
        .await
        .map(Result::unwrap)
        .collect()
        .await;
    assert_eq!(streamed, entries(1, 0..ENTRIES));
}
