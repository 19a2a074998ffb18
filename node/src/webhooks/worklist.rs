//! What there is to do for one endpoint, read from one view of the state: retries whose time has
//! come, and events behind the place up to which the journal was taken over. Doing it is the
//! worker's matter.
//!
//! The delivery of an event to an endpoint has an identifier that follows from the two, so that it
//! is one delivery whoever makes it. A row of the journal with many events is taken over in parts.

use bytes::Bytes;
use domain::id::{EnvironmentId, EventId, Seed, WebhookDeliveryId, WebhookEndpointId};
use domain::model::{
    EndpointStatus, JournalPlace, NoticeKind, NoticePlace, WebhookDelivery, WebhookEndpoint,
};
use domain::query::{self, JournalNotice, JournalRow};
use domain::rows::View;
use domain::time::Timestamp;
use sha2::{Digest, Sha256};

use crate::rest;

/// How many retries and how many new events are taken at a time: as many as are sent at a time, so
/// that a round is soon over and little is repeated if its record is lost.
pub(super) const TAKEN: usize = 8;

/// How many rows of the journal are read at a time.
const ROWS_STEP: usize = 64;

/// How many such steps one look makes at most: whoever wants few types must not make a look long.
const STEPS_MAX: usize = 8;

/// What there is to do for an endpoint.
pub(super) struct Worklist {
    pub(super) endpoint: WebhookEndpoint,
    /// The log's time that it was read for.
    pub(super) now: Timestamp,
    pub(super) jobs: Vec<Job>,
    /// Up to where the journal has been taken over once the jobs are done.
    pub(super) delivered: NoticePlace,
    /// Whether there may be more behind that place.
    pub(super) more: bool,
    /// When the next retry is due.
    pub(super) next_due: Option<Timestamp>,
}

/// One event to be sent.
pub(super) struct Job {
    pub(super) delivery_id: WebhookDeliveryId,
    pub(super) event_id: EventId,
    pub(super) event_at: NoticePlace,
    pub(super) kind: NoticeKind,
    /// Whether it is taken from the journal; else it is a retry.
    pub(super) is_new: bool,
    pub(super) retries_used: u32,
    /// What is sent; nothing, if the event is gone.
    pub(super) body: Option<Bytes>,
}

impl Worklist {
    /// What there is to do at `now`; nothing, for ever, if the endpoint is gone or disabled.
    pub(super) fn read(
        view: &dyn View,
        (environment_id, endpoint_id): (&EnvironmentId, &WebhookEndpointId),
        now: Timestamp,
    ) -> Option<Self> {
        let endpoint = query::webhook_endpoint(view, environment_id, endpoint_id)
            .filter(|endpoint| endpoint.status == EndpointStatus::Enabled)?;
        let environment = query::environment(view, environment_id)?.name;
        let (due, next_due) = query::due_deliveries(view, environment_id, endpoint_id, now, TAKEN);
        let retry = |delivery| Job::retry(view, environment_id, &environment, delivery);
        let mut list = Self {
            delivered: endpoint.delivered,
            jobs: due.into_iter().map(retry).collect(),
            more: false,
            next_due,
            now,
            endpoint,
        };
        list.take_over(view, &environment);
        Some(list)
    }

    /// Takes events from the journal, row by row, and steps over what is not for the endpoint.
    fn take_over(&mut self, view: &dyn View, environment: &str) {
        let enough = self.jobs.len() + TAKEN;
        'steps: for _ in 0..STEPS_MAX {
            let id = &self.endpoint.environment_id;
            let rows = query::journal_after(view, id, self.last_row(), ROWS_STEP);
            let last = rows.len() < ROWS_STEP;
            for row in rows {
                if let Some(gap) = self.endpoint.gap_at(row.place) {
                    self.delivered = NoticePlace::behind(gap.until);
                    continue 'steps;
                }
                if !self.take_row(&row, environment, enough) {
                    self.more = true;
                    return;
                }
            }
            if last {
                return;
            }
        }
        self.more = true;
    }

    /// The last row of which nothing is left to be taken.
    fn last_row(&self) -> JournalPlace {
        let NoticePlace { row, .. } = self.delivered;
        if self.delivered == NoticePlace::behind(row) {
            row
        } else {
            row.before()
        }
    }

    /// Takes what is wanted of a row and was not taken; says whether that is all of it.
    fn take_row(&mut self, row: &JournalRow, environment: &str, enough: usize) -> bool {
        let begun = self.delivered.row == row.place;
        let from = if begun { self.delivered.index } else { 0 };
        for event in row.notices_from(from) {
            if !self.endpoint.wants(event.notice.kind) {
                continue;
            }
            if self.jobs.len() == enough {
                let (row, index) = (row.place, event.index);
                self.delivered = NoticePlace { row, index };
                return false;
            }
            let id = delivery_id(&self.endpoint.id, &event);
            self.jobs.push(Job::new(id, &event, environment));
        }
        self.delivered = NoticePlace::behind(row.place);
        true
    }

    /// Whether the journal was read on from where the endpoint stands.
    pub(super) fn moved(&self) -> bool {
        self.delivered != self.endpoint.delivered
    }
}

/// The identifier of the delivery of an event to an endpoint, unless somebody asks for another one.
fn delivery_id(endpoint: &WebhookEndpointId, event: &JournalNotice) -> WebhookDeliveryId {
    let mut digest = Sha256::new();
    digest.update(endpoint.as_str());
    digest.update([0]);
    digest.update(event.id.as_str());
    let mut random = [0; 8];
    random.copy_from_slice(&digest.finalize()[..8]);
    WebhookDeliveryId::new(Seed {
        unix_ms: event.place.at.0,
        random: u64::from_be_bytes(random),
    })
}

impl Job {
    fn new(delivery_id: WebhookDeliveryId, event: &JournalNotice, environment: &str) -> Self {
        Self {
            delivery_id,
            event_id: event.id.clone(),
            event_at: event.at(),
            kind: event.notice.kind,
            is_new: true,
            retries_used: 0,
            body: Some(rest::event_body(event, environment)),
        }
    }

    fn retry(
        view: &dyn View,
        environment_id: &EnvironmentId,
        environment: &str,
        delivery: WebhookDelivery,
    ) -> Self {
        let event = query::event_at(view, environment_id, delivery.event_at);
        Self {
            delivery_id: delivery.id,
            event_id: delivery.event_id,
            event_at: delivery.event_at,
            kind: delivery.kind,
            is_new: false,
            retries_used: delivery.retries_used,
            body: event.map(|event| rest::event_body(&event, environment)),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::command::Origin;
    use domain::id::{ApiKeyId, RequestId, WorkspaceId};
    use domain::model::{About, ApiVersion, Environment, EnvironmentKind, JournalEntry, Notice};
    use domain::rows::MemoryRows;
    use domain::schema::{ENVIRONMENTS, JOURNAL, WEBHOOK_ENDPOINTS};
    use domain::time::Revision;

    use super::*;

    fn seed(random: u64) -> Seed {
        Seed { unix_ms: 1, random }
    }

    fn row(revision: u64) -> JournalPlace {
        JournalPlace {
            at: Timestamp(7),
            revision: Revision(revision),
        }
    }

    /// The state with an endpoint that was delivered to so far, and rows 1 to 3 with a thousand events
    /// each.
    fn rows(delivered: NoticePlace) -> (MemoryRows, EnvironmentId, WebhookEndpointId) {
        let (environment_id, id) = (EnvironmentId::new(seed(1)), WebhookEndpointId::new(seed(2)));
        let workspace_id = WorkspaceId::new(seed(3));
        let environment = Environment {
            id: environment_id.clone(),
            workspace_id: workspace_id.clone(),
            name: "production".to_owned(),
            kind: EnvironmentKind::Live,
            created_at: Timestamp(1),
        };
        let endpoint = WebhookEndpoint {
            id: id.clone(),
            workspace_id,
            environment_id: environment_id.clone(),
            url: "https://hooks.example.net/".to_owned(),
            events: Vec::new(),
            description: None,
            api_version: ApiVersion("2026-01-14".to_owned()),
            status: EndpointStatus::Enabled,
            secret_generation: 1,
            previous_secret_until: None,
            failing_since: None,
            failed_at: None,
            delivered,
            disabled_at: None,
            gaps: Vec::new(),
            created_by: ApiKeyId::new(seed(4)),
            created_at: Timestamp(1),
            updated_at: None,
            revision: Revision(1),
        };
        let notice = Notice {
            kind: NoticeKind::RuleUpdated,
            about: About::default(),
        };
        let mut rows = MemoryRows::default();
        ENVIRONMENTS.put(&mut rows, (&environment_id,), &environment);
        WEBHOOK_ENDPOINTS.put(&mut rows, (&environment_id, &id), &endpoint);
        for revision in 1..=3 {
            let entry = JournalEntry {
                actor: None,
                request_id: RequestId::new(seed(revision)),
                origin: Origin::default(),
                idempotency_key: None,
                operation: "reorder_rules".to_owned(),
                changes: Vec::new(),
                notices: vec![notice.clone(); 1000],
                link: None,
            };
            let JournalPlace { at, revision } = row(revision);
            JOURNAL.put(&mut rows, (&environment_id, &at, &revision), &entry);
        }
        (rows, environment_id, id)
    }

    #[test]
    fn a_row_with_many_events_is_taken_over_from_where_it_was_left() {
        let place = |revision, index| NoticePlace {
            row: row(revision),
            index,
        };
        let behind = |revision| NoticePlace::behind(row(revision));
        for (delivered, events, then) in [
            (NoticePlace::default(), vec![(1, 0..8)], place(1, 8)),
            (place(1, 8), vec![(1, 8..16)], place(1, 16)),
            (place(2, 990), vec![(2, 990..998)], place(2, 998)),
            (place(2, 998), vec![(2, 998..1000), (3, 0..6)], place(3, 6)),
            (behind(2), vec![(3, 0..8)], place(3, 8)),
            (place(3, 992), vec![(3, 992..1000)], behind(3)),
            (behind(3), vec![], behind(3)),
            // The row that was left is not kept any more.
            (place(0, 5), vec![(1, 0..8)], place(1, 8)),
        ] {
            let (rows, environment, id) = rows(delivered);
            let list = Worklist::read(&rows, (&environment, &id), Timestamp(9)).unwrap();
            assert_eq!(list.delivered, then, "from {delivered:?}");
            let all = query::journal_after(&rows, &environment, JournalPlace::default(), 9);
            let expected: Vec<_> = events
                .into_iter()
                .flat_map(|(revision, range)| {
                    let row = &all[revision - 1];
                    row.notices_from(range.start).take(range.len())
                })
                .map(|event| event.id)
                .collect();
            let taken: Vec<_> = list.jobs.into_iter().map(|job| job.event_id).collect();
            assert_eq!(taken, expected, "from {delivered:?}");
        }
    }
}
