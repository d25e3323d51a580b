//! What became of the transactions that this process committed last.

use foldhash::HashMap;
use smallvec::SmallVec;
use std::collections::VecDeque;
use weir_schema::{At, Offset, Op, Receipt, Transaction, TxnId};

/// How many receipts are kept …
pub(crate) const KEPT: usize = 1 << 16;
/// … as long as they hold no more runs and sums than this, together.
const KEPT_NUMBERS: usize = 1 << 22;

/// The receipts of the last transactions that were applied, by id.
#[derive(Default, Debug)]
pub(crate) struct Ledger {
    entries: HashMap<TxnId, Entry>,
    order: VecDeque<TxnId>,
    numbers: usize,
}

/// A receipt without the keys of its sums, which would keep all of the transaction's bytes alive; whoever sends the
/// transaction again has them.
#[derive(Debug)]
struct Entry {
    bases: SmallVec<[(At, Offset, u32); 1]>,
    sums: Box<[i64]>,
}

impl Ledger {
    /// The first receipt of `transaction`, if it was applied and is still known.
    pub(crate) fn get(&self, transaction: &Transaction) -> Option<Receipt> {
        let entry = self.entries.get(&transaction.id)?;
        let added = transaction.writes.iter().filter(|write| matches!(write.op, Op::Add(_)));
        let sums = added.zip(&entry.sums).map(|(write, sum)| (write.key.clone(), *sum)).collect();
        Some(Receipt { bases: entry.bases.clone(), sums })
    }

    /// Whether one of the transactions has an event there.
    #[cfg(feature = "kafka")]
    pub(crate) fn has(&self, (at, offset): (At, Offset)) -> bool {
        let is_in = |(run, base, count): &(At, Offset, u32)| {
            *run == at && (base.0..base.0 + u64::from(*count)).contains(&offset.0)
        };
        self.entries.values().any(|entry| entry.bases.iter().any(is_in))
    }

    /// Remembers that `id` was applied; forgets the oldest for it.
    pub(crate) fn remember(&mut self, id: TxnId, receipt: &Receipt) {
        let sums = receipt.sums.iter().map(|(_, sum)| *sum).collect();
        let entry = Entry { bases: receipt.bases.clone(), sums };
        self.numbers += entry.numbers();
        match self.entries.insert(id, entry) {
            Some(before) => self.numbers -= before.numbers(),
            None => self.order.push_back(id),
        }
        while self.order.len() > KEPT || self.numbers > KEPT_NUMBERS {
            let Some(oldest) = self.order.pop_front() else { break };
            self.numbers -= self.entries.remove(&oldest).map_or(0, |entry| entry.numbers());
        }
    }
}

impl Entry {
    fn numbers(&self) -> usize {
        self.bases.len() + self.sums.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schema::{CatalogVersion, StateKey, TableName};

    fn transaction(id: u64) -> Transaction {
        Transaction::new(TxnId(id), CatalogVersion(0))
    }

    #[test]
    fn the_oldest_receipt_makes_room() {
        let mut ledger = Ledger::default();
        for id in 0..=KEPT as u64 {
            ledger.remember(TxnId(id), &Receipt::default());
        }
        assert!(ledger.get(&transaction(0)).is_none());
        assert!(ledger.get(&transaction(1)).is_some());
        assert!(ledger.get(&transaction(KEPT as u64)).is_some());
    }

    #[test]
    fn receipts_of_many_sums_make_room_earlier() {
        let mut ledger = Ledger::default();
        let table = TableName::new("t").expect("valid");
        let key = StateKey { table, generation: 0, key: "k".into() };
        let many = Receipt { sums: vec![(key, 1); KEPT_NUMBERS / 4].into(), ..Receipt::default() };
        for id in 0..5 {
            ledger.remember(TxnId(id), &many);
            ledger.remember(TxnId(id), &many);
        }
        assert!(ledger.get(&transaction(0)).is_none());
        assert!(ledger.get(&transaction(1)).is_some());
        assert_eq!(ledger.numbers, KEPT_NUMBERS);
    }
}
