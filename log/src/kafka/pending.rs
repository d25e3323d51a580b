//! The transactions with appends that this process has been given: who waits for them, and what became of the last.

use crate::batch::Outcome;
use crate::ledger::Ledger;
use crate::{Commit, CommitError};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};
use weir_schema::{At, Offset, Receipt, Transaction, TxnId};

/// See the module's docs.
#[derive(Default, Debug)]
pub(super) struct Pending {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Default, Debug)]
struct State {
    waiting: HashMap<TxnId, Vec<oneshot::Sender<Outcome>>>,
    ledger: Ledger,
    /// How many transactions are on their way to a partition by the store.
    on_their_way: HashMap<At, usize>,
}

/// What a transaction is met with.
#[derive(Debug)]
pub(super) enum Entered {
    /// It has been applied, or is on its way.
    Known(Commit),
    /// It is to be sent.
    New(Commit),
}

impl Pending {
    /// Takes a transaction in.
    pub(super) fn enter(&self, transaction: &Transaction) -> Entered {
        let mut state = self.lock();
        if let Some(receipt) = state.ledger.get(transaction) {
            return Entered::Known(Commit::ready(Ok(receipt)));
        }
        let (done, commit) = Commit::channel();
        let waiting = state.waiting.entry(transaction.id).or_default();
        waiting.push(done);
        if waiting.len() > 1 { Entered::Known(commit) } else { Entered::New(commit) }
    }

    /// Tells everyone who waits for `id` what became of it.
    pub(super) fn resolve(&self, id: TxnId, outcome: Outcome) {
        let mut state = self.lock();
        if let Ok(receipt) = &outcome {
            state.ledger.remember(id, receipt);
        }
        let waiting = state.waiting.remove(&id).unwrap_or_default();
        drop(state);
        let (mut rest, repeated) = (waiting.into_iter(), repeat(&outcome));
        // whoever asked may have gone
        if let Some(first) = rest.next() {
            drop(first.send(outcome));
        }
        rest.for_each(|done| drop(done.send(repeated())));
        self.ended.notify_waiters();
    }

    /// Whether a transaction has been told, of the last ones, that its event is there.
    pub(super) fn has_told(&self, place: (At, Offset)) -> bool {
        self.lock().ledger.has(place)
    }

    /// Notes that a transaction is on its way to `places` by the store …
    pub(super) fn set_out(&self, places: &[At]) {
        let mut state = self.lock();
        places.iter().for_each(|at| *state.on_their_way.entry(*at).or_default() += 1);
    }

    /// … and has arrived, or will not.
    pub(super) fn arrive(&self, places: &[At]) {
        let mut state = self.lock();
        for at in places {
            let Some(count) = state.on_their_way.get_mut(at) else { continue };
            *count -= 1;
            if *count == 0 {
                state.on_their_way.remove(at);
            }
        }
    }

    /// Whether an event that is sent to `at` now comes after everything that was sent before it.
    pub(super) fn is_free(&self, at: At) -> bool {
        !self.lock().on_their_way.contains_key(&at)
    }

    /// Waits until nothing is on its way any more.
    pub(super) async fn drained(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.lock().waiting.is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Lets go of everyone who waits: what is on its way may arrive or not.
    pub(super) fn close(&self) {
        self.lock().waiting.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What those are told who sent a transaction again while it was on its way.
fn repeat(outcome: &Outcome) -> impl Fn() -> Outcome + use<> {
    let receipt: Option<Receipt> = outcome.as_ref().ok().cloned();
    let words = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
    move || match &receipt {
        Some(receipt) => Ok(receipt.clone()),
        // the first one has been told why; whoever sends it again is told as well
        None => Err(CommitError::Ambiguous(words.clone().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schema::{CatalogVersion, TopicId};

    const AT: At = At { topic: TopicId(1), partition: 0 };

    fn transaction(id: u64) -> Transaction {
        Transaction::new(TxnId(id), CatalogVersion(0))
    }

    #[tokio::test]
    async fn a_transaction_that_is_on_its_way_is_not_sent_again() {
        let pending = Pending::default();
        let Entered::New(first) = pending.enter(&transaction(1)) else { unreachable!("it is new") };
        let Entered::Known(second) = pending.enter(&transaction(1)) else { unreachable!("it is known") };
        pending.resolve(TxnId(1), Ok(Receipt::default()));
        assert!(first.await.is_ok() && second.await.is_ok());
        let Entered::Known(third) = pending.enter(&transaction(1)) else { unreachable!("it is known") };
        assert!(third.await.is_ok());
        pending.drained().await;
    }

    #[test]
    fn a_partition_is_free_when_all_that_was_sent_there_has_arrived() {
        let pending = Pending::default();
        pending.set_out(&[AT]);
        pending.set_out(&[AT]);
        pending.arrive(&[AT]);
        assert!(!pending.is_free(AT));
        pending.arrive(&[AT]);
        assert!(pending.is_free(AT));
    }
}
