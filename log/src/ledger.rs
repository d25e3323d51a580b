//! What became of the transactions that this process committed last.

use std::collections::{HashMap, VecDeque};
use weir_schema::{Receipt, TxnId};

/// How many receipts are kept.
pub(crate) const KEPT: usize = 1 << 16;

/// The receipts of the last [`KEPT`] transactions that were applied, by id.
#[derive(Default, Debug)]
pub(crate) struct Ledger {
    receipts: HashMap<TxnId, Receipt>,
    order: VecDeque<TxnId>,
}

impl Ledger {
    /// The first receipt of `id`, if it was applied and is still known.
    pub(crate) fn get(&self, id: TxnId) -> Option<&Receipt> {
        self.receipts.get(&id)
    }

    /// Remembers that `id` was applied; forgets the oldest for it.
    pub(crate) fn remember(&mut self, id: TxnId, receipt: Receipt) {
        if self.receipts.insert(id, receipt).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.receipts.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_receipt_makes_room() {
        let mut ledger = Ledger::default();
        for id in 0..=KEPT as u64 {
            ledger.remember(TxnId(id), Receipt::default());
        }
        assert!(ledger.get(TxnId(0)).is_none());
        assert!(ledger.get(TxnId(1)).is_some());
        assert!(ledger.get(TxnId(KEPT as u64)).is_some());
    }
}
