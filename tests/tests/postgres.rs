//! The real binary on a real PostgreSQL server.

mod postgres {
    mod connecting;
    mod idle;
    mod migrating;
}
