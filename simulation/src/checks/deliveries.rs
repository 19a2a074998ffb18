//! What receivers of webhooks got, by endpoint and event, for the checks of it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::history::{Answered, Delivery, Endpoint, History};

/// The attempts to deliver one event to one endpoint, in order.
#[derive(Default)]
pub(super) struct Course<'a> {
    pub(super) attempts: Vec<&'a Delivery>,
}

/// All courses, by endpoint and event; what came to no endpoint that a client knows is left out: it
/// may come before the client hears of the endpoint that it made.
pub(super) fn courses(history: &History) -> BTreeMap<(&str, String), Course<'_>> {
    let mut courses: BTreeMap<(&str, String), Course<'_>> = BTreeMap::new();
    for delivery in &history.deliveries {
        let Some(endpoint) = endpoint(history, delivery) else {
            continue;
        };
        courses
            .entry((&endpoint.id, event_id(delivery)))
            .or_default()
            .attempts
            .push(delivery);
    }
    for course in courses.values_mut() {
        course.attempts.sort_by_key(|delivery| delivery.at_us);
    }
    courses
}

/// The endpoint that a delivery came to.
pub(super) fn endpoint<'a>(history: &'a History, delivery: &Delivery) -> Option<&'a Endpoint> {
    history
        .endpoints
        .iter()
        .find(|endpoint| endpoint.receiver == delivery.receiver && endpoint.path == delivery.path)
}

/// The body as JSON.
pub(super) fn body(delivery: &Delivery) -> Value {
    serde_json::from_slice(&delivery.body).unwrap_or_default()
}

fn event_id(delivery: &Delivery) -> String {
    body(delivery)["id"].as_str().unwrap_or_default().to_owned()
}

/// Whether the sender heard that it was received.
pub(super) fn received(delivery: &Delivery) -> bool {
    matches!(delivery.answered, Answered::Status(200..300))
}

#[cfg(test)]
pub(super) mod made_up {
    use crate::checks::made_up::commits_rule;
    use crate::history::{Answered, Committed, Delivery, Endpoint, Environment, History};

    /// The event's delivery at this time, answered with this status.
    pub(in crate::checks) fn delivery(event: &str, at_us: u64, status: u16) -> Delivery {
        Delivery {
            receiver: "receiver-1".to_owned(),
            path: "/hooks/0".to_owned(),
            at_us,
            ended_us: at_us + 1_000,
            headers: vec![("webhook-id".to_owned(), event.to_owned())],
            body: format!("{{\"id\":\"{event}\",\"type\":\"rule.created\"}}").into_bytes(),
            answered: Answered::Status(status),
        }
    }

    /// What committed an event.
    pub(in crate::checks) fn commits_event(revision: u64, event: &str) -> Committed {
        Committed {
            events: vec![(event.to_owned(), "rule.created".to_owned())],
            ..commits_rule(revision, &format!("k{revision}"), &format!("r{revision}"))
        }
    }

    /// A history with one endpoint that was made at revision 1.
    pub(in crate::checks) fn history(
        journal: Vec<Committed>,
        deliveries: Vec<Delivery>,
    ) -> History {
        History {
            endpoints: vec![Endpoint {
                id: "wh_1".to_owned(),
                environment: Environment::Production,
                receiver: "receiver-1".to_owned(),
                path: "/hooks/0".to_owned(),
                secrets: vec![(1, "whsec_secret".to_owned())],
            }],
            journal,
            deliveries,
            ended_us: 100_000_000,
            ..History::default()
        }
    }
}
