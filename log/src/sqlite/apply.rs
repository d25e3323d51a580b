//! A batch: transactions checked and applied one after the other inside one transaction of SQLite's.
//!
//! Each is checked against what those before it have written, and written only once it has passed everything, so a
//! refused one leaves nothing behind and no savepoint is needed.

use super::check::{self, Stop, Sum};
use super::error::Failure;
use super::events::Appender;
use super::topics::Partition;
use super::{groups, schema, state, topics};
use crate::limits::raises;
use crate::{CommitError, LogLimits, Rejection};
use foldhash::HashMap;
use rusqlite::Connection;
use weir_schema::{At, CatalogVersion, Millis, Offset, Op, Receipt, Records, TableName, Transaction, Write};

/// What the committer knows of the file without asking it; right as long as nobody else has written.
#[derive(Default, Debug)]
pub(super) struct Known {
    /// Changes when another connection has written the file.
    data_version: Option<i64>,
    pub(super) catalog: CatalogVersion,
    pub(super) control: u64,
    raised: bool,
    partitions: HashMap<At, (Partition, bool)>,
    tables: HashMap<TableName, i64>,
}

impl Known {
    /// Forgets what others have changed. To be called inside the transaction.
    pub(super) fn refresh(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached("PRAGMA data_version")?;
        let version = statement.query_row([], |row| row.get(0))?;
        if self.data_version != Some(version) {
            *self = Self {
                data_version: Some(version),
                catalog: CatalogVersion(schema::number(connection, "catalog")?),
                control: schema::number(connection, "control")?,
                ..Self::default()
            };
        }
        Ok(())
    }

    /// Writes what the batch has changed of it; returns the new tails.
    pub(super) fn flush(&mut self, connection: &Connection) -> rusqlite::Result<Vec<(At, Offset)>> {
        if std::mem::take(&mut self.raised) {
            schema::set_number(connection, "catalog", self.catalog.0)?;
            schema::set_number(connection, "control", self.control)?;
        }
        let mut tails = Vec::new();
        for (at, (partition, changed)) in &mut self.partitions {
            if std::mem::take(changed) {
                topics::store(connection, partition)?;
                tails.push((*at, partition.tail));
            }
        }
        Ok(tails)
    }

    fn partition(&mut self, connection: &Connection, at: At) -> Result<&mut (Partition, bool), Stop> {
        use std::collections::hash_map::Entry;
        match self.partitions.entry(at) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let At { topic, partition } = at;
                let stored =
                    topics::partition(connection, at)?.ok_or(Rejection::NoTopic { topic, partition })?;
                Ok(unknown.insert((stored, false)))
            }
        }
    }

    fn table(&mut self, connection: &Connection, table: &TableName) -> rusqlite::Result<i64> {
        if let Some(id) = self.tables.get(table) {
            return Ok(*id);
        }
        let id = state::table_id(connection, table)?;
        self.tables.insert(table.clone(), id);
        Ok(id)
    }
}

/// The batch's transaction and what is the same for all of its members.
pub(super) struct Batch<'a> {
    pub(super) connection: &'a Connection,
    pub(super) known: &'a mut Known,
    pub(super) limits: &'a LogLimits,
    pub(super) now: Millis,
    pub(super) events: Appender<'a>,
}

impl Batch<'_> {
    /// Applies `transaction` as a whole, or refuses it and changes nothing.
    pub(super) fn apply(
        &mut self,
        transaction: &Transaction,
    ) -> Result<Result<Receipt, CommitError>, Failure> {
        match self.check(transaction) {
            Ok(sums) => Ok(Ok(self.write(transaction, sums)?)),
            Err(Stop::Refused(refusal)) => Ok(Err(refusal)),
            Err(Stop::Failed(failure)) => Err(failure),
        }
    }

    fn check(&mut self, transaction: &Transaction) -> Result<Vec<Sum>, Stop> {
        check::all(self.connection, transaction, self.known.catalog, self.limits)?;
        for event in transaction.appends.iter().flat_map(Records::iter) {
            self.known.partition(self.connection, event.meta.at)?;
        }
        check::sums(self.connection, transaction, self.now)
    }

    fn write(&mut self, transaction: &Transaction, sums: Vec<Sum>) -> Result<Receipt, Failure> {
        let mut receipt = Receipt::default();
        if let (Some(fence), Some(advance)) = (&transaction.fence, transaction.advance) {
            groups::advance(self.connection, fence, advance)?;
        }
        let mut adds = sums.iter();
        for write in &transaction.writes {
            self.write_row(write, &mut adds)?;
        }
        receipt.sums = sums.into_iter().map(|sum| (sum.key, sum.sum)).collect();
        let (catalog, control) = raises(transaction);
        self.known.catalog.0 += u64::from(catalog);
        self.known.control += u64::from(control);
        self.known.raised |= catalog || control;
        for event in transaction.appends.iter().flat_map(Records::iter) {
            let at = event.meta.at;
            let (partition, changed) =
                self.known.partitions.get_mut(&at).expect("the check has looked every partition up");
            crate::topic::extend_runs(&mut receipt.bases, at, partition.tail);
            self.events.append(partition, &event, self.now)?;
            *changed = true;
        }
        Ok(receipt)
    }

    /// `adds` are the sums of the adds that are still to come.
    fn write_row<'s>(
        &mut self,
        write: &Write,
        adds: &mut impl Iterator<Item = &'s Sum>,
    ) -> rusqlite::Result<()> {
        let Write { key, op, stamp } = write;
        let table = self.known.table(self.connection, &key.table)?;
        match op {
            Op::Put { value, expires } => state::put(self.connection, table, key, value, *stamp, *expires),
            Op::Delete => state::delete(self.connection, table, key),
            Op::Add(_) => {
                let Some(add) = adds.next() else { return Ok(()) };
                let value = add.sum.to_string();
                state::put(self.connection, table, key, value.as_bytes(), *stamp, add.expires)
            }
        }
    }
}
