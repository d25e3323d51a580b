//! Runs functions: the Lua engine, its limits, the host modules. Knows no SQL and no HTTP server.
//!
//! What a function can do to the world comes in as a [`Host`]; what it did to the log comes out as [`Effects`],
//! for the caller to commit. A [`Worker`] is one thread's VM; [`Code`] is one version of a project, compiled once
//! and shared by all workers.

mod args;
mod call;
mod code;
mod deadline;
mod dialect;
mod effects;
mod failure;
mod heap;
mod host;
mod interrupt;
mod invocation;
mod journal;
mod json;
mod memory;
mod meter;
mod modules;
mod outcome;
mod run;
mod session;
mod spans;
#[cfg(feature = "test-support")]
pub mod test_support;
mod turns;
mod vm;
mod watchdog;
mod worker;

pub use code::{Code, CodeError};
pub use deadline::within;
pub use effects::Effects;
pub use host::{Answer, CalledFunction, Host, HostError, HostPage, HostRow, LogLevel, LogLine, TopicRef};
pub use invocation::{Args, EventContext, HttpContext, Invocation, Limits, Origin, ReplayContext};
pub use outcome::{Failure, FailureKind, Outcome, Reply, Response, Usage, envelope};
pub use session::Session;
pub use spans::{Span, SpanClock, SpanKind, SpanSink};
pub use watchdog::Watchdog;
pub use weir_library::Sent;
pub use worker::{RouteEntry, Worker, WorkerError, WorkerOptions};
