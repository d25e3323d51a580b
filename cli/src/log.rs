//! The project's log: where it is, and how it is opened.

use crate::project::Project;
use anyhow::Context as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use weir_config::{KafkaStorage, KafkaStore, LogStorage};
use weir_log::{Driver, KafkaOptions, Log, LogConfig, LogError, PostgresOptions, SqliteOptions, SystemClock};

/// Between two tries to reach a server.
const PAUSE: Duration = Duration::from_millis(500);

/// What the log is opened with.
pub(crate) fn config(project: &Project) -> LogConfig {
    let driver = match &project.config().log {
        LogStorage::Memory => Driver::Memory,
        LogStorage::Sqlite => {
            let path = project.data_dir().join("log.db");
            Driver::Sqlite { path, options: SqliteOptions::default() }
        }
        LogStorage::Postgres(conn) => Driver::Postgres(server(project, conn.reveal())),
        LogStorage::Kafka(storage) => Driver::Kafka(kafka(project, storage)),
    };
    LogConfig { driver, app: Some(project.config().app_name.clone()), clock: Arc::new(SystemClock) }
}

/// A server that `conn` names; what it does not say is the project's surroundings to say.
pub(crate) fn server(project: &Project, conn: &str) -> PostgresOptions {
    PostgresOptions { surroundings: project.surroundings.clone(), ..PostgresOptions::new(conn) }
}

fn kafka(project: &Project, storage: &KafkaStorage) -> KafkaOptions {
    let prefix = storage.topic_prefix.as_deref().unwrap_or_else(|| project.config().app_name.as_str());
    let store = match &storage.store {
        KafkaStore::Sqlite => Driver::sqlite(project.data_dir().join("store.db")),
        KafkaStore::Postgres(conn) => Driver::Postgres(server(project, conn.reveal())),
    };
    let property = |(name, value): &(String, weir_config::Secret)| (name.clone(), value.reveal().to_owned());
    KafkaOptions {
        properties: storage.properties.iter().map(property).collect(),
        consumer_group: Some(project.config().consumer_group.clone()),
        replication: storage.replication,
        ..KafkaOptions::new(storage.brokers.join(","), prefix, store)
    }
}

/// Where the log is, for people.
pub(crate) fn place(project: &Project) -> String {
    match config(project).driver {
        Driver::Memory => "memory".to_owned(),
        Driver::Sqlite { path, .. } => path.display().to_string(),
        Driver::Postgres(options) => options.place(),
        Driver::Kafka(options) => options.place(),
    }
}

/// Makes the folder that a log in a file needs.
pub(crate) fn make_room(project: &Project) -> anyhow::Result<()> {
    if matches!(&project.config().log, LogStorage::Sqlite | LogStorage::Kafka(_)) {
        let folder = project.data_dir();
        std::fs::create_dir_all(&folder).with_context(|| format!("make the folder {}", folder.display()))?;
    }
    Ok(())
}

/// Opens the log. One that cannot be reached is tried again for up to `wait`.
pub(crate) async fn open(project: &Project, wait: Duration) -> anyhow::Result<Arc<dyn Log>> {
    make_room(project)?;
    let (config, end) = (config(project), Instant::now() + wait);
    let mut is_told = false;
    loop {
        let error = match weir_log::open(config.clone()).await {
            Ok(log) => {
                if is_told {
                    tracing::info!(place = log.capabilities().place, "the log is there");
                }
                return Ok(log);
            }
            Err(error) => error,
        };
        if !error.is_retryable() || Instant::now() + PAUSE > end {
            return Err(with_remedy(&error, &config.driver, wait));
        }
        if !is_told {
            tracing::warn!(%error, "the log cannot be reached; trying for up to {wait:?}");
            is_told = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A server that is not there may come. In one text, as the error's has its cause in it already.
pub(crate) fn with_remedy(error: &LogError, driver: &Driver, wait: Duration) -> anyhow::Error {
    if !matches!(driver, Driver::Postgres(_) | Driver::Kafka(_)) || !error.is_retryable() {
        return anyhow::anyhow!("{error}");
    }
    let remedy = if wait.is_zero() { " (weir start --wait 60s keeps trying)" } else { "" };
    anyhow::anyhow!("{error}; see that the server is up and can be reached from here{remedy}")
}
