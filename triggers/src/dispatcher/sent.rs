//! Transactions on their way.

use super::protocol::{Action, Report};
use super::slot::Lane;
use super::{Dispatcher, Mutation};
use crate::parked::Entry;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;
use weir_schema::{Advance, Millis, Offset, Read, Records, Stamp, StateKey, Transaction, TxnId, Write};

/// Never wait longer than this before a transaction is sent again.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// What a transaction is for, so that its outcome finds its way.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// The settled prefix of the window.
    Flight,
    /// The end of a parked attempt.
    Parked(TxnId),
    /// Says that a parked attempt is about to start.
    Started(TxnId),
    /// Counts the crash of a parked attempt that a predecessor started.
    Found(Lane),
    /// Says that an event is about to start on probation.
    Mark(TxnId),
    /// Moves the position.
    Seek(Offset),
    /// Deletes the mark.
    Unmark,
    /// Someone's change to parked events of a lane.
    Command { request: u64, lane: Lane },
    /// Asks whether a parked commit, whose outcome is not known and whose catalog is stale, was applied.
    Probe(Box<Sent>),
}

/// What the entry of a parked event becomes with a transaction.
#[derive(Clone, Debug)]
pub(super) struct EntryChange {
    pub(super) key: StateKey,
    pub(super) offset: Offset,
    /// None: it is deleted.
    pub(super) to: Option<(Entry, Stamp)>,
}

#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) transaction: Arc<Transaction>,
    pub(super) purpose: Purpose,
    pub(super) entries: Vec<EntryChange>,
    /// An earlier try may have been applied.
    pub(super) is_unsure: bool,
    tries: u32,
    retry: Option<Millis>,
}

/// The part of a transaction that depends on what it is for.
#[derive(Default, Debug)]
pub(super) struct Body {
    pub(super) advance: Option<Advance>,
    pub(super) reads: Vec<Read>,
    pub(super) writes: Vec<Write>,
    pub(super) appends: SmallVec<[Records; 1]>,
    pub(super) entries: Vec<EntryChange>,
    /// How many slots of the window it settles.
    pub(super) slots: usize,
}

impl Dispatcher {
    pub(super) fn send(&mut self, purpose: Purpose, body: Body) -> TxnId {
        let id = self.fresh();
        let mut transaction = Transaction::new(id, self.catalog);
        let is_unfenced = self.has(Mutation::NoFenceOnParked) && matches!(purpose, Purpose::Parked(_));
        transaction.fence = (!is_unfenced).then(|| self.fence.clone());
        self.carry(id, &purpose, body.slots);
        transaction.advance = body.advance;
        transaction.reads = body.reads;
        transaction.writes = body.writes;
        transaction.appends = body.appends;
        if self.has(Mutation::DropFrom) {
            transaction.advance = transaction.advance.map(|a| Advance { from: Offset(u64::MAX), ..a });
        }
        if self.has(Mutation::DropAbsentReads) {
            transaction.reads.retain(|r| !matches!(r, Read::Key(_, None)));
        }
        self.dispatch(transaction, purpose, body.entries, false);
        id
    }

    fn dispatch(
        &mut self,
        transaction: Transaction,
        purpose: Purpose,
        entries: Vec<EntryChange>,
        is_unsure: bool,
    ) {
        let transaction = Arc::new(transaction);
        self.actions.push(Action::Commit(Arc::clone(&transaction)));
        let id = transaction.id;
        let sent = Sent { transaction, purpose, entries, is_unsure, tries: 0, retry: None };
        self.sent.insert(id, sent);
    }

    /// The same content again, under the catalog as it is now: nothing in it depends on the catalog.
    pub(super) fn resend(&mut self, sent: Sent) {
        let mut transaction = (*sent.transaction).clone();
        transaction.id = self.fresh();
        transaction.catalog = self.catalog;
        self.dispatch(transaction, sent.purpose, sent.entries, sent.is_unsure);
    }

    /// Asks whether a transaction that deletes or changes an entry was applied.
    pub(super) fn ask_whether_applied(&mut self, sent: Sent) {
        let entry = &sent.entries[0].key;
        let reads = sent.transaction.reads.iter().filter(|r| matches!(r, Read::Key(k, _) if k == entry));
        let body = Body { reads: reads.cloned().collect(), ..Body::default() };
        let entries = sent.entries.clone();
        let id = self.send(Purpose::Probe(Box::new(sent)), body);
        if let Some(probe) = self.sent.get_mut(&id) {
            probe.entries = entries;
        }
    }

    /// No answer, or none that says what became of it: the same again, later.
    pub(super) fn send_later(&mut self, id: TxnId, is_unsure: bool, error: String) {
        let Some(sent) = self.sent.get_mut(&id) else { return };
        sent.is_unsure |= is_unsure;
        let wait = self.settings.backoff.saturating_mul(1 << sent.tries.min(10)).min(MAX_BACKOFF);
        sent.tries += 1;
        sent.retry = Some(self.now.after(wait));
        self.report(Report::CommitDelayed { error });
    }

    /// Whether it is not durable yet that a parked attempt starts.
    pub(super) fn is_starting(&self, run: TxnId) -> bool {
        self.sent.values().any(|s| matches!(s.purpose, Purpose::Started(r) if r == run))
    }

    pub(super) fn send_due(&mut self) {
        for sent in self.sent.values_mut() {
            if sent.retry.is_some_and(|at| at <= self.now) {
                sent.retry = None;
                self.actions.push(Action::Commit(Arc::clone(&sent.transaction)));
            }
        }
    }

    pub(super) fn next_send(&self) -> Option<Millis> {
        self.sent.values().filter_map(|s| s.retry).min()
    }
}
