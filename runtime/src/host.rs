//! The world as a function sees it.

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use std::borrow::Cow;
use std::time::{Duration, Instant};
use weir_library::Sent;
use weir_schema::{
    At, FunctionName, InvocationId, Millis, Offset, Partitioner, Records, StateKey, StateRange, TopicId,
    TopicName, Versioned,
};

/// What a host answers: mostly at once, so that the common case neither boxes nor yields.
pub enum Answer<T> {
    /// Here it is.
    Now(T),
    /// The function waits for it.
    Later(LocalBoxFuture<'static, T>),
}

impl<T: std::fmt::Debug> std::fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Now(value) => f.debug_tuple("Now").field(value).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

impl<T> Answer<T> {
    /// Waits for it.
    pub async fn get(self) -> T {
        match self {
            Self::Now(value) => value,
            Self::Later(future) => future.await,
        }
    }
}

/// A topic that functions may append to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicRef {
    /// Its name.
    pub name: TopicName,
    /// Its number in the log.
    pub id: TopicId,
    /// How many partitions.
    pub partitions: u32,
    /// How keys are placed.
    pub partitioner: Partitioner,
}

/// Why the world did not answer. A function can catch none of these: the attempt is over.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HostError {
    /// The log is not available.
    #[error("{0}")]
    Unavailable(String),
    /// This attempt has been cancelled (run again, handed over): nobody waits for its outcome.
    #[error("cancelled")]
    Cancelled,
}

/// A live row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostRow {
    /// JSON.
    pub value: Bytes,
    /// When it stops to count.
    pub expires: Option<Millis>,
}

impl HostRow {
    /// The row as one whose clock shows `now` sees it; none: it has expired.
    #[must_use]
    pub fn live(self, now: Millis) -> Option<Self> {
        self.expires.is_none_or(|e| now < e).then_some(self)
    }
}

impl From<Versioned> for HostRow {
    fn from(row: Versioned) -> Self {
        Self { value: row.value, expires: row.expires }
    }
}

/// Live rows of a range, in byte order.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct HostPage {
    /// Keys and values.
    pub rows: Vec<(Bytes, Bytes)>,
    /// Whether the range has no row after these.
    pub is_last: bool,
}

/// A callee of `flow` that has ended.
#[derive(Clone, Debug)]
pub struct CalledFunction<'a> {
    /// Which.
    pub function: &'a FunctionName,
    /// Names this call among those of the invocation; random, so that it serves as a span's id.
    pub id: u64,
    /// The call that it was made in; 0: none.
    pub parent: u64,
    /// When it began.
    pub started: Instant,
    /// Why it failed.
    pub error: Option<&'a str>,
}

/// How much a log line matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    /// For the author.
    Debug,
    /// News.
    Info,
    /// Odd, and handled.
    Warn,
    /// Something failed.
    Error,
}

/// What a function logs.
#[derive(Clone, PartialEq, Debug)]
pub struct LogLine<'a> {
    /// How much it matters.
    pub level: LogLevel,
    /// The text.
    pub message: Cow<'a, str>,
    /// Fields as one JSON object; empty for none.
    pub fields: Cow<'a, [u8]>,
    /// `app/on_order.lua:12`.
    pub place: Cow<'a, str>,
}

impl LogLine<'_> {
    /// Writes it to the process's own log, under the target `function`. `event` says what is being handled.
    pub fn emit(&self, event: impl std::fmt::Display, invocation: InvocationId) {
        let (message, place) = (&*self.message, &*self.place);
        let fields = std::str::from_utf8(&self.fields).unwrap_or_default();
        match self.level {
            LogLevel::Debug => {
                tracing::debug!(target: "function", %event, %invocation, place, fields, "{message}")
            }
            LogLevel::Info => {
                tracing::info!(target: "function", %event, %invocation, place, fields, "{message}")
            }
            LogLevel::Warn => {
                tracing::warn!(target: "function", %event, %invocation, place, fields, "{message}")
            }
            LogLevel::Error => {
                tracing::error!(target: "function", %event, %invocation, place, fields, "{message}")
            }
        }
    }
}

/// The world of one attempt at one invocation, callees included. The host records what was read, with its stamps:
/// reads of callees that failed count too. Own writes are not its business: the runtime lays them over the answers.
pub trait Host {
    /// The invocation's clock: by it rows expire, and `ctx` tells the time.
    fn now(&self) -> Millis;

    /// The real clock, from 1970, UTC.
    fn wall(&self) -> Duration;

    /// A declared topic. The error is the text that the function's error shows: it names the line to add.
    ///
    /// # Errors
    /// The topic is not declared.
    fn topic(&self, name: &str) -> Result<TopicRef, String>;

    /// The generation of a table that this invocation reads and writes.
    fn generation(&self, table: &str) -> u32;

    /// A row if it is live, below the invocation's own writes.
    fn get(&self, key: StateKey) -> Answer<Result<Option<HostRow>, HostError>>;

    /// Up to `limit` live rows of a range in byte order, below the invocation's own writes.
    fn scan(&self, range: StateRange, limit: u32) -> Answer<Result<HostPage, HostError>>;

    /// Appends at once, outside the transaction; `n` counts the immediate appends of this invocation from 0, and
    /// the same `n` in a re-run returns the first one's offsets. Empty where appends are suppressed.
    fn append_now(&self, n: u32, records: Records) -> Answer<Result<Vec<(At, Offset)>, HostError>>;

    /// A variable that `envVar` lists.
    fn env(&self, name: &str) -> Option<String>;

    /// Asks for something that only some worlds have: the helpers of `weir test` reach the log and the clock by it.
    /// `what` and `args`, JSON, are between the module that asks and the host that knows it; so is the answer, JSON too.
    /// An error is raised in the function.
    fn ask(&self, what: &str, args: Bytes) -> Answer<Result<Bytes, String>> {
        let _ = args;
        Answer::Now(Err(format!("{what} is there in tests alone: `weir test` runs them")))
    }

    /// The function asks to end with this code; whether it does.
    fn exit(&self, code: i32) -> bool {
        let _ = code;
        false
    }

    /// A callee of `flow` has ended: for its span. `parent` is 0 where the caller is the invocation itself.
    fn called(&self, call: &CalledFunction<'_>) {
        let _ = call;
    }

    /// A request to another server has been answered, or not: for its span. `parent` is the callee that sent it, 0 where
    /// it was the invocation itself.
    fn sent(&self, parent: u64, request: &Sent<'_>) {
        let _ = (parent, request);
    }

    /// Takes a log line.
    fn log(&self, line: LogLine<'_>);

    /// How the event that is being handled came about, for the error `loop`: `orders/0/17 ← on_a ← orders/0/16 …`.
    fn chain(&self) -> Answer<String>;
}
