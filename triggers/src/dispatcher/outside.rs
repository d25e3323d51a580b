//! Attempts outside the window: at parked events, and at slow heads that let the others pass.

use super::lookup::Reader;
use super::protocol::{Action, PauseReason, Report, RunEnd, Start, What};
use super::sent::{Body, EntryChange, Purpose};
use super::settings::OnExhausted;
use super::slot::{Done, Lane, Recorded, Slot};
use super::submit::Reads;
use super::{Dispatcher, Mutation};
use crate::parked::{Audit, Entry, EntryState, audit_key};
use weir_schema::{CatalogVersion, Millis, Offset, Op, TxnId, Write};

/// Parked attempts at once.
const MAX_PARKED_RUNS: usize = 16;

/// An attempt outside the window.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) lane: Lane,
    pub(super) offset: Offset,
    time: Millis,
    pub(super) catalog: CatalogVersion,
    pub(super) reads: Vec<Recorded>,
    /// Its event's parking is not committed yet: it reads below its slot, and its result waits.
    pub(super) is_detached: bool,
    pub(super) end: Option<RunEnd>,
    pub(super) is_committing: bool,
    /// The log has refused what it did, with these words.
    pub(super) refusal: Option<String>,
}

impl Attempt {
    /// A slot's attempt, with what it has read.
    pub(super) fn detached(slot: &Slot) -> Self {
        Self {
            is_detached: true,
            reads: slot.reads.clone(),
            ..Self::new(slot.lane(), slot.offset, slot.time, slot.catalog)
        }
    }

    fn new(lane: Lane, offset: Offset, time: Millis, catalog: CatalogVersion) -> Self {
        let reads = Vec::new();
        Self {
            lane,
            offset,
            time,
            catalog,
            reads,
            is_detached: false,
            end: None,
            is_committing: false,
            refusal: None,
        }
    }

    pub(super) fn reader(&self) -> Reader {
        Reader { before: self.is_detached.then_some(self.offset), time: self.time }
    }

    pub(super) fn commits_well(&self) -> bool {
        self.is_committing && self.refusal.is_none() && matches!(self.end, Some(RunEnd::Ok(_)))
    }

    pub(super) fn whats(&self) -> Vec<What> {
        self.reads.iter().map(|r| r.what.clone()).collect()
    }
}

impl Dispatcher {
    /// Runs the heads of the sequences that are due.
    pub(super) fn start_due(&mut self) {
        let room = MAX_PARKED_RUNS.saturating_sub(self.outside.len());
        for lane in self.parked.due(self.now, room) {
            if !self.probation || self.outside.is_empty() && self.window.running() == 0 {
                self.start_parked(&lane);
            }
        }
    }

    fn start_parked(&mut self, lane: &Lane) {
        let run = self.fresh();
        let Some(held) = self.parked.head(lane).cloned() else { return };
        self.parked.set_busy(lane, Some(run));
        self.attempts_made += 1;
        let entry = held.entry;
        let attempt = Attempt::new(lane.clone(), entry.offset, entry.time, self.catalog);
        self.outside.insert(run, attempt);
        if !self.probation && entry.attempts == 0 && !self.suspects.contains(&entry.offset) {
            return self.start_outside(run);
        }
        // it may be what ends the process: a durable mark first
        let entry = Entry { started: true, ..entry };
        let change = self.change(entry.offset, Some(entry));
        let body = self.changes(lane, vec![change]);
        self.send(Purpose::Started(run), body);
    }

    /// Says that an attempt at a parked event is to be made, if it is still wanted.
    pub(super) fn start_outside(&mut self, run: TxnId) {
        let Some(attempt) = self.outside.get(&run) else { return };
        let Some(held) = self.parked.head(&attempt.lane) else { return };
        let entry = &held.entry;
        self.actions.push(Action::Start(Start {
            run,
            offset: entry.offset,
            event: None,
            attempt: entry.attempts + 1,
            edit: entry.edit,
            edited: entry.edited.clone(),
            incarnation: self.incarnation,
            catalog: attempt.catalog,
            is_parked: true,
        }));
    }

    /// What an entry becomes, under a version of its own.
    pub(super) fn change(&mut self, offset: Offset, to: Option<Entry>) -> EntryChange {
        let stamp = self.fresh();
        EntryChange { key: Entry::key(&self.fence, offset), offset, to: to.map(|entry| (entry, stamp)) }
    }

    /// A transaction that changes entries, each only if it is as known.
    pub(super) fn changes(&mut self, lane: &Lane, entries: Vec<EntryChange>) -> Body {
        let mut body = Body::default();
        for change in &entries {
            let Some(held) = self.parked.of_lane(lane, change.offset) else { continue };
            body.reads.push(weir_schema::Read::Key(change.key.clone(), Some(held.stamp)));
        }
        for change in &entries {
            let (op, stamp) = match &change.to {
                Some((entry, stamp)) => (Op::Put { value: entry.to_json(), expires: None }, *stamp),
                None => (Op::Delete, self.fresh()),
            };
            body.writes.push(Write { key: change.key.clone(), op, stamp });
        }
        body.entries = entries;
        body
    }

    /// Makes the changes of entries known here, as they are durable.
    pub(super) fn take_over(&mut self, lane: &Lane, entries: &[EntryChange]) {
        for change in entries {
            match &change.to {
                Some((entry, stamp)) => self.parked.put(entry.clone(), *stamp),
                None => {
                    self.parked.remove(lane, change.offset);
                }
            }
        }
    }

    pub(super) fn outside_ran(&mut self, run: TxnId, end: RunEnd) {
        let Some(attempt) = self.outside.get_mut(&run) else { return };
        if attempt.end.is_some() {
            return;
        }
        if let RunEnd::Interrupted = end {
            let (lane, is_detached) = (attempt.lane.clone(), attempt.is_detached);
            self.outside.remove(&run);
            if !is_detached {
                self.parked.set_busy(&lane, None);
                self.parked.set_due(&lane, self.now.after(self.settings.backoff));
            }
            return;
        }
        attempt.end = Some(end);
        self.commit_parked(run);
    }

    /// Commits the end of a parked attempt: its effects and its entry's end, or one attempt more.
    pub(super) fn commit_parked(&mut self, run: TxnId) {
        let Some(attempt) = self.outside.get(&run) else { return };
        if attempt.is_detached || attempt.is_committing || attempt.end.is_none() || self.is_seeking() {
            return;
        }
        let Some(held) = self.parked.head(&attempt.lane).cloned() else { return };
        let mut reads = Reads::default();
        for read in &attempt.reads {
            reads.add(read, self.has(Mutation::OneStampPerKey));
        }
        let failure = match (&attempt.end, &attempt.refusal) {
            (_, Some(refusal)) => Some((refusal.clone(), false, None)),
            (Some(RunEnd::Failed(f)), None) => Some((f.message.clone(), f.is_final, f.retry_after)),
            _ => None,
        };
        let effects = match &attempt.end {
            Some(RunEnd::Ok(effects)) if failure.is_none() => {
                Done { appends: effects.appends.clone(), writes: effects.writes.clone() }
            }
            _ => Done::default(),
        };
        let (offset, lane) = (attempt.offset, attempt.lane.clone());
        let mut body = match failure {
            None => {
                let gone = self.change(offset, None);
                self.changes(&lane, vec![gone])
            }
            Some((message, is_final, after)) => {
                self.failed_again(&lane, held.entry, &message, is_final, after)
            }
        };
        body.reads.splice(0..0, reads.list);
        body.writes.extend(effects.writes.into_iter().map(|(key, op)| Write { key, op, stamp: run }));
        if !effects.appends.is_empty() {
            body.appends.push(effects.appends);
        }
        if let Some(attempt) = self.outside.get_mut(&run) {
            attempt.is_committing = true;
        }
        self.send(Purpose::Parked(run), body);
    }

    /// One failed attempt more: it waits again, or is held, or dropped.
    fn failed_again(
        &mut self,
        lane: &Lane,
        mut entry: Entry,
        message: &str,
        is_final: bool,
        after: Option<std::time::Duration>,
    ) -> Body {
        entry.failed(self.now, message);
        let offset = entry.offset;
        let is_exhausted = is_final || entry.attempts >= self.settings.retry.attempts;
        entry.state = if is_exhausted { EntryState::Held } else { EntryState::Waiting };
        entry.due = self.due_after(offset, entry.attempts, after);
        if !is_exhausted || self.settings.on_exhausted != OnExhausted::Skip {
            let change = self.change(offset, Some(entry));
            return self.changes(lane, vec![change]);
        }
        let audit = self.audit(entry, format!("failed: {message}"));
        let gone = self.change(offset, None);
        let mut body = self.changes(lane, vec![gone]);
        body.writes.push(audit);
        body
    }

    /// The row that says that an event was dropped.
    pub(super) fn audit(&mut self, entry: Entry, reason: String) -> Write {
        let stamp = self.fresh();
        let key = audit_key(&self.fence, entry.offset, stamp);
        let audit = Audit { time: self.now, reason, entry };
        let value = serde_json::to_vec(&audit).expect("an audit always has a JSON form").into();
        Write { key, op: Op::Put { value, expires: None }, stamp }
    }

    /// Drops the detached attempt at an offset.
    pub(super) fn drop_detached(&mut self, offset: Offset) {
        let found =
            self.outside.iter().find(|(_, a)| a.is_detached && a.offset == offset).map(|(run, _)| *run);
        if let Some(run) = found {
            self.outside.remove(&run);
            self.actions.push(Action::Cancel(run));
        }
    }

    /// Runs a parked event again, uncounted.
    pub(super) fn run_again(&mut self, run: TxnId) {
        let Some(attempt) = self.outside.remove(&run) else { return };
        self.actions.push(Action::Cancel(run));
        if !attempt.is_detached {
            self.parked.set_busy(&attempt.lane, None);
        }
    }

    /// A parked attempt's commit is durable.
    pub(super) fn parked_committed(&mut self, run: TxnId, entries: &[EntryChange]) {
        let Some(attempt) = self.outside.remove(&run) else { return };
        let lane = attempt.lane;
        self.suspects.remove(&attempt.offset);
        self.parked.set_busy(&lane, None);
        let before = self.parked.head(&lane).map(|h| h.entry.attempts);
        self.take_over(&lane, entries);
        let offset = attempt.offset;
        match entries.first().and_then(|c| c.to.as_ref()) {
            Some((entry, _)) => {
                let error = entry.errors.last().map(|e| e.error.clone()).unwrap_or_default();
                let is_held = entry.state == EntryState::Held;
                let due = (!is_held).then_some(entry.due);
                let attempts = entry.attempts;
                self.report(Report::Failed { offset, attempts, error, due });
                if is_held {
                    self.held(offset);
                }
            }
            None if matches!(attempt.end, Some(RunEnd::Ok(_))) && attempt.refusal.is_none() => {
                self.report(Report::Recovered { offset, attempts: before.unwrap_or(0) });
            }
            None => {
                self.count("skipped");
                self.report(Report::Skipped(offset));
            }
        }
        self.unblock(&lane);
    }

    /// An event waits for someone, and that is durable.
    pub(super) fn held(&mut self, offset: Offset) {
        self.report(Report::Held(offset));
        if self.settings.on_exhausted == OnExhausted::Pause {
            self.pause(PauseReason::Exhausted(offset));
        }
    }

    /// If nothing of a key is parked any more, its followers in the window need not be either. Park slots in flight keep
    /// it blocked: they will be a new sequence.
    pub(super) fn unblock(&mut self, lane: &Lane) {
        if self.parked.get(lane).is_some() {
            return;
        }
        let Lane::Key(key) = lane else { return };
        let flying = self.flying();
        let in_flight = self
            .window
            .iter()
            .take(flying)
            .any(|s| s.key.as_ref() == Some(key) && matches!(s.status, super::slot::Status::Park(_)));
        if !in_flight && self.window.has_parks_of(key) {
            self.count("follower back");
            self.free_followers(key, None);
        }
    }
}
