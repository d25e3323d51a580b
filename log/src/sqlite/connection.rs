//! Connections: the committer's, and the readers' in a pool.

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long one wait for another's lock takes: short, because commits of others take a fraction of this.
const BUSY_STEP: Duration = Duration::from_micros(500);
/// At this many pages in the write-ahead log the committer checkpoints itself: only where the checkpoints of the
/// other thread never catch up, because every one of them is overtaken by new commits.
/// In its [room](super::room) the write-ahead log then starts over.
const LATE_CHECKPOINT_PAGES: u32 = 4096;
/// How many idle readers are kept.
const IDLE_READERS: usize = 8;
/// More than there are different statements.
const STATEMENTS: usize = 48;

/// Opens the connection that writes; makes the file if there is none.
pub(super) fn open_writer(
    path: &Path,
    busy: Duration,
    max_pages: Option<u32>,
) -> rusqlite::Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_CREATE, busy)?;
    use_wal(&connection, busy)?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", LATE_CHECKPOINT_PAGES, |_| Ok(()))?;
    if let Some(pages) = max_pages {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(connection)
}

/// Changes the journal's mode. Where several processes do that to a new file at once, SQLite answers that it is busy
/// without asking the busy handler, so as not to dead-lock: who waits here holds no lock.
fn use_wal(connection: &Connection, busy: Duration) -> rusqlite::Result<()> {
    let mut steps = busy.as_micros() / BUSY_STEP.as_micros();
    loop {
        let result = connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()));
        match result {
            Err(error) if steps > 0 && error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                steps -= 1;
                std::thread::sleep(BUSY_STEP);
            }
            other => return other,
        }
    }
}

/// Begins a transaction that will write.
pub(super) fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let connection = open(path, OpenFlags::empty(), busy)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Opens a connection that checkpoints.
pub(super) fn open_checkpointer(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let connection = open(path, OpenFlags::empty(), busy)?;
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}

fn open(path: &Path, more: OpenFlags, busy: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let steps = busy.as_micros() / BUSY_STEP.as_micros();
    connection.busy_handler(Some(move |tries: i32| {
        std::thread::sleep(BUSY_STEP);
        u128::try_from(tries).is_ok_and(|tries| tries < steps)
    }))?;
    Ok(connection)
}

/// Connections that only read, opened as they are needed.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    busy: Duration,
    idle: Mutex<Vec<Connection>>,
    /// Raised when all connections are to be closed.
    age: AtomicU64,
}

impl Readers {
    pub(super) fn new(path: &Path, busy: Duration) -> Self {
        Self { path: path.to_owned(), busy, idle: Mutex::default(), age: AtomicU64::new(0) }
    }

    /// Lends a connection to `work`. One that has met an error is not lent again.
    pub(super) fn with<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let age = self.age.load(Ordering::SeqCst);
        let idle = self.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path, self.busy)?,
        };
        let result = work(&connection);
        let mut idle = self.lock();
        if result.is_ok() && idle.len() < IDLE_READERS && self.age.load(Ordering::SeqCst) == age {
            idle.push(connection);
        }
        result
    }

    /// Lends a connection to `work`, which sees one snapshot of the file.
    pub(super) fn snapshot<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            work(&transaction)
        })
    }

    /// Closes the connections: the idle ones now, the others when they come back.
    pub(super) fn close(&self) {
        self.age.fetch_add(1, Ordering::SeqCst);
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
