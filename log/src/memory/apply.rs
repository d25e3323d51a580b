//! One transaction, checked and applied.

use super::store::{Partition, Store};
use crate::limits::raises;
use crate::{CommitError, LogLimits, Rejection};
use bytes::Bytes;
use weir_schema::{
    At, CatalogVersion, Fence, Millis, Op, Read, Receipt, Records, StateKey, Transaction, Versioned, Write,
    counter,
};

impl Store {
    /// Checks `transaction` and applies it as a whole, or says why not and changes nothing.
    pub(super) fn commit(
        &mut self,
        transaction: &Transaction,
        now: Millis,
        limits: &LogLimits,
    ) -> Result<Receipt, CommitError> {
        if let Some(first) = self.ledger.get(transaction) {
            return Ok(first);
        }
        self.check_owner(transaction)?;
        self.check_reads(transaction)?;
        limits.check(transaction).map_err(CommitError::Rejected)?;
        self.check_appends(transaction).map_err(CommitError::Rejected)?;
        let sums = self.sums(transaction, now).map_err(CommitError::Rejected)?;
        if transaction.is_read_only() {
            return Ok(Receipt::default());
        }
        let receipt = self.apply(transaction, sums, now);
        self.ledger.remember(transaction.id, &receipt);
        Ok(receipt)
    }

    fn check_owner(&self, transaction: &Transaction) -> Result<(), CommitError> {
        let Some(Fence { group, at, epoch }) = &transaction.fence else { return Ok(()) };
        let row =
            self.groups.get(&(group.clone(), *at)).ok_or(CommitError::Rejected(Rejection::UNKNOWN_GROUP))?;
        if row.epoch != *epoch {
            return Err(CommitError::Fenced(row.epoch));
        }
        match transaction.advance {
            Some(advance) if advance.from != row.position => Err(CommitError::Moved(row.position)),
            _ => Ok(()),
        }
    }

    fn check_reads(&self, transaction: &Transaction) -> Result<(), CommitError> {
        let (mut now, mut ranges) = (Vec::new(), Vec::new());
        for read in &transaction.reads {
            match read {
                Read::Key(key, seen) => {
                    let row = self.rows.get(key);
                    if row.map(|r| r.stamp) != *seen {
                        now.push((key.clone(), row.cloned()));
                    }
                }
                Read::Range(range, seen) if self.digest(range) != *seen => ranges.push(range.clone()),
                Read::Range(..) => {}
            }
        }
        let catalog = (transaction.catalog != self.catalog).then_some(self.catalog);
        if now.is_empty() && ranges.is_empty() && catalog.is_none() {
            return Ok(());
        }
        Err(CommitError::Conflict { now, ranges, catalog })
    }

    /// What each `Add` comes to.
    fn sums(&self, transaction: &Transaction, now: Millis) -> Result<Vec<(StateKey, i64)>, Rejection> {
        let adds = transaction.writes.iter().filter_map(|write| match write.op {
            Op::Add(by) => Some((&write.key, by)),
            Op::Put { .. } | Op::Delete => None,
        });
        let sum = |(key, by): (&StateKey, i64)| {
            let value =
                self.rows.get(key).filter(|row| row.is_live(now)).map_or(Some(0), |r| counter(&r.value));
            let sum = value.and_then(|value| value.checked_add(by));
            let sum = sum.filter(|sum| counter(sum.to_string().as_bytes()).is_some());
            sum.map(|sum| (key.clone(), sum)).ok_or_else(|| Rejection::NotACounter(key.clone()))
        };
        adds.map(sum).collect()
    }

    fn check_appends(&self, transaction: &Transaction) -> Result<(), Rejection> {
        for event in transaction.appends.iter().flat_map(Records::iter) {
            let At { topic, partition } = event.meta.at;
            self.partition(event.meta.at).ok_or(Rejection::NoTopic { topic, partition })?;
        }
        Ok(())
    }

    fn apply(&mut self, transaction: &Transaction, sums: Vec<(StateKey, i64)>, now: Millis) -> Receipt {
        let mut receipt = Receipt { sums: sums.into(), ..Receipt::default() };
        if let (Some(fence), Some(advance)) = (&transaction.fence, transaction.advance) {
            let row = self.groups.entry((fence.group.clone(), fence.at)).or_default();
            row.position = advance.to;
            row.incarnation += u32::from(advance.to < advance.from);
        }
        for write in &transaction.writes {
            self.write(write, &receipt, now);
        }
        let (catalog, control) = raises(transaction);
        self.catalog = CatalogVersion(self.catalog.0 + u64::from(catalog));
        self.control += u64::from(control);
        for event in transaction.appends.iter().flat_map(Records::iter) {
            let at = event.meta.at;
            let Some(partition) = self.partition_mut(at) else { continue };
            crate::topic::extend_runs(&mut receipt.bases, at, Partition::tail(partition));
            partition.append(&event, now);
        }
        receipt
    }

    fn write(&mut self, Write { key, op, stamp }: &Write, receipt: &Receipt, now: Millis) {
        let row = match op {
            Op::Put { value, expires } => Some((value.clone(), *expires)),
            Op::Delete => None,
            Op::Add(_) => {
                let sum = receipt.sums.iter().find(|(added, _)| added == key).map_or(0, |(_, sum)| *sum);
                let expires = self.rows.get(key).filter(|row| row.is_live(now)).and_then(|row| row.expires);
                Some((Bytes::from(sum.to_string()), expires))
            }
        };
        match row {
            Some((value, expires)) => {
                self.rows.insert(key.clone(), Versioned { value, stamp: *stamp, expires });
            }
            None => drop(self.rows.remove(key)),
        }
    }
}
