//! The real binary on a real PostgreSQL server.

mod postgres {
    mod idle;
}
