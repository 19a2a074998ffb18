//! Members that compare their states: one that was changed behind its back goes, and nobody else does.

use node::consensus::membership::{ClusterReply, ClusterRequest, Condition, StateCheck};
use node::halt::FatalReason;

use crate::commands::{bootstrap, create, has};
use crate::world::{Fate, World, eventually, fate, pepper};

/// The generation of a state that no checkpoint has replaced, and upstreams in it.
const STATE: &str = "state/00000000000000000001";
const UPSTREAMS: [u8; 2] = [1, 0x10];

/// So many nodes that compare five times a second, with some data; and their ends.
async fn comparing(size: u64) -> (World, Vec<Fate>) {
    let mut world = World::new(size);
    world.check.every_ms = 200;
    let mut fates = Vec::new();
    for id in 1..=size {
        fates.push(world.start(id).await);
    }
    world.leader().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    for number in 10..20 {
        write(&world, 1, number).await;
    }
    (world, fates)
}

async fn write(world: &World, through: u64, number: u64) {
    let applied = world.propose(through, create(number)).await.unwrap();
    applied.reply.unwrap();
}

async fn condition(world: &World, id: u64) -> Condition {
    match world.ask(id, ClusterRequest::Examine).await {
        Ok(ClusterReply::Condition(condition)) => *condition,
        other => panic!("{other:?}"),
    }
}

/// How states compare, as a node sees it, once it sees what is looked for.
async fn seen(
    world: &World,
    by: u64,
    what: &str,
    holds: impl Fn(&StateCheck) -> bool,
) -> StateCheck {
    let looking = async {
        loop {
            let check = condition(world, by).await.state_check.unwrap();
            if holds(&check) {
                return check;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::world::PATIENCE, looking)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Waits until all of these see all of these equal at one of the next comparisons.
async fn all_equal(world: &World, ids: &[u64]) {
    for id in ids {
        let before = condition(world, *id).await.state_check.unwrap().position;
        let check = seen(world, *id, "all are equal", |check| {
            check.position > before && check.equal == ids
        })
        .await;
        assert_eq!((check.different, check.unknown), (vec![], vec![]));
        assert!(check.is_decided);
    }
}

fn metric(world: &World, id: u64, name: &str) -> f64 {
    let text = world.metrics(id);
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Changes a row of a node's state behind its back.
fn alter(world: &World, id: u64) {
    assert!(world.simulated_disk(id).alter_row(STATE, &UPSTREAMS));
}

/// A node with another state than the others goes, says why, and does not come back; the others go on without an election but
/// for a leader's.
async fn the_odd_one_goes(odd: impl AsyncFn(&World) -> u64) {
    let (mut world, mut fates) = comparing(3).await;
    all_equal(&world, &[1, 2, 3]).await;
    let odd = odd(&world).await;
    let others: Vec<u64> = (1..=3).filter(|id| *id != odd).collect();
    alter(&world, odd);
    let end = fate(fates.remove(usize::try_from(odd).unwrap() - 1)).await;
    let FatalReason::StateDiffers {
        node, others: said, ..
    } = &end
    else {
        panic!("{end}");
    };
    assert_eq!((*node, said), (odd, &others));
    assert_eq!(end.exit_code(), 65);
    for id in &others {
        let check = seen(&world, *id, "the odd one is named", |check| {
            check.different == [odd]
        })
        .await;
        assert_eq!(check.equal, others);
        assert!(metric(&world, *id, "vectorgate_check_differences_total") >= 1.0);
        let different = "vectorgate_check_members{verdict=\"different\"}";
        assert_eq!(metric(&world, *id, different), 1.0);
    }
    world.kill(odd);
    // It stays out, however often it is started.
    let refused = world.start_with(odd, pepper(7)).await.err().unwrap();
    assert_eq!(refused.exit_code(), 65, "{refused}");
    assert!(refused.to_string().contains("is not the one"), "{refused}");
    // It is still named when it does not answer any more, and the others take writes.
    let leader = world.leader().await;
    write(&world, leader, 50).await;
    let position = condition(&world, leader)
        .await
        .state_check
        .unwrap()
        .position;
    let check = seen(&world, leader, "the next comparison", |check| {
        check.position > position
    })
    .await;
    assert_eq!((check.different, check.unknown), (vec![odd], vec![]));
    for fate in fates {
        assert_eq!(*fate.borrow(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_whose_state_was_changed_goes_and_the_others_go_on() {
    the_odd_one_goes(async |world| world.follower().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_state_was_changed_hands_over_and_goes() {
    the_odd_one_goes(async |world| world.leader().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_majority_agrees_all_are_named_and_nobody_goes() {
    let (world, fates) = comparing(2).await;
    all_equal(&world, &[1, 2]).await;
    alter(&world, 2);
    for id in [1, 2] {
        let check = seen(&world, id, "both are named", |check| {
            check.different == [1, 2]
        })
        .await;
        assert!(!check.is_decided && check.equal.is_empty(), "{check:?}");
    }
    // They are looked at again and again, and go on.
    let position = condition(&world, 1).await.state_check.unwrap().position;
    seen(&world, 1, "the next comparison", |check| {
        check.position > position
    })
    .await;
    write(&world, 2, 50).await;
    for fate in fates {
        assert_eq!(*fate.borrow(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_does_not_answer_is_unknown_and_equal_again_when_it_does() {
    let (world, fates) = comparing(3).await;
    all_equal(&world, &[1, 2, 3]).await;
    let silent = world.follower().await;
    let leader = world.leader().await;
    let others: Vec<u64> = (1..=3).filter(|id| *id != silent).collect();
    world.cut(silent, true);
    let check = seen(&world, leader, "it is unknown", |check| {
        check.unknown == [silent]
    })
    .await;
    assert_eq!((check.equal, check.different), (others, vec![]));
    assert!(check.is_decided);
    let text = world.metrics(leader);
    let unknown = "vectorgate_check_members{verdict=\"unknown\"} 1";
    assert!(text.contains(unknown), "{text}");
    world.cut(silent, false);
    all_equal(&world, &[1, 2, 3]).await;
    for id in 1..=3 {
        assert_eq!(
            metric(&world, id, "vectorgate_check_differences_total"),
            0.0
        );
    }
    for fate in fates {
        assert_eq!(*fate.borrow(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lags_and_gets_a_checkpoint_is_no_alarm() {
    let mut world = World::new(3);
    world.check.every_ms = 200;
    world.raft.checkpoint_every_entries = 20;
    world.raft.entries_kept_after_checkpoint = 0;
    world.start_all().await;
    world.leader().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    all_equal(&world, &[1, 2, 3]).await;
    let late = world.follower().await;
    world.stop(late).await;
    let leader = world.leader().await;
    for number in 10..90 {
        write(&world, leader, number).await;
    }
    let end = world.start(late).await;
    eventually("it catches up", || {
        has(&world.consensus(late), 89).then_some(())
    })
    .await;
    assert!(world.simulated_disk(late).adoptions() > 0);
    all_equal(&world, &[1, 2, 3]).await;
    for id in 1..=3 {
        assert_eq!(
            metric(&world, id, "vectorgate_check_differences_total"),
            0.0
        );
    }
    assert_eq!(*end.borrow(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_told_not_to_compare_say_so() {
    let mut world = World::new(1);
    world.check.enabled = false;
    world.start(1).await;
    world.leader().await;
    let check = condition(&world, 1).await.state_check.unwrap();
    assert_eq!((check.every_ms, check.position), (0, None));
    assert_eq!(metric(&world, 1, "vectorgate_check_interval_seconds"), 0.0);
    let status = world.status(1).await;
    assert_eq!(
        status.state_check.unwrap().words(),
        "not compared: check.enabled is off"
    );
}
