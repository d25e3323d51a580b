//! What became of an invocation.

use crate::Effects;
use bytes::Bytes;
use std::time::Duration;

/// The end of one attempt. What it read is with its host.
#[derive(Debug)]
pub struct Outcome {
    /// What it returned, or how it failed.
    pub result: Result<Reply, Failure>,
    /// What is to be committed; empty where it failed.
    pub effects: Effects,
    /// What it used.
    pub usage: Usage,
}

/// What a function returned.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// A JSON text; nil is `null`.
    Value(Bytes),
    /// What `response(…)` made.
    Response(Response),
}

/// A value as the client sees it: `{"data": VALUE}`.
#[must_use]
pub fn envelope(value: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(value.len() + 9);
    body.extend_from_slice(b"{\"data\":");
    body.extend_from_slice(value);
    body.push(b'}');
    body
}

/// An answer that the function shaped itself.
#[derive(Clone, PartialEq, Debug)]
pub struct Response {
    /// 100 to 599.
    pub status: u16,
    /// In order; a name may repeat.
    pub headers: Vec<(String, String)>,
    /// JSON for a table, else the string's bytes.
    pub body: Bytes,
    /// Whether the body is JSON that the runtime wrote.
    pub is_json: bool,
}

/// How an attempt failed. Nothing of it is committed.
#[derive(Clone, PartialEq, Debug)]
pub struct Failure {
    /// What to do about it.
    pub kind: FailureKind,
    /// One line or more, with `app/…` places; for people.
    pub message: String,
    /// The error as the client sees it: a JSON text (`return nil, err` and `error(e)` may give tables).
    pub payload: Bytes,
    /// `app/on_order.lua:12`, where it is known.
    pub place: Option<String>,
    /// The source around `place`, with line numbers and a mark; empty if not known.
    pub frame: String,
    /// The stack in `app/…` terms, innermost first.
    pub stack: Vec<String>,
}

/// Why it failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// There is no such function.
    NotFound,
    /// The module does not compile, or its main chunk raised, or it does not return a function.
    Load,
    /// It returned a truthy second value.
    Refused,
    /// It raised.
    Raised,
    /// Past the CPU limit.
    Cpu,
    /// Past the wall limit.
    Wall,
    /// Past the memory limit.
    Memory,
    /// Calls too deep: `flow` past its limit.
    Depth,
    /// Its result, its appends or its writes are too large.
    Output,
    /// It appended past the hop limit.
    Loop,
    /// `ctx.reject(reason)`: park at once, no retries.
    Rejected,
    /// `ctx.retry_after(d)`: as a failure, and the next attempt not before this.
    RetryAfter(Duration),
    /// The log did not answer.
    Unavailable,
    /// Cancelled: nobody waits for the outcome.
    Cancelled,
}

impl FailureKind {
    /// The stable code of the error, listed in `docs/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Load => "load",
            Self::Refused => "refused",
            Self::Raised => "raised",
            Self::Cpu => "limit_cpu",
            Self::Wall => "limit_wall",
            Self::Memory => "limit_memory",
            Self::Depth => "limit_depth",
            Self::Output => "limit_output",
            Self::Loop => "loop",
            Self::Rejected => "rejected",
            Self::RetryAfter(_) => "retry_after",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What an attempt used.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// CPU time of its Lua code, callees included.
    pub cpu: Duration,
    /// From start to end.
    pub wall: Duration,
    /// The most Lua memory that was seen, in bytes.
    pub memory: usize,
}
