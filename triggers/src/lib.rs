//! Consumes the log into functions: dispatch, commit, retry, park.
#![forbid(unsafe_code)]

pub mod dispatcher;
pub mod parked;

pub use dispatcher::Dispatcher;
