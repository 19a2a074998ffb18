//! Edge and node together: what happens from a publish to its application, whatever comes between.

mod pair;

use std::time::Duration;

use bytes::Bytes;
use domain::tree::Hash;
use edge_protocol::follower::{CloseReason, Event};
use edge_protocol::limits::{RETRY_INTERVAL, SILENCE_MAX};
use edge_protocol::signing::Trust;
use edge_protocol::{Follower, HealthReport, Hello, Refusal, ReportState, ToEdge, ToNode};
use pair::{Outcome, Pair, environment, hello, manifest, offer, signed, tree};

#[test]
fn a_new_edge_fetches_everything_and_says_how_far_it_is() {
    let (root, chunks) = tree(3000, &[]);
    assert!(chunks.len() > 5, "the tree has several chunks");
    let newest = manifest(1, 1, root);
    let mut pair = Pair::new(newest, chunks.clone());
    pair.settle();
    assert_eq!(pair.applied, [newest]);
    assert_eq!(pair.disk.0, chunks);
    assert_eq!(
        pair.states(),
        [
            ReportState::Received,
            ReportState::Verified,
            ReportState::Applied
        ]
    );
    let last = pair.reports.last().unwrap();
    assert_eq!(last.chunks_fetched, u64::try_from(chunks.len()).unwrap());
    assert_eq!(
        last.bytes_fetched,
        chunks.values().map(|chunk| chunk.len() as u64).sum::<u64>()
    );
    assert_eq!(last.apply_ms, 3);
}

#[test]
fn a_manifest_without_routes_is_applied_without_a_fetch() {
    let newest = manifest(1, 0, Hash::EMPTY_TREE);
    let mut pair = Pair::new(newest, pair::tree(0, &[]).1);
    pair.settle();
    assert_eq!(pair.applied, [newest]);
    assert_eq!(pair.wanted, []);
}

#[test]
fn a_root_that_is_not_trusted_is_refused_with_the_reason_and_never_fetched() {
    let (root, chunks) = tree(10, &[]);
    let mut follower = Follower::new(hello(), None, None);
    follower.distrust(root, "the edge crashed on it".to_owned());
    let mut pair = Pair::resume(follower, manifest(1, 1, root), chunks);
    pair.settle();
    assert_eq!(pair.rejections(), ["the edge crashed on it"]);
    assert!(pair.wanted.is_empty() && pair.applied.is_empty());
    let (other, chunks) = tree(10, &[3]);
    pair.publish(manifest(1, 2, other), chunks);
    pair.settle();
    assert_eq!(pair.applied, [manifest(1, 2, other)]);
}

#[test]
fn the_second_publish_ships_only_what_changed() {
    let (first, chunks) = tree(3000, &[]);
    let mut pair = Pair::new(manifest(1, 1, first), chunks.clone());
    pair.settle();
    pair.wanted.clear();
    let (second, changed) = tree(3000, &[1500]);
    let expected: Vec<_> = changed
        .keys()
        .filter(|hash| !chunks.contains_key(hash))
        .copied()
        .collect();
    assert!(expected.len() < 4, "a path to one leaf");
    pair.publish(manifest(1, 2, second), changed);
    pair.settle();
    assert_eq!(pair.applied.last(), Some(&manifest(1, 2, second)));
    pair.wanted.sort_unstable();
    assert_eq!(pair.wanted, expected);
}

#[test]
fn a_lost_connection_costs_only_what_was_under_way() {
    let (root, chunks) = tree(20_000, &[]);
    let newest = manifest(1, 1, root);
    let mut pair = Pair::new(newest, chunks.clone());
    while pair.follower.poll_timeout().is_some()
        && pair.to_edge.iter().filter(|frame| is_chunks(frame)).count() == 0
    {
        pair.step();
    }
    pair.step();
    assert_eq!(pair.applied, []);
    pair.reconnect();
    let lost = pair.wanted.len();
    pair.settle();
    assert_eq!(pair.applied, [newest]);
    assert_eq!(pair.disk.0, chunks);
    assert!(
        pair.wanted.len() <= chunks.len() + lost,
        "{} wants",
        pair.wanted.len()
    );
    let last = pair.reports.last().unwrap();
    assert_eq!(
        last.chunks_fetched as usize,
        chunks.len(),
        "what arrived before was kept"
    );
}

fn is_chunks(frame: &ToEdge) -> bool {
    matches!(frame, ToEdge::Chunks(_))
}

#[test]
fn a_newer_manifest_in_the_middle_of_a_fetch_is_followed_instead() {
    let (first, chunks) = tree(20_000, &[]);
    let (second, changed) = tree(20_000, &[7, 9000]);
    let mut pair = Pair::new(manifest(1, 1, first), chunks);
    while !pair.to_edge.iter().any(is_chunks) {
        pair.step();
    }
    pair.publish(manifest(1, 2, second), changed.clone());
    pair.settle();
    assert_eq!(pair.applied, [manifest(1, 2, second)]);
    for hash in changed.keys() {
        assert_eq!(
            pair.wanted.iter().filter(|wanted| *wanted == hash).count(),
            1,
            "nothing is asked for twice"
        );
    }
    assert_eq!(pair.edge_closed, None);
}

#[test]
fn a_newer_manifest_during_applying_comes_next() {
    let (first, chunks) = tree(10, &[]);
    let (second, changed) = tree(10, &[3]);
    let (third, more) = tree(10, &[4]);
    let mut pair = Pair::new(manifest(1, 1, first), chunks);
    pair.hold_applying = true;
    pair.settle();
    pair.publish(manifest(1, 2, second), changed);
    pair.settle();
    pair.publish(manifest(1, 3, third), more);
    pair.settle();
    assert_eq!(pair.applied, []);
    pair.hold_applying = false;
    pair.settle();
    assert_eq!(pair.applied, [manifest(1, 1, first), manifest(1, 3, third)]);
}

#[test]
fn chunks_that_are_gone_lead_to_the_newest_manifest() {
    let (first, chunks) = tree(3000, &[]);
    let (second, changed) = tree(3000, &[11]);
    let mut pair = Pair::new(manifest(1, 1, first), chunks);
    while !matches!(pair.to_node.back(), Some(ToNode::Want(_))) {
        pair.step();
    }
    pair.shelf.chunks.clear();
    pair.publish(manifest(1, 2, second), changed);
    pair.settle();
    assert_eq!(pair.applied, [manifest(1, 2, second)]);
    assert_eq!(pair.edge_closed, None);
}

#[test]
fn gone_before_the_edge_knows_of_the_newer_manifest_is_waited_out() {
    let (first, chunks) = tree(3000, &[]);
    let (second, changed) = tree(3000, &[11]);
    let mut pair = Pair::new(manifest(1, 1, first), chunks);
    while !matches!(pair.to_node.back(), Some(ToNode::Want(_))) {
        pair.step();
    }
    let Some(ToNode::Want(wanted)) = pair.to_node.pop_back() else {
        panic!()
    };
    pair.follower.handle_frame(pair.now, ToEdge::Gone(wanted));
    pair.edge_turn();
    assert_eq!(
        pair.events.last(),
        Some(&Event::Gone(manifest(1, 1, first)))
    );
    pair.publish(manifest(1, 2, second), changed);
    pair.settle();
    assert_eq!(pair.applied, [manifest(1, 2, second)]);
}

#[test]
fn a_node_that_offers_what_it_does_not_have_is_left() {
    let (root, mut chunks) = tree(3000, &[]);
    let leaf = chunks.keys().copied().find(|hash| *hash != root).unwrap();
    let lost = chunks.remove(&leaf).unwrap();
    let mut pair = Pair::new(manifest(1, 1, root), chunks);
    pair.settle();
    assert!(
        matches!(pair.edge_closed, Some(CloseReason::Violation(_))),
        "{:?}",
        pair.edge_closed
    );
    pair.reconnect();
    pair.shelf.chunks.insert(leaf, lost);
    pair.settle();
    assert_eq!(pair.applied, [manifest(1, 1, root)], "the next node has it");
}

#[test]
fn garbage_is_reported_and_ends_the_connection_and_the_next_node_does_better() {
    let (root, chunks) = tree(3000, &[]);
    let leaf = chunks.keys().copied().find(|hash| *hash != root).unwrap();
    let mut pair = Pair::new(manifest(1, 1, root), chunks);
    let mut garbage = pair.shelf.chunks[&leaf].to_vec();
    garbage[10] ^= 1;
    pair.shelf.garbage = Some((leaf, Bytes::from(garbage)));
    pair.settle();
    assert!(
        matches!(pair.edge_closed, Some(CloseReason::Violation(_))),
        "{:?}",
        pair.edge_closed
    );
    assert_eq!(pair.rejections().len(), 1, "{:?}", pair.reports);
    assert_eq!(pair.applied, []);
    pair.shelf.garbage = None;
    pair.reconnect();
    pair.settle();
    assert_eq!(pair.applied, [manifest(1, 1, root)]);
}

#[test]
fn a_chunk_that_is_none_is_rejected_for_good_and_not_fetched_again() {
    let nonsense = Bytes::from_static(b"this is no chunk");
    let root = Hash::of(&nonsense);
    let mut pair = Pair::new(manifest(1, 1, root), [(root, nonsense)].into());
    pair.settle();
    assert_eq!(pair.rejections().len(), 1);
    assert_eq!(
        pair.edge_closed, None,
        "the node only passes on what was published"
    );
    pair.wanted.clear();
    pair.reconnect();
    pair.settle();
    assert_eq!(pair.wanted, []);
    assert!(pair.rejections().len() > 1, "the new node hears of it too");
}

#[test]
fn what_cannot_be_applied_is_rejected_once_and_the_next_one_is_followed() {
    let (good, chunks) = tree(10, &[]);
    let (bad, changed) = tree(10, &[2]);
    let mut pair = Pair::new(manifest(1, 1, good), chunks.clone());
    pair.settle();
    pair.failures.push_back(Outcome::Content);
    pair.publish(manifest(1, 2, bad), changed);
    pair.settle();
    assert_eq!(pair.rejections(), ["rule_1 does not compile"]);
    assert_eq!(pair.follower.current(), Some(&manifest(1, 1, good)));
    pair.wanted.clear();
    for _ in 0..3 {
        pair.reconnect();
        pair.settle();
    }
    pair.publish(manifest(1, 3, bad), Default::default());
    pair.settle();
    assert_eq!(pair.wanted, [], "the same root is not fetched again");
    assert_eq!(pair.follower.current(), Some(&manifest(1, 1, good)));
    pair.publish(manifest(1, 4, good), Default::default());
    pair.settle();
    assert_eq!(pair.applied.last(), Some(&manifest(1, 4, good)));
}

#[test]
fn a_full_disk_is_reported_and_tried_again_without_fetching_again() {
    let (root, chunks) = tree(3000, &[]);
    let mut pair = Pair::new(manifest(1, 1, root), chunks);
    pair.failures.extend([Outcome::Local, Outcome::Local]);
    pair.settle();
    assert_eq!(pair.rejections(), ["the disk is full"]);
    pair.wanted.clear();
    for _ in 0..2 {
        pair.sleep(RETRY_INTERVAL - Duration::from_millis(1));
        pair.settle();
        assert_eq!(pair.applied, []);
        pair.sleep(Duration::from_millis(1));
        pair.settle();
    }
    assert_eq!(pair.applied, [manifest(1, 1, root)]);
    assert_eq!(pair.wanted, []);
}

#[test]
fn a_newer_manifest_does_not_wait_for_the_retry_of_an_older_one() {
    let (first, chunks) = tree(10, &[]);
    let (second, changed) = tree(10, &[1]);
    let mut pair = Pair::new(manifest(1, 1, first), chunks);
    pair.failures.push_back(Outcome::Local);
    pair.settle();
    pair.publish(manifest(1, 2, second), changed);
    pair.settle();
    assert_eq!(pair.applied, [manifest(1, 2, second)]);
}

#[test]
fn an_older_manifest_is_ignored_with_a_reason() {
    let (root, chunks) = tree(10, &[]);
    let mut pair = Pair::new(manifest(2, 5, root), chunks);
    pair.settle();
    for (epoch, version) in [(2, 4), (1, 99)] {
        let offered = manifest(epoch, version, Hash([9; 32]));
        pair.follower
            .handle_frame(pair.now, ToEdge::Manifest(signed(offered)));
        pair.edge_turn();
        let current = manifest(2, 5, root);
        assert_eq!(
            pair.events.last(),
            Some(&Event::IgnoredOlder { offered, current })
        );
    }
    assert_eq!(pair.follower.current(), Some(&manifest(2, 5, root)));
}

#[test]
fn the_same_version_with_another_root_is_refused_and_never_fetched() {
    let (root, chunks) = tree(10, &[]);
    let (other, changed) = tree(10, &[5]);
    let mut pair = Pair::new(manifest(1, 5, root), chunks);
    pair.settle();
    pair.wanted.clear();
    pair.publish(manifest(1, 5, other), changed);
    pair.settle();
    assert_eq!(pair.wanted, []);
    assert_eq!(pair.rejections().len(), 1);
    assert_eq!(pair.applied, [manifest(1, 5, root)]);
}

#[test]
fn a_restored_cluster_is_followed_by_its_higher_epoch() {
    let (root, chunks) = tree(10, &[]);
    let (restored, changed) = tree(10, &[5]);
    let mut pair = Pair::new(manifest(1, 500, root), chunks);
    pair.settle();
    pair.publish(manifest(2, 3, restored), changed);
    pair.settle();
    assert_eq!(pair.applied.last(), Some(&manifest(2, 3, restored)));
}

#[test]
fn a_node_that_is_behind_keeps_quiet_until_it_has_caught_up() {
    let (root, chunks) = tree(10, &[]);
    let (newer, changed) = tree(10, &[5]);
    let ahead = Hello {
        have: Some(manifest(1, 7, root)),
        ..hello()
    };
    let mut pair = Pair::resume(
        Follower::new(
            ahead,
            Some(environment(1)),
            Some(Trust::kept(pair::trust().set)),
        ),
        manifest(1, 6, newer),
        chunks.clone(),
    );
    pair.disk.0 = chunks;
    pair.settle();
    assert_eq!(pair.events.len(), 1, "only the welcome: {:?}", pair.events);
    pair.publish(manifest(1, 8, newer), changed);
    pair.settle();
    assert_eq!(pair.applied, [manifest(1, 8, newer)]);
}

#[test]
fn another_environment_of_the_same_name_is_not_followed() {
    let (root, chunks) = tree(10, &[]);
    let mut pair = Pair::new(manifest(1, 1, root), chunks);
    pair.settle();
    pair.environment = environment(2);
    pair.reconnect();
    pair.settle();
    assert!(
        matches!(
            pair.edge_closed,
            Some(CloseReason::ForeignEnvironment { .. })
        ),
        "{:?}",
        pair.edge_closed
    );
}

#[test]
fn a_slow_edge_is_sent_the_newest_manifest_and_none_between() {
    let (root, chunks) = tree(10, &[]);
    let mut pair = Pair::new(manifest(1, 1, root), chunks);
    pair.settle();
    for version in 2..50 {
        pair.feeder.handle_offer(offer(manifest(1, version, root)));
    }
    pair.node_turn();
    assert_eq!(
        pair.to_edge,
        [ToEdge::Manifest(signed(manifest(1, 49, root)))]
    );
}

#[test]
fn pings_keep_both_sides_sure_of_each_other() {
    let (root, chunks) = tree(10, &[]);
    let mut pair = Pair::new(manifest(1, 1, root), chunks);
    pair.settle();
    for _ in 0..100 {
        let next = pair
            .follower
            .poll_timeout()
            .into_iter()
            .chain(pair.feeder.poll_timeout())
            .min()
            .unwrap();
        let wait = next.since(pair.now);
        pair.sleep(wait);
        pair.settle();
    }
    assert_eq!((pair.edge_closed, pair.node_closed), (None, None));
}

#[test]
fn who_says_nothing_is_given_up_by_the_other() {
    let (root, chunks) = tree(10, &[]);
    let mut pair = Pair::new(manifest(1, 1, root), chunks);
    pair.settle();
    pair.sleep(SILENCE_MAX);
    pair.edge_turn();
    pair.node_turn();
    assert!(
        matches!(pair.edge_closed, Some(CloseReason::Silent(_))),
        "{:?}",
        pair.edge_closed
    );
    assert!(
        matches!(pair.node_closed, Some(Refusal::Violation(_))),
        "{:?}",
        pair.node_closed
    );
}

#[test]
fn the_last_conclusion_is_told_to_the_next_node() {
    let (root, chunks) = tree(10, &[]);
    let mut pair = Pair::new(manifest(1, 1, root), chunks);
    pair.settle();
    pair.reports.clear();
    pair.reconnect();
    pair.settle();
    assert_eq!(pair.states(), [ReportState::Applied]);
    assert_eq!(pair.reports[0].apply_ms, 3);
}

#[test]
fn a_changed_chunk_comes_as_what_differs_from_the_one_before() {
    let (first, chunks) = tree(3000, &[]);
    let mut pair = Pair::new(manifest(1, 1, first), chunks.clone());
    pair.settle();
    let whole = pair.reports.last().unwrap().bytes_fetched;
    let (second, changed) = tree(3000, &[1500]);
    let lacking: Vec<_> = changed
        .iter()
        .filter(|(hash, _)| !chunks.contains_key(hash))
        .collect();
    let bytes: usize = lacking.iter().map(|(_, chunk)| chunk.len()).sum();
    pair.publish(manifest(1, 2, second), changed.clone());
    pair.settle();
    let last = pair.reports.last().unwrap();
    assert_eq!(last.state, ReportState::Applied);
    assert_eq!(last.chunks_fetched, lacking.len() as u64);
    assert!(
        last.bytes_fetched * 4 < bytes as u64 && last.bytes_fetched < whole / 100,
        "{} of {bytes}",
        last.bytes_fetched
    );
    assert!(
        lacking
            .iter()
            .all(|(hash, _)| pair.disk.0.contains_key(*hash))
    );
}

#[test]
fn a_patch_that_does_not_fit_is_nothing_and_the_chunk_comes_whole() {
    for spoil in [true, false] {
        let (first, chunks) = tree(3000, &[]);
        let mut pair = Pair::new(manifest(1, 1, first), chunks.clone());
        pair.settle();
        if !spoil {
            // The node no longer has what the edge has.
            pair.shelf.chunks.clear();
        }
        let (second, changed) = tree(3000, &[1500]);
        pair.publish(manifest(1, 2, second), changed.clone());
        for _ in 0..1000 {
            for frame in &mut pair.to_edge {
                if let ToEdge::Patches(patches) = frame
                    && spoil
                {
                    patches[0].prefix = 0;
                }
            }
            if !pair.step() {
                break;
            }
        }
        assert_eq!(
            pair.applied.last(),
            Some(&manifest(1, 2, second)),
            "{spoil}"
        );
        assert_eq!(pair.edge_closed, None);
        assert!(changed.keys().all(|hash| pair.disk.0.contains_key(hash)));
    }
}

#[test]
fn a_patch_that_nobody_asked_for_is_a_violation() {
    let (first, chunks) = tree(10, &[]);
    let mut pair = Pair::new(manifest(1, 1, first), chunks);
    pair.settle();
    let wanted = edge_protocol::Wanted {
        hash: Hash([1; 32]),
        base: first,
    };
    pair.to_edge
        .push_back(ToEdge::Patches(vec![edge_protocol::Patch {
            wanted,
            prefix: 0,
            suffix: 0,
            middle: Bytes::new(),
        }]));
    pair.settle();
    assert!(matches!(pair.edge_closed, Some(CloseReason::Violation(_))));
}

#[test]
fn only_the_newest_health_is_told_and_it_is_told_to_every_node() {
    let newest = manifest(1, 0, Hash::EMPTY_TREE);
    let mut pair = Pair::new(newest, tree(0, &[]).1);
    let with = |more| HealthReport {
        more,
        ..HealthReport::default()
    };
    // Nothing is out, which goes without saying.
    pair.settle();
    assert_eq!(pair.health, []);
    pair.follower.handle_health(with(1));
    pair.follower.handle_health(with(2));
    pair.follower.handle_health(with(2));
    pair.settle();
    assert_eq!(pair.health, [with(2)]);
    pair.lose();
    pair.follower.handle_health(with(3));
    pair.reconnect();
    pair.settle();
    assert_eq!(pair.health, [with(2), with(3)]);
    pair.follower.handle_health(with(0));
    pair.settle();
    assert_eq!(pair.health.last(), Some(&with(0)));
    pair.reconnect();
    pair.settle();
    assert_eq!(pair.health.len(), 3);
}
