//! Samples of what is written down about a change, and of what becomes of it.

use domain::command::Origin;
use domain::id::{EventId, RequestId, Seed, WebhookDeliveryId, WebhookEndpointId};
use domain::model::{
    About, AuditChain, AuditLink, AuditPoint, Change, DeliveryAttempt, DeliveryState,
    EndpointStatus, JournalEntry, JournalGap, JournalPlace, Notice, NoticeKind, NoticePlace,
    ObjectKind, RuleVersionNumber, WebhookDelivery, WebhookEndpoint,
};
use domain::schema::History;
use domain::time::{Revision, Timestamp};
use domain::tree::Hash;

use crate::samples::{
    api_key_id, api_version, environment_id, hash, idempotency_key, route_id, rule_id, workspace_id,
};

fn seed(random: u64) -> Seed {
    Seed {
        unix_ms: 1_714_320_000_000,
        random,
    }
}

pub(crate) fn journal_entry() -> JournalEntry {
    JournalEntry {
        actor: Some(api_key_id()),
        request_id: RequestId::new(seed(13)),
        origin: origin(),
        idempotency_key: Some(idempotency_key()),
        operation: "update_rule".to_owned(),
        changes: vec![Change {
            object: ObjectKind::Rule,
            id: rule_id().to_string(),
            route_id: Some(route_id()),
            before: Some("{\"priority\":40}".to_owned()),
            after: Some("{\"priority\":50}".to_owned()),
            version: Some(RuleVersionNumber(2)),
        }],
        notices: vec![Notice {
            kind: NoticeKind::RuleUpdated,
            about: About {
                route_id: Some(route_id()),
                rule_id: Some(rule_id()),
                ..About::default()
            },
        }],
        link: Some(AuditLink {
            previous: hash(),
            point: AuditPoint {
                index: 300,
                hash: Hash([0xee; 32]),
            },
        }),
    }
}

pub(crate) fn origin() -> Origin {
    Origin {
        method: "POST".to_owned(),
        path: "/v2/rules".to_owned(),
        address: Some("192.0.2.7".to_owned()),
    }
}

pub(crate) fn history() -> History {
    History {
        journal_from: Timestamp(1_714_320_000_000),
        finished_from: Timestamp(1_714_320_000_001),
        pending_from: Timestamp(u64::MAX),
        pending: 300,
        audit: AuditChain {
            base: AuditPoint::START,
            head: AuditPoint {
                index: 300,
                hash: Hash([0xee; 32]),
            },
        },
    }
}

pub(crate) fn endpoint_id() -> WebhookEndpointId {
    WebhookEndpointId::new(seed(14))
}

pub(crate) fn delivery_id() -> WebhookDeliveryId {
    WebhookDeliveryId::new(seed(15))
}

fn place(number: u64) -> JournalPlace {
    JournalPlace {
        at: Timestamp(number),
        revision: Revision(number),
    }
}

pub(crate) fn webhook_endpoint() -> WebhookEndpoint {
    WebhookEndpoint {
        id: endpoint_id(),
        workspace_id: workspace_id(),
        environment_id: environment_id(),
        url: "https://hooks.example.net/".to_owned(),
        events: vec![NoticeKind::RuleCreated, NoticeKind::ApiKeyCreated],
        description: Some("ours".to_owned()),
        api_version: api_version(),
        status: EndpointStatus::Failing,
        secret_generation: 2,
        previous_secret_until: Some(Timestamp(3)),
        failing_since: Some(Timestamp(4)),
        failed_at: Some(Timestamp(5)),
        delivered: NoticePlace {
            row: place(5),
            index: 1,
        },
        disabled_at: Some(place(6)),
        gaps: vec![JournalGap {
            from: place(5),
            until: place(6),
        }],
        created_by: api_key_id(),
        created_at: Timestamp(7),
        updated_at: Some(Timestamp(8)),
        revision: Revision(9),
    }
}

pub(crate) fn webhook_delivery() -> WebhookDelivery {
    WebhookDelivery {
        id: delivery_id(),
        endpoint_id: endpoint_id(),
        event_id: EventId::new(seed(16)),
        event_at: NoticePlace::behind(place(9)),
        kind: NoticeKind::RoutePublished,
        state: DeliveryState::Failed { at: Timestamp(10) },
        attempts_made: 7,
        retries_used: 5,
        attempts: vec![DeliveryAttempt {
            at: Timestamp(11),
            status: Some(500),
            error: Some("late".to_owned()),
            latency_ms: 12,
            head: "no".to_owned(),
        }],
        created_at: Timestamp(13),
    }
}
