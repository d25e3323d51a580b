//! Brokers, stores and nodes that fail under load: whatever was acknowledged is there, and nothing took effect twice.
//!
//! Each case has brokers of its own, real nodes, and clients that load them all the time. `SOAK_FAULTS=full` strikes as
//! often and as long as `make soak` does; `SOAK_TABLE=FILE` adds a row for each case to a table.

mod kafka_faults {
    mod brokers;
    mod cluster;
    mod nodes;
    mod stores;
}
