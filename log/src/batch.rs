//! What waits for a committer, and how much of it is taken at once.

use crate::{Commit, CommitError, LogError};
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use weir_schema::{Receipt, Transaction};

/// A batch holds at most this many transactions …
const BATCH_TRANSACTIONS: usize = 1000;
/// … and is full at this many bytes.
const BATCH_BYTES: usize = 4 << 20;

/// What a transaction came to.
pub(crate) type Outcome = Result<Receipt, CommitError>;

/// Transactions with who waits for them.
pub(crate) type Waiting = Vec<(Arc<Transaction>, oneshot::Sender<Outcome>)>;

/// Something to be written; `C` is a change of the log's own.
pub(crate) enum Job<C> {
    /// One transaction of the log's users.
    Commit(Arc<Transaction>, oneshot::Sender<Outcome>),
    /// A change of the log's own, between two batches.
    Change(C),
    /// What is enqueued is the last.
    Close,
}

impl<C> std::fmt::Debug for Job<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Commit(..) => "Commit",
            Self::Change(_) => "Change",
            Self::Close => "Close",
        })
    }
}

/// The first transaction and what waits behind it, up to a batch's bounds; and the first job that is none.
pub(crate) fn gather<C>(
    jobs: &mut mpsc::Receiver<Job<C>>,
    transaction: Arc<Transaction>,
    done: oneshot::Sender<Outcome>,
) -> (Waiting, Option<Job<C>>) {
    let mut bytes = transaction.bytes();
    let mut batch = vec![(transaction, done)];
    while batch.len() < BATCH_TRANSACTIONS && bytes < BATCH_BYTES {
        match jobs.try_recv() {
            Ok(Job::Commit(transaction, done)) => {
                bytes += transaction.bytes();
                batch.push((transaction, done));
            }
            Ok(other) => return (batch, Some(other)),
            Err(_) => break,
        }
    }
    (batch, None)
}

/// Puts a transaction into the queue of a committer, or says at once why not.
pub(crate) fn enqueue<C>(jobs: &mpsc::Sender<Job<C>>, transaction: Arc<Transaction>) -> Commit {
    let (done, commit) = Commit::channel();
    match jobs.try_send(Job::Commit(transaction, done)) {
        Ok(()) => commit,
        Err(TrySendError::Closed(_)) => refuse(LogError::Closed),
        Err(TrySendError::Full(_)) => Commit::ready(Err(CommitError::Unavailable(
            "the log's queue is full: commit less at once".into(),
        ))),
    }
}

/// A commit that was not even tried.
pub(crate) fn refuse(error: LogError) -> Commit {
    Commit::ready(Err(CommitError::Unavailable(error.into())))
}
