//! The registry of backends: the one place that knows them all.

use crate::memory::MemoryLog;
use crate::moving::{Export, Import};
use crate::postgres::{self, PostgresLog, PostgresOptions};
use crate::sqlite::{self, SqliteLog, SqliteOptions};
use crate::{Clock, KafkaOptions, Log, LogError, SchemaState};
use std::path::PathBuf;
use std::sync::Arc;
use weir_schema::AppName;

/// Which log to open, and for whom.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The backend and its place.
    pub driver: Driver,
    /// The application that the log belongs to: the first to open it with a name. Another is refused; without a
    /// name, any log may be opened.
    pub app: Option<AppName>,
    /// Tells the times of events.
    pub clock: Arc<dyn Clock>,
}

/// A backend and its place.
#[derive(Clone, Debug)]
pub enum Driver {
    /// In this process's memory, for as long as it is open.
    Memory,
    /// In one file, made if there is none, in a local folder (not NFS).
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Settings.
        options: SqliteOptions,
    },
    /// In a schema of a PostgreSQL database, made if there is none.
    Postgres(PostgresOptions),
    /// In topics of a Kafka cluster, beside a store.
    Kafka(KafkaOptions),
}

impl Driver {
    /// The file `path`, with the settings that are right for use.
    #[must_use]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self::Sqlite { path: path.into(), options: SqliteOptions::default() }
    }
}

/// Opens a log.
///
/// # Errors
/// `Unavailable` if it cannot be opened, belongs to another application or was written by a newer program; `Corrupt`
/// if the file is no log.
pub async fn open(config: LogConfig) -> Result<Arc<dyn Log>, LogError> {
    Ok(match config.driver {
        Driver::Memory => Arc::new(MemoryLog::open(config.clock)?),
        Driver::Sqlite { path, options } => {
            Arc::new(SqliteLog::open(&path, options, config.app.as_ref(), config.clock)?)
        }
        Driver::Postgres(options) => Arc::new(PostgresLog::open(options, config.app, config.clock).await?),
        // boxed: who opens another log should not carry its many steps
        Driver::Kafka(options) => return Box::pin(open_kafka(options, config.app, config.clock)).await,
    })
}

#[cfg(feature = "kafka")]
async fn open_kafka(
    options: KafkaOptions,
    app: Option<AppName>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Log>, LogError> {
    Ok(Arc::new(crate::kafka::KafkaLog::open(options, app, clock).await?))
}

#[cfg(not(feature = "kafka"))]
async fn open_kafka(
    options: KafkaOptions,
    _: Option<AppName>,
    _: Arc<dyn Clock>,
) -> Result<Arc<dyn Log>, LogError> {
    let operation = format!("open log {}", options.place());
    let source = "this weir was built without Kafka: build it with the cargo feature kafka".into();
    Err(LogError::Unavailable { operation, source, retry: false })
}

/// What the schema of a log is, and what [`open`] would do about it first; changes nothing.
///
/// # Errors
/// As [`open`].
pub async fn schema_state(driver: &Driver) -> Result<SchemaState, LogError> {
    match driver {
        Driver::Memory => {
            Ok(SchemaState { place: "memory".into(), found: None, newest: 0, missing: Vec::new() })
        }
        Driver::Sqlite { path, .. } => sqlite::schema_state(path),
        Driver::Postgres(options) => postgres::schema_state(options).await,
        Driver::Kafka(options) => Box::pin(schema_state(&options.store)).await,
    }
}

/// Holds a log still, to be copied.
pub(crate) async fn hold_source(driver: Driver) -> Result<Box<dyn Export>, LogError> {
    Ok(match driver {
        Driver::Memory => return Err(not_in_memory()),
        Driver::Sqlite { path, options } => Box::new(sqlite::Held::source(&path, &options).await?),
        Driver::Postgres(options) => Box::new(postgres::Held::source(&options).await?),
        Driver::Kafka(_) => return Err(not_in_kafka()),
    })
}

/// Holds a log, made if there is none, to be written past its own rules.
pub(crate) async fn hold_target(driver: Driver) -> Result<Box<dyn Import>, LogError> {
    Ok(match driver {
        Driver::Memory => return Err(not_in_memory()),
        Driver::Sqlite { path, options } => Box::new(sqlite::Held::target(&path, &options).await?),
        Driver::Postgres(options) => Box::new(postgres::Held::target(&options).await?),
        Driver::Kafka(_) => return Err(not_in_kafka()),
    })
}

fn not_in_memory() -> LogError {
    let source = "it begins and ends with its process: name a file or a PostgreSQL database".into();
    LogError::Unavailable { operation: "move a log in memory".into(), source, retry: false }
}

fn not_in_kafka() -> LogError {
    let source =
        "Kafka has tools of its own for its topics (MirrorMaker); name a file or a PostgreSQL database"
            .into();
    LogError::Unavailable { operation: "move a log in Kafka".into(), source, retry: false }
}

/// The log at `place` belongs to `owner`, and `app` wants it; each could have its own `own`.
pub(crate) fn other_app(place: &str, owner: &str, app: &AppName, own: &str) -> LogError {
    let why = format!(
        "it belongs to the application {owner:?}, and this one is {:?}: give each its own {own}, or set appName to {owner:?}",
        app.as_str()
    );
    LogError::Unavailable { operation: format!("open log {place}"), source: why.into(), retry: false }
}
