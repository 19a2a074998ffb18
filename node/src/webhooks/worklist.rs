//! What there is to do for one endpoint, read from one view of the state: retries whose time has
//! come, and events behind the place up to which the journal was taken over. Doing it is the
//! worker's matter.

use bytes::Bytes;
use domain::id::{EnvironmentId, EventId, WebhookDeliveryId, WebhookEndpointId};
use domain::model::{EndpointStatus, JournalPlace, NoticeKind, WebhookDelivery, WebhookEndpoint};
use domain::query::{self, JournalNotice};
use domain::rows::View;
use domain::time::Timestamp;

use crate::rest;

/// How many retries and how many new events are taken at a time: as many as are sent at a time, so
/// that what is done is recorded soon. The events of one row stay together.
pub(super) const TAKEN: usize = 8;

/// How many rows of the journal are read at a time.
const ROWS_STEP: usize = 64;

/// How many such steps one look makes at most: whoever wants few types must not make a look long.
const STEPS_MAX: usize = 8;

/// What there is to do for an endpoint.
pub(super) struct Worklist {
    pub(super) endpoint: WebhookEndpoint,
    pub(super) jobs: Vec<Job>,
    /// Up to where the journal has been taken over once the jobs are done.
    pub(super) delivered: JournalPlace,
    /// Whether there may be more behind that place.
    pub(super) more: bool,
    /// When the next retry is due.
    pub(super) next_due: Option<Timestamp>,
}

/// One event to be sent.
pub(super) struct Job {
    /// The delivery, if there is one already.
    pub(super) delivery_id: Option<WebhookDeliveryId>,
    pub(super) event_id: EventId,
    pub(super) kind: NoticeKind,
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
            endpoint,
        };
        list.take_over(view, &environment);
        Some(list)
    }

    /// Takes events from the journal, row by row.
    fn take_over(&mut self, view: &dyn View, environment: &str) {
        let enough = self.jobs.len() + TAKEN;
        for _ in 0..STEPS_MAX {
            let id = &self.endpoint.environment_id;
            let rows = query::journal_after(view, id, self.delivered, ROWS_STEP);
            let last = rows.len() < ROWS_STEP;
            for row in rows {
                self.delivered = row.place;
                let events = row.notices().into_iter();
                let wanted = events.filter(|event| self.endpoint.wants(event.notice.kind));
                self.jobs
                    .extend(wanted.map(|event| Job::new(&event, environment)));
                if self.jobs.len() >= enough {
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

    /// Whether the journal was read on from where the endpoint stands.
    pub(super) fn moved(&self) -> bool {
        self.delivered != self.endpoint.delivered
    }
}

impl Job {
    fn new(event: &JournalNotice, environment: &str) -> Self {
        Self {
            delivery_id: None,
            event_id: event.id.clone(),
            kind: event.notice.kind,
            body: Some(rest::event_body(event, environment)),
        }
    }

    fn retry(
        view: &dyn View,
        environment_id: &EnvironmentId,
        environment: &str,
        delivery: WebhookDelivery,
    ) -> Self {
        let event = query::event(view, environment_id, &delivery.event_id);
        Self {
            delivery_id: Some(delivery.id),
            event_id: delivery.event_id,
            kind: delivery.kind,
            body: event.map(|event| rest::event_body(&event, environment)),
        }
    }
}
