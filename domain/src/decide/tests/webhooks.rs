//! Webhook endpoints, and what becomes of deliveries.

use super::world::{World, furnished, refused};
use crate::command::{
    Command, CreateWebhookEndpoint, DeleteWebhookEndpoint, RecordDeliveries, RecordedAttempt,
    ReplayEvent, RetryDelivery, RotateWebhookSecret, UpdateWebhookEndpoint,
};
use crate::decide::webhook::{ENDPOINTS_MAX, ORPHANS_PER_STEP};
use crate::id::{EventId, Seed, WebhookDeliveryId, WebhookEndpointId};
use crate::model::{
    DeliveryAttempt, DeliveryState, EndpointStatus, FAILING_MAX_MS, JournalPlace, NoticeKind,
    NoticePlace, RETRY_DELAYS_MS, WebhookDelivery, WebhookEndpoint,
};
use crate::outcome::{Outcome, Reply};
use crate::query::{self, JournalNotice};
use crate::time::{Revision, Timestamp};

fn seed(random: u64) -> Seed {
    let unix_ms = 1_714_320_000_000;
    Seed { unix_ms, random }
}

pub(super) fn newest_event(world: &World) -> JournalNotice {
    let environment = &world.actor.environment_id;
    let rows = query::journal_page(&world.rows, environment, None, 10).items;
    let mut newest = rows
        .into_iter()
        .filter_map(|row| row.notices_from(0).last());
    newest.next().unwrap()
}

pub(super) fn endpoint_id() -> WebhookEndpointId {
    WebhookEndpointId::new(seed(1))
}

pub(super) fn delivery_id(number: u64) -> WebhookDeliveryId {
    WebhookDeliveryId::new(seed(number))
}

impl World {
    pub(super) fn create_endpoint(&mut self) -> Reply {
        let command = CreateWebhookEndpoint {
            id: endpoint_id(),
            url: "https://hooks.example.net/".to_owned(),
            events: vec![NoticeKind::RoutePublished, NoticeKind::RuleCreated],
            description: None,
            api_version: None,
        };
        self.apply(Command::CreateWebhookEndpoint(self.actor.clone(), command))
    }

    fn endpoint(&self) -> WebhookEndpoint {
        query::webhook_endpoint(&self.rows, &self.actor.environment_id, &endpoint_id()).unwrap()
    }

    pub(super) fn delivery(&self, number: u64) -> WebhookDelivery {
        let environment = &self.actor.environment_id;
        query::webhook_delivery(&self.rows, environment, &delivery_id(number)).unwrap()
    }

    /// An attempt that was answered with `status`, without jitter.
    fn attempted(&self, number: u64, status: u16) -> RecordedAttempt {
        let environment = &self.actor.environment_id;
        let known = query::webhook_delivery(&self.rows, environment, &delivery_id(number));
        RecordedAttempt {
            delivery_id: delivery_id(number),
            event_id: EventId::new(seed(number)),
            event_at: NoticePlace::default(),
            kind: NoticeKind::RuleCreated,
            retries_used: known.map_or(0, |delivery| delivery.retries_used),
            attempt: DeliveryAttempt {
                at: Timestamp(self.now),
                status: Some(status),
                error: None,
                latency_ms: 3,
                head: String::new(),
            },
            jitter: 0,
        }
    }

    fn attempt(&mut self, number: u64, status: u16) {
        self.record(vec![self.attempted(number, status)]);
    }

    pub(super) fn attempt_at(&mut self, number: u64, event: &EventId, status: u16) {
        let attempt = self.attempted(number, status);
        self.record(vec![RecordedAttempt {
            event_id: event.clone(),
            ..attempt
        }]);
    }

    fn record(&mut self, attempts: Vec<RecordedAttempt>) {
        let command = RecordDeliveries {
            environment_id: self.actor.environment_id.clone(),
            endpoint_id: endpoint_id(),
            delivered: NoticePlace::behind(JournalPlace {
                at: Timestamp(self.now),
                revision: Revision(self.revision),
            }),
            attempts,
        };
        let reply = self.apply(Command::RecordDeliveries(command));
        assert_eq!(reply, Ok(Outcome::Recorded));
    }

    fn update_endpoint(&mut self, enabled: bool) -> Reply {
        let command = UpdateWebhookEndpoint {
            id: endpoint_id(),
            url: None,
            events: None,
            description: None,
            api_version: None,
            enabled: Some(enabled),
        };
        self.apply(Command::UpdateWebhookEndpoint(self.actor.clone(), command))
    }

    pub(super) fn retry(&mut self, number: u64) -> Reply {
        let id = delivery_id(number);
        self.apply(Command::RetryDelivery(
            self.actor.clone(),
            RetryDelivery { id },
        ))
    }

    fn due(&self, now: u64) -> Vec<WebhookDelivery> {
        let environment = &self.actor.environment_id;
        query::due_deliveries(&self.rows, environment, &endpoint_id(), Timestamp(now), 100).0
    }
}

/// Contract, D-58.
#[test]
fn a_delivery_is_tried_again_after_the_documented_delays_and_then_has_failed() {
    let mut world = furnished();
    world.create_endpoint().unwrap();
    for delay in RETRY_DELAYS_MS {
        let at = world.now;
        world.attempt(7, 500);
        let next_at = Timestamp(at + delay);
        assert_eq!(world.delivery(7).state, DeliveryState::Pending { next_at });
        assert!(world.due(at + delay - 1).is_empty());
        assert_eq!(world.due(at + delay), [world.delivery(7)]);
        world.now = at + delay;
    }
    world.attempt(7, 302);
    assert!(matches!(
        world.delivery(7).state,
        DeliveryState::Failed { .. }
    ));
    assert_eq!(world.delivery(7).attempts_made, 6);
    assert!(world.due(u64::MAX).is_empty());
    // By hand it begins anew, and keeps what was.
    let Ok(Outcome::Deliveries(again)) = world.retry(7) else {
        panic!("it is retried");
    };
    assert_eq!(again, world.due(world.now));
    world.attempt(7, 204);
    let delivery = world.delivery(7);
    assert!(matches!(delivery.state, DeliveryState::Succeeded { .. }));
    assert_eq!(delivery.attempts.len(), 7);
    assert_eq!(world.endpoint().failing_since, None);
}

#[test]
fn what_was_delivered_stays_so_when_an_older_attempt_turns_out_to_have_failed() {
    let mut world = furnished();
    world.create_endpoint().unwrap();
    world.attempt(7, 204);
    world.attempt(7, 500);
    assert!(matches!(
        world.delivery(7).state,
        DeliveryState::Succeeded { .. }
    ));
    assert_eq!(world.delivery(7).attempts_made, 2);
    assert!(world.due(u64::MAX).is_empty());
    assert_eq!(world.endpoint().failing_since, None);
}

/// Contract: D-58.
#[test]
fn an_attempt_that_two_leaders_made_uses_one_retry() {
    let mut world = furnished();
    world.create_endpoint().unwrap();
    for delay in RETRY_DELAYS_MS {
        let twice = [world.attempted(7, 500), world.attempted(7, 500)];
        let at = world.now;
        for attempt in twice {
            world.record(vec![attempt]);
            let next_at = Timestamp(at + delay);
            assert_eq!(world.delivery(7).state, DeliveryState::Pending { next_at });
        }
        world.now = at + delay;
    }
    let twice = [world.attempted(7, 500), world.attempted(7, 500)];
    let mut ended = None;
    for attempt in twice {
        world.record(vec![attempt]);
        let state = world.delivery(7).state;
        assert!(matches!(state, DeliveryState::Failed { .. }));
        assert_eq!(*ended.get_or_insert(state), state);
    }
    assert_eq!(world.delivery(7).attempts_made, 12);
}

const HOUR_MS: u64 = 60 * 60 * 1000;

#[test]
fn an_endpoint_that_is_gone_or_fails_for_days_is_disabled_and_that_is_an_event() {
    let days = FAILING_MAX_MS / HOUR_MS;
    let often: Vec<_> = (0..=days).map(|hour| (hour, vec![500])).collect();
    let good_in_between = |mut attempts: Vec<(u64, Vec<u16>)>, statuses: &[u16]| {
        attempts.last_mut().unwrap().1 = statuses.to_vec();
        attempts
    };
    for (attempts, expected) in [
        (vec![(0, vec![500]), (0, vec![410])], EndpointStatus::Gone),
        (vec![(0, vec![200, 410])], EndpointStatus::Gone),
        (often.clone(), EndpointStatus::Failing),
        (often[..often.len() - 1].to_vec(), EndpointStatus::Enabled),
        (
            vec![(0, vec![500]), (days - 13, vec![500]), (days, vec![500])],
            EndpointStatus::Failing,
        ),
        // Side by side, in whatever order they ended.
        (
            good_in_between(often.clone(), &[500, 200]),
            EndpointStatus::Enabled,
        ),
        (
            good_in_between(often.clone(), &[200, 500]),
            EndpointStatus::Enabled,
        ),
        // Seldom, or once after a long time.
        (
            vec![(0, vec![500]), (days, vec![500]), (days + 3, vec![500])],
            EndpointStatus::Enabled,
        ),
        (
            vec![(0, vec![500]), (days, vec![500]), (days + 30, vec![500])],
            EndpointStatus::Enabled,
        ),
    ] {
        let mut world = furnished();
        world.create_endpoint().unwrap();
        let begun = world.now;
        let mut number = 0;
        for (hour, statuses) in &attempts {
            world.now = begun + hour * HOUR_MS;
            let mut recorded = Vec::new();
            for status in statuses {
                number += 1;
                recorded.push(world.attempted(number, *status));
            }
            world.record(recorded);
        }
        assert_eq!(world.endpoint().status, expected, "{attempts:?}");
        let told = newest_event(&world).notice.kind == NoticeKind::WebhookEndpointDisabled;
        assert_eq!(told, expected != EndpointStatus::Enabled, "{expected:?}");
        if expected != EndpointStatus::Enabled {
            assert_eq!(refused(world.retry(1)).0, "EndpointDisabled");
            world.update_endpoint(true).unwrap();
            assert_eq!(world.endpoint().status, EndpointStatus::Enabled);
            world.retry(1).unwrap();
        }
    }
}

#[test]
fn another_url_is_not_blamed_for_what_the_one_before_did() {
    let mut world = furnished();
    world.create_endpoint().unwrap();
    for (url, blamed) in [
        ("https://hooks.example.net/", true),
        ("https://other.example.net/", false),
    ] {
        world.attempt(1, 500);
        let command = UpdateWebhookEndpoint {
            id: endpoint_id(),
            url: Some(url.to_owned()),
            events: None,
            description: None,
            api_version: None,
            enabled: None,
        };
        world
            .apply(Command::UpdateWebhookEndpoint(world.actor.clone(), command))
            .unwrap();
        assert_eq!(world.endpoint().failing_since.is_some(), blamed);
    }
}

#[test]
fn an_endpoint_begins_where_it_is_made_or_enabled_and_never_goes_back() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.create_endpoint().unwrap();
    let environment = world.actor.environment_id.clone();
    let behind = |world: &World| {
        query::journal_after(
            &world.rows,
            &environment,
            world.endpoint().delivered.row,
            100,
        )
        .len()
    };
    assert_eq!(behind(&world), 0);
    world.create_rule(2, 20).unwrap();
    assert_eq!(behind(&world), 1);
    world.attempt(1, 200);
    assert_eq!(behind(&world), 0);
    let delivered = world.endpoint().delivered;
    let parts = [0, 8].map(|index| NoticePlace {
        row: delivered.row,
        index,
    });
    for before in [NoticePlace::default(), parts[0], parts[1]] {
        let command = RecordDeliveries {
            environment_id: environment.clone(),
            endpoint_id: endpoint_id(),
            delivered: before,
            attempts: Vec::new(),
        };
        world.apply(Command::RecordDeliveries(command)).unwrap();
        assert_eq!(world.endpoint().delivered, delivered);
    }
}

#[test]
fn an_endpoint_that_was_disabled_gets_what_happened_before_and_since_but_not_meanwhile() {
    let mut world = furnished();
    world.create_endpoint().unwrap();
    let environment = world.actor.environment_id.clone();
    // Of the rows that were not taken over, how many are for the endpoint.
    let wanted = |world: &World| {
        let endpoint = world.endpoint();
        let rows = query::journal_after(&world.rows, &environment, endpoint.delivered.row, 1000);
        let wanted = rows
            .iter()
            .filter(|row| endpoint.gap_at(row.place).is_none());
        wanted.count()
    };
    let priority = |number| u32::try_from(number).unwrap();
    let mut expected = 0;
    for round in 1..=3 {
        world.create_rule(2 * round, priority(20 * round)).unwrap();
        expected += 1;
        assert_eq!(wanted(&world), expected);
        world.update_endpoint(false).unwrap();
        world
            .create_rule(2 * round + 1, priority(20 * round + 1))
            .unwrap();
        world.update_endpoint(true).unwrap();
        assert_eq!(wanted(&world), expected);
    }
    assert_eq!(world.endpoint().gaps.len(), 3);
    // What is behind is forgotten.
    world.attempt(1, 200);
    assert_eq!((wanted(&world), world.endpoint().gaps.len()), (0, 0));
    for _ in 0..2 * WebhookEndpoint::GAPS_MAX {
        world.update_endpoint(false).unwrap();
        world.update_endpoint(true).unwrap();
    }
    assert_eq!(world.endpoint().gaps.len(), WebhookEndpoint::GAPS_MAX);
}

#[test]
fn an_event_is_replayed_to_endpoints_that_are_enabled() {
    let mut world = furnished();
    world.create_endpoint().unwrap();
    world.create_rule(1, 10).unwrap();
    let event = newest_event(&world);
    let replay = |world: &mut World, event_id: &EventId, number| {
        let command = ReplayEvent {
            event_id: event_id.clone(),
            to: vec![(endpoint_id(), delivery_id(number))],
        };
        world.apply(Command::ReplayEvent(world.actor.clone(), command))
    };
    replay(&mut world, &event.id, 5).unwrap();
    assert_eq!(world.due(world.now).len(), 1);
    assert_eq!(world.delivery(5).event_id, event.id);
    assert_eq!(refused(replay(&mut world, &event.id, 5)).0, "IdTaken");
    let unknown = EventId::new(seed(99));
    assert_eq!(refused(replay(&mut world, &unknown, 6)).0, "NotFound");
    world.update_endpoint(false).unwrap();
    let reply = replay(&mut world, &event.id, 6);
    assert_eq!(refused(reply).0, "EndpointDisabled");
}

#[test]
fn an_event_is_replayed_to_each_endpoint_once_and_to_no_more_than_there_may_be() {
    let mut world = furnished();
    world.create_endpoint().unwrap();
    let event = newest_event(&world);
    for many in [2, ENDPOINTS_MAX as u64 + 1] {
        let command = ReplayEvent {
            event_id: event.id.clone(),
            to: (0..many)
                .map(|number| (endpoint_id(), delivery_id(number)))
                .collect(),
        };
        let reply = world.apply(Command::ReplayEvent(world.actor.clone(), command));
        assert_eq!(
            refused(reply),
            ("InvalidParameter", "endpoint_ids".to_owned())
        );
    }
}

#[test]
fn a_secret_is_rotated_with_an_overlap() {
    let mut world = furnished();
    world.create_endpoint().unwrap();
    let rotate = RotateWebhookSecret {
        id: endpoint_id(),
        grace_ms: 60_000,
    };
    let at = world.now;
    world
        .apply(Command::RotateWebhookSecret(world.actor.clone(), rotate))
        .unwrap();
    let endpoint = world.endpoint();
    assert_eq!(endpoint.secret_generation, 2);
    assert_eq!(endpoint.previous_secret_until, Some(Timestamp(at + 60_000)));
}

#[test]
fn what_is_pending_fails_after_its_endpoint_was_removed_a_few_with_each_entry() {
    let mut world = furnished();
    world.create_endpoint().unwrap();
    for number in 1..=40 {
        world.attempt(number, 500);
    }
    let delete = DeleteWebhookEndpoint { id: endpoint_id() };
    world
        .apply(Command::DeleteWebhookEndpoint(world.actor.clone(), delete))
        .unwrap();
    let orphan = (world.actor.environment_id.clone(), endpoint_id());
    assert_eq!(query::orphaned_endpoints(&world.rows), [orphan]);
    let mut entries = 0;
    while !world.due(u64::MAX).is_empty() {
        let before = world.due(u64::MAX).len();
        // What is recorded afterwards makes no delivery.
        world.attempt(99, 200);
        entries += 1;
        assert!(before - world.due(u64::MAX).len() <= ORPHANS_PER_STEP);
    }
    assert_eq!(entries, 40_usize.div_ceil(ORPHANS_PER_STEP));
    for number in 1..=40 {
        assert!(matches!(
            world.delivery(number).state,
            DeliveryState::Failed { .. }
        ));
    }
    assert_eq!(query::orphaned_endpoints(&world.rows), []);
    let environment = &world.actor.environment_id;
    assert_eq!(
        query::webhook_delivery(&world.rows, environment, &delivery_id(99)),
        None
    );
}
