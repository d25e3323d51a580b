//! SQLite's errors in the log's words.

use crate::LogError;
use rusqlite::ErrorCode;
use std::path::Path;

/// What ends a piece of work on the file.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite's word.
    Sql(rusqlite::Error),
    /// The log's own.
    Log(LogError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl Failure {
    /// Whether there was no room for it.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }

    /// As the log says it. `operation` is a verb phrase without the file: `read`, `create a topic in`.
    pub(super) fn into_log_error(self, operation: &str, path: &Path) -> LogError {
        match self {
            Self::Log(error) => error,
            Self::Sql(error) => log_error(operation, path, error),
        }
    }
}

/// `error` as the log says it, with a remedy where there is one.
pub(super) fn log_error(operation: &str, path: &Path, error: rusqlite::Error) -> LogError {
    let code = error.sqlite_error_code();
    if let Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) = code {
        let detail = format!("{error}; stop, keep the file, and restore a copy of it");
        return LogError::Corrupt { subject: format!("log {}", path.display()), detail };
    }
    let (remedy, retry) = match code {
        Some(ErrorCode::DiskFull) => ("free some space on its disk", true),
        Some(ErrorCode::ReadOnly) => ("make the file, its folder and its disk writable", false),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            ("the folder must exist and be writable", false)
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ("another process keeps it locked", true)
        }
        Some(ErrorCode::SystemIoFailure) => ("its disk failed", true),
        _ => return unavailable(operation, path, error.into(), false),
    };
    unavailable(operation, path, format!("{error}; {remedy}").into(), retry)
}

fn unavailable(operation: &str, path: &Path, source: crate::BoxError, retry: bool) -> LogError {
    LogError::Unavailable { operation: format!("{operation} log {}", path.display()), source, retry }
}
