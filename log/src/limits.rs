//! What can be refused about a transaction without looking at the log.

use crate::{LogLimits, Rejection};
use std::collections::HashSet;
use weir_schema::{Op, Transaction, Write};

/// The table whose writes raise the catalog's version.
pub(crate) const CATALOG_TABLE: &str = "_weir_catalog";
/// What the names of the tables begin with whose writes raise [`Hint::control`](crate::Hint::control).
pub(crate) const CONTROL_TABLES: &str = "_weir_control";

impl LogLimits {
    /// Whether `transaction` can be applied at all, as far as its shape and its sizes tell.
    pub(crate) fn check(&self, transaction: &Transaction) -> Result<(), Rejection> {
        if transaction.advance.is_some() && transaction.fence.is_none() {
            return Err(Rejection::Malformed("an advance needs a fence"));
        }
        for event in transaction.appends.iter().flat_map(|records| records.iter()) {
            fits("the key of an event", event.key().map_or(0, <[u8]>::len), self.event_key)?;
            fits("an event", event.meta.bytes(), self.event)?;
        }
        transaction.writes.iter().try_for_each(|write| self.check_write(write))?;
        let mut seen = HashSet::new();
        if transaction.writes.len() > 1 && !transaction.writes.iter().all(|w| seen.insert(&w.key)) {
            return Err(Rejection::Malformed("a transaction writes a row at most once: compose the writes"));
        }
        fits("a transaction", transaction.bytes(), self.transaction)
    }

    fn check_write(&self, write: &Write) -> Result<(), Rejection> {
        fits("the key of a state row", write.key.key.len(), self.state_key)?;
        match &write.op {
            Op::Put { value, .. } => fits("the value of a state row", value.len(), self.state_value),
            Op::Delete | Op::Add(_) => Ok(()),
        }
    }
}

fn fits(what: &'static str, size: usize, limit: usize) -> Result<(), Rejection> {
    if size > limit { Err(Rejection::TooLarge { what, size, limit }) } else { Ok(()) }
}

/// Which counters of the log `transaction` raises: the catalog's version, the control entries.
pub(crate) fn raises(transaction: &Transaction) -> (bool, bool) {
    let has = |wanted: fn(&str) -> bool| transaction.writes.iter().any(|w| wanted(w.key.table.as_str()));
    (has(|table| table == CATALOG_TABLE), has(|table| table.starts_with(CONTROL_TABLES)))
}
