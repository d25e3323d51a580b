//! Where the logs of tests are: each on a place of its own.

#[cfg(feature = "kafka")]
use super::broker::Prefix;
use super::server::Server;
use super::shell::fresh_name;
use super::{Fixture, Guard};
#[cfg(feature = "kafka")]
use crate::KafkaOptions;
use crate::{Driver, Log, LogConfig, ManualClock, PostgresOptions, SqliteOptions};
use std::sync::Arc;

/// Opens a log for a case.
pub async fn fixture(driver: Driver, guard: impl Guard) -> Fixture {
    let clock = Arc::new(ManualClock::default());
    let config = LogConfig { driver, app: None, clock: clock.clone() };
    Fixture::new(crate::open(config).await.expect("the log is opened"), clock, guard)
}

/// A log in memory.
pub async fn memory() -> Fixture {
    fixture(Driver::Memory, ()).await
}

/// A log in a file.
pub async fn sqlite() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder is made");
    let path = folder.path().join("log.db");
    fixture(Driver::Sqlite { path, options: SqliteOptions::default() }, folder).await
}

/// A log in a schema.
pub async fn postgres() -> Fixture {
    let schema = Schema::fresh();
    fixture(Driver::Postgres(schema.options()), schema).await
}

/// A log in Kafka, with a store in a file.
#[cfg(feature = "kafka")]
pub async fn kafka() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder is made");
    let store = Driver::sqlite(folder.path().join("store.db"));
    kafka_with(store, folder).await
}

/// A log in Kafka, with a store in a schema.
#[cfg(feature = "kafka")]
pub async fn kafka_with_postgres() -> Fixture {
    let schema = Schema::fresh();
    kafka_with(Driver::Postgres(schema.options()), schema).await
}

#[cfg(feature = "kafka")]
async fn kafka_with(store: Driver, guard: impl Guard) -> Fixture {
    let prefix = Prefix::fresh();
    let options = KafkaOptions::new(prefix.brokers(), prefix.name(), store);
    fixture(Driver::Kafka(options), (guard, prefix)).await
}

/// A schema of the test server that nobody else uses, removed at the end.
#[derive(Debug)]
pub struct Schema {
    server: &'static Server,
    name: String,
}

impl Schema {
    /// A name that nobody else has; the log that is opened first makes the schema.
    pub fn fresh() -> Self {
        Self { server: Server::shared(), name: fresh_name('_') }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How a log in it is connected to.
    pub fn conn(&self) -> String {
        format!("{0} application_name={1} schema={1}", self.server.conn, self.name)
    }

    /// What a log in it is opened with. Its connections bear the schema's name.
    pub fn options(&self) -> PostgresOptions {
        PostgresOptions::new(self.conn())
    }

    /// Opens the log in this schema, once more.
    pub async fn open(&self, clock: Arc<ManualClock>) -> Arc<dyn Log> {
        let driver = Driver::Postgres(self.options());
        crate::open(LogConfig { driver, app: None, clock }).await.expect("the log is opened")
    }

    /// A connection that sees this schema.
    pub async fn connect(&self) -> tokio_postgres::Client {
        let client = self.server.connect().await.expect("the server takes connections");
        client.batch_execute(&format!("SET search_path = {}", self.name)).await.expect("it is a schema");
        client
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (server, sql) =
            (self.server, format!("SET lock_timeout = '10s'; DROP SCHEMA IF EXISTS {} CASCADE", self.name));
        // a runtime must not be blocked on inside of another one
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let dropped = runtime.block_on(async { server.connect().await?.batch_execute(&sql).await });
            dropped.map_err(std::io::Error::other)
        });
        if let Ok(Err(error)) = dropped.join() {
            tracing::warn!(%error, schema = self.name, "the schema stays behind");
        }
    }
}
