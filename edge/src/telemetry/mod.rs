//! Watches requests: counts them, keeps a few as examples, logs those that are to be logged, and
//! shows clients with the debug key what was decided.
//!
//! ```text
//!  serving thread                                       shared
//!  ┌──────────────────────────────────────────┐
//!  │ Observer ─ begin ▶ Trace ─ finish ▶ Slot │── drain, each second ──▶ Hub ──▶ a node
//!  │                              Reservoir   │                           └────▶ /metrics
//!  └──────────────────────────────────────────┘
//! ```
//!
//! A thread counts for itself, without a lock or an atomic number. Once in a [`DRAIN_PERIOD`] it
//! gives what it counted to the [`Hub`], under a lock that is taken for that alone; what counted
//! nothing costs nothing then. Every part is bounded: what is beyond a bound is counted with the
//! others of its route.
//!
//! How the nodes are reached is the subscriber's matter; what the counts mean is the nodes'.

mod debug;
mod hub;
mod reservoir;
mod slot;
mod spans;
mod totals;
mod trace;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::id::{RequestId, RuleId};
use edge_protocol::telemetry::{Batch, Decision, Outcome, add};
use http::{HeaderValue, Request, Response};
use platform::trace::{Span, Tracer};
use platform::{Clock, Entropy};

pub use debug::DebugKey;
pub use hub::{Hub, SEND_PERIOD};
pub(crate) use slot::Labels;
pub(crate) use totals::Routes;
pub use trace::Trace;

use self::reservoir::{Random, Reservoir};
use self::slot::{NOWHERE, SLOTS_MAX, Slot, Slots};
use self::trace::Noted;
use crate::access_log::{AccessLog, Entry, Watch};
use crate::active::Held;
use crate::configuration::Served;
use crate::metrics::Answer;
use crate::route::Target;
use crate::turn;

/// How often a thread gives away what it counted: metrics are as old as that.
pub const DRAIN_PERIOD: Duration = Duration::from_secs(1);

/// What a thread sees of its requests. It never leaves its thread.
pub struct Observer {
    slots: Slots,
    reservoir: Reservoir,
    random: Random,
    log: Option<AccessLog>,
    debug: Option<DebugKey>,
    tracer: Tracer,
    hub: Arc<Hub>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}

/// Whom an observer reports to.
#[derive(Clone, Debug, Default)]
pub struct Observing {
    /// Takes the counts in.
    pub hub: Arc<Hub>,
    /// Takes the lines in, if there are to be any.
    pub log: Option<AccessLog>,
    /// Who may see what was decided, if anybody.
    pub debug: Option<DebugKey>,
    /// Records requests as parts of traces.
    pub tracer: Tracer,
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Observer {
    /// One that reports to these.
    pub(crate) fn new(observing: Observing, clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        Self {
            slots: Slots::default(),
            reservoir: Reservoir::new(entropy.next_u64()),
            random: Random::new(entropy.next_u64()),
            log: observing.log,
            debug: observing.debug,
            tracer: observing.tracer,
            hub: observing.hub,
            clock,
        }
    }

    /// A request's head is here. What it says to this edge alone is taken out of it, and of which trace it is part
    /// is written into it for the origin, where traces are recorded.
    pub(crate) fn begin<B>(&self, request: &mut Request<B>, client: &HeaderValue) -> Trace {
        let debug = debug::take(self.debug.as_ref(), request.headers_mut());
        let place = self.reservoir.draw();
        let logged = self
            .log
            .as_ref()
            .is_some_and(|log| log.samples(self.random.next()));
        let span = self
            .tracer
            .is_on()
            .then(|| spans::begin(&self.tracer, request))
            .filter(Span::is_recorded);
        let noted = (place.is_some() || logged || span.is_some()).then(|| {
            Box::new(Noted {
                place,
                method: Decision::method(request.method().as_str()),
                path: Decision::path(request.uri().path()),
                entry: logged.then(|| Entry::of(request, client, self.clock.now())),
                span: span.unwrap_or_default(),
            })
        });
        Trace::new(debug, noted)
    }

    /// A route serves its host, and this rule took it, if any did.
    pub(crate) fn routed(
        &self,
        trace: &Trace,
        held: &Held,
        served: &Served,
        rule: Option<&RuleId>,
    ) {
        let slot = self.slots.of(held, served, rule);
        trace.slot.replace(Some(slot));
    }

    /// It is sent to a target.
    pub(crate) fn sent(&self, trace: &Trace, target: &Target) {
        let slot = trace.slot.borrow();
        let Some(slot) = &*slot else { return };
        trace.cell.set(slot.cell(target));
    }

    /// The target that it was sent to last gave no answer, and is to blame.
    pub(crate) fn lost(&self, trace: &Trace) {
        if let Some(slot) = &*trace.slot.borrow() {
            self.slots
                .count(slot, trace.cell.get(), |counts| counts.failures += 1);
        }
    }

    /// It is answered. Gives what watches over the answer's body, if anything does.
    pub(crate) fn finish<B>(
        &self,
        trace: Trace,
        by: Answer,
        id: impl FnOnce() -> RequestId,
        response: &mut Response<B>,
    ) -> Option<Box<Watch>> {
        let micros = micros(turn::now().saturating_duration_since(trace.begun));
        let slot = trace.slot.take().unwrap_or_else(|| self.slots.nobody());
        let status = response.status().as_u16();
        if matches!(by, Answer::Rule | Answer::Cache) {
            // No target has a part in what a rule, a fallback or the cache answers.
            trace.cell.set(NOWHERE);
        }
        self.slots.count(&slot, trace.cell.get(), |counts| {
            counts.answered(status / 100, micros);
        });
        if !trace.debug && trace.noted.is_none() {
            return None;
        }
        self.tell(trace, &slot, by, id, micros, response)
    }

    /// Gives away what was counted.
    pub(crate) fn drain(&self) {
        let mut batch = Batch {
            decisions: self.reservoir.take(),
            ..Batch::default()
        };
        self.slots.drain(&mut |key, counts| {
            add(&mut batch.series, &key, counts, SLOTS_MAX);
        });
        if !batch.is_empty() {
            self.hub.take_in(batch);
        }
    }

    /// What is told of a request of which more than counts is wanted.
    fn tell<B>(
        &self,
        mut trace: Trace,
        slot: &Slot,
        by: Answer,
        id: impl FnOnce() -> RequestId,
        micros: u64,
        response: &mut Response<B>,
    ) -> Option<Box<Watch>> {
        let id = trace.id(id).clone();
        if trace.debug {
            debug::show(&trace, slot, &id, response.headers_mut());
        }
        let noted = trace.noted.take()?;
        let Noted {
            place,
            method,
            path,
            entry,
            mut span,
        } = *noted;
        let is_head = method == "HEAD";
        let status = response.status().as_u16();
        let target = slot.target(trace.cell.get());
        if let (Some(place), Some(labels)) = (place, &slot.labels) {
            let decision = Decision {
                at: self.clock.now(),
                method,
                path,
                route: labels.route.clone(),
                snapshot: labels.snapshot.clone(),
                rule: labels.rule.clone(),
                outcome: outcome(by),
                target: target.clone(),
                status,
                micros,
            };
            self.reservoir.put(place, decision);
        }
        spans::answered(&mut span, &trace, slot, (&id, target.as_ref(), status));
        let line = self.log.clone().zip(entry).map(|(log, mut entry)| {
            entry.request_id = Some(id);
            entry.trace_id = span.recorded().map(|context| context.trace_id());
            entry.labels = slot.labels.clone();
            entry.target = target;
            entry.status = status;
            entry.error = trace.error().map(crate::proxy::Code::as_str);
            entry.cache = trace.cache().map(|report| report.outcome.as_str());
            entry.head_us = micros;
            entry.upstream_us = trace.upstream_micros.get();
            (log, entry)
        });
        let watched = line.is_some() || span.is_recorded();
        watched.then(|| Box::new(Watch::new(line, span, (trace.begun, is_head))))
    }
}

fn outcome(by: Answer) -> Outcome {
    match by {
        // What was decided is the same, whether or not the cache had the answer.
        Answer::Origin | Answer::Fallback | Answer::Cache => Outcome::Forwarded,
        Answer::Rule => Outcome::Answered,
        Answer::Edge => Outcome::Refused,
    }
}
