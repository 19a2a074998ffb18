//! Arbitrary commands on webhook endpoints, and what becomes of deliveries to them.

use domain::command::{
    Command, CreateWebhookEndpoint, DeleteWebhookEndpoint, RecordDeliveries, RecordedAttempt,
    RetryDelivery, UpdateWebhookEndpoint,
};
use domain::id::{EventId, Seed, WebhookDeliveryId, WebhookEndpointId};
use domain::model::{DeliveryAttempt, JOURNAL_KEPT_MS, JournalPlace, NoticeKind, NoticePlace};
use domain::query;
use domain::rows::MemoryRows;
use domain::schema::{DELIVERIES_DUE, WEBHOOK_DELIVERIES};
use domain::time::{Revision, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::commands::{seed, who};
use crate::samples::api_version;

pub(crate) fn endpoint() -> impl Strategy<Value = WebhookEndpointId> {
    Just(WebhookEndpointId::new(seed(0)))
}

fn delivery() -> impl Strategy<Value = WebhookDeliveryId> {
    (0..3u64).prop_map(|number| WebhookDeliveryId::new(seed(number)))
}

/// Events of any time; whether they are there is not asked when they are recorded.
fn attempt() -> impl Strategy<Value = RecordedAttempt> {
    let status = prop_oneof![9 => Just(500u16), 10 => Just(204), 1 => Just(410)];
    (delivery(), 1_000..JOURNAL_KEPT_MS, status).prop_map(|(delivery_id, unix_ms, status)| {
        RecordedAttempt {
            delivery_id,
            event_id: EventId::new(Seed { unix_ms, random: 1 }),
            event_at: NoticePlace::default(),
            kind: NoticeKind::RuleCreated,
            retries_used: 0,
            attempt: DeliveryAttempt {
                at: Timestamp(unix_ms),
                status: Some(status),
                error: None,
                latency_ms: 3,
                head: String::new(),
            },
            jitter: 7,
        }
    })
}

fn record() -> impl Strategy<Value = RecordDeliveries> {
    (who(), endpoint(), 0..4_000u64, vec(attempt(), 1..6)).prop_map(
        |(who, endpoint_id, at, mut attempts)| {
            // An attempt for each delivery, as whoever delivers makes them.
            attempts.sort_by(|a, b| a.delivery_id.cmp(&b.delivery_id));
            attempts.dedup_by(|a, b| a.delivery_id == b.delivery_id);
            RecordDeliveries {
                environment_id: who.environment_id,
                endpoint_id,
                delivered: NoticePlace::behind(JournalPlace {
                    at: Timestamp(at),
                    revision: Revision(1),
                }),
                attempts,
            }
        },
    )
}

/// Anything that concerns webhooks.
pub(crate) fn command() -> impl Strategy<Value = Command> {
    let create = endpoint().prop_map(|id| CreateWebhookEndpoint {
        id,
        url: "https://hooks.example.net/".to_owned(),
        events: Vec::new(),
        description: None,
        api_version: Some(api_version()),
    });
    let update =
        (endpoint(), prop::bool::weighted(0.9)).prop_map(|(id, enabled)| UpdateWebhookEndpoint {
            id,
            url: None,
            events: None,
            description: None,
            api_version: None,
            enabled: Some(enabled),
        });
    prop_oneof![
        7 => (who(), create).prop_map(|(actor, command)| Command::CreateWebhookEndpoint(actor, command)),
        4 => (who(), update).prop_map(|(actor, command)| Command::UpdateWebhookEndpoint(actor, command)),
        2 => (who(), endpoint())
            .prop_map(|(actor, id)| Command::DeleteWebhookEndpoint(actor, DeleteWebhookEndpoint { id })),
        8 => record().prop_map(Command::RecordDeliveries),
        10 => (who(), delivery()).prop_map(|(actor, id)| Command::RetryDelivery(actor, RetryDelivery { id })),
    ]
}

/// The same command, with what is recorded being the attempts that are waited for, at events that are
/// there.
pub(crate) fn of_real_events(rows: &MemoryRows, command: &Command) -> Command {
    let mut command = command.clone();
    if let Command::RecordDeliveries(record) = &mut command {
        let environment = &record.environment_id;
        let newest = query::journal_page(rows, environment, None, 20).items;
        let events = newest.iter().rev().flat_map(|row| row.notices_from(0));
        for (attempt, event) in record.attempts.iter_mut().zip(events) {
            let known = WEBHOOK_DELIVERIES.get(rows, (environment, &attempt.delivery_id));
            attempt.retries_used = known.map_or(0, |delivery| delivery.retries_used);
            attempt.event_at = event.at();
            attempt.event_id = event.id;
        }
    }
    command
}

/// The events that pending deliveries wait to deliver, and whether each is there.
pub(crate) fn awaited(rows: &MemoryRows) -> Vec<(WebhookDeliveryId, EventId, bool)> {
    let due = DELIVERIES_DUE.walk(rows, DELIVERIES_DUE.all());
    due.map(|((environment, _, _, id), ())| {
        let delivery = WEBHOOK_DELIVERIES.get(rows, (&environment, &id)).unwrap();
        let there = query::event(rows, &environment, &delivery.event_id).is_some();
        (id, delivery.event_id, there)
    })
    .collect()
}
