//! What there is to do for one endpoint, read from one view of the state: retries whose time has
//! come, and events behind the place up to which the journal was taken over. Doing it is the
//! worker's matter.
//!
//! The delivery of an event to an endpoint has an identifier that follows from the two, so that it
//! is one delivery whoever makes it, and a row of the journal with many events can be taken over in
//! parts: those that have a delivery are done.

use bytes::Bytes;
use domain::id::{EnvironmentId, EventId, Seed, WebhookDeliveryId, WebhookEndpointId};
use domain::model::{EndpointStatus, JournalPlace, NoticeKind, WebhookDelivery, WebhookEndpoint};
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
    pub(super) delivered: JournalPlace,
    /// Whether there may be more behind that place.
    pub(super) more: bool,
    /// When the next retry is due.
    pub(super) next_due: Option<Timestamp>,
}

/// One event to be sent.
pub(super) struct Job {
    pub(super) delivery_id: WebhookDeliveryId,
    pub(super) event_id: EventId,
    pub(super) kind: NoticeKind,
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
            let rows = query::journal_after(view, id, self.delivered, ROWS_STEP);
            let last = rows.len() < ROWS_STEP;
            for row in rows {
                let place = row.place;
                if let Some(gap) = self.endpoint.gap_at(place) {
                    self.delivered = gap.until;
                    continue 'steps;
                }
                if !self.take_row(view, row, environment, enough) {
                    self.more = true;
                    return;
                }
                self.delivered = place;
            }
            if last {
                return;
            }
        }
        self.more = true;
    }

    /// Takes what is wanted of a row and not done; says whether that is all of it.
    fn take_row(
        &mut self,
        view: &dyn View,
        row: JournalRow,
        environment: &str,
        enough: usize,
    ) -> bool {
        for event in row.notices() {
            if !self.endpoint.wants(event.notice.kind) {
                continue;
            }
            let id = delivery_id(&self.endpoint.id, &event);
            if query::webhook_delivery(view, &self.endpoint.environment_id, &id).is_some() {
                continue;
            }
            if self.jobs.len() == enough {
                return false;
            }
            self.jobs.push(Job::new(id, &event, environment));
        }
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
            kind: event.notice.kind,
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
        let event = query::event(view, environment_id, &delivery.event_id);
        Self {
            delivery_id: delivery.id,
            event_id: delivery.event_id,
            kind: delivery.kind,
            retries_used: delivery.retries_used,
            body: event.map(|event| rest::event_body(&event, environment)),
        }
    }
}
