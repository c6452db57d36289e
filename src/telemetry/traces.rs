//! Spans of the work, sent to a collector over OTLP/HTTP: one trace a recording, one a publication.
//!
//! What is sent of a span is its name, its times and its own fields; log lines stay here. A collector that does not
//! answer costs spans and a warning now and then, and nothing else.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter};
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};
use url::Url;

use super::logs::{SpanLayer, is_own_span};
use crate::net::http::HttpClients;

/// For a connection, and for one batch with all of its tries.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const SEND_WITHIN: Duration = Duration::from_secs(4);

/// How long the end of the program waits for what is not sent yet.
const END_WITHIN: Duration = Duration::from_secs(5);

/// A collector that is down is not worth more lines.
const WARN_EVERY: Duration = Duration::from_secs(300);

/// Traces cannot be sent from this machine.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent")]
pub struct TracesError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// The export of spans. Dropping it sends what is not sent yet, for a few seconds at most.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Starts the thread that sends spans to `collector`, an address without `/v1/traces`. TLS needs its provider before.
    ///
    /// # Errors
    /// [`TracesError`] when the machine cannot make HTTPS connections.
    pub fn start(collector: &Url) -> Result<Self, TracesError> {
        let clients = HttpClients::new(CONNECT_WITHIN).map_err(|error| TracesError(error.into()))?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(clients.trusted().clone())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", collector.as_str().trim_end_matches('/')))
            .with_timeout(SEND_WITHIN)
            .build()
            .map_err(|error| TracesError(error.into()))?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| TracesError(error.into()))?;
        let sender = Sender { exporter, runtime, undelivered: Mutex::default() };
        let about_us = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(sender).build())
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(Resource::builder_empty().with_service_name("transcribe").with_attribute(about_us).build())
            .build();
        Ok(Self { provider })
    }

    /// What takes the spans of this process for the export, whatever is logged.
    #[must_use]
    pub fn layer(&self) -> SpanLayer {
        let spans = tracing_opentelemetry::layer::<Registry>()
            .with_tracer(self.provider.tracer("transcribe"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        spans.with_filter(filter_fn(is_own_span)).boxed()
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(END_WITHIN) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Sends batches from the processor's own thread, on which nothing else runs.
#[derive(Debug)]
struct Sender {
    exporter: opentelemetry_otlp::SpanExporter,
    runtime: Runtime,
    undelivered: Mutex<Undelivered>,
}

impl SpanExporter for Sender {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let sent = self.runtime.block_on(async {
            let sent = tokio::time::timeout(SEND_WITHIN, self.exporter.export(batch)).await;
            sent.unwrap_or(Err(OTelSdkError::Timeout(SEND_WITHIN)))
        });
        if let Err(error) = &sent {
            let due = self.undelivered.lock().unwrap_or_else(PoisonError::into_inner).add(spans, Instant::now());
            if let Some(spans) = due {
                tracing::warn!(%error, spans, "traces were not delivered to telemetry.otlp_endpoint");
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Spans that were lost since the last warning.
#[derive(Debug, Default)]
struct Undelivered {
    spans: usize,
    warned: Option<Instant>,
}

impl Undelivered {
    /// Counts lost spans; how many there are to warn of, where a warning is due.
    fn add(&mut self, spans: usize, now: Instant) -> Option<usize> {
        self.spans += spans;
        if self.warned.is_some_and(|warned| now.duration_since(warned) < WARN_EVERY) {
            return None;
        }
        self.warned = Some(now);
        Some(std::mem::take(&mut self.spans))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_that_stays_down_is_worth_one_warning_in_five_minutes_that_counts_all_losses() {
        let (mut undelivered, start) = (Undelivered::default(), Instant::now());
        assert_eq!(undelivered.add(3, start), Some(3));
        assert_eq!(undelivered.add(4, start + Duration::from_secs(5)), None);
        assert_eq!(undelivered.add(5, start + Duration::from_secs(299)), None);
        assert_eq!(undelivered.add(6, start + WARN_EVERY), Some(15));
    }
}
