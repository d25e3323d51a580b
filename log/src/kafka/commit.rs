//! Which way a transaction goes.

use super::KafkaLog;
use super::limits::EVENT;
use super::mirror::Topic;
use super::outbox;
use super::shared::Shared;
use crate::batch::Outcome;
use crate::store::Store;
use crate::{Commit, CommitError, Rejection};
use std::sync::Arc;
use weir_schema::{Advance, At, Offset, Receipt, Record, Records, TopicId, Transaction};

/// Stands for the catalog among the places that transactions are on their way to.
const CATALOG: At = At { topic: TopicId(u32::MAX), partition: 0 };

impl KafkaLog {
    /// A transaction without appends is the store's alone.
    pub(super) fn pass_on(&self, transaction: Arc<Transaction>) -> Commit {
        let catalog = catalog_of(&transaction);
        self.shared.pending.set_out(catalog);
        let commit = self.store.commit(transaction);
        let (done, outcome) = Commit::channel();
        let (shared, store) = (self.shared.clone(), self.store.clone());
        self.keeper.spawn_to_end(async move {
            let outcome = commit.await;
            shared.tails.merge(&store.watch().borrow());
            shared.pending.arrive(catalog);
            // whoever asked may have gone
            drop(done.send(outcome));
        });
        outcome
    }

    /// Sends a transaction with appends on its way. Whoever waits for it is told by `Pending`.
    pub(super) fn send(&self, transaction: &Transaction) {
        if let Err(why) = self.capabilities.limits.check(transaction) {
            return self.refuse(transaction, why);
        }
        let mut events = transaction.appends.iter().flat_map(Records::iter);
        if let Some(why) = events.find_map(|event| self.refusal(&event)) {
            return self.refuse(transaction, why);
        }
        match self.straight(transaction) {
            Some((topic, at, event)) => {
                self.appender.send(&self.shared, transaction.id, topic, at, event.clone());
            }
            None => self.relay(transaction),
        }
    }

    /// The event of a transaction that is nothing else, if it may go to Kafka at once.
    fn straight<'t>(&self, transaction: &'t Transaction) -> Option<(Arc<Topic>, At, &'t Records)> {
        let is_bare = transaction.fence.is_none()
            && transaction.advance.is_none()
            && transaction.reads.is_empty()
            && transaction.writes.is_empty()
            // else the store is to tell
            && transaction.catalog == self.shared.tails.catalog();
        let mut appends = transaction.appends.iter().filter(|records| !records.is_empty());
        let (Some(records), None, true) = (appends.next(), appends.next(), is_bare) else { return None };
        let at = records.get(0).filter(|_| records.len() == 1)?.meta.at;
        // what was sent before it by the other way comes first
        let is_free = self.shared.pending.is_free(at) && self.shared.pending.is_free(CATALOG);
        Some((self.shared.mirror.topic(at).filter(|_| is_free)?, at, records))
    }

    /// Why an event can never be sent.
    fn refusal(&self, event: &Record<'_>) -> Option<Rejection> {
        let At { topic, partition } = event.meta.at;
        if self.shared.mirror.topic(event.meta.at).is_none() || self.shared.is_gone(topic) {
            return Some(Rejection::NoTopic { topic, partition });
        }
        let (size, limit) = (event.meta.bytes(), self.shared.limits.event(topic));
        if size > limit {
            return Some(Rejection::TooLarge { what: EVENT, size, limit });
        }
        let is_broken = event.headers().any(|(name, _)| name.contains('\0'));
        is_broken.then_some(Rejection::Malformed("Kafka takes no zero byte in the name of a header"))
    }

    /// Commits in the store, and waits for the relay.
    fn relay(&self, transaction: &Transaction) {
        let (id, mut places) = (transaction.id, Vec::new());
        places.extend(transaction.appends.iter().flat_map(Records::iter).map(|event| event.meta.at));
        places.extend(catalog_of(transaction));
        places.sort_unstable();
        places.dedup();
        self.shared.pending.set_out(&places);
        let packed =
            outbox::pack(transaction, self.outbox, self.capabilities.writer, self.appender.clock.now());
        let commit = self.store.commit(Arc::new(packed));
        let (shared, store) = (self.shared.clone(), self.store.clone());
        self.keeper.spawn_to_end(async move {
            let outcome = match commit.await {
                Ok(receipt) => arrived(&shared, &*store, receipt).await,
                Err(error) => Err(error),
            };
            shared.pending.arrive(&places);
            shared.pending.resolve(id, outcome);
        });
    }

    /// Refuses a transaction for what can never succeed, unless the store has another reason: that comes first.
    fn refuse(&self, transaction: &Transaction, why: Rejection) {
        let mut checked = transaction.clone();
        (checked.appends, checked.writes) = Default::default();
        checked.advance = checked.advance.map(|advance| Advance { to: advance.from, ..advance });
        let (commit, shared, id) =
            (self.store.commit(Arc::new(checked)), self.shared.clone(), transaction.id);
        self.keeper.spawn_to_end(async move {
            let outcome = commit.await.and(Err(CommitError::Rejected(why)));
            shared.pending.resolve(id, outcome);
        });
    }
}

/// [`CATALOG`], if a transaction raises its version.
fn catalog_of(transaction: &Transaction) -> &'static [At] {
    if crate::limits::raises(transaction).0 { &[CATALOG] } else { &[] }
}

/// Waits until what the store has committed is in Kafka, and can be read.
async fn arrived(shared: &Shared, store: &dyn Store, receipt: Receipt) -> Outcome {
    shared.tails.merge(&store.watch().borrow());
    let Some((_, row)) = receipt.offsets().last() else { return Ok(receipt) };
    let Some(bases) = shared.relayed.of(row.0).await else {
        let why = "it is committed, and will reach Kafka when a node of this log runs again";
        return Err(CommitError::Ambiguous(why.into()));
    };
    for (at, base, count) in &bases {
        shared.tails.visible(*at, Offset(base.0 + u64::from(count.saturating_sub(1)))).await;
    }
    Ok(Receipt { bases, sums: receipt.sums })
}
