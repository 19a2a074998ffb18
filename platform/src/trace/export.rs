//! The export: spans become messages of OTLP and are posted to a collector, on a thread that does nothing else. What a collector does not
//! take is counted; that it takes nothing, or something again, is logged once each.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message;
use tokio::runtime::{Builder, Runtime};

use super::queue::SpanCounts;
use super::settings::{Invalid, TracingSettings};
use super::wire::{self, Collector};

/// A setting that cannot be used, or a system that does not let the export run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("setting {field}: {reason}")]
pub struct ExportError {
    /// Which, as `section.field`.
    pub field: &'static str,
    /// Why.
    pub reason: String,
}

impl ExportError {
    pub(super) fn new(field: &'static str, reason: String) -> Self {
        Self { field, reason }
    }
}

impl From<Invalid> for ExportError {
    fn from(Invalid { field, reason }: Invalid) -> Self {
        Self::new(field, reason.to_owned())
    }
}

/// Posts batches.
pub(super) struct Exporter {
    collector: Collector,
    /// The export's own: at the end of the process the others' may stand still.
    runtime: Runtime,
    resource: ResourceAttributesWithSchema,
    counts: Arc<SpanCounts>,
    failing: AtomicBool,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl Exporter {
    /// One for the collector of the settings, if they name one.
    ///
    /// # Errors
    /// With the setting that cannot be used.
    pub(super) fn new(
        settings: &TracingSettings,
        counts: Arc<SpanCounts>,
    ) -> Result<Option<Self>, ExportError> {
        settings.check()?;
        let Some(url) = settings.endpoint()? else {
            return Ok(None);
        };
        let headers = match &settings.headers_file {
            Some(path) => wire::headers(path)?,
            None => http::HeaderMap::new(),
        };
        let collector = Collector::new(url, headers, settings.ca_file.as_deref())?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| ExportError::new("tracing.otlp_endpoint", error.to_string()))?;
        Ok(Some(Self {
            collector,
            runtime,
            resource: ResourceAttributesWithSchema::default(),
            counts,
            failing: AtomicBool::new(false),
        }))
    }

    /// Posts a batch. Gives how many of its spans the collector did not want.
    fn post(&self, batch: Vec<SpanData>) -> Result<u64, String> {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let answer = self
            .runtime
            .block_on(self.collector.post(Bytes::from(body)))?;
        // An answer that says nothing says that all is well.
        let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
        let refused = answer.partial_success.unwrap_or_default().rejected_spans;
        Ok(u64::try_from(refused).unwrap_or(0))
    }
}

impl SpanExporter for Exporter {
    /// It blocks the thread: that is the batches' own.
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        match self.post(batch) {
            Ok(refused) => {
                self.counts
                    .leave(spans, (spans as u64).saturating_sub(refused));
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the collector takes spans again");
                }
                Ok(())
            }
            Err(reason) => {
                self.counts.leave(spans, 0);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    let collector = self.collector.url();
                    tracing::warn!(%collector, reason, "spans are dropped: the collector does not take them");
                }
                Err(OTelSdkError::InternalFailure(reason))
            }
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}
