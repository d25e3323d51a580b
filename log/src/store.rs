//! A log that another keeps beside the events: with what that needs past [`Log`].

use crate::postgres::PostgresLog;
use crate::sqlite::SqliteLog;
use crate::{Driver, Log, LogConfig, LogError, TopicSpec};
use std::sync::Arc;
use weir_schema::{At, GroupName, Offset, TopicId};

/// A log that holds topics whose events are elsewhere.
#[async_trait::async_trait]
pub(crate) trait Store: Log {
    /// Writes those of a group's positions that it has not yet; owns nothing by that.
    async fn begin(&self, group: &GroupName, positions: &[(At, Offset)]) -> Result<(), LogError>;

    /// Gives a topic so many partitions, if it has fewer.
    async fn grow(&self, topic: TopicId, partitions: u32) -> Result<(), LogError>;

    /// Makes a topic what `spec` says. Its partitions stay as many as they are.
    async fn alter(&self, topic: TopicId, spec: &TopicSpec) -> Result<(), LogError>;
}

/// Opens a store.
///
/// # Errors
/// As [`open`](crate::open); and a log that cannot be one.
pub(crate) async fn open_store(config: LogConfig) -> Result<Arc<dyn Store>, LogError> {
    Ok(match config.driver {
        Driver::Sqlite { path, options } => {
            let log = SqliteLog::open(&path, options, config.app.as_ref(), config.clock)?;
            if !log.is_owner()? {
                return Err(LogError::Unavailable {
                    operation: format!("open store {}", path.display()),
                    source: "another process has it open: several nodes share a store in PostgreSQL \
                             (store: {driver: postgres, connString: …})"
                        .into(),
                    retry: false,
                });
            }
            Arc::new(log)
        }
        Driver::Postgres(options) => Arc::new(PostgresLog::open(options, config.app, config.clock).await?),
        Driver::Memory | Driver::Kafka(_) => {
            return Err(LogError::Unavailable {
                operation: "open the store of a log in Kafka".into(),
                source: "it is in a file or in PostgreSQL".into(),
                retry: false,
            });
        }
    })
}
