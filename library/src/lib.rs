//! Weir's Lua libraries: what functions get by `require` that needs nothing of the log.
//!
//! One file per module; the runtime puts them into a VM ([`Module::install`]) and lends them what they need of an
//! invocation ([`Surroundings`]). What all invocations of a process share is in [`Services`]. Each module has a stub in
//! `library/lua/`, from which its documentation is made: [`stubs`].
#![forbid(unsafe_code)]

mod base64;
mod cache;
mod call;
mod chance;
mod cpu;
mod crypto;
mod csv;
mod documents;
mod env;
mod fields;
mod hex;
mod http;
mod jwt;
pub mod openresty;
mod random;
mod re;
mod registry;
mod router;
mod services;
mod strings;
pub mod stubs;
mod surroundings;
mod template;
mod time;
mod url;
mod uuid;
mod xml;
mod yaml;

pub use call::{Answer, Call, Done, Fault, Native, Waiting};
pub use chance::Chance;
pub use cpu::thread_time;
pub use http::{
    Denied, HttpAnswer, HttpError, HttpRequest, InvalidCertificates, Outbound, OutboundSettings, Policy,
    StandIn,
};
pub use registry::{Installed, Module, Registry};
pub use services::Services;
pub use surroundings::{Sent, Surroundings};
pub use template::Files;

/// Every module, by name.
pub const MODULES: &[Module] = &[
    Module { name: "base64", install: base64::install },
    Module { name: "cache", install: cache::install },
    Module { name: "crypto", install: crypto::module::install },
    Module { name: "csv", install: csv::install },
    Module { name: "env", install: env::install },
    Module { name: "hex", install: hex::install },
    Module { name: "http", install: http::module::install },
    Module { name: "jwt", install: jwt::module::install },
    Module { name: "random", install: random::install },
    Module { name: "re", install: re::install },
    Module { name: "router", install: router::install },
    Module { name: "strings", install: strings::install },
    Module { name: "template", install: template::install },
    Module { name: "time", install: time::install },
    Module { name: "url", install: url::install },
    Module { name: "uuid", install: uuid::install },
    Module { name: "xml", install: xml::install },
    Module { name: "yaml", install: yaml::install },
];
