//! Delivers to one endpoint, in rounds: read what there is to do, send it, have the state machine
//! write down what came of all of it in one entry, and read again.
//!
//! A worker remembers nothing of its work from one round to the next: what is not in the state was not done.
//! Whoever leads next goes on where the state stands, so that an event is sent again if the record
//! of its attempt was lost, and never left out. A proposal that fails is such a loss, too.

use std::sync::Arc;
use std::time::Duration;

use domain::command::{Command, Origin, RecordDeliveries, RecordedAttempt, Stamped};
use domain::id::{EnvironmentId, RequestId, WebhookEndpointId};
use domain::model::{DeliveryAttempt, NoticePlace, RETRY_JITTER_MAX, WebhookEndpoint};
use domain::query;
use domain::rows::View;
use domain::time::{Revision, Timestamp};
use futures_util::{StreamExt, stream};
use injection::{Mutant, Point, mutant, point};
use platform::trace::{Kind, Span, Tracer};
use platform::{Clock, Entropy};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::courier::Courier;
use super::metrics::WebhookMetrics;
use super::sender::Attempted;
use super::worklist::{Job, TAKEN, Worklist};
use crate::control_plane::{Consistency, ControlPlane};
use crate::log_time::LogTime;
use crate::traces::Traces;

/// How often somebody who waits for changes looks around by himself, and how long he waits after a
/// failure.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// How far apart two looks at the state are at least: many changes are one look.
const LOOKS_APART: Duration = Duration::from_millis(50);

/// How often it is recorded that the journal went on without anything for the endpoint. It saves
/// reading these rows again, and costs an entry.
const PLACE_EVERY: Duration = Duration::from_secs(1);

/// What all workers use.
pub(crate) struct Shared {
    pub(crate) control: Arc<dyn ControlPlane>,
    pub(crate) courier: Courier,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) metrics: WebhookMetrics,
    pub(crate) tracer: Tracer,
    pub(crate) traces: Traces,
}

impl Shared {
    /// Whether this node leads: only the leader delivers.
    pub(super) fn leads(&self) -> bool {
        mutant::active(Mutant::EveryNodeSends)
            || self.control.leader() == Some(self.control.this().id)
    }
}

/// Delivers to one endpoint.
pub(super) struct Worker {
    shared: Arc<Shared>,
    environment_id: EnvironmentId,
    endpoint_id: WebhookEndpointId,
    started: Instant,
    time: LogTime,
    /// When a place without attempts was last recorded, or might have been.
    placed: Instant,
}

/// What a look at the state finds.
enum Seen {
    /// The endpoint, and what there is to do for it.
    Work(Box<Worklist>),
    /// The endpoint was removed, and deliveries wait that nobody will make.
    Orphans,
    /// The endpoint is gone or disabled.
    Nothing,
}

/// What follows a round.
enum Next {
    /// Another one.
    Now,
    /// Another one when something changes, or this time has passed.
    Wait(Duration),
    /// Another one, not at once.
    Failed,
    /// Nothing: the endpoint is gone or disabled, or another node leads.
    End,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        environment_id: EnvironmentId,
        endpoint_id: WebhookEndpointId,
    ) -> Self {
        Self {
            shared,
            environment_id,
            endpoint_id,
            started: Instant::now(),
            time: LogTime::new(),
            placed: Instant::now(),
        }
    }

    /// Works until there is nothing to do here any more, or the node stops; a round that has begun
    /// is ended.
    pub(super) async fn run(mut self, stopping: CancellationToken) {
        let mut changes = self.shared.control.changes();
        while !stopping.is_cancelled() {
            changes.borrow_and_update();
            let looked = Instant::now();
            let goes_on = match self.round(&stopping).await {
                Next::Now => true,
                Next::Wait(most) => pause(&mut changes, looked, most, &stopping).await,
                Next::Failed => {
                    let waited = stopping.run_until_cancelled(sleep(TICK)).await;
                    waited.is_some()
                }
                Next::End => false,
            };
            if !goes_on {
                return;
            }
        }
    }

    async fn round(&mut self, stopping: &CancellationToken) -> Next {
        if point::pass(Point::BeforeWebhookDequeue).await.is_err() {
            return Next::Failed;
        }
        let control = Arc::clone(&self.shared.control);
        let Ok((seen, _)) = control.read_local(|view| self.look(view)) else {
            return Next::Failed;
        };
        if let Seen::Work(list) = &seen
            && let Some(wait) = self.idle(list)
        {
            return if self.shared.leads() {
                Next::Wait(wait)
            } else {
                Next::End
            };
        }
        // What an earlier leader recorded must not be sent again, and may not have arrived here.
        let fresh = control.read(Consistency::Linearizable, |view| self.look(view));
        match fresh.await {
            Ok(_) if !self.shared.leads() => Next::End,
            Ok((Seen::Work(list), _)) => {
                if point::pass(Point::AfterWebhookDequeue).await.is_err() {
                    return Next::Failed;
                }
                self.work(*list, stopping).await
            }
            Ok((Seen::Orphans, _)) => self.record(NoticePlace::default(), Vec::new()).await,
            Ok((Seen::Nothing, _)) => Next::End,
            Err(_) => Next::Failed,
        }
    }

    fn look(&mut self, view: &dyn View) -> Seen {
        self.time.saw(query::log_time(view), self.started.elapsed());
        let (environment, endpoint) = (&self.environment_id, &self.endpoint_id);
        match Worklist::read(view, (environment, endpoint), self.now()) {
            Some(list) => Seen::Work(Box::new(list)),
            None if query::is_orphaned(view, environment, endpoint) => Seen::Orphans,
            None => Seen::Nothing,
        }
    }

    /// The log's time.
    fn now(&self) -> Timestamp {
        let wall = self.shared.clock.now();
        self.time.at(wall, self.started.elapsed())
    }

    /// For how long there is nothing to do, if there is nothing.
    fn idle(&self, list: &Worklist) -> Option<Duration> {
        if !list.jobs.is_empty() {
            return None;
        }
        let until_due = |at: Timestamp| at.0.saturating_sub(list.now.0);
        let due = list.next_due.map(until_due).map(Duration::from_millis);
        let wait = due.unwrap_or(TICK).min(TICK);
        if !list.moved() {
            return Some(wait);
        }
        let place = (self.placed + PLACE_EVERY).saturating_duration_since(Instant::now());
        (!list.more && !place.is_zero()).then(|| wait.min(place))
    }

    /// Sends all of it, or what it comes to before the node stops, and records what came of it.
    async fn work(&mut self, list: Worklist, stopping: &CancellationToken) -> Next {
        if list.jobs.is_empty() && !list.moved() {
            return Next::Now;
        }
        self.placed = Instant::now();
        let Worklist {
            endpoint,
            mut jobs,
            delivered,
            ..
        } = list;
        if mutant::active(Mutant::QueueInMemory) && self.started.elapsed() < TICK {
            jobs.clear();
        }
        let making: Vec<_> = jobs
            .into_iter()
            .map(|job| self.attempt(&endpoint, job, stopping))
            .collect();
        let made: Vec<_> = stream::iter(making).buffer_unordered(TAKEN).collect().await;
        let (mut attempts, mut delivered) = (Vec::new(), delivered);
        for attempt in made {
            match attempt {
                Ok(recorded) => attempts.push(recorded),
                // Whoever leads next takes over from here.
                Err(Job {
                    is_new: true,
                    event_at,
                    ..
                }) => delivered = delivered.min(event_at),
                Err(_) => {}
            }
        }
        if attempts.is_empty() && stopping.is_cancelled() {
            return Next::End;
        }
        self.record(delivered, attempts).await
    }

    /// Makes an attempt, or gives the job back if the node is stopping.
    async fn attempt(
        &self,
        endpoint: &WebhookEndpoint,
        job: Job,
        stopping: &CancellationToken,
    ) -> Result<RecordedAttempt, Job> {
        if stopping.is_cancelled() {
            return Err(job);
        }
        let shared = &self.shared;
        let at = shared.clock.now();
        let mut span = self.span(&job);
        let attempted = match job.body {
            Some(body) => {
                let attempting = shared.courier.attempt(endpoint, &job.event_id, body);
                span.scope(attempting).await
            }
            None => Attempted::unsent("the event is not kept any more".to_owned()),
        };
        tell(&mut span, &attempted);
        drop(span);
        shared.metrics.attempted(&attempted);
        let jitter = shared.entropy.next_u64() % (u64::from(RETRY_JITTER_MAX) + 1);
        Ok(RecordedAttempt {
            delivery_id: job.delivery_id,
            event_id: job.event_id,
            event_at: job.event_at,
            kind: job.kind,
            retries_used: job.retries_used,
            attempt: DeliveryAttempt {
                at,
                status: attempted.status,
                error: attempted.error,
                latency_ms: u32::try_from(attempted.latency.as_millis()).unwrap_or(u32::MAX),
                head: attempted.head,
            },
            jitter: u32::try_from(jitter).unwrap_or(0),
        })
    }

    /// An attempt as a part of the trace of the change that it tells of. Receivers are strangers and hear nothing of it.
    fn span(&self, job: &Job) -> Span {
        let shared = &self.shared;
        if !shared.tracer.is_on() {
            return Span::default();
        }
        let (environment, row) = (&self.environment_id, job.event_at.row);
        let found = shared
            .control
            .read_local(|view| shared.traces.of_change(view, environment, row));
        let place = found.ok().and_then(|(place, _)| place);
        let mut span = shared.tracer.follow("deliver webhook", Kind::Client, place);
        span.set("vectorgate.webhook_endpoint", || {
            self.endpoint_id.as_str().to_owned()
        });
        span.set("vectorgate.event", || job.event_id.as_str().to_owned());
        span.set("vectorgate.retries", || i64::from(job.retries_used));
        span
    }

    async fn record(&self, delivered: NoticePlace, attempts: Vec<RecordedAttempt>) -> Next {
        let shared = &self.shared;
        let record = RecordDeliveries {
            environment_id: self.environment_id.clone(),
            endpoint_id: self.endpoint_id.clone(),
            delivered,
            attempts,
        };
        let at = self.now();
        let stamped = Stamped {
            at,
            request_id: RequestId::new(shared.entropy.seed(at)),
            idempotency: None,
            command: Command::RecordDeliveries(record),
            origin: Origin::default(),
            precondition: None,
        };
        let endpoint = &self.endpoint_id;
        if point::pass(Point::BeforeWebhookMark).await.is_err() {
            return Next::Failed;
        }
        let recorded = shared.control.propose(stamped).await;
        if point::pass(Point::AfterWebhookMark).await.is_err() {
            return Next::Failed;
        }
        match recorded {
            Ok(applied) => match applied.reply {
                Ok(_) => Next::Now,
                Err(rejection) => {
                    tracing::error!(%endpoint, ?rejection, "deliveries were not recorded");
                    Next::Failed
                }
            },
            Err(reason) => {
                tracing::warn!(%endpoint, %reason, "deliveries may be repeated");
                Next::Failed
            }
        }
    }
}

/// Says in a span what came of an attempt. Why nothing came is the endpoint's owner's matter, and may tell of the receiver.
fn tell(span: &mut Span, attempted: &Attempted) {
    match attempted.status {
        Some(status) => {
            span.set("http.response.status_code", || i64::from(status));
            if !(200..300).contains(&status) {
                span.fail(|| status.to_string());
            }
        }
        None => span.fail(|| "no answer".to_owned()),
    }
}

/// Waits for a change or for `most`, and in any case until a look is due again after the one at
/// `looked`. Says whether there is any reason to go on.
pub(super) async fn pause(
    changes: &mut watch::Receiver<Revision>,
    looked: Instant,
    most: Duration,
    stopping: &CancellationToken,
) -> bool {
    let waiting = async {
        let changed = timeout(most, changes.changed()).await;
        sleep_until(looked + LOOKS_APART).await;
        !matches!(changed, Ok(Err(_)))
    };
    stopping.run_until_cancelled(waiting).await.unwrap_or(false)
}
