//! What is recorded of a manifest on its way into use, as a part of the trace in which it was published. Nothing is decided
//! by it: without a trace, or without a tracer, everything here is nothing.
//!
//! ```text
//! follow manifest   from when the edge turns to it until it is in use or refused
//! ├ fetch           until all of it is here and has the right hashes
//! └ take into use   stored, compiled and swapped; on the thread that does so
//! ```

use edge_protocol::follower::ApplyFailure;
use edge_protocol::{ManifestRef, Report, ReportState, Traced};
use platform::trace::{Kind, Span, TraceContext, Tracer, child};

/// The spans of the manifest that the edge is about to use.
#[derive(Debug, Default)]
pub(super) struct Spans {
    tracer: Tracer,
    /// What a node said of a manifest, until the edge turns to it.
    told: Option<(ManifestRef, TraceContext)>,
    whole: Option<(ManifestRef, Span)>,
    fetching: Option<Span>,
}

impl Spans {
    pub(super) fn new(tracer: Tracer) -> Self {
        Self {
            tracer,
            ..Self::default()
        }
    }

    /// A node says in which trace a manifest was published.
    pub(super) fn told(&mut self, traced: &Traced) {
        if !self.tracer.is_on() {
            return;
        }
        let context = TraceContext::parse(traced.traceparent.as_bytes());
        self.told = context.map(|context| (traced.manifest, context));
    }

    /// The edge tells how far it is.
    pub(super) fn reported(&mut self, report: &Report) {
        match &report.state {
            ReportState::Received => self.begin(report.manifest),
            ReportState::Verified => self.fetched(report),
            ReportState::Applied => self.end(report.manifest, None),
            ReportState::Rejected { .. } => self.end(report.manifest, Some("rejected")),
        }
    }

    /// It is being taken into use; the span is for who does so.
    pub(super) fn applying(&mut self, manifest: ManifestRef) -> Span {
        // Where nothing had to be fetched, the edge has yet to tell that it turned to it.
        self.begin(manifest);
        match &self.whole {
            Some((of, span)) if *of == manifest => {
                span.within(|| child("take into use", Kind::Internal))
            }
            _ => Span::default(),
        }
    }

    fn begin(&mut self, manifest: ManifestRef) {
        let Some((_, context)) = self.told.take_if(|(of, _)| *of == manifest) else {
            return;
        };
        let mut span = self
            .tracer
            .follow("follow manifest", Kind::Consumer, Some(context));
        if !span.is_recorded() {
            return;
        }
        span.set("vectorgate.manifest", || manifest.to_string());
        self.fetching = Some(span.within(|| child("fetch", Kind::Internal)));
        // One that was not finished ends here: another has taken its place.
        self.whole = Some((manifest, span));
    }

    fn fetched(&mut self, report: &Report) {
        if let Some(mut span) = self.fetching.take() {
            let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            span.set("vectorgate.chunks", || count(report.chunks_fetched));
            span.set("vectorgate.bytes", || count(report.bytes_fetched));
        }
    }

    fn end(&mut self, manifest: ManifestRef, failed: Option<&'static str>) {
        let Some((_, mut span)) = self.whole.take_if(|(of, _)| *of == manifest) else {
            return;
        };
        self.fetching = None;
        if let Some(reason) = failed {
            span.fail(|| reason.to_owned());
        }
    }
}

/// Says how taking a manifest into use went.
pub(super) fn ended(mut span: Span, result: &Result<(), ApplyFailure>) {
    if let Err(failure) = result {
        span.fail(|| match failure {
            ApplyFailure::Content(_) => "content".to_owned(),
            ApplyFailure::Local { .. } => "local".to_owned(),
        });
    }
}
