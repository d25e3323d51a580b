//! What a library needs of the invocation that uses it.

use crate::{Files, Services};
use mlua::{Table, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A request that has got its answer, or none.
#[derive(Clone, Debug)]
pub struct Sent<'a> {
    /// Its span's id.
    pub span: u64,
    /// When it began.
    pub started: Instant,
    /// `GET`, …
    pub method: &'a str,
    /// Whom it was sent to first.
    pub host: &'a str,
    /// The path there, without the query.
    pub path: &'a str,
    /// The answer's status.
    pub status: Option<u16>,
    /// Why there is none.
    pub error: Option<String>,
}

/// One invocation, as libraries see it.
pub trait Surroundings {
    /// What the process has once.
    fn services(&self) -> &Arc<Services>;

    /// `ctx.id`.
    fn id(&self) -> String;

    /// The invocation's clock, from 1970, UTC: in a trigger the time of its event, unless the configuration says
    /// otherwise.
    fn now(&self) -> Duration;

    /// The real clock, from 1970, UTC.
    fn wall(&self) -> Duration;

    /// Random bytes of the invocation's source: in a trigger the same for each run of its event, unless the
    /// configuration says otherwise. Not for secrets.
    fn fill_random(&self, bytes: &mut [u8]);

    /// A variable that functions may see.
    fn env(&self, name: &str) -> Option<String>;

    /// The files of the project, in the version that runs.
    fn files(&self) -> Arc<dyn Files>;

    /// Reads JSON; `null` is [`Value::NULL`]. The inner error says what is wrong with the text.
    ///
    /// # Errors
    /// The engine's own.
    fn read_json(&self, text: &[u8]) -> mlua::Result<Result<Value, String>>;

    /// Writes JSON. The inner error says what has no JSON form.
    ///
    /// # Errors
    /// The engine's own.
    fn write_json(&self, value: &Value) -> mlua::Result<Result<Vec<u8>, String>>;

    /// The metatable of tables that are lists even when they are empty.
    fn list(&self) -> Table;

    /// Whether so many more bytes may be taken at once. If not, the invocation is over; `what` says in its failure
    /// who asked.
    fn may_take(&self, bytes: usize, what: &str) -> bool;

    /// Bytes that it may take at most.
    fn largest(&self) -> usize;

    /// Whether work that goes on for long may go on: not past a limit, and not for an invocation that is over.
    fn may_go_on(&self) -> bool;

    /// How many requests that change something it has sent before this one.
    fn next_request(&self) -> u32;

    /// In a replay: the only hosts that it may send requests to.
    fn only_hosts(&self) -> Option<Arc<[String]>>;

    /// An id for a span of its trace.
    fn span_id(&self) -> u64;

    /// The header that tells a server of a span.
    fn traceparent(&self, span: u64) -> String;

    /// Takes note of a request: for its span.
    fn sent(&self, request: &Sent<'_>);

    /// Counts CPU time that was used for it on another thread.
    fn charge(&self, cpu: Duration);
}
