//! Why an event exists: recorded in its headers from the first version on.

use crate::{FunctionName, Headers, Offset, Record, TopicName, TraceContext};
use bytes::BufMut;
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// Names of the headers that the platform writes. All others that begin with `weir-` are reserved too.
pub mod header {
    /// `TOPIC/PARTITION/OFFSET` of the event, or `invocation:ID`, that caused this one.
    pub const CAUSE: &str = "weir-cause";
    /// The function that appended it; absent for what came over HTTP or the command line.
    pub const FUNCTION: &str = "weir-function";
    /// The version of the code that ran.
    pub const VERSION: &str = "weir-version";
    /// How many appends by triggers lie between this event and one from outside.
    pub const HOPS: &str = "weir-hops";
    /// W3C Trace Context.
    pub const TRACEPARENT: &str = "traceparent";
    /// The prefix that functions and clients may not use.
    pub const RESERVED: &str = "weir-";
}

/// What made an invocation run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// An event, met by a trigger.
    Event {
        /// Its topic.
        topic: TopicName,
        /// Its partition.
        partition: u32,
        /// Its offset.
        offset: Offset,
    },
    /// A request or a command, by the invocation's id.
    Invocation(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { topic, partition, offset } => write!(f, "{topic}/{partition}/{offset}"),
            Self::Invocation(id) => write!(f, "invocation:{id}"),
        }
    }
}

impl Source {
    fn parse(text: &str) -> Option<Self> {
        if let Some(id) = text.strip_prefix("invocation:") {
            return Some(Self::Invocation(id.to_owned()));
        }
        let mut parts = text.rsplitn(3, '/');
        let offset = Offset(parts.next()?.parse().ok()?);
        let partition = parts.next()?.parse().ok()?;
        let topic = TopicName::new(parts.next()?).ok()?;
        Some(Self::Event { topic, partition, offset })
    }
}

/// The cause of an event: what ran, why, and how far from the outside it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    /// What made the appending invocation run.
    pub source: Source,
    /// The function that appended; none for an append from outside.
    pub function: Option<FunctionName>,
    /// The code version that ran; empty for an append from outside.
    pub version: Arc<str>,
    /// The span that made the append.
    pub trace: Option<TraceContext>,
    /// How many appends by triggers lie between this event and one from outside.
    pub hops: u32,
}

/// The append would be one hop too many.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("loop: this append would be hop {hops}, the limit is {limit} (weir.limits.hops)")]
pub struct CauseError {
    /// The hop it would be.
    pub hops: u32,
    /// The limit that it is past.
    pub limit: u32,
}

impl Cause {
    /// Appends the headers that record it, in a fixed order, as a log stores headers.
    pub fn encode(&self, to: &mut impl BufMut) {
        let mut text = String::with_capacity(64);
        let mut put = |name: &str, value: &dyn fmt::Display| {
            text.clear();
            write!(text, "{value}").expect("a text takes everything");
            Headers::encode(to, name, text.as_bytes());
        };
        put(header::CAUSE, &self.source);
        if let Some(function) = &self.function {
            put(header::FUNCTION, function);
        }
        if !self.version.is_empty() {
            put(header::VERSION, &self.version);
        }
        if self.hops > 0 {
            put(header::HOPS, &self.hops);
        }
        if let Some(trace) = &self.trace {
            put(header::TRACEPARENT, trace);
        }
    }

    /// Reads the cause of a stored event; none if it records no source (an outside Kafka producer's).
    #[must_use]
    pub fn of(record: &Record<'_>) -> Option<Self> {
        let text = |name| record.header(name).and_then(|v| std::str::from_utf8(v).ok());
        Some(Self {
            source: Source::parse(text(header::CAUSE)?)?,
            function: text(header::FUNCTION).and_then(|f| FunctionName::new(f).ok()),
            version: text(header::VERSION).unwrap_or_default().into(),
            trace: text(header::TRACEPARENT).and_then(TraceContext::parse),
            hops: Self::hops_of(record),
        })
    }

    /// The hop count of a stored event; 0 where it records none.
    #[must_use]
    pub fn hops_of(record: &Record<'_>) -> u32 {
        let value = record.header(header::HOPS).and_then(|v| std::str::from_utf8(v).ok());
        value.and_then(|v| v.parse().ok()).unwrap_or(0)
    }

    /// The hop count of what a trigger appends while it handles an event of `hops`.
    ///
    /// # Errors
    /// `CauseError` if that is more than `limit`.
    pub fn next_hop(hops: u32, limit: u32) -> Result<u32, CauseError> {
        let next = hops.saturating_add(1);
        if next > limit { Err(CauseError { hops: next, limit }) } else { Ok(next) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{At, Millis, RecordsBuilder, TopicId};

    fn stored(cause: &Cause) -> crate::Records {
        let mut headers = Vec::new();
        cause.encode(&mut headers);
        let mut builder = RecordsBuilder::default();
        let at = At { topic: TopicId(0), partition: 0 };
        builder.push_encoded(at, Offset::ZERO, Millis(0), None, None, &headers);
        builder.build()
    }

    #[test]
    fn a_cause_comes_back_from_the_headers_of_its_event() {
        let event = Source::Event {
            topic: TopicName::new("orders").expect("valid"),
            partition: 3,
            offset: Offset(17),
        };
        for source in [event, Source::Invocation("abc".into())] {
            let cause = Cause {
                source,
                function: Some(FunctionName::new("private/on_order").expect("valid")),
                version: "v1".into(),
                trace: Some(TraceContext::root(7, 8, true)),
                hops: 4,
            };
            let records = stored(&cause);
            assert_eq!(Cause::of(&records.get(0).expect("one")), Some(cause));
        }
    }

    #[test]
    fn the_append_past_the_limit_is_a_loop() {
        assert_eq!(Cause::next_hop(0, 64), Ok(1));
        assert_eq!(Cause::next_hop(63, 64), Ok(64));
        assert_eq!(Cause::next_hop(64, 64), Err(CauseError { hops: 65, limit: 64 }));
    }
}
