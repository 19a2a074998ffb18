//! What is removed of history when its time is over, and what is not.

use super::webhooks::{delivery_id, endpoint_id};
use super::world::{World, furnished, refused, rule};
use crate::command::{Command, DesiredStatus, ReplayEvent, UpdateRule};
use crate::id::EventId;
use crate::invariants;
use crate::machine::{self, TRIMMED_PER_STEP};
use crate::model::{
    DELIVERABLE_MS, DELIVERY_KEPT_MS, DeliveryState, JOURNAL_KEPT_MS, JournalPlace, Priority,
    RuleVersion, RuleVersionNumber,
};
use crate::outcome::Reply;
use crate::query::{self, JournalRow};
use crate::schema::{JOURNAL, RULE_VERSIONS};
use crate::time::Revision;

impl World {
    fn journal(&self) -> Vec<JournalRow> {
        let environment = &self.actor.environment_id;
        query::journal_after(&self.rows, environment, JournalPlace::default(), usize::MAX)
    }

    /// Something that is written down.
    fn touch(&mut self) {
        let name = format!("touched {}", self.now);
        self.update_rule(1, |rule| rule.name = Some(name)).unwrap();
    }

    fn newest_event(&self) -> EventId {
        super::webhooks::newest_event(self).id
    }

    fn replay(&mut self, event: &EventId, number: u64) -> Reply {
        let command = ReplayEvent {
            event_id: event.clone(),
            to: vec![(endpoint_id(), delivery_id(number))],
        };
        self.apply(Command::ReplayEvent(self.actor.clone(), command))
    }

    fn deliveries(&self) -> usize {
        let environment = &self.actor.environment_id;
        query::webhook_deliveries_page(&self.rows, environment, None, 100)
            .items
            .len()
    }
}

#[test]
fn the_journal_keeps_its_time_and_then_goes_a_few_rows_at_a_time() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    for _ in 0..10 {
        world.touch();
    }
    let (before, first) = (world.journal(), world.now);
    world.now = before[0].place.at.0 + JOURNAL_KEPT_MS - 1;
    world.touch();
    assert_eq!(
        world.journal().len(),
        before.len() + 1,
        "a millisecond before"
    );
    world.now = first + JOURNAL_KEPT_MS;
    let mut left = before.len() + 1;
    while left > 2 {
        world.touch();
        let now = world.journal();
        assert_eq!(now.last().unwrap().place.revision.0, world.revision);
        let went = left + 1 - now.len();
        assert!((1..=TRIMMED_PER_STEP).contains(&went), "{went} went");
        left = now.len();
        if before.iter().all(|row| !now.contains(row)) {
            return;
        }
    }
    panic!("what is left is {:?}", world.journal());
}

#[test]
fn another_environment_keeps_its_history_while_nothing_happens_in_it() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    let quiet = world.actor.environment_id.clone();
    let rows = JOURNAL.scan(&world.rows, &JOURNAL.under((&quiet,)), 100);
    world.actor = super::world::actor(1);
    world.now += JOURNAL_KEPT_MS * 2;
    world.create_upstream(1).unwrap();
    assert_eq!(
        JOURNAL.scan(&world.rows, &JOURNAL.under((&quiet,)), 100),
        rows
    );
}

#[test]
fn a_finished_delivery_goes_after_its_time_and_one_that_waits_again_does_not() {
    let mut world = furnished();
    world.create_endpoint().unwrap();
    world.create_rule(1, 10).unwrap();
    let event = world.newest_event();
    for number in 1..=3 {
        world.replay(&event, number).unwrap();
    }
    let environment = world.actor.environment_id.clone();
    let pending = |world: &World| query::pending_deliveries(&world.rows, &environment);
    assert_eq!(pending(&world).count, 3);
    assert_eq!(pending(&world).oldest, Some(world.delivery(1).created_at));
    for number in 1..=3 {
        world.attempt_at(number, &event, 200);
    }
    assert_eq!((pending(&world).count, pending(&world).oldest), (0, None));
    let finished = world.now;
    world.now += DELIVERY_KEPT_MS / 2;
    world.retry(2).unwrap();
    world.now = finished + DELIVERY_KEPT_MS - 1000;
    world.touch();
    assert_eq!(world.deliveries(), 3);
    world.now = finished + DELIVERY_KEPT_MS;
    world.touch();
    assert_eq!(world.deliveries(), 1);
    assert!(world.delivery(2).state.is_pending());
}

#[test]
fn an_event_is_kept_while_a_delivery_of_it_waits_and_the_delivery_fails_before_it_goes() {
    let mut world = furnished();
    world.create_endpoint().unwrap();
    world.create_rule(1, 10).unwrap();
    let (event, happened) = (world.newest_event(), world.now);
    let environment = world.actor.environment_id.clone();
    let is_kept = |world: &World| query::event(&world.rows, &environment, &event).is_some();
    // More than one step fails.
    let waiting = 3 * TRIMMED_PER_STEP as u64;
    for number in 1..=waiting {
        world.replay(&event, number).unwrap();
    }
    world.now = happened + DELIVERABLE_MS - 10_000;
    world.touch();
    world.replay(&event, 90).unwrap();
    assert!(world.delivery(1).state.is_pending());
    world.now = happened + DELIVERABLE_MS;
    assert_eq!(refused(world.replay(&event, 91)).0, "NotFound");
    assert_eq!(refused(world.retry(1)).0, "NotFound");
    // Nothing happens for so long that all of it is overdue.
    world.now = happened + JOURNAL_KEPT_MS * 2;
    for _ in 0..100 {
        let pending = query::pending_deliveries(&world.rows, &environment).count;
        assert!(
            pending == 0 || is_kept(&world),
            "{pending} wait for nothing"
        );
        if pending == 0 && !is_kept(&world) {
            assert!(matches!(
                world.delivery(1).state,
                DeliveryState::Failed { .. }
            ));
            return;
        }
        world.touch();
    }
    panic!("the event is there for ever");
}

/// Changes rule 1 so often that it has `count` versions, without looking at each step.
fn versions(world: &mut World, count: u32) {
    let newest = world.rule(1).versions.last().unwrap().version;
    for version in newest + 1..=count {
        let draft_id = world.draw();
        let command = UpdateRule {
            id: rule(1),
            draft_id,
            name: None,
            priority: Some(Priority(version)),
            criteria: None,
            action: None,
            metadata: Vec::new(),
            status: None,
        };
        let stamped = world.stamped(Command::UpdateRule(world.actor.clone(), command), None);
        world.revision += 1;
        machine::step(&mut world.rows, Revision(world.revision), &stamped)
            .reply
            .unwrap();
    }
    invariants::check(&world.rows).unwrap();
}

#[test]
fn a_rule_keeps_its_newest_versions_and_those_that_the_journal_tells_of() {
    let mut world = furnished();
    world.create_rule(1, 0).unwrap();
    let environment = world.actor.environment_id.clone();
    let stored = |world: &World| {
        let span = RULE_VERSIONS.under((&environment, &rule(1)));
        let rows = RULE_VERSIONS.scan(&world.rows, &span, usize::MAX);
        rows.first().map_or(0, |((_, _, first), _)| first.0)..=rows.len() as u32
    };
    versions(&mut world, RuleVersion::KEPT + 30);
    assert_eq!(stored(&world), 1..=RuleVersion::KEPT + 30);
    let number = RuleVersionNumber(5);
    assert!(query::rule_version(&world.rows, &environment, &rule(1), number).is_some());
    // The rows of the journal take versions with them, but not of the newest.
    world.now += JOURNAL_KEPT_MS;
    versions(&mut world, RuleVersion::KEPT + 60);
    let first = stored(&world);
    assert_eq!(*first.start(), 61, "the journal tells of no older one");
    assert_eq!(*first.end(), RuleVersion::KEPT);
    assert_eq!(
        query::rule_version(&world.rows, &environment, &rule(1), number),
        None
    );
    // From here on each new version has an old one go that nothing tells of.
    versions(&mut world, RuleVersion::KEPT + 400);
    assert_eq!(*stored(&world).end(), RuleVersion::KEPT);
}

#[test]
fn an_answer_tells_how_a_rule_was_made_whatever_became_of_it() {
    let mut world = furnished();
    let command = world.new_rule(1, 10);
    let stamped = world.stamped(
        Command::CreateRule(world.actor.clone(), command),
        Some(("a", 1)),
    );
    let first = world.step(&stamped);
    let again = world.step(&stamped);
    assert_eq!((again.replayed, &again.reply), (true, &first.reply));
    world
        .update_rule(1, |rule| {
            rule.name = Some("\"other\"".to_owned());
            rule.metadata = vec![("owner".to_owned(), Some("edge".to_owned()))];
            rule.status = Some(DesiredStatus::Paused);
        })
        .unwrap();
    world.archive_rule(1).unwrap();
    let again = world.step(&stamped);
    assert_eq!((again.replayed, again.reply), (true, first.reply));
    assert_eq!(again.revision, first.revision);
}
