//! The HTTP edge: routes, function responses, ingest, admin API. The only crate that knows status codes.
//!
//! A request reaches a worker's own accept loop ([`serve`]), [`Gateway`] finds its route and [`Transactor`] runs
//! the function as a transaction; the answer leaves only after that is durable.
#![forbid(unsafe_code)]

mod admin;
mod cors;
mod error_code;
mod host;
mod idempotency;
mod metrics;
mod outbox;
mod project;
mod request;
mod respond;
mod router;
mod server;
mod service;
mod settings;
mod slots;
mod stamp;
mod transact;
mod write_proxy;

pub use admin::{Admin, AdminSettings, Call, Calls, Metrics, health_router, router as admin_router};
pub use idempotency::Idempotency;
pub use project::{Live, Project, read_routes};
pub use router::{Matched, Route, RouteError, Router};
pub use server::{listen, serve};
pub use service::Gateway;
pub use settings::{Cors, Settings};
pub use slots::Slots;
pub use transact::{Done, Refusal, Transactor};
pub use write_proxy::{WriteProxy, write_proxy};
