//! What clients are told while leaders die, networks are cut and quorums are lost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use domain::command::Stamped;
use domain::id::RequestId;
use domain::outcome::Applied;
use node::control_plane::{ControlPlane, ProposeError, ReadError};
use node::halt::FatalReason;
use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;

use crate::commands::{bootstrap, create, create_once, has, seed};
use crate::world::{World, eventually, fate};

/// How soon a node without a quorum has to say so.
const PROMPT: Duration = Duration::from_secs(2);

/// What a busy test machine adds.
const SLACK: Duration = Duration::from_millis(500);

#[allow(
    clippy::disallowed_methods,
    reason = "a test measures how long its client waits"
)]
fn now() -> Instant {
    Instant::now()
}

/// Contract: D-25.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_costs_no_acknowledged_write_and_no_client_that_has_an_idempotency_key() {
    let mut world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let leader = world.leader().await;
    let through = world.follower().await;
    // Proposals are under way through a follower while the leader dies.
    let under_way: Vec<_> = (100..400)
        .map(|number| world.propose(through, create_once(number)))
        .collect();
    world.kill(leader);
    for (number, answer) in (100..).zip(under_way) {
        let applied = answer
            .await
            .unwrap_or_else(|error| panic!("{number}: {error:?}"));
        applied
            .reply
            .unwrap_or_else(|rejection| panic!("{number}: {rejection}"));
        assert!(has(&world.consensus(through), number));
    }
    let next = world.leader().await;
    assert_ne!(next, leader);
    // The dead one comes back and has everything.
    world.start(leader).await;
    world.leader().await;
    world.barrier(leader).await.unwrap();
    assert!((100..400).all(|number| has(&world.consensus(leader), number)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_a_key_is_applied_or_not_as_its_client_was_told() {
    let mut world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let leader = world.leader().await;
    let through = world.follower().await;
    let under_way: Vec<_> = (100..400)
        .map(|number| world.propose(through, create(number)))
        .collect();
    world.kill(leader);
    let mut told = Vec::new();
    for (number, answer) in (100..).zip(under_way) {
        told.push((number, answer.await));
    }
    world.leader().await;
    world.barrier(through).await.unwrap();
    all_as_told(&world, through, told);
}

/// What a node holds is what its clients were told.
fn all_as_told(world: &World, on: u64, told: Vec<(u64, Result<Applied, ProposeError>)>) {
    for (number, answer) in told {
        let there = has(&world.consensus(on), number);
        match answer {
            Ok(applied) => {
                // A second attempt would find the identifier taken.
                assert!(applied.reply.is_ok(), "{number}: {:?}", applied.reply);
                assert!(there, "{number} was acknowledged and is gone");
            }
            Err(ProposeError::Unavailable { .. } | ProposeError::StorageFull { .. }) => {
                assert!(!there, "{number} was refused and is there")
            }
            Err(ProposeError::OutcomeUnknown { .. }) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_follower_is_cut_off_its_clients_hear_the_truth_and_those_with_a_key_are_answered_later()
 {
    let world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let through = world.follower().await;
    world
        .propose(through, create(99))
        .await
        .unwrap()
        .reply
        .unwrap();
    let plain: Vec<_> = (100..200)
        .map(|number| world.propose(through, create(number)))
        .collect();
    world.cut(through, true);
    let keyed: Vec<_> = (200..300)
        .map(|number| world.propose(through, create_once(number)))
        .collect();
    // What goes into a connection that has fallen silent may have arrived or not.
    let silent = world.propose(through, create(299)).await;
    assert!(
        matches!(silent, Err(ProposeError::OutcomeUnknown { .. })),
        "{silent:?}"
    );
    let mut told = vec![(299, silent)];
    for (number, answer) in (100..).zip(plain) {
        told.push((number, answer.await));
    }
    for number in 300..302 {
        let answer = world.propose(through, create(number)).await;
        assert!(answer.is_err(), "{number} was acknowledged by nobody");
        told.push((number, answer));
    }
    world.cut(through, false);
    for (number, answer) in (200..).zip(keyed) {
        told.push((number, answer.await));
    }
    eventually("the follower reads again", || {
        world
            .consensus(through)
            .readiness()
            .last_contact
            .filter(|ago| *ago < Duration::from_secs(1))
    })
    .await;
    world.barrier(through).await.unwrap();
    all_as_told(&world, through, told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_fails_ends_and_the_others_go_on() {
    let mut world = World::new(3);
    let mut fates: BTreeMap<u64, _> = BTreeMap::new();
    for id in 1..=3 {
        fates.insert(id, world.start(id).await);
    }
    let leader = world.leader().await;
    world
        .propose(leader, bootstrap())
        .await
        .unwrap()
        .reply
        .unwrap();
    world.simulated_disk(leader).fail_sync_after(0);
    // The command is written and its sync fails: the leader may not say that it is there.
    let answer = world.propose(leader, create(80)).await;
    assert!(
        matches!(answer, Err(ProposeError::OutcomeUnknown { .. })),
        "{answer:?}"
    );
    let reason = fate(fates.remove(&leader).unwrap()).await;
    assert!(matches!(reason, FatalReason::Storage(_)), "{reason:?}");
    assert_eq!(reason.exit_code(), 74);
    world.kill(leader);
    let next = world.leader().await;
    world
        .propose(next, create(81))
        .await
        .unwrap()
        .reply
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_does_not_hammer_a_member_that_is_away() {
    let mut world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let leader = world.leader().await;
    let away = world.follower().await;
    world.kill(away);
    let before = world.dials(leader);
    for number in 100..200 {
        world
            .propose(leader, create(number))
            .await
            .unwrap()
            .reply
            .unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Ten heartbeats a second on one lane, and a handful of attempts to replicate.
    let dials = world.dials(leader) - before;
    assert!(
        dials < 80,
        "{dials} attempts to connect in some two seconds"
    );
}

/// Contract: D-24.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_on_another_node_is_answered_with_the_first_effect() {
    let world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let first = world.propose(1, create_once(50)).await.unwrap();
    for id in [2, 3] {
        let retry = Stamped {
            request_id: RequestId::new(seed(id)),
            ..create_once(50)
        };
        let again = world.propose(id, retry).await.unwrap();
        assert!(again.replayed);
        assert_eq!(
            (again.reply, again.revision),
            (first.reply.clone(), first.revision)
        );
    }
}

/// Contract: D-60.
#[tokio::test(flavor = "multi_thread")]
async fn every_node_reads_what_any_node_has_acknowledged() {
    let world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    for number in 100..130 {
        let writer = 1 + number % 3;
        let reader = 1 + (number + 1) % 3;
        let written = world.propose(writer, create(number)).await.unwrap();
        let read = world.barrier(reader).await.unwrap();
        assert!(read >= written.revision);
        assert!(has(&world.consensus(reader), number));
    }
}

/// Contract: D-60.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_writes_and_reads_are_refused_in_time_and_nothing_is_applied() {
    let mut world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let survivor = world.leader().await;
    for id in world.running().into_iter().filter(|id| *id != survivor) {
        world.kill(id);
    }
    // Its lease runs out; from then on it knows that nothing it is told can be taken.
    eventually("the survivor refuses", || {
        let metrics = world.consensus(survivor).raft().metrics();
        let acked = metrics.borrow_watched().last_quorum_acked;
        acked
            .is_none_or(|acked| acked.elapsed() > Duration::from_millis(600))
            .then_some(())
    })
    .await;
    let begun = now();
    let (write, read) = tokio::join!(world.propose(survivor, create(50)), world.barrier(survivor));
    assert!(begun.elapsed() < PROMPT + SLACK, "{:?}", begun.elapsed());
    assert!(
        matches!(
            write,
            Err(ProposeError::Unavailable {
                retry_after_s: 1,
                ..
            })
        ),
        "{write:?}"
    );
    assert!(
        matches!(
            read,
            Err(ReadError::Unavailable {
                retry_after_s: 1,
                ..
            })
        ),
        "{read:?}"
    );
    // A stale read is still answered.
    assert!(!has(&world.consensus(survivor), 50));

    for id in 1..=3 {
        if id != survivor {
            world.start(id).await;
        }
    }
    world.leader().await;
    world.barrier(survivor).await.unwrap();
    assert!(
        !has(&world.consensus(survivor), 50),
        "what was refused was applied"
    );
    world
        .propose(survivor, create(51))
        .await
        .unwrap()
        .reply
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_acknowledges_nothing_and_catches_up_later() {
    let world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let old = world.leader().await;
    world.cut(old, true);
    let others: Vec<u64> = world
        .running()
        .into_iter()
        .filter(|id| *id != old)
        .collect();
    let new = eventually("the others elect one of them", || {
        let leader = world
            .consensus(others[0])
            .leader()
            .filter(|leader| *leader != old)?;
        (world.consensus(others[1]).leader() == Some(leader)).then_some(leader)
    })
    .await;
    let acknowledged = world.propose(new, create(60)).await.unwrap();
    let begun = now();
    let (write, read) = tokio::join!(world.propose(old, create(61)), world.barrier(old));
    assert!(begun.elapsed() < PROMPT + SLACK, "{:?}", begun.elapsed());
    assert!(write.is_err(), "{write:?}");
    eventually("it says that it is not ready", || {
        (!world.consensus(old).readiness().is_ready()).then_some(())
    })
    .await;
    assert!(
        read.is_err(),
        "it answered a read that misses revision {}",
        acknowledged.revision.0
    );

    world.cut(old, false);
    eventually("the old leader follows and is ready", || {
        let old = world.consensus(old);
        (old.leader() == Some(new) && old.readiness().is_ready()).then_some(())
    })
    .await;
    world.barrier(old).await.unwrap();
    assert!(has(&world.consensus(old), 60));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_leader_hands_over_and_writers_do_not_notice() {
    let mut world = World::formed().await;
    world.propose(1, bootstrap()).await.unwrap().reply.unwrap();
    let leader = world.leader().await;
    let through = world.follower().await;
    let under_way: Vec<_> = (100..300)
        .map(|number| world.propose(through, create_once(number)))
        .collect();
    world.stop(leader).await;
    for answer in under_way {
        answer.await.unwrap().reply.unwrap();
    }
    assert_ne!(world.leader().await, leader);
}
