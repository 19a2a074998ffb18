//! What several nodes let through together, with and without losses, on one virtual clock. The oracle
//! is a log of all times at which a request passed.

mod world;

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::sleep;

use super::wire::{self, Batch, Query, Reply};
use world::{LATENCY, World};

/// By when all of a minute's requests have ceased to count, whoever counted them: a minute, the half second
/// of a window's bucket and that of a note's, and the time between two of a test's questions.
const GONE_MS: u64 = 61_500;

#[tokio::test(start_paused = true)]
async fn five_nodes_let_through_together_exactly_what_one_key_may() {
    for mut world in [World::new(5, 60), World::settled(5, 60).await] {
        assert_eq!(world.ask_around(600).await, 60);
        let refused = world.ask(3).await;
        assert!(!refused.admitted);
        // What one is told is true on every node.
        sleep(Duration::from_millis(refused.retry_in_ms)).await;
        assert!(world.ask(4).await.admitted);
        assert!(world.most() <= 60, "{}", world.most());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_remembered_and_costs_the_others_nothing() {
    let mut world = World::settled(5, 60).await;
    world.ask_around(70).await;
    let before = world.network.lock().messages;
    assert_eq!(world.ask_around(1_000).await, 0);
    assert_eq!(world.network.lock().messages, before);
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_at_once_on_all_nodes_share_one_limit() {
    let world = World::settled(5, 60).await;
    let asking = (0..600_u64).map(|number| {
        let limits = world.nodes[&(1 + number % 5)].clone();
        tokio::spawn(async move { limits.admit(world.id, 60).await.admitted })
    });
    let mut passed = 0;
    for answer in asking.collect::<Vec<_>>() {
        passed += u32::from(answer.await.unwrap());
    }
    assert_eq!(passed, 60);
}

#[tokio::test(start_paused = true)]
async fn losing_the_keeper_neither_blocks_a_key_nor_gives_it_a_second_limit() {
    for (first, second) in [(0, 1), (1, 0)] {
        let mut world = World::settled(5, 60).await;
        let order = world.order();
        assert_eq!(world.ask_around(40).await, 40);
        world.kill(order[first]);
        assert_eq!(world.ask_around(10).await, 10);
        world.kill(order[second]);
        assert_eq!(world.ask_around(600).await, 10);
        sleep(Duration::from_secs(61)).await;
        assert_eq!(world.ask_around(600).await, 60);
        assert!(world.most() <= 60, "{}", world.most());
    }
}

#[tokio::test(start_paused = true)]
async fn a_keeper_that_is_lost_in_the_middle_of_a_burst_loses_what_was_under_way_at_most() {
    let mut world = World::settled(5, 60).await;
    let keeper = world.order()[0];
    // The keeper itself serves, is killed at once, and its last note never leaves.
    for _ in 0..30 {
        world.ask(keeper).await;
        sleep(LATENCY * 3).await;
    }
    world.ask(keeper).await;
    world.kill(keeper);
    world.ask_around(600).await;
    assert!((60..=61).contains(&world.most()), "{}", world.most());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_does_not_forget_for_the_others() {
    let mut world = World::settled(5, 60).await;
    let keeper = world.order()[0];
    world.ask_around(30).await;
    world.kill(keeper);
    world.ask_around(10).await;
    world.start(keeper);
    // All of the old count goes while the node is fresh; what is granted meanwhile is noted.
    for _ in 0..120 {
        world.ask_around(5).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert!(world.most() <= 60, "{}", world.most());
    assert_eq!(world.passed.len(), 120);
}

/// Six minutes of requests on all nodes, during which one node after the other is killed and comes
/// back. What a kill may cost is the note that was under way.
#[tokio::test(start_paused = true)]
async fn whichever_nodes_are_lost_and_whenever_the_limit_holds_and_is_given() {
    for seed in 0..20 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut world = World::settled(5, 60).await;
        let mut down: Option<(u64, u64)> = None;
        let mut next_kill = random.random_range(0..60);
        for second in 0..360 {
            match down {
                Some((node, until)) if second >= until => {
                    world.start(node);
                    down = None;
                    next_kill = second + random.random_range(65..90);
                }
                None if second >= next_kill => {
                    let node = random.random_range(1..=5);
                    world.ask(node).await;
                    world.kill(node);
                    down = Some((node, second + random.random_range(1..20)));
                }
                _ => {}
            }
            for _ in 0..random.random_range(0..12) {
                let nodes: Vec<_> = world.nodes.keys().copied().collect();
                world.ask(nodes[random.random_range(0..nodes.len())]).await;
            }
            sleep(Duration::from_millis(1_000 - world.now_ms() % 1_000)).await;
        }
        let (most, all) = (world.most(), world.passed.len());
        assert!((60..=61).contains(&most), "seed {seed}: {most}");
        assert!(all >= 300, "seed {seed}: {all}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_lets_through_its_share_and_the_others_the_limit() {
    let mut world = World::settled(5, 60).await;
    let keeper = world.order()[0];
    world.cut(keeper);
    sleep(Duration::from_secs(1)).await;
    let mut alone = 0;
    for _ in 0..100 {
        alone += u32::from(world.ask(keeper).await.admitted);
    }
    assert_eq!(alone, 60 / 5);
    let cut_off = world.nodes.remove(&keeper);
    assert_eq!(world.ask_around(600).await, 60);
    drop(cut_off);
}

#[tokio::test(start_paused = true)]
async fn a_keeper_that_was_cut_off_gives_no_second_limit_when_it_is_heard_again() {
    for seconds in [1, 5, 20, 50] {
        let mut world = World::settled(5, 60).await;
        let keeper = world.order()[0];
        world.cut(keeper);
        sleep(Duration::from_secs(1)).await;
        let cut_off = world.nodes.remove(&keeper).unwrap();
        assert_eq!(world.ask_around(200).await, 60);
        sleep(Duration::from_secs(seconds)).await;
        world.heal(keeper);
        world.nodes.insert(keeper, cut_off);
        // Whoever asks first: the keeper's own callers, then the others.
        for _ in 0..100 {
            assert!(!world.ask(keeper).await.admitted, "after {seconds} s");
        }
        for _ in 0..600 {
            world.ask_around(5).await;
            sleep(Duration::from_millis(200)).await;
        }
        assert!(world.most() <= 61, "after {seconds} s: {}", world.most());
        let blocked_ms = world.passed[60] - world.passed[0];
        assert!(blocked_ms <= GONE_MS, "after {seconds} s: {blocked_ms}");
        // All of the limit is there again at once: sixty requests are twelve rounds of five.
        let whole_ms = world.passed[119] - world.passed[59];
        assert!(whole_ms <= GONE_MS + 3_000, "after {seconds} s: {whole_ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_node_did_not_hear_it_is_told_again_and_counts_from_when_it_was() {
    let mut world = World::settled(5, 60).await;
    let keeper = world.order()[0];
    world.deafen(keeper, true);
    let deaf = world.nodes.remove(&keeper).unwrap();
    assert_eq!(world.ask_around(200).await, 60);
    // It does not notice that nobody reaches it.
    sleep(Duration::from_secs(2)).await;
    world.deafen(keeper, false);
    sleep(Duration::from_secs(1)).await;
    world.nodes.insert(keeper, deaf);
    assert!(!world.ask(keeper).await.admitted);
    let told_ms = world.ask(keeper).await.retry_in_ms;
    assert!(world.now_ms() + told_ms <= world.passed[0] + GONE_MS);
    for _ in 0..600 {
        world.ask_around(5).await;
        sleep(Duration::from_millis(200)).await;
    }
    assert!(world.most() <= 61, "{}", world.most());
    assert!(world.passed[60] - world.passed[0] <= GONE_MS);
}

#[tokio::test(start_paused = true)]
async fn a_share_is_no_more_than_what_is_left_and_what_went_by_it_is_told_later() {
    let mut world = World::settled(5, 60).await;
    let keeper = world.order()[0];
    assert_eq!(world.ask_around(55).await, 55);
    world.cut(keeper);
    sleep(Duration::from_secs(1)).await;
    for _ in 0..100 {
        world.ask(keeper).await;
    }
    assert_eq!(world.passed.len(), 60);
    world.heal(keeper);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.ask_around(200).await, 0);
    assert_eq!(world.most(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_share_that_was_used_up_blocks_nobody_once_the_node_is_heard_again() {
    let mut world = World::settled(5, 60).await;
    let keeper = world.order()[0];
    world.cut(keeper);
    sleep(Duration::from_secs(1)).await;
    for _ in 0..100 {
        world.ask(keeper).await;
    }
    assert_eq!(world.passed.len(), 60 / 5);
    world.heal(keeper);
    sleep(Duration::from_secs(2)).await;
    assert!(world.ask(keeper).await.admitted);
    assert_eq!(world.ask_around(600).await, 60 - 60 / 5 - 1);
}

#[tokio::test(start_paused = true)]
async fn a_large_limit_is_held_within_two_percent_and_no_request_waits_while_it_lasts() {
    let limit = 20_000;
    let mut world = World::settled(5, limit).await;
    // Twice as much as is allowed, spread over two minutes and all nodes.
    for _ in 0..2_000 {
        for node in 1..=5 {
            for _ in 0..4 {
                let before = world.now_ms();
                if world.ask(node).await.admitted && world.passed.len() < 19_000 {
                    assert_eq!(world.now_ms(), before, "waited at {}", world.passed.len());
                }
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
    let (most, limit) = (world.most(), usize::try_from(limit).unwrap());
    assert!(
        (limit * 98 / 100..=limit * 102 / 100).contains(&most),
        "{most}"
    );
    // A slice is 40 requests: questions are two orders of magnitude rarer than requests.
    assert!(world.network.lock().messages < 8_000);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_and_when_all_is_back_is_said_and_true() {
    for limit in [60, 100_000] {
        let mut world = World::settled(3, limit).await;
        let first = world.ask(1).await;
        assert_eq!(first.remaining, limit - 1);
        assert!((60_000..=60_500).contains(&first.reset_in_ms), "{first:?}");
        sleep(Duration::from_millis(first.reset_in_ms)).await;
        let again = world.ask(1).await.remaining;
        // Slices that are held count as left only where they are held.
        assert!(limit - again <= limit / 100 + 1, "{again}");
    }
}

#[tokio::test(start_paused = true)]
async fn limits_that_are_gone_answer_nobody() {
    let mut world = World::settled(2, 60).await;
    let desk = world.nodes[&1].desk();
    let notes = wire::encode(&Query::Notes(Batch {
        sender: 1,
        number: 1,
        notes: Vec::new(),
    }));
    assert_eq!(desk.answer(&notes), Some(wire::encode(&Reply::Noted)));
    assert_eq!(desk.answer(b"garbage"), None);
    world.kill(1);
    assert_eq!(desk.answer(&notes), None);
}
