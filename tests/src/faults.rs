//! Faults under load, whatever the log is: how often they strike, what nodes and clients do meanwhile, what must hold then.

mod extent;
mod kafka;
mod nodes;
mod postgres;
mod run;
mod table;

pub use extent::{last, seconds, times};
pub use kafka::Kafka;
pub use nodes::{node_killed, node_sleeps};
pub use postgres::{APP, Frozen, Postgres};
pub use run::{Ground, Node, Run};
