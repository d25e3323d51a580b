//! `config/application.yml` and the environment → one validated [`Config`].
//!
//! The way: text → a tree with lines (`yaml`) → checked against the one table of keys (`keys`, `shape`) → read into
//! typed values (`reader`, `setting`), each with its origin. Every mistake is reported at once, with its place and the
//! remedy. Nothing here reads files, the environment or the clock: all that decides the result is in [`Input`].
#![forbid(unsafe_code)]

mod config;
mod edges;
mod expand;
mod input;
mod keys;
mod load;
mod mistake;
mod reader;
mod secret;
mod setting;
mod shape;
mod topics;
mod yaml;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod testing;

pub use config::{
    Admin, Breaker, Config, Cors, CorsOrigins, Determinism, Environment, FunctionSlots, Http, KafkaStorage,
    KafkaStore, Limits, LogFormat, LogStorage, OnExhausted, Outbound, Retry, Telemetry, Topic, Trigger,
    WriteProxy,
};
pub use input::{Flags, Input, Mode, Origin};
pub use keys::{Fallback, KEYS, Key};
pub use load::Loaded;
pub use mistake::{Mistake, Mistakes};
pub use reader::Entry;
pub use secret::Secret;
pub use setting::{ByteSize, InvalidSize};
