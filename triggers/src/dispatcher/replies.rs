//! What becomes of commits.

use super::protocol::{Report, What};
use super::sent::{EntryChange, Purpose, Sent};
use super::slot::{Slot, Status};
use super::{Dispatcher, Mutation, PauseReason};
use crate::parked::EntryState;
use std::sync::Arc;
use weir_log::{CommitError, Rejection};
use weir_schema::{CatalogVersion, Op, Read, Receipt, StateKey, StateRange, Transaction, TxnId, Versioned};

/// Commits of which this many of the last [`RECENT`] met stale reads halve the window.
const TOO_MANY_CONFLICTS: usize = 4;
/// How many commits are looked back on.
const RECENT: usize = 16;
/// A row that conflicts so often is reserved.
const HOT: u32 = 3;

/// What a transaction had read and what is no longer so.
#[derive(Debug)]
pub(super) struct Stale {
    now: Vec<(StateKey, Option<Versioned>)>,
    ranges: Vec<StateRange>,
    catalog: Option<CatalogVersion>,
}

impl Dispatcher {
    pub(super) fn on_replied(&mut self, id: TxnId, outcome: Result<Receipt, CommitError>) {
        let Some(sent) = self.sent.get(&id) else { return };
        let outcome = match outcome {
            Err(CommitError::Unavailable(error)) => return self.send_later(id, false, error.to_string()),
            Err(CommitError::Ambiguous(error)) => return self.send_later(id, true, error.to_string()),
            // an earlier try had been applied; its sums are not known
            Err(CommitError::Moved(p))
                if sent.is_unsure && sent.transaction.advance.is_some_and(|a| a.to == p) =>
            {
                self.count("moved, so applied");
                Ok(None)
            }
            Err(CommitError::Conflict { now, .. }) if sent.is_unsure && self.is_applied(sent, &now) => {
                self.count("entry moved, so applied");
                Ok(None)
            }
            Ok(receipt) => Ok(Some(receipt)),
            Err(error) => Err(error),
        };
        let Some(sent) = self.sent.remove(&id) else { return };
        match outcome {
            Ok(receipt) => self.committed(sent, receipt),
            Err(CommitError::Conflict { now, ranges, catalog }) => {
                self.conflicted(sent, Stale { now, ranges, catalog });
            }
            Err(CommitError::Rejected(rejection)) => self.rejected(sent, &rejection),
            // another has the partition, or the position is not what is known here: join again
            Err(
                CommitError::Fenced(_)
                | CommitError::Moved(_)
                | CommitError::Unavailable(_)
                | CommitError::Ambiguous(_),
            ) => {
                self.count("fenced");
                self.lose();
            }
        }
    }

    /// Whether the entries are what the transaction makes of them: under the fence nobody else changes them.
    fn is_applied(&self, sent: &Sent, now: &[(StateKey, Option<Versioned>)]) -> bool {
        let is_so = |change: &EntryChange| {
            let row = now.iter().find(|(key, _)| *key == change.key).map(|(_, row)| row.as_ref());
            let version = change.to.as_ref().map(|(_, stamp)| *stamp);
            row.is_some_and(|row| row.map(|r| r.stamp) == version)
        };
        !sent.entries.is_empty() && sent.entries.iter().all(is_so) && !self.has(Mutation::RepeatParkedForEver)
    }

    fn committed(&mut self, sent: Sent, receipt: Option<Receipt>) {
        let Sent { transaction, purpose, entries, .. } = sent;
        match purpose {
            Purpose::Flight => self.flight_committed(&transaction, &entries, receipt),
            Purpose::Parked(run) => {
                self.parked_committed(run, &entries);
                self.learn_and_recheck(&transaction, receipt);
            }
            Purpose::Started(run) => self.started(run, &entries),
            Purpose::Found(lane) => {
                self.parked.set_busy(&lane, None);
                self.take_over(&lane, &entries);
                if let Some(held) = self.parked.head(&lane).filter(|h| h.entry.state == EntryState::Held) {
                    let offset = held.entry.offset;
                    self.held(offset);
                }
            }
            Purpose::Mark(run) => self.start_slot(run),
            Purpose::Seek(target) => self.sought(target),
            Purpose::Unmark => {}
            Purpose::Command { request, lane } => self.command_committed(request, &lane, &entries),
            // the entry is as it was: the parked commit was not applied, and its catalog is stale
            Purpose::Probe(parked) => self.parked_conflicted(&parked, &[], &[]),
        }
    }

    fn started(&mut self, run: TxnId, entries: &[EntryChange]) {
        let Some(lane) = self.outside.get(&run).map(|a| a.lane.clone()) else { return };
        self.take_over(&lane, entries);
        if self.is_active() && matches!(self.paused, None | Some(PauseReason::TooManyParked)) {
            self.start_outside(run);
        } else {
            self.run_again(run);
        }
    }

    fn flight_committed(
        &mut self,
        transaction: &Arc<Transaction>,
        entries: &[EntryChange],
        receipt: Option<Receipt>,
    ) {
        let Some(flight) = self.flight.take() else { return };
        self.note_commit(false);
        if let Some(advance) = transaction.advance {
            self.position = advance.to;
        }
        self.one_by_one = self.one_by_one.saturating_sub(1);
        let popped = self.window.pop(flight);
        let done = popped.iter().filter(|s| s.status == Status::Done).count();
        for slot in &popped {
            self.leave(slot);
        }
        self.judged.succeeded(self.now, done);
        let keys = self.learn(transaction, receipt);
        self.keep_parked(entries);
        if !self.has(Mutation::NoRecheckAtOk) {
            self.recheck(None, keys);
        }
        self.adopt_detached();
        self.grow();
        self.hot.clear();
        let (position, parked) = (self.position, entries.len());
        self.report(Report::Committed { position, handled: done, parked });
        self.watch_parked();
    }

    /// Takes a slot that has left the window out of the indexes.
    fn leave(&mut self, slot: &Slot) {
        self.forget_reads(slot.offset, slot.reads.iter().map(|r| &r.what));
        self.estimated.remove(&slot.offset);
        if slot.status == Status::Done {
            for (key, _) in &slot.effects.writes {
                self.rows.remove_pending(key, slot.offset);
            }
        }
    }

    fn keep_parked(&mut self, entries: &[EntryChange]) {
        for change in entries {
            let Some((entry, stamp)) = &change.to else { continue };
            self.parked.put(entry.clone(), *stamp);
            let offset = entry.offset;
            if entry.attempts > 0 {
                let error = entry.errors.last().map(|e| e.error.clone()).unwrap_or_default();
                let due = (entry.state != EntryState::Held).then_some(entry.due);
                self.report(Report::Failed { offset, attempts: entry.attempts, error, due });
            }
            if entry.state == EntryState::Held {
                self.held(offset);
            }
        }
    }

    fn learn_and_recheck(&mut self, transaction: &Transaction, receipt: Option<Receipt>) {
        let keys = self.learn(transaction, receipt);
        self.recheck(None, keys);
    }

    /// Remembers what was written. Returns the rows.
    fn learn(&mut self, transaction: &Transaction, receipt: Option<Receipt>) -> Vec<StateKey> {
        let receipt = receipt.unwrap_or_default();
        let mut keys = Vec::with_capacity(transaction.writes.len());
        for write in transaction.writes.iter().filter(|w| !w.key.table.is_reserved()) {
            let stamp = write.stamp;
            match &write.op {
                Op::Put { value, expires } => {
                    let row = Versioned { value: value.clone(), stamp, expires: *expires };
                    self.rows.remember(&write.key, Some(row));
                }
                Op::Delete => self.rows.remember(&write.key, None),
                Op::Add(_) => {
                    let sum = receipt.sums.iter().find(|(key, _)| *key == write.key).map(|(_, sum)| *sum);
                    match sum.filter(|_| self.knows_expiry(transaction, &write.key)) {
                        Some(sum) => {
                            let row = Versioned { value: sum.to_string().into(), stamp, expires: None };
                            self.rows.remember(&write.key, Some(row));
                        }
                        None => self.rows.forget(&write.key),
                    }
                }
            }
            keys.push(write.key.clone());
        }
        keys
    }

    /// Whether a row is known never to have expired before a transaction added to it: then its sum is all of it. A sum
    /// alone says nothing of when the row stops to count.
    fn knows_expiry(&self, transaction: &Transaction, key: &StateKey) -> bool {
        let Some(cached) = self.rows.cached(key) else { return false };
        let stamp = cached.as_ref().map(|row| row.stamp);
        let was_checked =
            transaction.reads.iter().any(|r| matches!(r, Read::Key(k, s) if k == key && *s == stamp));
        was_checked && cached.as_ref().is_none_or(|row| row.expires.is_none())
    }

    fn conflicted(&mut self, sent: Sent, stale: Stale) {
        let Stale { now, ranges, catalog } = stale;
        if matches!(sent.purpose, Purpose::Flight) {
            self.flight_conflicted(&now, &ranges);
            self.on_catalog(catalog.unwrap_or(self.catalog));
            // news of the catalog may have come before: then what was in flight has been passed over
            return self.revoke_stale_catalog();
        }
        self.on_catalog(catalog.unwrap_or(self.catalog));
        // under the fence an entry changes only here, so that what is known here is wrong
        let is_entry_stale = sent.entries.iter().any(|c| now.iter().any(|(key, _)| *key == c.key));
        match &sent.purpose {
            Purpose::Probe(parked) if is_entry_stale => {
                let Sent { transaction, purpose, entries, .. } = (**parked).clone();
                if let Purpose::Parked(run) = purpose {
                    self.parked_committed(run, &entries);
                    self.learn_and_recheck(&transaction, None);
                }
            }
            Purpose::Probe(parked) => self.ask_whether_applied((**parked).clone()),
            _ if is_entry_stale && !self.has(Mutation::RepeatParkedForEver) => self.lose(),
            Purpose::Parked(_) if sent.is_unsure && catalog.is_some() => self.ask_whether_applied(sent),
            Purpose::Parked(_) => self.parked_conflicted(&sent, &now, &ranges),
            Purpose::Mark(_) => {} // its slot runs again under the new catalog
            Purpose::Seek(_) => {} // it is built again, as long as the mode is so
            Purpose::Started(_) | Purpose::Found(_) | Purpose::Unmark | Purpose::Command { .. } => {
                self.resend(sent);
            }
            Purpose::Flight => {}
        }
    }

    fn flight_conflicted(&mut self, now: &[(StateKey, Option<Versioned>)], ranges: &[StateRange]) {
        let Some(flight) = self.flight.take() else { return };
        let reads = self.window.iter().take(flight).flat_map(|s| &s.reads);
        let all: Vec<What> = reads.map(|r| r.what.clone()).collect();
        self.take_note_of_conflict(now, ranges, &all);
        // a stale range comes without values, so that nothing can be compared: its readers run again
        let is_stale = |what: &What| matches!(what, What::Range(range) if ranges.contains(range));
        let readers = self.scanners.iter().copied().filter(|offset| {
            let slot = self.window.index_of(*offset).map(|i| self.window.at(i));
            slot.is_some_and(|s| s.reads.iter().any(|r| is_stale(&r.what)))
        });
        for offset in readers.collect::<Vec<_>>() {
            let Some(i) = self.window.index_of(offset) else { continue };
            if self.window.at(i).status.has_run() && !self.has(Mutation::IgnoreStaleRanges) {
                self.revoke(i);
            }
        }
        self.recheck_all(); // all: while in flight, slots were passed over
        if self.note_commit(true) {
            self.limit = (self.limit / 2).max(1);
        }
        self.skip_settle |= self.has(Mutation::NoSettleAfterConflict);
    }

    fn parked_conflicted(
        &mut self,
        sent: &Sent,
        now: &[(StateKey, Option<Versioned>)],
        ranges: &[StateRange],
    ) {
        let Purpose::Parked(run) = sent.purpose else { return };
        let all = self.outside.get(&run).map(super::outside::Attempt::whats).unwrap_or_default();
        self.take_note_of_conflict(now, ranges, &all);
        self.run_again(run);
    }

    fn take_note_of_conflict(
        &mut self,
        now: &[(StateKey, Option<Versioned>)],
        ranges: &[StateRange],
        all: &[What],
    ) {
        self.conflicts += 1;
        self.report(Report::Conflict { rows: now.len(), ranges: ranges.len() });
        for (key, row) in now {
            self.rows.remember(key, row.clone());
        }
        let keys = now.iter().map(|(key, _)| What::Key(key.clone()));
        let stale: Vec<What> = keys.chain(ranges.iter().cloned().map(What::Range)).collect();
        self.heat(&stale, all);
    }

    /// Third time on a row: a reservation of all that the attempt reads. Of one row alone, two hot rows would take turns
    /// for ever. Counts what never came to a commit as well: an attempt whose own reads were torn.
    pub(super) fn heat(&mut self, stale: &[What], all: &[What]) {
        let mut is_hot = false;
        for what in stale {
            let times = self.hot.entry(what.clone()).or_default();
            *times += 1;
            is_hot |= *times >= HOT;
        }
        if !is_hot || self.has(Mutation::NoReserve) {
            return;
        }
        let mut reserved: Vec<What> = stale.to_vec();
        if !self.has(Mutation::ReserveOneKey) {
            reserved.extend(all.iter().filter(|w| !stale.contains(w)).cloned());
        }
        self.actions.push(super::Action::Reserve(reserved));
    }

    /// Whether too many of the last commits met stale reads.
    fn note_commit(&mut self, is_conflict: bool) -> bool {
        self.recent.push_back(is_conflict);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        let is_too_many = self.recent.iter().filter(|c| **c).count() >= TOO_MANY_CONFLICTS;
        if is_too_many {
            self.recent.clear();
        }
        is_too_many
    }

    fn grow(&mut self) {
        if !self.probation {
            self.limit = self.settings.window.min(self.limit + 1 + self.limit / 8);
        }
    }

    fn rejected(&mut self, sent: Sent, rejection: &Rejection) {
        self.count("rejected");
        match sent.purpose {
            Purpose::Flight => {
                let Some(flight) = self.flight.take() else { return };
                // news of the catalog have passed over what was in flight
                self.revoke_stale_catalog();
                if flight > 1 {
                    // one by one, until the culprit is alone
                    self.one_by_one = flight;
                    return;
                }
                self.one_by_one = self.one_by_one.saturating_sub(1);
                match self.window.at(0).status {
                    Status::Done => self.refuse(0, rejection.to_string()),
                    // the entry itself: nobody's function can help that
                    Status::Park(_) => self.pause(PauseReason::Refused),
                    // it runs again
                    Status::Queued | Status::Running | Status::Failed => {}
                }
            }
            Purpose::Parked(run) => {
                let Some(attempt) = self.outside.get_mut(&run) else { return };
                attempt.is_committing = false;
                // news of the catalog have passed over what was being committed: then it is gone now, and runs again
                self.revoke_stale_catalog();
                let Some(attempt) = self.outside.get_mut(&run) else { return };
                if attempt.refusal.is_some() {
                    return self.pause(PauseReason::Refused);
                }
                attempt.refusal = Some(rejection.to_string());
                self.commit_parked(run);
            }
            Purpose::Command { request, lane } => {
                self.parked.set_busy(&lane, None);
                self.answer(request, Err(super::CommandError::Refused(rejection.to_string())));
            }
            Purpose::Started(_)
            | Purpose::Found(_)
            | Purpose::Mark(_)
            | Purpose::Seek(_)
            | Purpose::Unmark
            | Purpose::Probe(_) => self.pause(PauseReason::Refused),
        }
    }
}
