//! What only a log in Kafka does: several nodes, one relay; events of others; a store that is not its own.
#![cfg(feature = "kafka")]

mod kafka {
    mod altered;
    mod brokers;
    mod compacted;
    mod guarded;
    mod nodes;
    mod opened;
    mod outside;
    mod refused;
    mod secured;
    mod shown;
    mod stores;
}
