//! Shifts of weight between targets.

use super::world::{World, config, furnished, refused, route, targets, upstream};
use super::world::{target as target_id, world};
use crate::command::{
    CancelShift, ChangeTarget, Command, DraftSeed, OutageChange, RecordOutages, RollbackTo,
    ShiftTurn, StartShift, StepShift, TargetChange, UpdateUpstream,
};
use crate::content::{load_head, load_upstreams};
use crate::limits::SHIFTS_MAX;
use crate::model::{
    AbortCause, AbortOn, JournalPlace, NoticeKind, Shift, ShiftState, SnapshotState, Target,
};
use crate::outcome::{Outcome, Reply};
use crate::query::{self, ViewChunks};

const INTERVAL_MS: u64 = 60_000;

/// Routes 1 and 2 live, which send to upstream 1, with targets 1 and 2 that weigh 100 and 0.
fn shifting() -> World {
    let mut world = furnished();
    world.create_route(2, "two.example.net", 1).unwrap();
    world.patch(1, &[(1, 100), (2, 0)]).unwrap();
    world.publish(1).unwrap();
    world.publish(2).unwrap();
    world
}

fn weighing(number: u64, weight: u32) -> Target {
    Target {
        id: target_id(number),
        ..targets(weight).remove(0)
    }
}

fn started(number: u64) -> StartShift {
    StartShift {
        upstream_id: upstream(number),
        from: target_id(1),
        to: target_id(2),
        steps: 4,
        interval_s: 60,
        abort_on: AbortOn {
            upstream_failed: true,
            error_rate: Some(50_000),
            min_requests: 100,
        },
        seed: DraftSeed {
            unix_ms: 3,
            random: 0,
        },
    }
}

impl World {
    fn draft_seed(&mut self) -> DraftSeed {
        // Far apart: several identifiers are made of one.
        let random = self.now * 1_000;
        DraftSeed { unix_ms: 2, random }
    }

    fn patch(&mut self, number: u64, weights: &[(u64, u32)]) -> Reply {
        let targets = weights.iter().map(|(id, weight)| weighing(*id, *weight));
        let command = UpdateUpstream {
            id: upstream(number),
            draft_seed: self.draft_seed(),
            name: None,
            algorithm: None,
            targets: Some(targets.collect()),
            named: Vec::new(),
            settings: None,
        };
        self.apply(Command::UpdateUpstream(self.actor.clone(), command))
    }

    fn start(&mut self, change: impl FnOnce(&mut StartShift)) -> Reply {
        let mut command = started(1);
        command.seed = self.draft_seed();
        change(&mut command);
        self.apply(Command::StartShift(self.actor.clone(), command))
    }

    fn cancel(&mut self, revert: bool) -> Reply {
        let command = CancelShift {
            upstream_id: upstream(1),
            revert,
            seed: self.draft_seed(),
        };
        self.apply(Command::CancelShift(self.actor.clone(), command))
    }

    /// What a leader asks for that saw the shift as it is given.
    fn turn(&mut self, seen: &Shift, turn: ShiftTurn) {
        let command = StepShift {
            environment_id: seen.environment_id.clone(),
            upstream_id: seen.upstream_id.clone(),
            began: seen.began,
            taken: seen.taken,
            turn,
            seed: self.draft_seed(),
        };
        let reply = self.apply(Command::StepShift(command));
        assert_eq!(reply, Ok(Outcome::Recorded));
    }

    /// Lets an interval pass, and has the leader take the shift on.
    fn advance(&mut self) {
        self.now += INTERVAL_MS;
        let seen = self.shift();
        self.turn(&seen, ShiftTurn::Advance);
    }

    fn fail(&mut self, is_down: bool) {
        let change = OutageChange {
            upstream_id: upstream(1),
            region: "eu".to_owned(),
            is_down,
            edges_down: 2,
            edges: 3,
        };
        let command = RecordOutages {
            environment_id: self.actor.environment_id.clone(),
            changes: vec![change],
        };
        self.apply(Command::RecordOutages(command)).unwrap();
    }

    fn shift(&self) -> Shift {
        query::shift(&self.rows, &self.actor.environment_id, &upstream(1)).unwrap()
    }

    /// What targets 1 and 2 weigh in the record, and in what is live of routes 1 and 2.
    fn weights(&self) -> [(u32, u32); 3] {
        let record = query::upstream(&self.rows, &self.actor.environment_id, &upstream(1));
        [pair(&record.unwrap().targets), self.live(1), self.live(2)]
    }

    fn live(&self, number: u64) -> (u32, u32) {
        let chunks = ViewChunks(&self.rows);
        let head = self.route(number).0.published.unwrap().head;
        let mut all = load_upstreams(&chunks, load_head(&chunks, head).unwrap().upstreams);
        pair(&all.next().unwrap().unwrap().targets)
    }

    /// The events since the journal's row after which this many rows are left out.
    fn told_since(&self, rows: usize) -> Vec<NoticeKind> {
        let environment = &self.actor.environment_id;
        let all = query::journal_after(&self.rows, environment, JournalPlace::default(), 1000);
        let told = all.iter().skip(rows).flat_map(|row| &row.entry.notices);
        told.map(|notice| notice.kind).collect()
    }

    fn journal_rows(&self) -> usize {
        let environment = &self.actor.environment_id;
        query::journal_after(&self.rows, environment, JournalPlace::default(), 1000).len()
    }
}

fn pair(targets: &[Target]) -> (u32, u32) {
    (targets[0].weight, targets[1].weight)
}

/// Contract: R-91.
#[test]
fn each_step_is_live_on_all_routes_by_itself_and_with_one_manifest() {
    let mut world = shifting();
    let manifest = world.manifest_version();
    world.start(|_| {}).unwrap();
    assert_eq!(world.weights(), [(75, 25); 3]);
    assert_eq!(world.manifest_version(), manifest + 1);
    for (taken, weights) in [(2, (50, 50)), (3, (25, 75)), (4, (0, 100))] {
        world.advance();
        assert_eq!(world.weights(), [weights; 3]);
        assert_eq!(world.shift().taken, taken);
    }
    assert_eq!(world.manifest_version(), manifest + 4);
    assert!(world.shift().is_running(), "the last step is watched, too");
    world.advance();
    let at = crate::time::Timestamp(world.now - 1);
    assert_eq!(world.shift().state, ShiftState::Completed { at });
    assert_eq!(world.weights(), [(0, 100); 3]);
    assert_eq!(world.manifest_version(), manifest + 4);
    assert_eq!([1, 2].map(|number| world.is_pending(number)), [false; 2]);
}

/// Contract: D-62.
#[test]
fn a_step_that_two_leaders_ask_for_is_taken_once_and_none_is_taken_early() {
    let mut world = shifting();
    world.start(|_| {}).unwrap();
    let seen = world.shift();
    world.turn(&seen, ShiftTurn::Advance);
    assert_eq!(world.shift(), seen, "it is not due");
    world.now += INTERVAL_MS;
    world.turn(&seen, ShiftTurn::Advance);
    world.now += INTERVAL_MS;
    // The leader before had decided on the same state.
    world.turn(&seen, ShiftTurn::Advance);
    let cause = AbortCause::ErrorRate {
        requests: 100,
        errors: 100,
    };
    world.turn(&seen, ShiftTurn::Abort(cause));
    assert_eq!((world.shift().taken, world.shift().is_running()), (2, true));
    // However late a step is, the next one is an interval later.
    world.now += 10 * INTERVAL_MS;
    let late = world.shift();
    world.turn(&late, ShiftTurn::Advance);
    let seen = world.shift();
    world.turn(&seen, ShiftTurn::Advance);
    assert_eq!(world.shift().taken, 3);
    // Nor is a step taken of another shift of the same upstream.
    world.cancel(true).unwrap();
    world.start(|_| {}).unwrap();
    world.now += INTERVAL_MS;
    world.turn(&Shift { taken: 1, ..late }, ShiftTurn::Advance);
    assert_eq!(world.shift().taken, 1);
}

#[test]
fn what_else_is_pending_stays_pending() {
    let mut world = shifting();
    world
        .update_route(1, |route| route.name = Some("half done".to_owned()))
        .unwrap();
    world.start(|_| {}).unwrap();
    let mut renamed = weighing(2, 25);
    renamed.address = "10.0.0.9".to_owned();
    let change = TargetChange::Update {
        id: target_id(2),
        address: Some(renamed.address),
        port: None,
        weight: None,
        regions: None,
        drain: None,
    };
    world.change(change).unwrap();
    world.advance();
    assert_eq!(world.weights(), [(50, 50); 3]);
    let chunks = ViewChunks(&world.rows);
    let (live, _) = world.route(1);
    let head = load_head(&chunks, live.published.unwrap().head).unwrap();
    assert_eq!(head.name, "route 1");
    let live: Vec<_> = load_upstreams(&chunks, head.upstreams).collect();
    let live = live[0].as_ref().unwrap();
    assert_eq!(live.targets[1].address, "10.0.0.1");
    assert_eq!([1, 2].map(|number| world.is_pending(number)), [true; 2]);
    world.publish(2).unwrap();
    world.advance();
    assert_eq!(world.weights(), [(25, 75); 3]);
    assert!(!world.is_pending(2));
}

#[test]
fn a_route_that_was_taken_back_is_left_as_it_is_until_it_is_published() {
    let mut world = shifting();
    world.start(|_| {}).unwrap();
    world.advance();
    world.roll_back(1, RollbackTo::Steps(2), false).unwrap();
    assert_eq!(world.live(1), (100, 0));
    world.advance();
    assert_eq!(world.weights(), [(25, 75), (100, 0), (25, 75)]);
    world.publish(1).unwrap();
    world.advance();
    assert_eq!(world.weights(), [(0, 100); 3]);
    world.roll_back(2, RollbackTo::Steps(1), false).unwrap();
    world.cancel(true).unwrap();
    assert_eq!(world.weights(), [(100, 0), (100, 0), (25, 75)]);
}

#[test]
fn an_abort_brings_back_the_weights_of_the_start() {
    let mut world = shifting();
    world.start(|_| {}).unwrap();
    world.advance();
    let seen = world.shift();
    let cause = AbortCause::ErrorRate {
        requests: 200,
        errors: 11,
    };
    world.turn(&seen, ShiftTurn::Abort(cause.clone()));
    assert_eq!(world.weights(), [(100, 0); 3]);
    let at = crate::time::Timestamp(world.now - 1);
    assert_eq!(world.shift().state, ShiftState::Aborted { at, cause });
    assert_eq!([1, 2].map(|number| world.is_pending(number)), [false; 2]);
    let ended = world.shift();
    world.now += INTERVAL_MS;
    world.turn(&ended, ShiftTurn::Advance);
    assert_eq!(world.shift(), ended);
}

#[test]
fn no_step_is_taken_while_the_upstream_is_out_of_use_unless_that_does_not_matter() {
    let mut world = shifting();
    world.start(|_| {}).unwrap();
    world.fail(true);
    world.advance();
    let region = "eu".to_owned();
    let failed = AbortCause::UpstreamFailed { region };
    assert!(matches!(world.shift().state, ShiftState::Aborted { cause, .. } if cause == failed));
    assert_eq!(world.weights(), [(100, 0); 3]);
    let refused = refused(world.start(|_| {}));
    let param = "abort_on.upstream_failed".to_owned();
    assert_eq!(refused, ("InvalidConfig", param));
    world
        .start(|start| start.abort_on.upstream_failed = false)
        .unwrap();
    world.advance();
    assert_eq!(world.weights(), [(50, 50); 3]);
}

#[test]
fn who_ends_a_shift_says_whether_the_weights_go_back() {
    for (revert, weights) in [(false, (50, 50)), (true, (100, 0))] {
        let mut world = shifting();
        world.start(|_| {}).unwrap();
        world.advance();
        let reply = world.cancel(revert);
        assert!(matches!(reply, Ok(Outcome::ShiftedUpstream(..))));
        assert_eq!(world.weights(), [weights; 3]);
        let at = crate::time::Timestamp(world.now - 1);
        let reverted = revert;
        assert_eq!(world.shift().state, ShiftState::Cancelled { at, reverted });
        let again = refused(world.cancel(revert));
        assert_eq!(again.0, "ShiftNotRunning");
        world.patch(1, &[(1, 7), (2, 7)]).unwrap();
    }
}

impl World {
    fn change(&mut self, change: TargetChange) -> Reply {
        let command = ChangeTarget {
            upstream_id: upstream(1),
            draft_seed: self.draft_seed(),
            change,
        };
        self.apply(Command::ChangeTarget(self.actor.clone(), command))
    }
}

#[test]
fn while_a_shift_runs_its_weights_are_its_own_and_a_second_one_has_to_wait() {
    let mut world = shifting();
    world.start(|_| {}).unwrap();
    let in_progress = ("ShiftInProgress", String::new());
    assert_eq!(refused(world.start(|_| {})), in_progress);
    let weigh = TargetChange::Update {
        id: target_id(1),
        address: None,
        port: None,
        weight: Some(1),
        regions: None,
        drain: None,
    };
    for change in [weigh, TargetChange::Remove(target_id(2))] {
        assert_eq!(refused(world.change(change)), in_progress);
    }
    let patched = world.patch(1, &[(1, 100), (2, 0)]);
    assert_eq!(refused(patched), in_progress);
    assert_eq!(refused(world.patch(1, &[(1, 75)])), in_progress);
    let reply = world.patch(1, &[(1, 75), (2, 25), (3, 40)]);
    assert!(matches!(reply, Ok(Outcome::ShiftedUpstream(..))));
    world.advance();
    assert_eq!(world.weights()[0], (50, 50));
}

/// Contract: D-62.
#[test]
fn what_cannot_be_shifted_is_refused_by_name() {
    let mut world = shifting();
    let invalid = |param: &str| ("InvalidParameter", param.to_owned());
    let conflict = |param: &str| ("InvalidConfig", param.to_owned());
    let cases: [(fn(&mut StartShift), _); 14] = [
        (|start| start.steps = 0, invalid("steps")),
        (|start| start.steps = 101, invalid("steps")),
        (|start| start.interval_s = 9, invalid("interval_s")),
        (|start| start.interval_s = 86_401, invalid("interval_s")),
        (
            |start| start.abort_on.min_requests = 0,
            invalid("abort_on.min_requests"),
        ),
        (
            |start| start.abort_on.error_rate = Some(1_000_000),
            invalid("abort_on.error_rate"),
        ),
        (
            |start| start.from = target_id(9),
            ("NotFound", "target".to_owned()),
        ),
        (
            |start| start.to = target_id(9),
            ("NotFound", "target".to_owned()),
        ),
        (|start| start.to = start.from.clone(), conflict("to")),
        (|start| start.from = target_id(2), conflict("to")),
        (
            |start| {
                start.from = target_id(2);
                start.to = target_id(1);
            },
            conflict("from"),
        ),
        (
            |start| start.upstream_id = upstream(9),
            ("NotFound", "upstream".to_owned()),
        ),
        (
            |start| start.upstream_id = upstream(2),
            ("NotFound", "target".to_owned()),
        ),
        (
            |start| start.abort_on.min_requests = 1_000_001,
            invalid("abort_on.min_requests"),
        ),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        assert_eq!(refused(world.start(change)), expected, "case {number}");
    }
    for (weights, steps, param) in [
        ([(1, 3), (2, 0)], 4, "steps"),
        ([(1, 600), (2, 401)], 4, "to"),
    ] {
        world.patch(1, &weights).unwrap();
        let refused = refused(world.start(|start| start.steps = steps));
        assert_eq!(refused, conflict(param));
    }
    world.patch(1, &[(1, 50), (2, 50)]).unwrap();
    let unpublished = refused(world.start(|_| {}));
    assert_eq!(unpublished.0, "SnapshotNotPublishable");
    world.publish(1).unwrap();
    world.publish(2).unwrap();
    let drains = TargetChange::Update {
        id: target_id(2),
        address: None,
        port: None,
        weight: None,
        regions: None,
        drain: Some(true),
    };
    world.change(drains).unwrap();
    assert_eq!(refused(world.start(|_| {})), conflict("to"));
}

#[test]
fn a_step_is_told_like_what_it_does_and_audited_as_nobodys_doing() {
    let mut world = shifting();
    let rows = world.journal_rows();
    world.start(|_| {}).unwrap();
    let step = [
        NoticeKind::UpstreamUpdated,
        NoticeKind::RoutePublished,
        NoticeKind::RoutePublished,
    ];
    assert_eq!(world.told_since(rows), step);
    let rows = world.journal_rows();
    world.advance();
    assert_eq!(world.told_since(rows), step);
    let environment = &world.actor.environment_id;
    let newest = query::journal_page(&world.rows, environment, None, 1);
    let entry = &newest.items[0].entry;
    assert_eq!(
        (entry.actor.as_ref(), entry.operation.as_str()),
        (None, "step_shift")
    );
    let said = entry.changes.iter();
    let said: Vec<_> = said.filter_map(|change| change.after.as_deref()).collect();
    assert!(said[1].contains(r#""steps_taken":2"#), "{said:?}");
    let rows = world.journal_rows();
    world.cancel(false).unwrap();
    assert_eq!(world.told_since(rows), [NoticeKind::UpstreamUpdated]);
    let live = world.route(1).0.published.unwrap().snapshot_id;
    let snapshot = query::snapshot(&world.rows, &world.actor.environment_id, &live).unwrap();
    assert_eq!(snapshot.state, SnapshotState::Published);
    assert!(snapshot.comment.unwrap().starts_with("Step 2 of 4"));
}

#[test]
fn an_upstream_that_nothing_uses_shifts_and_takes_its_shift_with_it() {
    let mut world = world();
    world.create_upstream(1).unwrap();
    world.patch(1, &[(1, 4), (2, 0)]).unwrap();
    world.start(|_| {}).unwrap();
    assert_eq!(query::running_shifts(&world.rows), [world.shift()]);
    world.delete_upstream(1).unwrap();
    assert_eq!(query::running_shifts(&world.rows), []);
    let left = query::shift(&world.rows, &world.actor.environment_id, &upstream(1));
    assert_eq!(left, None);
}

#[test]
fn a_route_that_comes_to_use_the_upstream_shifts_with_the_others() {
    let mut world = shifting();
    world.start(|_| {}).unwrap();
    world.create_route(3, "three.example.net", 2).unwrap();
    world.publish(3).unwrap();
    world
        .update_route(3, |route| route.config_patch = Some(config(1)))
        .unwrap();
    world.advance();
    assert!(world.is_pending(3));
    world.publish(3).unwrap();
    assert_eq!(world.live(3), (50, 50));
    world.advance();
    assert_eq!((world.live(3), world.is_pending(3)), ((25, 75), false));
    assert_eq!(world.route(3).0.id, route(3));
}

#[test]
fn an_environment_has_a_bounded_number_of_shifts() {
    let mut world = world();
    for number in 1..=SHIFTS_MAX as u64 + 1 {
        world.create_upstream(number).unwrap();
        world.patch(number, &[(1, 4), (2, 0)]).unwrap();
        let reply = world.start(|start| start.upstream_id = upstream(number));
        if number <= SHIFTS_MAX as u64 {
            reply.unwrap();
        } else {
            assert_eq!(refused(reply), ("LimitExceeded", "id".to_owned()));
        }
    }
}
