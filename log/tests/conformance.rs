//! Every backend that is in this crate, against the conformance suite.

use std::sync::Arc;
use weir_log::conformance::Fixture;
use weir_log::{Driver, LogConfig, ManualClock, SqliteOptions};

async fn open(driver: Driver, guard: impl weir_log::conformance::Guard) -> Fixture {
    let clock = Arc::new(ManualClock::default());
    let config = LogConfig { driver, app: None, clock: clock.clone() };
    Fixture::new(weir_log::open(config).await.expect("the log is opened"), clock, guard)
}

async fn open_memory() -> Fixture {
    open(Driver::Memory, ()).await
}

async fn open_sqlite() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder is made");
    let path = folder.path().join("log.db");
    open(Driver::Sqlite { path, options: SqliteOptions::default() }, folder).await
}

mod memory {
    weir_log::conformance!(super::open_memory);
}

mod sqlite {
    weir_log::conformance!(super::open_sqlite);
}
