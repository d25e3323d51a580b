//! Requests that functions send: one client for the process, held to a policy.
//!
//! All of it runs on a thread of its own: a connection outlives the request, and the worker, that opened it, and is used
//! by all workers. What is unpacked and encrypted is so off the workers, too.

mod client;
mod error;
mod exchange;
pub(crate) mod module;
mod options;
mod policy;
mod resolve;
mod stand_in;
#[cfg(test)]
mod test_server;
#[cfg(test)]
mod tests;
mod tls;
mod unpack;

pub use client::{Outbound, OutboundSettings};
pub use error::HttpError;
pub use exchange::{HttpAnswer, HttpRequest};
pub use policy::{Denied, Policy};
pub use stand_in::StandIn;
pub use tls::InvalidCertificates;
