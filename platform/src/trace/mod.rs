//! Traces: who did what for how long on behalf of whom, across processes (OpenTelemetry). This is the one place that knows how
//! spans are made, which of them are recorded and how they get to a collector; everything else names them.
//!
//! ```text
//! Tracer ─ begin ▶ Span ─ dropped ▶ Bounded queue ─ a thread of its own ▶ Exporter ─ OTLP over HTTP ▶ a collector
//!            │
//!            └ scope ▶ the task's own: `child` makes spans beneath it, log lines name it
//! ```
//!
//! A tracer that is off makes spans that are nothing: no allocation, no random number, no look at the clock. A real process
//! has one from `main`; tests and the simulation have none, so nothing of all this happens there.
//!
//! Attributes hold no secret: who sets one gives no header field's value, no body and no query.

mod context;
mod export;
mod lines;
mod queue;
mod settings;
mod span;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{TraceContextExt, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanLimits,
};

pub use context::{TRACEPARENT_BYTES, TraceContext};
pub use export::ExportError;
pub use lines::Lines;
pub use queue::SpanCounts;
pub use settings::{Invalid, TracingSettings};
pub use span::{Current, Kind, Span, child, current};

use crate::process::Who;
use export::Exporter;
use queue::{Bounded, QUEUE_SPANS_MAX};

/// How many spans go to the collector in one request: some 250 KB.
const BATCH_SPANS_MAX: usize = 512;

/// How long a span waits for others at most.
const BATCH_EVERY: Duration = Duration::from_secs(1);

/// How long the last spans may take to be sent when the process ends.
const FLUSH_MAX: Duration = Duration::from_secs(3);

/// Makes spans. Cloning shares it.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Live>>);

/// A tracer that is on.
struct Live {
    tracer: SdkTracer,
}

/// The export as a whole: who has it ends it.
pub struct Export {
    provider: SdkTracerProvider,
    counts: Arc<SpanCounts>,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracer").field(&self.is_on()).finish()
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").finish_non_exhaustive()
    }
}

impl Tracer {
    /// One that makes nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Whether spans come of it.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins what was asked for from outside the process: where `remote` is given, as a part of that trace, recorded if that is; otherwise
    /// as a trace of its own, of which a share is recorded.
    #[must_use]
    pub fn begin(&self, name: &'static str, kind: Kind, remote: Option<TraceContext>) -> Span {
        match (&self.0, remote) {
            (None, _) => Span::default(),
            // Somebody has decided already, and whoever is asked next hears of that.
            (Some(_), Some(remote)) if !remote.is_sampled() => Span::unrecorded(remote),
            (Some(live), remote) => live.begin(name, kind, remote),
        }
    }

    /// Goes on with a trace that is recorded, and does nothing for any other.
    #[must_use]
    pub fn follow(&self, name: &'static str, kind: Kind, remote: Option<TraceContext>) -> Span {
        match remote {
            Some(remote) if remote.is_sampled() => self.begin(name, kind, Some(remote)),
            _ => Span::default(),
        }
    }
}

impl Live {
    fn begin(
        self: &Arc<Self>,
        name: &'static str,
        kind: Kind,
        parent: Option<TraceContext>,
    ) -> Span {
        let builder = self.tracer.span_builder(name).with_kind(kind.into());
        let around = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent.remote()),
            None => Context::new(),
        };
        let span = self.tracer.build_with_context(builder, &around);
        Span::new(span, Arc::clone(self))
    }
}

impl Export {
    /// Starts exporting what a process does, unless the settings say of no collector.
    ///
    /// # Errors
    /// With the setting that cannot be used.
    pub fn start(
        settings: &TracingSettings,
        who: &Who,
    ) -> Result<Option<(Tracer, Self)>, ExportError> {
        let counts = Arc::<SpanCounts>::default();
        let Some(exporter) = Exporter::new(settings, Arc::clone(&counts))? else {
            return Ok(None);
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_SPANS_MAX)
            .with_max_export_batch_size(BATCH_SPANS_MAX)
            .with_scheduled_delay(BATCH_EVERY)
            .build();
        let batches = BatchSpanProcessor::new(exporter, config);
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                settings.sample_ratio,
            ))))
            // Said, so that nothing of the process's environment has a say in it.
            .with_span_limits(SpanLimits::default())
            .with_resource(resource(settings, who))
            .with_span_processor(Bounded::new(batches, Arc::clone(&counts)))
            .build();
        let tracer = provider.tracer("vectorgate");
        let live = Arc::new(Live { tracer });
        let export = Self { provider, counts };
        Ok(Some((Tracer(Some(live)), export)))
    }

    /// What becomes of spans.
    #[must_use]
    pub fn counts(&self) -> Arc<SpanCounts> {
        Arc::clone(&self.counts)
    }

    /// Sends what is left, for as long as that may take, and ends.
    pub fn close(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH_MAX) {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

/// Who the spans are of, by OpenTelemetry's names for that.
fn resource(settings: &TracingSettings, who: &Who) -> Resource {
    let name = settings.service_name.clone();
    let name = name.unwrap_or_else(|| format!("vectorgate-{}", who.component));
    let mut attributes = vec![
        KeyValue::new("service.name", name),
        KeyValue::new("service.version", who.version),
        KeyValue::new("service.instance.id", who.name.clone()),
    ];
    for (key, value) in [
        ("cloud.region", &who.region),
        ("deployment.environment.name", &who.environment),
    ] {
        if !value.is_empty() {
            attributes.push(KeyValue::new(key, value.clone()));
        }
    }
    // Nothing else: detectors would read the process's environment.
    Resource::builder_empty()
        .with_attributes(attributes)
        .build()
}

#[cfg(test)]
mod tests;
