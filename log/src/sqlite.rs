//! Durability: a commit is on disk when it resolves (WAL, `synchronous=FULL`: one sync for each batch).
//!
//! One file. One thread writes it ([`committer`]); readers have connections of their own and see a snapshot;
//! checkpoints run beside both ([`keeping`]). Several processes may open the file: each writes and reads, and the one
//! that holds the lock ([`owner`]) is assigned partitions ([`membership`]).

mod apply;
mod backup;
mod check;
mod committer;
mod connection;
mod edits;
mod error;
mod events;
mod groups;
mod held;
mod keeping;
mod membership;
mod options;
mod outline;
mod owner;
mod room;
mod schema;
mod state;
mod topics;

use crate::batch;
use crate::keeper::Keeper;
use crate::ledger::Ledger;
use crate::members::Members;
use crate::{
    Capabilities, Clock, Commit, CommitError, GroupPosition, Hint, Log, LogError, LogLimits, Membership,
    ReadLimit, SchemaState, TopicInfo, TopicSpec,
};
use apply::Known;
use check::Stop;
use committer::{Committer, Job, Lane};
use connection::Readers;
use error::{Failure, log_error};
use owner::Owner;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot, watch};
use weir_schema::{
    AppName, At, GroupName, Millis, Offset, Receipt, Records, ScanPage, StateKey, StateRange, Transaction,
    Versioned, WriterId,
};

pub use backup::{Backup, backup};
pub(crate) use held::Held;
pub use options::SqliteOptions;

/// Up to so many rows or events are read on the caller's thread: tens of microseconds from the page cache, less than
/// the way to another thread and back.
const INLINE: usize = 64;
/// Up to so many bytes likewise.
const INLINE_BYTES: usize = 128 << 10;

/// A log in a file. See the module's docs.
#[derive(Debug)]
pub(crate) struct SqliteLog {
    capabilities: Capabilities,
    shared: Arc<Shared>,
    keeper: Keeper,
    /// Resolves when the committer has ended.
    ended: tokio::sync::Mutex<Option<oneshot::Receiver<()>>>,
}

/// What the log's own tasks need too.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    readers: Arc<Readers>,
    jobs: mpsc::Sender<Job>,
    hint: Arc<watch::Sender<Hint>>,
    members: Members,
    owner: Owner,
    closed: AtomicBool,
}

impl SqliteLog {
    /// Opens the log in the file `path`; makes file and folder if there are none.
    pub(crate) fn open(
        path: &Path,
        options: SqliteOptions,
        app: Option<&AppName>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        prepare_folder(path)?;
        let in_words = |failure: Failure| failure.into_log_error("open", path);
        let (connection, writer) = open_file(path, &options, app).map_err(in_words)?;
        let hint = Arc::new(watch::Sender::new(keeping::news(&connection).map_err(|e| in_words(e.into()))?));
        let (jobs, queue) = mpsc::channel(options.queue.max(1));
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            readers: Arc::new(Readers::new(path, options.busy)),
            jobs,
            hint: hint.clone(),
            members: Members::default(),
            owner: Owner::beside(path),
            closed: AtomicBool::new(false),
        });
        let written = Arc::new(AtomicU64::new(0));
        let keeper = Keeper::start().map_err(|error| LogError::no_thread(path.display(), error))?;
        keeping::start(&keeper, path, options.busy, hint.clone(), written.clone())
            .map_err(|e| in_words(e.into()))?;
        let capabilities = capabilities(path, writer);
        let committer = Committer {
            path: path.to_owned(),
            options,
            clock,
            limits: capabilities.limits,
            hint,
            readers: shared.readers.clone(),
            written,
            connection: Some(connection),
            known: Known::default(),
            ledger: Ledger::default(),
            lane: Lane { writer, last: 0, unsure: None },
        };
        let ended = start(committer, queue).map_err(|error| LogError::no_thread(path.display(), error))?;
        Ok(Self { capabilities, shared, keeper, ended: tokio::sync::Mutex::new(Some(ended)) })
    }

    /// Whether this process is the one that partitions are assigned to; takes that over if nobody is.
    #[cfg(feature = "kafka")]
    pub(crate) fn is_owner(&self) -> Result<bool, LogError> {
        self.shared.owner.try_take()
    }

    /// Reads in one snapshot; on another thread if it is `long`.
    async fn read_snapshot<T: Send + 'static>(
        &self,
        operation: &'static str,
        long: bool,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, LogError> {
        if self.shared.is_closed() {
            return Err(LogError::Closed);
        }
        let readers = self.shared.readers.clone();
        let read = move || readers.snapshot(work);
        let result = if long { self.keeper.run(read).await.ok_or(LogError::Closed)? } else { read() };
        result.map_err(|failure| failure.into_log_error(operation, &self.shared.path))
    }

    /// Checks a transaction that changes nothing, beside the committer, whose sync it need not wait for.
    fn check(&self, transaction: Arc<Transaction>) -> Commit {
        let (readers, path) = (self.shared.readers.clone(), self.shared.path.clone());
        let limits = self.capabilities.limits;
        let small = transaction.reads.len() <= INLINE
            && transaction.reads.iter().all(|read| matches!(read, weir_schema::Read::Key(..)));
        let check = move || {
            let checked = readers.snapshot(|snapshot| check::read_only(snapshot, &transaction, &limits));
            checked.map(|()| Receipt::default()).map_err(|stop| match stop {
                Stop::Refused(refusal) => refusal,
                Stop::Failed(failure) => {
                    CommitError::Unavailable(failure.into_log_error("check reads in", &path).into())
                }
            })
        };
        if small {
            return Commit::ready(check());
        }
        let (done, commit) = Commit::channel();
        self.keeper.run_detached(move || drop(done.send(check())));
        commit
    }
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Has the committer make a change of the log's own, and then, if it was made, do `after` with what it came to,
    /// before anything else is written. Durable when this returns.
    async fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
        after: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, LogError> {
        if self.is_closed() {
            return Err(LogError::Closed);
        }
        let (done, answer) = oneshot::channel();
        let job = Job::Change(Box::new(move |committer| {
            let result = committer.change(operation, work);
            if let Ok(value) = &result {
                after(value);
            }
            // whoever asked may have gone
            drop(done.send(result));
        }));
        self.jobs.send(job).await.map_err(|_| LogError::Closed)?;
        answer.await.map_err(|_| LogError::Closed)?
    }
}

fn prepare_folder(path: &Path) -> Result<(), LogError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(|error| {
        let operation = format!("make the folder {}", folder.display());
        LogError::Unavailable { operation, source: error.into(), retry: false }
    })
}

fn open_file(
    path: &Path,
    options: &SqliteOptions,
    app: Option<&AppName>,
) -> Result<(Connection, WriterId), Failure> {
    let mut connection = connection::open_writer(path, options.busy, options.max_pages)?;
    let writer = schema::prepare(&mut connection, path, app)?;
    Ok((connection, writer))
}

/// What the schema of the file `path` is and lacks; changes nothing, nor makes a file.
pub(crate) fn schema_state(path: &Path) -> Result<SchemaState, LogError> {
    if !path.exists() {
        return Ok(schema::state_of_none(path));
    }
    let connection = connection::open_reader(path, SqliteOptions::default().busy).map_err(Failure::from);
    let state = connection.and_then(|connection| schema::state(&connection, path));
    state.map_err(|failure| failure.into_log_error("look at the schema of", path))
}

fn capabilities(path: &Path, writer: WriterId) -> Capabilities {
    Capabilities {
        driver: "sqlite",
        place: path.display().to_string(),
        durability: "a commit is on disk when it resolves (WAL, synchronous=FULL)",
        dense: true,
        atomic_visibility: true,
        counts_bytes: true,
        takes_partitioner: false,
        shared: true,
        tells_within: Some(keeping::LOOK),
        writer,
        limits: LogLimits::default(),
    }
}

/// Starts the committer's thread.
fn start(committer: Committer, queue: mpsc::Receiver<Job>) -> std::io::Result<oneshot::Receiver<()>> {
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new().name("weir-log-commit".into()).spawn(move || {
        committer.run(queue);
        // nobody waits for it unless the log is closed
        ended.send(()).unwrap_or(());
    })?;
    Ok(end)
}

#[async_trait::async_trait]
impl Log for SqliteLog {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn create_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        let (spec, hint) = (spec.clone(), self.shared.hint.clone());
        let tell = move |info: &TopicInfo| {
            let tails: Vec<_> = info.partitions().zip(info.tail.iter().copied()).collect();
            hint.send_if_modified(|hint| hint.merge(&tails, hint.catalog, hint.control));
        };
        self.shared.change("create a topic in", move |c| topics::create(c, &spec), tell).await
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        self.read_snapshot("list the topics of", true, topics::all).await
    }

    fn commit(&self, transaction: Arc<Transaction>) -> Commit {
        if self.shared.is_closed() {
            return batch::refuse(LogError::Closed);
        }
        if transaction.is_read_only() {
            return self.check(transaction);
        }
        batch::enqueue(&self.shared.jobs, transaction)
    }

    async fn read(&self, at: At, from: Offset, max: ReadLimit) -> Result<Records, LogError> {
        let long = max.events > INLINE || max.bytes > INLINE_BYTES;
        self.read_snapshot("read", long, move |c| events::read(c, at, from, max)).await
    }

    async fn offset_at(&self, at: At, time: Millis) -> Result<Offset, LogError> {
        self.read_snapshot("look a time up in", true, move |c| events::offset_at(c, at, time)).await
    }

    fn watch(&self) -> watch::Receiver<Hint> {
        self.shared.hint.subscribe()
    }

    async fn get(&self, keys: &[StateKey]) -> Result<Vec<Option<Versioned>>, LogError> {
        if let [key] = keys {
            // one statement is one snapshot
            let found = self.shared.readers.with(|connection| state::row(connection, key));
            return if self.shared.is_closed() {
                Err(LogError::Closed)
            } else {
                found.map(|row| vec![row]).map_err(|e| log_error("get a row of", &self.shared.path, e))
            };
        }
        let (keys, long) = (keys.to_vec(), keys.len() > INLINE);
        let rows =
            move |c: &Connection| Ok(keys.iter().map(|key| state::row(c, key)).collect::<Result<_, _>>()?);
        self.read_snapshot("get rows of", long, rows).await
    }

    async fn scan(&self, range: &StateRange, limit: u32) -> Result<ScanPage, LogError> {
        let (range, long) = (range.clone(), limit as usize > INLINE);
        self.read_snapshot("scan", long, move |c| Ok(state::scan(c, &range, limit)?)).await
    }

    async fn join(&self, group: &GroupName, start: &[(At, Offset)]) -> Result<Membership, LogError> {
        membership::join(&self.shared, &self.keeper, group, start).await
    }

    async fn positions(&self, group: Option<&GroupName>) -> Result<Vec<GroupPosition>, LogError> {
        let group = group.cloned();
        self.read_snapshot("read the positions of", true, move |c| groups::positions(c, group.as_ref())).await
    }

    async fn forget(&self, group: &GroupName) -> Result<(), LogError> {
        let (shared, gone, group) = (self.shared.clone(), group.clone(), group.clone());
        let work = move |c: &Connection| Ok(groups::forget(c, &group)?);
        self.shared.change("forget a group in", work, move |()| shared.members.forget(&gone)).await
    }

    async fn trim(&self, at: At, before: Offset) -> Result<Offset, LogError> {
        let step =
            || self.shared.change("trim", move |c: &Connection| events::trim_step(c, at, before), |_| ());
        crate::steps::trim(before, step).await
    }

    async fn close(&self) -> Result<(), LogError> {
        if self.shared.closed.swap(true, Ordering::SeqCst) {
            return Err(LogError::Closed);
        }
        drop(self.shared.jobs.send(Job::Close).await);
        if let Some(ended) = self.ended.lock().await.take() {
            drop(ended.await);
        }
        self.shared.members.close();
        self.keeper.stop().await;
        self.shared.readers.close();
        self.shared.owner.release();
        Ok(())
    }
}

#[cfg(feature = "kafka")]
#[async_trait::async_trait]
impl crate::store::Store for SqliteLog {
    async fn begin(&self, group: &GroupName, positions: &[(At, Offset)]) -> Result<(), LogError> {
        let (group, positions) = (group.clone(), positions.to_vec());
        let work = move |c: &Connection| Ok(groups::begin_all(c, &group, &positions)?);
        self.shared.change("begin a group of", work, |()| ()).await
    }

    async fn grow(&self, topic: weir_schema::TopicId, partitions: u32) -> Result<(), LogError> {
        let work = move |c: &Connection| Ok(topics::grow(c, topic, partitions)?);
        self.shared.change("add partitions to a topic of", work, |()| ()).await
    }

    async fn alter(&self, topic: weir_schema::TopicId, spec: &TopicSpec) -> Result<(), LogError> {
        let spec = spec.clone();
        let work = move |c: &Connection| Ok(topics::put(c, topic, &spec)?);
        self.shared.change("change a topic of", work, |()| ()).await
    }
}
