//! Spans go to an OpenTelemetry collector (OTLP over gRPC).

use anyhow::Context as _;
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind as OtelKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor};
use std::time::Duration;
use weir_runtime::{Span, SpanKind, SpanSink};
use weir_schema::TraceContext;

/// How long the last spans may take to leave at a stop.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// Sends spans in batches, from a thread of its own; what does not fit its queue is dropped.
#[derive(Debug)]
pub(crate) struct Otlp {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl Otlp {
    /// A sender to the collector at `endpoint`, for the application `app`.
    pub(crate) fn new(endpoint: &str, app: &str) -> anyhow::Result<Self> {
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
        let exporter = exporter.with_context(|| format!("weir.telemetry.otlp: {endpoint}"))?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&Resource::builder().with_service_name(app.to_owned()).build());
        let scope = InstrumentationScope::builder("weir").with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Self { processor, scope })
    }

    /// Sends what waits, and ends.
    pub(crate) fn stop(&self) {
        if let Err(error) = self.processor.shutdown_with_timeout(FLUSH_WITHIN) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

impl SpanSink for Otlp {
    fn record(&self, span: Span) {
        let mut links = SpanLinks::default();
        links.links = span.links.iter().map(|c| Link::with_context(context(c, true))).collect();
        self.processor.on_end(SpanData {
            span_context: context(&span.context, false),
            parent_span_id: SpanId::from(span.parent),
            parent_span_is_remote: span.kind != SpanKind::Internal,
            span_kind: match span.kind {
                SpanKind::Server => OtelKind::Server,
                SpanKind::Consumer => OtelKind::Consumer,
                SpanKind::Producer => OtelKind::Producer,
                SpanKind::Client => OtelKind::Client,
                SpanKind::Internal => OtelKind::Internal,
            },
            name: span.name.into(),
            start_time: span.start,
            end_time: span.start + span.took,
            attributes: span.attributes.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: span.error.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        });
    }
}

fn context(context: &TraceContext, is_remote: bool) -> SpanContext {
    let flags = if context.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, span) = (TraceId::from(context.trace_id), SpanId::from(context.span_id));
    SpanContext::new(trace, span, flags, is_remote, TraceState::default())
}
