//! What the log itself writes into its store's state.

use crate::CommitError;
use crate::store::Store;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use weir_schema::{Op, Read, StateKey, TableName, Transaction, TxnId, Write, WriterId};

/// Writes under ids of this process that nobody else has.
#[derive(Clone, Debug)]
pub(super) struct Notes {
    pub(super) store: Arc<dyn Store>,
    writer: WriterId,
    /// How many transactions have been made.
    made: Arc<AtomicU64>,
}

impl Notes {
    pub(super) fn new(store: Arc<dyn Store>, writer: WriterId) -> Self {
        Self { store, writer, made: Arc::default() }
    }

    /// Writes rows.
    pub(super) async fn write(&self, rows: Vec<(StateKey, Op)>) -> Result<(), CommitError> {
        self.commit(|_| {}, rows).await
    }

    /// Writes rows if `reads` still hold, together with what `more` adds; whatever the catalog is.
    pub(super) async fn commit(
        &self,
        more: impl Fn(&mut Transaction),
        rows: Vec<(StateKey, Op)>,
    ) -> Result<(), CommitError> {
        loop {
            let id = self.next_id();
            let mut transaction = Transaction::new(id, self.store.watch().borrow().catalog);
            let write = |(key, op): &(StateKey, Op)| Write { key: key.clone(), op: op.clone(), stamp: id };
            transaction.writes = rows.iter().map(write).collect();
            more(&mut transaction);
            match self.store.commit(Arc::new(transaction)).await {
                Err(CommitError::Conflict { catalog: Some(_), .. }) => {}
                outcome => return outcome.map(drop),
            }
        }
    }

    /// An id that nobody who counts from zero comes to.
    fn next_id(&self) -> TxnId {
        const APART: u64 = 1 << 39;
        TxnId::new(self.writer, APART | self.made.fetch_add(1, Ordering::SeqCst))
    }
}

/// A row of one of the log's own tables.
pub(super) fn key(table: &'static str, key: impl Into<Bytes>) -> StateKey {
    let table = TableName::new(table).expect("the constant is a valid name");
    StateKey { table, generation: 0, key: key.into() }
}

/// That a row is as it was read.
pub(super) fn unchanged(key: &StateKey, row: Option<&weir_schema::Versioned>) -> Read {
    Read::Key(key.clone(), row.map(|row| row.stamp))
}
