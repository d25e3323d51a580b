//! Spans: what ran, when, as part of which trace. Recorded when they end, so that a process whose spans nobody wants
//! pays for one test of an option.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};
use weir_schema::TraceContext;

/// A span that has ended. `docs/telemetry.md` lists names and attributes.
#[derive(Clone, PartialEq, Debug)]
pub struct Span {
    /// Its trace and its own id.
    pub context: TraceContext,
    /// The span that it is a child of; 0: none.
    pub parent: u64,
    /// `request`, `invoke`, `call`, `http`, `append`, `commit` or `deliver`.
    pub name: &'static str,
    /// Which side of a conversation it is.
    pub kind: SpanKind,
    /// When it began.
    pub start: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// In the order of the docs.
    pub attributes: Vec<(&'static str, String)>,
    /// Why it failed.
    pub error: Option<String>,
    /// Spans of other traces that it belongs to: a replay's runs name the append that they handle again.
    pub links: Vec<TraceContext>,
}

/// Which side of a conversation a span is, as in OpenTelemetry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanKind {
    /// It answers a request.
    Server,
    /// It handles an event.
    Consumer,
    /// It appends events.
    Producer,
    /// It asks another server.
    Client,
    /// Neither.
    Internal,
}

/// Takes spans that have ended. Never blocks.
pub trait SpanSink: Send + Sync + fmt::Debug {
    /// Takes one.
    fn record(&self, span: Span);
}

/// Tells the time of spans: the wall clock at its making, and from then on what has passed, so that spans of one
/// process never run backwards.
#[derive(Clone, Copy, Debug)]
pub struct SpanClock {
    wall: SystemTime,
    monotonic: Instant,
}

impl Default for SpanClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "spans carry wall-clock times finer than the log's milliseconds"
    )]
    fn default() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }
}

impl SpanClock {
    /// When `instant` was.
    #[must_use]
    pub fn wall(&self, instant: Instant) -> SystemTime {
        self.wall + instant.saturating_duration_since(self.monotonic)
    }
}
