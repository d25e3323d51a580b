//! Tests from outside: the real `weir` binary, a project in a temporary folder, HTTP and the command line.
//!
//! [`Sandbox`] makes the project and runs the commands, [`Server`] is a `weir dev` or `weir start` on free ports.
//! Nothing here waits for a time to pass: [`eventually`] asks again until something holds.
#![forbid(unsafe_code)]

mod answer;
mod binary;
mod command;
mod counting;
mod eventually;
pub mod faults;
mod found;
mod guide;
mod load;
mod place;
mod sandbox;
mod server;
mod walkthrough;

pub use answer::Answer;
pub use binary::{repository, weir};
pub use command::{Finished, finished};
pub use counting::{Load, Sent, counting};
pub use eventually::{PATIENCE, eventually};
pub use found::{Found, Wrong};
pub use guide::follow;
pub use load::raise_open_files;
pub use place::LogPlace;
pub use sandbox::{Builder, Sandbox};
pub use server::{Addresses, Server, ServerOptions};
pub use walkthrough::walk;
