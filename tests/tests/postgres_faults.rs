//! PostgreSQL and nodes that fail under load: whatever was acknowledged is there, and nothing took effect twice.
//!
//! Each case has a server of its own, real nodes, and clients that load them all the time. `SOAK_FAULTS=full` strikes as
//! often and as long as `make soak` does; `SOAK_TABLE=FILE` adds a row for each case to a table.

mod postgres_faults {
    mod connections;
    mod disk;
    mod nodes;
    mod proxy;
    mod restored;
    mod server;
}
