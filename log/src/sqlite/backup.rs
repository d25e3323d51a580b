//! A copy of the file, made while others write it.
//!
//! SQLite's online backup, page by page, inside of one read transaction: so it is one snapshot, and nobody waits for it.
//! Meanwhile the write-ahead log grows, because what the snapshot needs of it cannot be given up.

use super::connection::open_reader;
use super::error::{Failure, log_error};
use crate::LogError;
use crate::moving::refusal::no_log;
use crate::moving::{Count, Phase, Watcher};
use rusqlite::Connection;
use rusqlite::backup::StepResult;
use rusqlite::ffi::{Error, SQLITE_BUSY};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait for a lock: nobody holds one for long that a reader needs.
const BUSY: Duration = Duration::from_secs(5);
/// Pages that are copied between two words about the progress.
const PAGES: std::ffi::c_int = 1024;

/// What a backup holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backup {
    /// The size of the file in bytes.
    pub bytes: u64,
    /// Each of its tables with the number of its rows, as it was in the log at that moment.
    pub tables: Vec<(String, u64)>,
}

/// Copies the log in the file `log`, as it is at this moment, to `file`: complete and checked, or not at all. Whoever
/// writes the log goes on meanwhile. What was there as `file` is replaced. Takes its time on the caller's thread.
///
/// # Errors
/// `Unavailable` if there is no log, or no room; `Corrupt` if what was copied is not whole: then the log is damaged.
pub fn backup(log: &Path, file: &Path, watcher: &mut Watcher<'_>) -> Result<Backup, LogError> {
    if !log.is_file() {
        return Err(no_log(&log.display().to_string()));
    }
    let draft = draft_of(file);
    let made = make(log, &draft, watcher).map_err(|failure| failure.into_log_error("back up", log));
    let made =
        made.and_then(|backup| put(&draft, file).map_err(|error| not_put(file, error)).map(|()| backup));
    if made.is_err() {
        // there may be none
        fs::remove_file(&draft).unwrap_or_default();
    }
    made
}

/// Beside the file, so that it can be renamed; of this process alone.
fn draft_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".part-{}", std::process::id()));
    name.into()
}

fn make(log: &Path, draft: &Path, watcher: &mut Watcher<'_>) -> Result<Backup, Failure> {
    let source = open_reader(log, BUSY)?;
    let snapshot = source.unchecked_transaction()?;
    let tables = tables(&snapshot)?;
    let in_words = |error| Failure::Log(log_error("write", draft, error));
    let mut target = Connection::open(draft).map_err(in_words)?;
    copy_pages(&snapshot, &mut target, watcher).map_err(in_words)?;
    // else it would need the files beside it that belong to a log which is written
    target.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(())).map_err(in_words)?;
    check(&target, log, &tables, watcher)?;
    target.close().map_err(|(_, error)| in_words(error))?;
    let bytes = fs::metadata(draft).map_err(|error| not_put(draft, error))?.len();
    Ok(Backup { bytes, tables })
}

fn copy_pages(
    source: &Connection,
    target: &mut Connection,
    watcher: &mut Watcher<'_>,
) -> rusqlite::Result<()> {
    let total: i64 = source.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let mut progress = Count::new(Phase::Copying, total.cast_unsigned(), watcher);
    let copy = rusqlite::backup::Backup::new(source, target)?;
    loop {
        match copy.step(PAGES)? {
            StepResult::Done => return Ok(()),
            StepResult::More => {
                let left = i64::from(copy.progress().remaining);
                progress.reach(u64::try_from(total - left).unwrap_or_default());
            }
            // somebody has the draft open
            _ => return Err(rusqlite::Error::SqliteFailure(Error::new(SQLITE_BUSY), None)),
        }
    }
}

/// Whether what was copied is a whole database with the rows that were to be copied.
fn check(
    target: &Connection,
    log: &Path,
    tables: &[(String, u64)],
    watcher: &mut Watcher<'_>,
) -> Result<(), Failure> {
    let mut progress = Count::new(Phase::Comparing, 1, watcher);
    let found: String = target.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    let copied = self::tables(target)?;
    progress.add(1);
    let detail = match found.as_str() {
        "ok" if copied == tables => return Ok(()),
        "ok" => format!("the backup holds {copied:?}, the log {tables:?}"),
        wrong => format!("{wrong}; stop, keep the file, and restore an earlier backup"),
    };
    Err(LogError::Corrupt { subject: format!("log {}", log.display()), detail }.into())
}

/// Every table with the number of its rows.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<(String, u64)>> {
    let sql =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let names: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let count = |name: String| {
        let rows =
            connection.query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |row| row.get::<_, i64>(0));
        Ok((name, rows?.cast_unsigned()))
    };
    names.into_iter().map(count).collect()
}

/// Puts the draft into its place, on disk.
fn put(draft: &Path, file: &Path) -> io::Result<()> {
    File::open(draft)?.sync_all()?;
    fs::rename(draft, file)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn not_put(file: &Path, error: io::Error) -> LogError {
    LogError::Unavailable {
        operation: format!("write {}", file.display()),
        source: error.into(),
        retry: false,
    }
}
