//! What runs beside the committer: checkpoints, room for the write-ahead log, and news of other processes.

use super::{connection, room, schema, topics};
use crate::Hint;
use crate::keeper::Keeper;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use weir_schema::CatalogVersion;

/// How often to look for commits of other processes.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// How often to look whether a checkpoint is due.
const CHECKPOINT_LOOK: Duration = Duration::from_millis(100);
/// So many bytes of transactions make one due: enough that pages written again and again are copied once.
const CHECKPOINT_BYTES: u64 = 4 << 20;

/// So many make room in the write-ahead log worth its while: some sixty commits.
const ROOM_BYTES: u64 = 1 << 20;

/// Starts the tasks.
pub(super) fn start(
    keeper: &Keeper,
    path: &Path,
    busy: Duration,
    hint: Arc<watch::Sender<Hint>>,
    written: Arc<AtomicU64>,
) -> rusqlite::Result<()> {
    let watcher = connection::open_reader(path, busy)?;
    keeper.spawn(tell_of_others(watcher, hint));
    let checkpointer = connection::open_checkpointer(path, busy)?;
    keeper.spawn(keep_checkpointing(checkpointer, keeper.blocking(), written));
    Ok(())
}

/// All that a hint tells, as it is in the file.
pub(super) fn news(connection: &Connection) -> rusqlite::Result<Hint> {
    Ok(Hint {
        tails: topics::tails(connection)?.into_iter().collect(),
        catalog: CatalogVersion(schema::number(connection, "catalog")?),
        control: schema::number(connection, "control")?,
    })
}

async fn tell_of_others(connection: Connection, hint: Arc<watch::Sender<Hint>>) {
    let mut seen = None;
    loop {
        match look(&connection, &mut seen) {
            Ok(None) => {}
            Ok(Some(news)) => {
                let tails: Vec<_> = news.tails.into_iter().collect();
                hint.send_if_modified(|hint| hint.merge(&tails, news.catalog, news.control));
            }
            Err(error) => tracing::debug!(%error, "could not look for commits of other processes"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What is in the file now, if it is not what was `seen`.
fn look(connection: &Connection, seen: &mut Option<i64>) -> rusqlite::Result<Option<Hint>> {
    let version = connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
    if *seen == Some(version) {
        return Ok(None);
    }
    let news = news(connection)?;
    *seen = Some(version);
    Ok(Some(news))
}

async fn keep_checkpointing(
    mut connection: Connection,
    blocking: tokio::runtime::Handle,
    written: Arc<AtomicU64>,
) {
    let mut has_room = false;
    loop {
        tokio::time::sleep(CHECKPOINT_LOOK).await;
        let bytes = written.load(Ordering::Relaxed);
        if bytes > ROOM_BYTES && !std::mem::replace(&mut has_room, true) {
            let Some((back, made)) = aside(&blocking, connection, room::make).await else { return };
            connection = back;
            if let Err(error) = made {
                tracing::debug!(%error, "commits take longer until the write-ahead log has grown by itself");
            }
        }
        if bytes < CHECKPOINT_BYTES {
            continue;
        }
        written.store(0, Ordering::Relaxed);
        let checkpoint = |connection: &Connection| {
            connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0))
        };
        let Some((back, done)) = aside(&blocking, connection, checkpoint).await else { return };
        connection = back;
        if let Err(error) = done {
            tracing::warn!(%error, "could not checkpoint the log; the write-ahead log grows until it succeeds");
        }
    }
}

/// Runs `work` where it may take its time; none: the log is being closed.
async fn aside<T: Send + 'static>(
    blocking: &tokio::runtime::Handle,
    connection: Connection,
    work: impl FnOnce(&Connection) -> T + Send + 'static,
) -> Option<(Connection, T)> {
    let work = move || {
        let result = work(&connection);
        (connection, result)
    };
    blocking.spawn_blocking(work).await.ok()
}
