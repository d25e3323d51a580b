//! Runs functions: the Lua engine, its limits, the host modules. Knows no SQL and no HTTP server.
//!
//! What a function can do to the world comes in as a [`Host`]; what it did to the log comes out as [`Effects`],
//! for the caller to commit. A [`Worker`] is one thread's VM; [`Code`] is one version of a project, compiled once
//! and shared by all workers.

mod effects;
mod host;
mod invocation;
mod outcome;
mod session;
mod spans;

pub use effects::Effects;
pub use host::{Answer, Host, HostError, HostPage, LogLevel, LogLine, TopicRef};
pub use invocation::{Args, EventContext, HttpContext, Invocation, Limits, Origin, ReplayContext};
pub use outcome::{Failure, FailureKind, Outcome, Reply, Response, Usage};
pub use session::Session;
pub use spans::{Span, SpanClock, SpanKind, SpanSink};
