//! The keeper, stepped on a clock of the test's own.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::id::TargetId;
use domain::model::{Check, CheckKind};
use proptest::prelude::*;

use super::*;
use crate::health::Registry;
use crate::route::Target;

/// A keeper with its surroundings; targets are numbered.
struct World {
    registry: Registry,
    keeper: Keeper,
    start: Instant,
    now: Instant,
    healths: BTreeMap<u32, Arc<TargetHealth>>,
    /// Checks that run, by target.
    running: BTreeMap<u32, Due>,
}

const CHECKED: Check = Check {
    kind: CheckKind::Tcp,
    interval_s: 10,
    timeout_s: 5,
    healthy_threshold: 2,
    unhealthy_threshold: 3,
};

fn identity(number: u32) -> Identity {
    Identity {
        upstream: UpstreamId::parse(&format!("up_{:08}", number / 100)).unwrap(),
        target: TargetId::parse(&format!("tgt_{number:08}")).unwrap(),
        authority: format!("192.0.2.1:{number}"),
    }
}

fn number(identity: &Identity) -> u32 {
    identity.target.as_str()[4..].parse().unwrap()
}

/// The middle of every range.
fn middle() -> u64 {
    u64::MAX / 2
}

impl World {
    fn new(numbers: impl IntoIterator<Item = u32>, check: Option<&Check>) -> Self {
        let now = Instant::now();
        let mut world = Self {
            registry: Registry::default(),
            keeper: Keeper::default(),
            start: now,
            now,
            healths: BTreeMap::new(),
            running: BTreeMap::new(),
        };
        world.publish(numbers, check);
        world
    }

    fn publish(&mut self, numbers: impl IntoIterator<Item = u32>, check: Option<&Check>) {
        let mut plan = Plan::new();
        let mut healths = BTreeMap::new();
        for number in numbers {
            let health = self.registry.target(&identity(number));
            let target = Arc::new(Target::plain(Arc::clone(&health)));
            let probe = check.map(|check| {
                Arc::new(Probe {
                    target,
                    check: check.clone(),
                    host: "a.example".to_owned(),
                })
            });
            let watched = Watched {
                health: Arc::clone(&health),
                probe,
                ejection: Ejection::default(),
            };
            plan.insert(identity(number), watched);
            healths.insert(number, health);
        }
        self.healths = healths;
        self.keeper.reconcile(self.now, plan, &mut middle);
        self.registry.sweep();
    }

    fn share(&self, number: u32) -> u32 {
        self.healths[&number].share()
    }

    fn shares(&self) -> Vec<u32> {
        self.healths.values().map(|health| health.share()).collect()
    }

    /// Lets time pass, doing at every moment what is due. Checks that start are left running.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        self.begin();
        while let Some(next) = self.keeper.poll_timeout().filter(|next| *next <= until) {
            assert!(next >= self.now, "nothing is due in the past");
            self.now = next;
            self.keeper.handle_timeout(next);
            self.begin();
        }
        self.now = until;
    }

    fn begin(&mut self) {
        while let Some(due) = self.keeper.poll_due() {
            let before = self.running.insert(number(&due.identity), due);
            assert!(before.is_none(), "a target is checked once at a time");
        }
    }

    /// Ends the check of a target that runs.
    fn end(&mut self, number: u32, passes: bool) {
        let due = self.running.remove(&number).expect("no check runs");
        let result = if passes { Ok(()) } else { Err("no".to_owned()) };
        self.give(&due, Some(result));
    }

    fn give(&mut self, due: &Due, result: Option<Result<(), String>>) {
        self.keeper
            .handle_result(self.now, (&due.identity, due.ticket), result, &mut middle);
        self.begin();
    }

    /// Ends so many checks of a target in a row, each when it is due.
    fn checks(&mut self, number: u32, passes: bool, count: usize) {
        for _ in 0..count {
            while !self.running.contains_key(&number) {
                self.pass(Duration::from_secs(1));
            }
            self.end(number, passes);
        }
    }

    fn fail_requests(&mut self, number: u32) {
        for _ in 0..5 {
            self.healths[&number].failed();
        }
        self.keeper
            .handle_suspects(self.now, self.registry.counts());
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_check_that_finds_nothing_out_changes_nothing_and_is_repeated() {
    let mut world = World::new([1], Some(&CHECKED));
    for _ in 0..10 {
        world.checks(1, false, 2);
        while !world.running.contains_key(&1) {
            world.pass(Duration::from_secs(1));
        }
        let due = world.running.remove(&1).unwrap();
        world.give(&due, None);
        assert_ne!(world.share(1), 0);
        world.checks(1, true, 1);
    }
}

#[test]
fn a_target_goes_out_and_comes_back_slowly_by_its_checks() {
    let mut world = World::new([1, 2], Some(&CHECKED));
    world.checks(1, false, 2);
    assert_eq!(world.shares(), [1000, 1000]);
    assert!(!world.healths[&1].group.is_impaired());
    world.checks(1, false, 1);
    assert_eq!(world.shares(), [0, 1000]);
    assert!(world.healths[&1].group.is_impaired());
    world.checks(1, true, 1);
    assert_eq!(world.share(1), 0);
    world.checks(1, true, 1);
    assert_eq!(world.share(1), 100);
    world.pass(seconds(10));
    assert_eq!(world.share(1), 400);
    world.pass(seconds(20));
    assert_eq!(world.shares(), [1000, 1000]);
    assert!(!world.healths[&1].group.is_impaired());
}

#[test]
fn checks_come_in_their_interval_and_one_at_a_time() {
    let mut world = World::new([1], Some(&CHECKED));
    world.pass(seconds(2));
    // It runs for longer than its interval, against all promises.
    world.pass(seconds(30));
    let begun = world.now;
    world.end(1, true);
    while world.running.is_empty() {
        world.pass(Duration::from_millis(100));
    }
    let after = world.now - begun;
    assert!(after >= seconds(9) && after <= seconds(11), "{after:?}");
}

#[test]
fn many_checks_wait_for_each_other() {
    let mut world = World::new(1..=100, Some(&CHECKED));
    world.pass(seconds(2));
    assert_eq!(world.running.len(), CHECKS_MAX);
    let running: Vec<_> = world.running.keys().copied().collect();
    for number in running {
        world.end(number, true);
    }
    assert_eq!(world.running.len(), 100 - CHECKS_MAX);
}

#[test]
fn requests_put_out_at_most_half_of_an_upstream_and_longer_each_time() {
    let mut world = World::new([1, 2, 3, 4, 101], None);
    for number in [1, 2, 3, 101] {
        world.fail_requests(number);
    }
    assert_eq!(world.shares(), [0, 0, 1000, 1000, 1000]);
    world.pass(seconds(14));
    assert_eq!(world.share(1), 0);
    world.pass(seconds(1));
    assert_eq!(world.share(1), 100);
    world.pass(seconds(30));
    world.fail_requests(1);
    world.pass(seconds(29));
    assert_eq!(world.share(1), 0);
    world.pass(seconds(1));
    assert_eq!(world.share(1), 100);
    assert_eq!(world.registry.counts().ejections.load(Ordering::Relaxed), 3);
}

#[test]
fn targets_that_checks_put_out_count_among_the_half() {
    let mut world = World::new([1, 2, 3, 4], Some(&CHECKED));
    for number in [1, 2, 3] {
        world.checks(number, false, 3);
    }
    world.fail_requests(4);
    assert_eq!(world.shares(), [0, 0, 0, 1000]);
    // Checks alone may put out all; what is done then is the serving threads' matter.
    world.checks(4, false, 3);
    assert_eq!(world.shares(), [0; 4]);
}

#[test]
fn what_is_known_outlives_a_publish_and_ends_with_the_target() {
    let mut world = World::new([1, 2], Some(&CHECKED));
    world.checks(1, false, 3);
    world.publish([1, 2, 3], Some(&CHECKED));
    assert_eq!(world.shares(), [0, 1000, 1000]);
    // A check of before the publish still counts.
    world.checks(1, true, 2);
    assert_ne!(world.share(1), 0);
    world.checks(1, false, 3);
    // Where nobody checks any more, nobody would find out that it is up.
    world.publish([1, 2, 3], None);
    assert_eq!(world.share(1), 1000);
    world.publish([2], Some(&CHECKED));
    world.running.remove(&1);
    world.publish([1, 2], Some(&CHECKED));
    assert_eq!(world.shares(), [1000, 1000]);
}

#[test]
fn a_check_that_is_another_now_counts_no_more() {
    let mut world = World::new([1], Some(&CHECKED));
    world.pass(seconds(2));
    let strict = Check {
        unhealthy_threshold: 1,
        ..CHECKED
    };
    world.publish([1], Some(&strict));
    world.end(1, false);
    assert_eq!(world.share(1), 1000);
    world.checks(1, false, 1);
    assert_eq!(world.share(1), 0);
}

proptest! {
    /// Whatever happens: shares are those of the invariants, and nothing is due in the past.
    #[test]
    fn invariants_hold_over_any_course(steps in proptest::collection::vec((0_u8..5, 0_u32..5, 0_u64..40), 1..120)) {
        let mut world = World::new(0..5, Some(&CHECKED));
        for (step, target, time) in steps {
            match step {
                0 | 1 if world.running.contains_key(&target) => world.end(target, step == 0),
                2 if world.healths.contains_key(&target) => {
                    let before = world.shares();
                    world.fail_requests(target);
                    let (was_out, is_out) = (out(&before), out(&world.shares()));
                    prop_assert!(is_out == was_out || is_out * 2 <= world.healths.len());
                }
                3 => {
                    let count = 1 + target;
                    world.publish(0..count, Some(&CHECKED));
                    // Checks of targets that are gone end as well.
                    let gone: Vec<_> = world.running.keys().copied().filter(|number| *number >= count).collect();
                    for number in gone {
                        world.end(number, true);
                    }
                }
                _ => world.pass(seconds(time)),
            }
            let states: BTreeMap<_, _> = world.keeper.states().map(|(identity, out)| (number(identity), out.is_none())).collect();
            prop_assert_eq!(states.len(), world.healths.len());
            for (number, health) in &world.healths {
                prop_assert_eq!(states[number], health.share() > 0);
                prop_assert!(health.share() <= 1000);
            }
            let impaired = world.shares().iter().any(|share| *share != 1000);
            if let Some(health) = world.healths.values().next() {
                prop_assert_eq!(health.group.is_impaired(), impaired);
            }
        }
        // Left alone and with all checks passing, everything is whole again.
        for _ in 0..200 {
            let running: Vec<_> = world.running.keys().copied().collect();
            for number in running {
                world.end(number, true);
            }
            world.pass(seconds(5));
        }
        prop_assert!(world.shares().iter().all(|share| *share == 1000));
        prop_assert!(world.now > world.start);
    }
}

fn out(shares: &[u32]) -> usize {
    shares.iter().filter(|share| **share == 0).count()
}
