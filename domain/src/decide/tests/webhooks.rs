//! Webhook endpoints, and what becomes of deliveries.

use super::world::{World, furnished, refused};
use crate::command::{
    Command, CreateWebhookEndpoint, DeleteWebhookEndpoint, RecordDeliveries, RecordedAttempt,
    ReplayEvent, RetryDelivery, RotateWebhookSecret, UpdateWebhookEndpoint,
};
use crate::id::{EventId, Seed, WebhookDeliveryId, WebhookEndpointId};
use crate::model::{
    DeliveryAttempt, DeliveryState, EndpointStatus, FAILING_MAX_MS, JournalPlace, NoticeKind,
    RETRY_DELAYS_MS, WebhookDelivery, WebhookEndpoint,
};
use crate::outcome::{Outcome, Reply};
use crate::query;
use crate::time::{Revision, Timestamp};

fn seed(random: u64) -> Seed {
    let unix_ms = 1_714_320_000_000;
    Seed { unix_ms, random }
}

fn endpoint_id() -> WebhookEndpointId {
    WebhookEndpointId::new(seed(1))
}

fn delivery_id(number: u64) -> WebhookDeliveryId {
    WebhookDeliveryId::new(seed(number))
}

impl World {
    fn create_endpoint(&mut self) -> Reply {
        let command = CreateWebhookEndpoint {
            id: endpoint_id(),
            url: "https://hooks.example.net/".to_owned(),
            events: vec![NoticeKind::RoutePublished, NoticeKind::RuleCreated],
            description: None,
        };
        self.apply(Command::CreateWebhookEndpoint(self.actor.clone(), command))
    }

    fn endpoint(&self) -> WebhookEndpoint {
        query::webhook_endpoint(&self.rows, &self.actor.environment_id, &endpoint_id()).unwrap()
    }

    fn delivery(&self, number: u64) -> WebhookDelivery {
        let environment = &self.actor.environment_id;
        query::webhook_delivery(&self.rows, environment, &delivery_id(number)).unwrap()
    }

    /// An attempt that was answered with `status`, without jitter.
    fn attempt(&mut self, number: u64, status: u16) {
        let attempt = RecordedAttempt {
            delivery_id: delivery_id(number),
            event_id: EventId::new(seed(number)),
            kind: NoticeKind::RuleCreated,
            attempt: DeliveryAttempt {
                at: Timestamp(self.now),
                status: Some(status),
                error: None,
                latency_ms: 3,
                head: String::new(),
            },
            jitter: 0,
        };
        let command = RecordDeliveries {
            environment_id: self.actor.environment_id.clone(),
            endpoint_id: endpoint_id(),
            delivered: JournalPlace {
                at: Timestamp(self.now),
                revision: Revision(self.revision),
            },
            attempts: vec![attempt],
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
            enabled: Some(enabled),
        };
        self.apply(Command::UpdateWebhookEndpoint(self.actor.clone(), command))
    }

    fn retry(&mut self, number: u64) -> Reply {
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
    assert_eq!(world.delivery(7).state, DeliveryState::Failed);
    assert_eq!(world.delivery(7).attempts_made, 6);
    assert!(world.due(u64::MAX).is_empty());
    // By hand it begins anew, and keeps what was.
    let Ok(Outcome::Deliveries(again)) = world.retry(7) else {
        panic!("it is retried");
    };
    assert_eq!(again, world.due(world.now));
    world.attempt(7, 204);
    let delivery = world.delivery(7);
    assert_eq!(delivery.state, DeliveryState::Succeeded);
    assert_eq!(delivery.attempts.len(), 7);
    assert_eq!(world.endpoint().failing_since, None);
}

#[test]
fn what_was_delivered_stays_so_when_an_older_attempt_turns_out_to_have_failed() {
    let mut world = furnished();
    world.create_endpoint().unwrap();
    world.attempt(7, 204);
    world.attempt(7, 500);
    assert_eq!(world.delivery(7).state, DeliveryState::Succeeded);
    assert_eq!(world.delivery(7).attempts_made, 2);
    assert!(world.due(u64::MAX).is_empty());
    assert_eq!(world.endpoint().failing_since, None);
}

/// Contract: D-58.
#[test]
fn an_endpoint_that_is_gone_or_fails_for_days_is_disabled_and_that_is_an_event() {
    for (status, after_ms, expected) in [
        (410, 0, EndpointStatus::Gone),
        (500, FAILING_MAX_MS, EndpointStatus::Failing),
        (500, FAILING_MAX_MS - 2, EndpointStatus::Enabled),
    ] {
        let mut world = furnished();
        world.create_endpoint().unwrap();
        world.attempt(1, 500);
        world.now += after_ms;
        world.attempt(2, status);
        assert_eq!(world.endpoint().status, expected);
        let environment = &world.actor.environment_id;
        let newest = query::events_page(&world.rows, environment, None, 1).items;
        let told = newest[0].notice.kind == NoticeKind::WebhookEndpointDisabled;
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
fn an_endpoint_begins_where_it_is_made_or_enabled_and_never_goes_back() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.create_endpoint().unwrap();
    let environment = world.actor.environment_id.clone();
    let behind = |world: &World| {
        query::journal_after(&world.rows, &environment, world.endpoint().delivered, 100).len()
    };
    assert_eq!(behind(&world), 0);
    world.create_rule(2, 20).unwrap();
    assert_eq!(behind(&world), 1);
    world.attempt(1, 200);
    assert_eq!(behind(&world), 0);
    let delivered = world.endpoint().delivered;
    let command = RecordDeliveries {
        environment_id: environment.clone(),
        endpoint_id: endpoint_id(),
        delivered: JournalPlace::default(),
        attempts: Vec::new(),
    };
    world.apply(Command::RecordDeliveries(command)).unwrap();
    assert_eq!(world.endpoint().delivered, delivered);
    world.update_endpoint(false).unwrap();
    world.create_rule(3, 30).unwrap();
    world.update_endpoint(true).unwrap();
    assert_eq!(behind(&world), 0);
}

#[test]
fn an_event_is_replayed_to_endpoints_that_are_enabled() {
    let mut world = furnished();
    world.create_endpoint().unwrap();
    world.create_rule(1, 10).unwrap();
    let environment = world.actor.environment_id.clone();
    let event = query::events_page(&world.rows, &environment, None, 1).items[0].clone();
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
fn a_secret_is_rotated_with_an_overlap_and_what_is_pending_goes_with_its_endpoint() {
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
    world.attempt(1, 500);
    let delete = DeleteWebhookEndpoint { id: endpoint_id() };
    world
        .apply(Command::DeleteWebhookEndpoint(world.actor.clone(), delete))
        .unwrap();
    assert!(world.due(u64::MAX).is_empty());
    assert_eq!(world.delivery(1).state, DeliveryState::Failed);
    // What is recorded afterwards changes nothing.
    world.attempt(2, 200);
    let environment = &world.actor.environment_id;
    assert_eq!(
        query::webhook_delivery(&world.rows, environment, &delivery_id(2)),
        None
    );
}
