//! What is to be run.

use bytes::Bytes;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use weir_schema::{FunctionName, InvocationId, Millis, Offset, Source, TopicName, TraceContext};

/// One run of a function, callees by `flow` included.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// `ctx.id`: for an event, a hash of group, incarnation, topic, partition, offset and edit; else random.
    pub id: InvocationId,
    /// What to run.
    pub function: FunctionName,
    /// What it is given.
    pub args: Args,
    /// The hop count of what it appends. One past `limits.hops` and appends raise `loop`.
    pub hops: u32,
    /// From 1.
    pub attempt: u32,
    /// The invocation's own span.
    pub trace: TraceContext,
    /// Where it comes from: the rest of `ctx`.
    pub origin: Origin,
    /// Set in a replay.
    pub replay: Option<ReplayContext>,
    /// What it may use.
    pub limits: Limits,
}

impl Invocation {
    /// What made it run: recorded in what it appends.
    #[must_use]
    pub fn source(&self) -> Source {
        match &self.origin {
            Origin::Event(event) => event.source(),
            Origin::Http(_) | Origin::Call => Source::Invocation(self.id.to_string()),
        }
    }
}

/// What becomes of `args`.
#[derive(Clone, Debug)]
pub enum Args {
    /// `nil`.
    None,
    /// A JSON text; `null` is nil, what is not JSON is a string of the bytes.
    Json(Bytes),
    /// One table, in falling precedence: route parameters, query, the members of the body.
    Merged {
        /// From the route's pattern.
        params: Vec<(String, String)>,
        /// In order; a name without a value is `true`, a name that repeats is a list.
        query: Vec<(String, Option<String>)>,
        /// A JSON text: an object's members are merged, an array is `args[1…n]`; other values are not merged.
        body: Option<Bytes>,
        /// The fields of a form; used if there is no JSON body.
        form: Vec<(String, String)>,
    },
}

/// Where an invocation comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A request at the gateway.
    Http(Box<HttpContext>),
    /// An event at a trigger.
    Event(Box<EventContext>),
    /// A command or the admin API: `ctx` has no fields of its own.
    Call,
}

/// The fields of `ctx` from HTTP.
#[derive(Clone, Debug)]
pub struct HttpContext {
    /// `GET`, …
    pub method: String,
    /// As requested, without the query.
    pub path: String,
    /// From the route's pattern.
    pub params: Vec<(String, String)>,
    /// In order; none: a name without a value.
    pub query: Vec<(String, Option<String>)>,
    /// As [`weir_schema::Headers`] reads them, names in lower case; values that are not UTF-8 keep their bytes.
    pub headers: Bytes,
    /// The raw body.
    pub body: Bytes,
    /// The client's address, without its port.
    pub remote_addr: IpAddr,
}

/// The fields of `ctx` from a trigger.
#[derive(Clone, Debug)]
pub struct EventContext {
    /// The event's topic.
    pub topic: TopicName,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: Offset,
    /// Its key.
    pub key: Option<Bytes>,
    /// When it was committed.
    pub timestamp: Millis,
    /// Its headers, as [`weir_schema::Headers`] reads them.
    pub headers: Bytes,
}

impl EventContext {
    /// The event, as what made a function run.
    #[must_use]
    pub fn source(&self) -> Source {
        Source::Event { topic: self.topic.clone(), partition: self.partition, offset: self.offset }
    }
}

/// `ctx.replay`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplayContext {
    /// The replay's name.
    pub name: String,
    /// `dry-run`, `in-place` or `shadow`.
    pub mode: &'static str,
    /// The hosts that its functions may send requests to.
    pub allow_http: Arc<[String]>,
}

/// What one invocation, callees included, may use, and by whose clock it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// CPU time.
    pub cpu: Duration,
    /// Time from start to end, waiting included.
    pub wall: Duration,
    /// Bytes of Lua memory.
    pub memory: usize,
    /// Bytes of the result, and of all that it appends and writes.
    pub output: usize,
    /// Bytes of one event: key, value and headers.
    pub event: usize,
    /// How many appends by triggers may follow each other.
    pub hops: u32,
    /// How deep `flow` calls may nest.
    pub depth: u32,
    /// Whether in a trigger the clock and the random numbers are those of the event, the same for each run of it.
    pub is_seeded: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(1),
            wall: Duration::from_secs(30),
            memory: 64 << 20,
            output: 6 << 20,
            event: 1 << 20,
            hops: 64,
            depth: 32,
            is_seeded: true,
        }
    }
}
