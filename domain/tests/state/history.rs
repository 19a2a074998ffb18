//! A sample of what is written down about a change.

use domain::command::Origin;
use domain::id::{RequestId, Seed};
use domain::model::{About, Change, JournalEntry, Notice, NoticeKind, ObjectKind};

use crate::samples::{api_key_id, idempotency_key, route_id, rule_id};

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
        }],
        notices: vec![Notice {
            kind: NoticeKind::RuleUpdated,
            about: About {
                route_id: Some(route_id()),
                rule_id: Some(rule_id()),
                ..About::default()
            },
        }],
    }
}

pub(crate) fn origin() -> Origin {
    Origin {
        method: "POST".to_owned(),
        path: "/v2/rules".to_owned(),
        address: Some("192.0.2.7".to_owned()),
    }
}
