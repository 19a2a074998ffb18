//! Retries have one effect, for 24 hours of log time.

use super::world::{World, actor, furnished, refused, rule};
use crate::command::{ArchiveRule, Command, Idempotency, Stamped};
use crate::machine::{ANSWERS_MAX, EXPIRIES_PER_STEP, step};
use crate::model::{IDEMPOTENCY_TTL_MS, IdempotencyKey};
use crate::query;
use crate::rejection::Rejection;
use crate::schema::{ANSWER_EXPIRIES, CLOCK, LogClock};
use crate::time::{Revision, Timestamp};

fn create(world: &mut World, number: u64, priority: u32, key: (&str, u8)) -> Stamped {
    let command = world.new_rule(number, priority);
    world.stamped(Command::CreateRule(world.actor.clone(), command), Some(key))
}

#[test]
fn a_retry_gets_the_first_answer_and_changes_nothing_but_the_clock() {
    let mut world = furnished();
    let first = create(&mut world, 1, 10, ("a", 1));
    let answer = world.step(&first);
    let before = world.rows.clone();
    // The retry is proposed anew, with identifiers of its own.
    let retry = create(&mut world, 2, 10, ("a", 1));
    let replayed = world.step(&retry);
    assert!(replayed.replayed && !answer.replayed);
    assert_eq!(
        (replayed.reply, replayed.revision),
        (answer.reply, answer.revision)
    );
    let changed = world
        .rows
        .0
        .iter()
        .filter(|(key, value)| before.0.get(*key) != Some(value))
        .count();
    assert_eq!(changed, 1, "only the clock went on");
}

#[test]
fn a_rejection_is_an_answer_too() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    let refusal = create(&mut world, 2, 10, ("a", 1));
    let first = world.step(&refusal);
    world.archive_rule(1).unwrap();
    let retried = world.step(&refusal);
    assert!(
        retried.replayed,
        "the priority is free now, but the request was answered"
    );
    assert_eq!(retried.reply, first.reply);
    assert_eq!(retried.revision, first.revision);
}

#[test]
fn a_key_used_for_another_request_is_refused_and_keeps_its_answer() {
    let mut world = furnished();
    let first = create(&mut world, 1, 10, ("a", 1));
    let answer = world.step(&first);
    let other = create(&mut world, 2, 20, ("a", 2));
    let refusal = world.step(&other);
    assert_eq!(
        (refusal.revision, refusal.replayed),
        (Revision(world.revision), false)
    );
    assert_eq!(refused(refusal.reply).0, "IdempotencyKeyReused");
    assert_eq!(world.step(&first).reply, answer.reply);
}

#[test]
fn a_key_means_one_request_in_each_environment() {
    let mut world = furnished();
    let first = create(&mut world, 1, 10, ("a", 1));
    world.step(&first);
    world.actor = actor(1);
    let archive = Command::ArchiveRule(
        world.actor.clone(),
        ArchiveRule {
            id: rule(1),
            draft_id: world.draw(),
        },
    );
    let elsewhere = world.stamped(archive, Some(("a", 2)));
    let answer = world.step(&elsewhere);
    assert!(!answer.replayed);
    assert_eq!(refused(answer.reply), ("NotFound", "rule".to_owned()));
}

#[test]
fn an_answer_is_forgotten_after_24_hours_of_log_time() {
    let mut world = furnished();
    let first = create(&mut world, 1, 10, ("a", 1));
    world.now = 2_000_000;
    let stamped = Stamped {
        at: Timestamp(2_000_000),
        ..first
    };
    world.step(&stamped);
    let remembered = |world: &World| {
        let actor = &world.actor;
        query::idempotency(
            &world.rows,
            &actor.environment_id,
            &IdempotencyKey("a".to_owned()),
        )
    };
    world.now = 2_000_000 + IDEMPOTENCY_TTL_MS - 1;
    let retry = create(&mut world, 2, 20, ("a", 1));
    assert!(world.step(&retry).replayed, "a millisecond before");
    assert!(remembered(&world).is_some());
    let retry = create(&mut world, 2, 20, ("a", 1));
    assert!(!world.step(&retry).replayed, "at that millisecond");
    assert_eq!(
        remembered(&world).map(|record| record.revision),
        Some(Revision(world.revision))
    );
}

#[test]
fn expired_answers_go_a_few_at_a_time() {
    let mut world = furnished();
    for number in 0..10 {
        let stamped = create(
            &mut world,
            number,
            number as u32,
            (&format!("key-{number}"), 1),
        );
        world.step(&stamped);
    }
    let kept = |world: &World| {
        ANSWER_EXPIRIES
            .scan(&world.rows, &ANSWER_EXPIRIES.all(), 100)
            .len()
    };
    assert_eq!(kept(&world), 10);
    world.now += IDEMPOTENCY_TTL_MS;
    world.archive_rule(0).unwrap();
    assert_eq!(kept(&world), 10 - EXPIRIES_PER_STEP);
    world.archive_rule(1).unwrap();
    world.archive_rule(2).unwrap();
    assert_eq!(kept(&world), 0);
}

/// Contract: D-10.
#[test]
fn log_time_never_goes_back_and_objects_carry_it() {
    let mut world = furnished();
    world.now = 5_000_000;
    world.create_rule(1, 10).unwrap();
    world.now = 3_000_000;
    world.create_rule(2, 20).unwrap();
    assert_eq!(query::log_time(&world.rows).0, 5_000_000);
    assert_eq!(world.rule(2).created_at.0, 5_000_000);
}

/// Nothing is forgotten before its time to make room.
#[test]
fn with_as_many_answers_as_can_be_kept_new_keys_are_refused_and_known_ones_answered() {
    let mut world = furnished();
    let first = create(&mut world, 1, 10, ("a", 1));
    let answer = world.step(&first);
    // The clock says what ten million rows would make it say, so the world's invariants do not hold.
    let mut rows = world.rows.clone();
    let clock = CLOCK.get(&rows, ()).unwrap();
    assert_eq!(clock.answers, 1);
    let full = LogClock {
        answers: ANSWERS_MAX,
        ..clock
    };
    CLOCK.put(&mut rows, (), &full);
    let mut apply = |stamped: &Stamped| {
        world.revision += 1;
        step(&mut rows, Revision(world.revision), stamped).reply
    };
    let second = Stamped {
        idempotency: Some(Idempotency {
            key: IdempotencyKey("b".to_owned()),
            ..first.idempotency.clone().unwrap()
        }),
        ..first.clone()
    };
    let refusal = apply(&second);
    let Err(Rejection::AnswersFull { retry_after_s }) = refusal else {
        panic!("{refusal:?}");
    };
    assert!((1..=IDEMPOTENCY_TTL_MS / 1000).contains(&retry_after_s));
    assert_eq!(apply(&first), answer.reply);
    let without_key = Stamped {
        idempotency: None,
        ..second.clone()
    };
    assert_eq!(refused(apply(&without_key)).0, "IdTaken");
    // The first has expired, and its key makes room for itself.
    let later = Stamped {
        at: Timestamp(first.at.0 + IDEMPOTENCY_TTL_MS),
        ..first
    };
    assert_eq!(refused(apply(&later)).0, "IdTaken");
    assert_eq!(CLOCK.get(&rows, ()).unwrap().answers, ANSWERS_MAX);
}
