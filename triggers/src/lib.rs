//! Consumes the log into functions: dispatch, commit, retry, park, replay.
//!
//! [`Triggers`] takes part in a group for each trigger; a partition that it is given gets a home on a worker's
//! [`Pump`], whose [`Dispatcher`] decides what runs when.
#![forbid(unsafe_code)]

mod attempt;
mod control;
pub mod dispatcher;
mod group;
mod home;
mod host;
mod immediate;
mod manager;
pub mod parked;
pub mod parked_list;
mod pump;
pub mod replay;
mod report;
pub mod retention;
mod runs;
mod starting;
mod sweep;
mod trigger;
mod turns;

pub use dispatcher::Dispatcher;
pub use manager::{AskError, TriggerStatus, Triggers};
pub use pump::{HomeStatus, Inbox, Pump, PumpHandle, pump_channel};
pub use replay::Replays;
pub use starting::{Beginning, Begun};
pub use trigger::{Place, ReplayRun, Trigger};
