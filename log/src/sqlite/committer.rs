//! The thread that writes: takes what waits, applies it in one transaction, answers when it is durable.
//!
//! There is no linger: a lone transaction is committed at once, and while a commit syncs, the next batch gathers.

use super::apply::{Batch, Known};
use super::connection::{self, Readers};
use super::error::{Failure, log_error};
use super::events::Appender;
use super::options::SqliteOptions;
use super::schema;
use crate::batch::{self, Outcome, Waiting};
use crate::ledger::Ledger;
use crate::{BoxError, Clock, CommitError, FaultPoint, Hint, LogError, LogLimits};
use foldhash::{HashMap, HashMapExt as _};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, watch};
use weir_schema::{At, Offset, Receipt, Transaction, TxnId, WriterId};

/// What every commit writes beside the bytes of its transactions, for the count to the next checkpoint: a few pages.
const COMMIT_BYTES: u64 = 16 << 10;

/// What the committer is given.
pub(super) type Job = batch::Job<Box<dyn FnOnce(&mut Committer) + Send>>;

/// The committer's own. Lives on its thread.
pub(super) struct Committer {
    pub(super) path: PathBuf,
    pub(super) options: SqliteOptions,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: LogLimits,
    pub(super) hint: Arc<watch::Sender<Hint>>,
    pub(super) readers: Arc<Readers>,
    /// Bytes written since the last checkpoint, about.
    pub(super) written: Arc<AtomicU64>,
    /// None: the last commit failed, and the database has not been opened again since.
    pub(super) connection: Option<Connection>,
    pub(super) known: Known,
    pub(super) ledger: Ledger,
    pub(super) lane: Lane,
}

/// The committer's batches, by number.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) writer: WriterId,
    /// The number of the last batch that was tried.
    pub(super) last: u64,
    /// What the batch `last` came to if its `COMMIT`, which failed, did commit it after all.
    pub(super) unsure: Option<Vec<(TxnId, Receipt)>>,
}

/// How a batch that was not committed ended.
enum Broken {
    /// Nothing of it is applied: there was no room for all of it.
    Full(LogError),
    /// Nothing of it is applied.
    Before(LogError),
    /// `COMMIT` failed: who knows.
    During(LogError),
}

/// What a batch came to: an outcome for each member, and the partitions' new tails.
struct Done {
    outcomes: Vec<Outcome>,
    /// Which of them this batch has applied; the other good ones are repeats.
    applied: Vec<usize>,
    tails: Vec<(At, Offset)>,
}

impl Done {
    /// The receipts of what was applied.
    fn receipts(&self, batch: &Waiting) -> impl Iterator<Item = (TxnId, &Receipt)> {
        let applied = self.applied.iter();
        applied.filter_map(|index| Some((batch[*index].0.id, self.outcomes[*index].as_ref().ok()?)))
    }
}

impl Committer {
    /// Works until the log is closed or dropped, and everything enqueued is done.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut next = None;
        while let Some(job) = next.take().or_else(|| jobs.blocking_recv()) {
            match job {
                Job::Commit(transaction, done) => {
                    let (batch, other) = batch::gather(&mut jobs, transaction, done);
                    next = other;
                    self.commit(batch);
                }
                Job::Change(change) => change(&mut self),
                Job::Close => jobs.close(),
            }
        }
        let writer = self.lane.writer;
        if let Err(error) = self.change("leave", |connection| Ok(schema::leave(connection, writer)?)) {
            tracing::debug!(%error, "the writer's lane is left behind; nothing depends on it");
        }
    }

    fn commit(&mut self, batch: Waiting) {
        let outcomes = match self.write(&batch) {
            Ok(done) => {
                for (id, receipt) in done.receipts(&batch) {
                    self.ledger.remember(id, receipt);
                }
                self.tell(&done.tails);
                done.outcomes
            }
            // what is too large must not fail the others
            Err(Broken::Full(_)) if batch.len() > 1 => {
                return batch.into_iter().for_each(|member| self.commit(vec![member]));
            }
            Err(Broken::Before(error) | Broken::Full(error)) => {
                tracing::warn!(%error, transactions = batch.len(), "a batch was not committed");
                self.refuse(&batch, error)
            }
            Err(Broken::During(error)) => {
                tracing::error!(%error, transactions = batch.len(), "COMMIT failed; opening the log again");
                let error = Arc::new(error);
                batch.iter().map(|_| Err(CommitError::Ambiguous(error.clone().into()))).collect()
            }
        };
        for ((_, done), outcome) in batch.into_iter().zip(outcomes) {
            // whoever asked may have gone
            drop(done.send(outcome));
        }
    }

    /// Outcomes for a batch of which nothing was applied: but of what comes again after a failed `COMMIT` whose end is
    /// still not known, that cannot be said.
    fn refuse(&self, batch: &Waiting, error: LogError) -> Vec<Outcome> {
        let error = Arc::new(error);
        let is_unsure = |id| self.lane.unsure.iter().flatten().any(|(unsure, _)| *unsure == id);
        let outcome = |(transaction, _): &(Arc<Transaction>, _)| {
            let error = error.clone().into();
            Err(if is_unsure(transaction.id) {
                CommitError::Ambiguous(error)
            } else {
                CommitError::Unavailable(error)
            })
        };
        batch.iter().map(outcome).collect()
    }

    fn write(&mut self, batch: &Waiting) -> Result<Done, Broken> {
        self.options.at(FaultPoint::Taken).map_err(|e| Broken::Before(self.failed("write", e)))?;
        self.begin().map_err(|failure| Broken::Before(failure.into_log_error("write", &self.path)))?;
        match self.apply(batch) {
            Ok(done) if done.applied.is_empty() => {
                self.roll_back();
                Ok(done)
            }
            Ok(done) => {
                let bytes = batch.iter().map(|(transaction, _)| transaction.bytes() as u64).sum();
                if let Err(error) = self.end(bytes) {
                    self.lane.unsure = Some(done.receipts(batch).map(|(id, r)| (id, r.clone())).collect());
                    return Err(Broken::During(self.failed("write", error)));
                }
                Ok(done)
            }
            Err(failure) => {
                self.roll_back();
                let broken = if failure.is_full() { Broken::Full } else { Broken::Before };
                Err(broken(failure.into_log_error("write", &self.path)))
            }
        }
    }

    /// Opens the transaction that everything happens in; before that the database, where a commit has failed.
    fn begin(&mut self) -> Result<(), Failure> {
        if self.connection.is_none() {
            self.connection = Some(self.reopen()?);
        }
        let connection = self.connection.as_ref().expect("it has just been opened");
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        if let Err(error) = self.known.refresh(connection) {
            self.roll_back();
            return Err(error.into());
        }
        Ok(())
    }

    /// After an error of `COMMIT`. What the failed sync left may be in the page cache only, and no later sync would
    /// tell; so everything that can be read is written once more, into the database itself, before it counts.
    fn reopen(&mut self) -> Result<Connection, Failure> {
        self.readers.close();
        let connection = connection::open_writer(&self.path, self.options.busy, self.options.max_pages)?;
        let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy != 0 {
            let source = "readers are still at what the failed commit left".into();
            let operation = "open the log again".into();
            return Err(LogError::Unavailable { operation, source, retry: true }.into());
        }
        let committed = schema::last_batch(&connection, self.lane.writer)? == self.lane.last;
        tracing::info!(committed, "opened the log again; what became of the last batch is known now");
        for (id, receipt) in self.lane.unsure.take().into_iter().flatten().filter(|_| committed) {
            self.ledger.remember(id, &receipt);
        }
        Ok(connection)
    }

    fn apply(&mut self, members: &Waiting) -> Result<Done, Failure> {
        let connection = self.connection.as_ref().expect("the transaction has begun on it");
        let (known, limits, now) = (&mut self.known, &self.limits, self.clock.now());
        let mut batch = Batch { connection, known, limits, now, events: Appender::new(connection)? };
        let mut done =
            Done { outcomes: Vec::with_capacity(members.len()), applied: Vec::new(), tails: Vec::new() };
        let mut here: HashMap<TxnId, usize> = HashMap::with_capacity(members.len());
        for (index, (transaction, _)) in members.iter().enumerate() {
            let first =
                here.get(&transaction.id).and_then(|first| done.outcomes[*first].as_ref().ok().cloned());
            if let Some(receipt) = first.or_else(|| self.ledger.get(transaction)) {
                done.outcomes.push(Ok(receipt));
                continue;
            }
            let outcome = batch.apply(transaction)?;
            if outcome.is_ok() {
                here.insert(transaction.id, index);
                done.applied.push(index);
            }
            done.outcomes.push(outcome);
        }
        if !done.applied.is_empty() {
            done.tails = batch.known.flush(connection)?;
            self.lane.last += 1;
            schema::set_last_batch(connection, self.lane.writer, self.lane.last)?;
        }
        Ok(done)
    }

    /// `COMMIT`. On an error the connection is given up; [`Self::begin`] opens another before anything else.
    fn end(&mut self, bytes: u64) -> Result<(), BoxError> {
        let connection = self.connection.as_ref().expect("the transaction has begun on it");
        let result = self.options.at(FaultPoint::Applied).and_then(|()| {
            connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]))?;
            self.options.at(FaultPoint::Committed)
        });
        if result.is_err() {
            self.connection = None;
            self.known = Known::default();
        }
        self.written.fetch_add(bytes + COMMIT_BYTES, Ordering::Relaxed);
        result
    }

    fn roll_back(&mut self) {
        self.known = Known::default();
        let Some(connection) = &self.connection else { return };
        // an error of SQLite's may have rolled it back already
        if !connection.is_autocommit() && connection.execute_batch("ROLLBACK").is_err() {
            self.connection = None;
        }
    }

    /// Runs a change of the log's own in a transaction of its own. Durable when it returns.
    pub(super) fn change<T>(
        &mut self,
        operation: &str,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, LogError> {
        let result = self.begin().and_then(|()| work(self.connection.as_ref().expect("it has begun on it")));
        match result {
            Ok(value) => {
                // the change was made past what is known
                self.known = Known::default();
                self.end(0).map_err(|error| self.failed(operation, error))?;
                Ok(value)
            }
            Err(failure) => {
                self.roll_back();
                Err(failure.into_log_error(operation, &self.path))
            }
        }
    }

    fn failed(&self, operation: &str, error: BoxError) -> LogError {
        match error.downcast::<rusqlite::Error>() {
            Ok(error) => log_error(operation, &self.path, *error),
            Err(source) => {
                let operation = format!("{operation} log {}", self.path.display());
                LogError::Unavailable { operation, source, retry: true }
            }
        }
    }

    fn tell(&self, tails: &[(At, Offset)]) {
        let (catalog, control) = (self.known.catalog, self.known.control);
        self.hint.send_if_modified(|hint| hint.merge(tails, catalog, control));
    }
}
