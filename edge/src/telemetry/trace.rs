//! What becomes of one request, noted as it passes.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use domain::id::RequestId;
use platform::trace::Span;
use tokio::time::Instant;

use super::reservoir::Spot;
use super::slot::{NOWHERE, Slot};
use crate::access_log::Entry;
use crate::cache::Report;
use crate::proxy::Code;
use crate::turn;

/// A request under way. It costs the request two looks at the clock and no allocation, unless
/// somebody wants to know more of it.
#[derive(Debug)]
pub struct Trace {
    pub(super) begun: Instant,
    /// Where it is counted, once a route has it.
    pub(super) slot: RefCell<Option<Rc<Slot>>>,
    /// The place of its target there.
    pub(super) cell: Cell<usize>,
    error: Cell<Option<Code>>,
    cache: Cell<Option<Report>>,
    id: OnceCell<RequestId>,
    /// From sending it to a target to the head of the response.
    pub(super) upstream_micros: Cell<Option<u64>>,
    /// Whether the client showed the debug key.
    pub(super) debug: bool,
    /// What was written down of its head, if it is an example or to be logged.
    pub(super) noted: Option<Box<Noted>>,
}

/// What is needed of a request's head at its end.
#[derive(Debug)]
pub(super) struct Noted {
    /// Its place among the examples.
    pub(super) place: Option<Spot>,
    pub(super) method: String,
    pub(super) path: String,
    /// The line for the access log, as far as it is known.
    pub(super) entry: Option<Entry>,
    /// Its part in a trace, if that is recorded.
    pub(super) span: Span,
}

impl Trace {
    pub(super) fn new(debug: bool, noted: Option<Box<Noted>>) -> Self {
        Self {
            begun: turn::now(),
            slot: RefCell::default(),
            cell: Cell::new(NOWHERE),
            error: Cell::default(),
            cache: Cell::default(),
            id: OnceCell::new(),
            upstream_micros: Cell::default(),
            debug,
            noted,
        }
    }

    /// Its part in a trace, if that is recorded.
    pub(crate) fn span(&self) -> Option<&Span> {
        let span = &self.noted.as_ref()?.span;
        span.is_recorded().then_some(span)
    }

    /// What is asked without a client who waits for it. It is counted nowhere.
    pub(crate) fn of_nobody() -> Self {
        Self::new(false, None)
    }

    /// It gets an error of the edge's own.
    pub(crate) fn refused(&self, code: Code) {
        self.error.set(Some(code));
    }

    /// How the route's cache took it.
    pub(crate) fn cached(&self, report: Report) {
        self.cache.set(Some(report));
    }

    /// What its target took for the head of a response.
    pub(crate) fn upstream_took(&self, time: std::time::Duration) {
        self.upstream_micros.set(Some(super::micros(time)));
    }

    /// Its identifier: one, whoever asks first.
    pub(crate) fn id(&self, draw: impl FnOnce() -> RequestId) -> &RequestId {
        self.id.get_or_init(draw)
    }

    pub(super) fn error(&self) -> Option<Code> {
        self.error.get()
    }

    pub(super) fn cache(&self) -> Option<Report> {
        self.cache.get()
    }
}
