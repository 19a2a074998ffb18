//! One span, and which one the present task works for. A span that is not recorded costs what an empty option costs.

use std::future::Future;
use std::sync::Arc;

use opentelemetry::trace::{Span as _, SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::Span as Recorded;
use tokio::task::futures::TaskLocalFuture;
use tokio::task_local;

use super::{Live, TraceContext};

task_local! {
    /// The recorded span that the task works for.
    static CURRENT: Option<Current>;
}

/// What a child needs of its parent.
#[derive(Clone)]
pub struct Current {
    live: Arc<Live>,
    context: TraceContext,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Current").field(&self.context).finish()
    }
}

/// What part a span has in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It answers somebody.
    Server,
    /// It asks somebody.
    Client,
    /// It takes up what somebody left for it.
    Consumer,
    /// Nobody else has a part in it.
    Internal,
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Server => Self::Server,
            Kind::Client => Self::Client,
            Kind::Consumer => Self::Consumer,
            Kind::Internal => Self::Internal,
        }
    }
}

/// Something that is done, from when it was made to when it is dropped.
#[derive(Default)]
pub struct Span {
    /// What others are told, if anything.
    context: Option<TraceContext>,
    recorded: Option<Box<(Recorded, Arc<Live>)>>,
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Span").field(&self.context).finish()
    }
}

impl Span {
    pub(super) fn new(span: Recorded, live: Arc<Live>) -> Self {
        let context = TraceContext::of(span.span_context());
        let recorded = span.is_recording().then(|| Box::new((span, live)));
        Self { context, recorded }
    }

    /// One of which others are told that it is not recorded.
    pub(super) fn unrecorded(context: TraceContext) -> Self {
        Self {
            context: Some(context),
            recorded: None,
        }
    }

    /// Its place, for whoever is asked on its behalf.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        self.context
    }

    /// The same, if it is recorded.
    #[must_use]
    pub fn recorded(&self) -> Option<TraceContext> {
        self.context.filter(|_| self.is_recorded())
    }

    /// Whether anything comes of it.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }

    /// Says something about it, which is worked out only where it is recorded.
    pub fn set<V: Into<Value>>(&mut self, key: &'static str, value: impl FnOnce() -> V) {
        if let Some(recorded) = &mut self.recorded {
            recorded.0.set_attribute(KeyValue::new(key, value()));
        }
    }

    /// Gives it another name.
    pub fn rename(&mut self, name: impl FnOnce() -> String) {
        if let Some(recorded) = &mut self.recorded {
            recorded.0.update_name(name());
        }
    }

    /// Says that it failed, and why: `reason` is one of few.
    pub fn fail(&mut self, reason: impl FnOnce() -> String) {
        if let Some(recorded) = &mut self.recorded {
            let reason = reason();
            let attribute = KeyValue::new("error.type", reason.clone());
            recorded.0.set_attribute(attribute);
            recorded.0.set_status(Status::error(reason));
        }
    }

    fn current(&self) -> Option<Current> {
        let (_, live) = &**self.recorded.as_ref()?;
        Some(Current {
            live: Arc::clone(live),
            context: self.context?,
        })
    }

    /// Has a future work for it: spans that are made by [`child`] are beneath it, and lines of the log name it. A
    /// span that is not recorded changes nothing.
    pub fn scope<F: Future>(&self, future: F) -> TaskLocalFuture<Option<Current>, F> {
        CURRENT.scope(self.current().or_else(around), future)
    }

    /// The same for work that is not a future's.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.current().or_else(around), work)
    }
}

/// The span that the present task works for, if any.
fn around() -> Option<Current> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// The place of the recorded span that the present task works for, if there is one.
#[must_use]
pub fn current() -> Option<TraceContext> {
    let context = |current: &Option<Current>| current.as_ref().map(|current| current.context);
    CURRENT.try_with(context).ok().flatten()
}

/// Begins a part of what the present task works for; nothing where that is not recorded.
#[must_use]
pub fn child(name: &'static str, kind: Kind) -> Span {
    match around() {
        Some(current) => current.live.begin(name, kind, Some(current.context)),
        None => Span::default(),
    }
}
