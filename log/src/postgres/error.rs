//! PostgreSQL's errors in the log's words.

use crate::{BoxError, LogError};
use deadpool_postgres::{HookError, PoolError, TimeoutType};
use std::time::Duration;
use tokio_postgres::error::SqlState;

/// What helps a user that lacks rights.
pub(super) const GRANT: &str = "grant the role what it needs on the schema";

/// What ends a piece of work on the server.
#[derive(Debug)]
pub(super) enum Failure {
    /// The driver's or the server's word.
    Sql(tokio_postgres::Error),
    /// The pool had no connection to give.
    Pool(BoxError),
    /// The server has not said a word for so long.
    Silent(Duration),
    /// The log's own.
    Log(LogError),
}

/// What an error tells of the work that it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// The connection is gone, and what was under way may have been done.
    Lost,
    /// Nothing was done, because others were in the way: the same again at once.
    Again,
    /// Nothing was done, for want of room for locks.
    Crowded,
    /// Nothing was done.
    Failed,
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl Failure {
    /// Of a pool whose connections are to be made `within` a time.
    pub(super) fn of_pool(error: PoolError, within: Duration) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                Self::Sql(error)
            }
            PoolError::Timeout(TimeoutType::Create) | PoolError::PostCreateHook(HookError::Message(_)) => {
                Self::Silent(within)
            }
            other => Self::Pool(other.into()),
        }
    }

    /// What it tells.
    pub(super) fn fate(&self) -> Fate {
        let error = match self {
            Self::Sql(error) => error,
            Self::Silent(_) => return Fate::Lost,
            Self::Pool(_) | Self::Log(_) => return Fate::Failed,
        };
        let Some(code) = error.code() else {
            // not the server's word: the connection's
            return Fate::Lost;
        };
        match code.code() {
            "40001" | "40P01" => Fate::Again,
            "53200" => Fate::Crowded,
            // told by a server that goes down or is not up yet; 57P01 may come after a commit
            "57P01" | "57P02" | "57P03" => Fate::Lost,
            other if other.starts_with("08") => Fate::Lost,
            _ => Fate::Failed,
        }
    }

    /// What the server said, or what became of the connection to it.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Sql(error) => in_words(error),
            Self::Pool(error) => format!("no connection was free: {error}"),
            Self::Silent(time) => format!("the server has not answered for {time:?}"),
            Self::Log(error) => error.to_string(),
        }
    }

    /// As the log says it. `operation` is a verb phrase without the place: `read`, `create a topic in`.
    pub(super) fn into_log_error(self, operation: &str, place: &str) -> LogError {
        let fate = self.fate();
        let (source, retry) = match self {
            Self::Log(error) => return error,
            Self::Pool(_) | Self::Silent(_) => (self.in_words().into(), true),
            Self::Sql(error) => match error.code().map(SqlState::code) {
                Some("XX001" | "XX002") => {
                    let detail = format!("{}; stop, and restore a backup", in_words(&error));
                    return LogError::Corrupt { subject: format!("log {place}"), detail };
                }
                code => {
                    let (remedy, retry) = remedy(code.unwrap_or_default());
                    let remedy = remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
                    (format!("{}{remedy}", in_words(&error)).into(), retry || fate != Fate::Failed)
                }
            },
        };
        LogError::Unavailable { operation: format!("{operation} log {place}"), source, retry }
    }
}

fn in_words(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} ({})", said.message(), said.code().code());
    }
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// What helps against an error, and whether it may go by itself.
fn remedy(code: &str) -> (Option<&'static str>, bool) {
    match code {
        "53100" => (Some("free some space on the server's disk"), true),
        "53300" => (Some("raise the server's max_connections, or lower the pool's size"), true),
        "25006" => (Some("it is a standby or read-only: connect to the primary"), true),
        "57014" => (Some("the server's statement_timeout ended it"), true),
        "55P03" => (Some("the server's lock_timeout ended it"), true),
        "42501" => (Some(GRANT), false),
        "28P01" | "28000" => (Some("check user and password, and the server's pg_hba.conf"), false),
        "3D000" => (Some("create the database, or name another"), false),
        "WR001" => (
            Some(
                "the database has lost this process's row: was it restored to an older state? Stop every node, then start them again",
            ),
            false,
        ),
        _ => (None, false),
    }
}
