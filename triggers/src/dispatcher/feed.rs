//! Into the window and into the functions: what is read next, what starts next.

use super::breaker::Probe;
use super::protocol::{Action, Event, PauseReason, Report, Start};
use super::sent::{Body, Purpose};
use super::slot::{Lane, Slot, Status, Why};
use super::{Dispatcher, Mutation};
use crate::parked::mark_key;
use bytes::Bytes;
use std::sync::Arc;
use weir_log::ReadLimit;
use weir_schema::{Offset, Op, Records, TxnId, Write};

/// Events that wait for an estimate and are passed over in one look; more would make the look dear.
const MAX_PASSED_OVER: usize = 64;

impl Dispatcher {
    pub(super) fn on_records(&mut self, from: Offset, records: Records) {
        let is_asked = from == self.next && self.reading;
        if !is_asked && !self.has(Mutation::AcceptOldRecords) {
            return; // an answer from before a seek
        }
        self.reading = false;
        if !self.may_read() {
            return;
        }
        self.caught_up = records.is_empty().then_some(self.now);
        let batch = Arc::new(records);
        for index in 0..batch.len() {
            // an answer from before a seek may be longer than now asked for; what is at an offset never changes
            let is_full =
                self.window.bytes() >= self.settings.window_bytes && !self.has(Mutation::IgnoreBudget);
            if self.window.len() >= self.settings.window || is_full {
                break;
            }
            let slot = Slot::new(Event { batch: Arc::clone(&batch), index }, Status::Queued);
            if slot.offset < self.next && !self.has(Mutation::AcceptOldRecords) {
                continue;
            }
            self.next = slot.offset.next();
            self.push(slot);
        }
    }

    fn push(&mut self, mut slot: Slot) {
        let follows = slot.key.as_ref().is_some_and(|key| self.is_blocked(key));
        if follows {
            slot.status = Status::Park(Why::Follower);
        } else if self.crashed == Some(slot.offset) {
            self.count("crashed");
            slot.status = Status::Park(Why::Crashed);
        }
        self.window.push(slot);
    }

    fn is_blocked(&self, key: &Bytes) -> bool {
        if self.window.has_parks_of(key) {
            return true;
        }
        if self.parked.is_empty() {
            return false;
        }
        let lane = Lane::Key(key.clone());
        self.parked.get(&lane).is_some() && !(self.has(Mutation::UnblockKeyEarly) && self.drains(&lane))
    }

    /// Whether the last parked event of a lane is being committed as handled.
    fn drains(&self, lane: &Lane) -> bool {
        let Some(sequence) = self.parked.get(lane).filter(|s| s.entries.len() == 1) else { return false };
        sequence
            .busy
            .and_then(|run| self.outside.get(&run))
            .is_some_and(super::outside::Attempt::commits_well)
    }

    pub(super) fn on_read_failed(&mut self, from: Offset) {
        if from == self.next && self.reading {
            self.reading = false;
            self.read_not_before = self.now.after(self.settings.backoff);
        }
    }

    pub(super) fn on_trimmed(&mut self, earliest: Offset) {
        if self.reading && earliest > self.next {
            self.reading = false;
            self.pause(PauseReason::EventsLost { earliest });
        }
    }

    /// Starts what may start, and reads on.
    pub(super) fn fill(&mut self) {
        self.probe();
        if self.is_live() {
            self.start_ready();
        }
        if self.may_run_parked() {
            self.start_due();
        }
        self.read_on();
    }

    fn start_ready(&mut self) {
        let mut room = self.settings.max_concurrent.saturating_sub(self.window.running());
        let (head, mut passed_over) = (self.window.settled(), 0);
        let mut chosen = std::mem::take(&mut self.chosen);
        let end = self.limit.max(self.flying() + 1);
        for offset in self.window.ready() {
            let i = self.window.index_of(*offset).expect("what is ready is in the window");
            if room == 0 || passed_over >= MAX_PASSED_OVER || i >= end {
                break;
            }
            if self.may_start(i, head) {
                chosen.push(*offset);
                room -= 1;
                if self.probation && !self.has(Mutation::ProbationAboveFlight) {
                    break;
                }
            } else {
                passed_over += 1;
            }
        }
        for offset in chosen.drain(..) {
            if let Some(i) = self.window.index_of(offset) {
                self.start(i);
            }
        }
        self.chosen = chosen;
    }

    /// Of a slot that is ready: whether nothing else holds it back. The head, the first that is not settled, may start
    /// however many bytes there are.
    fn may_start(&self, i: usize, head: usize) -> bool {
        // on probation truly one at a time, and only at the position: so the one mark is never overwritten before
        // what it names is parked
        let is_alone = i == 0 && self.outside.is_empty() && self.window.running() == 0;
        if self.probation && !is_alone && !self.has(Mutation::ProbationAboveFlight) {
            return false;
        }
        let slot = self.window.at(i);
        let has_room = i == head || self.window.bytes() < self.settings.window_bytes;
        slot.not_before <= self.now && has_room && !self.awaits_an_estimate(i)
    }

    pub(super) fn start(&mut self, i: usize) {
        let run = self.fresh();
        self.window.set(i, Status::Running);
        let (now, catalog) = (self.now, self.catalog);
        let slot = self.window.at_mut(i);
        slot.run = run;
        slot.started = now;
        slot.catalog = catalog;
        let offset = slot.offset;
        self.runs.insert(run, offset);
        self.attempts_made += 1;
        if self.probation {
            let key = mark_key(&self.fence.group, self.fence.at.partition);
            let op = Op::Put { value: offset.to_string().into(), expires: None };
            let stamp = self.fresh();
            self.send(Purpose::Mark(run), Body { writes: vec![Write { key, op, stamp }], ..Body::default() });
        } else {
            self.start_slot(run);
        }
    }

    /// Says that a slot's attempt is to be made, if it is still wanted.
    pub(super) fn start_slot(&mut self, run: TxnId) {
        let Some(i) = self.runs.get(&run).and_then(|offset| self.window.index_of(*offset)) else { return };
        let slot = self.window.at(i);
        self.actions.push(Action::Start(Start {
            run,
            offset: slot.offset,
            event: Some(slot.event.clone()),
            attempt: 1,
            edit: 0,
            edited: None,
            incarnation: self.incarnation,
            catalog: slot.catalog,
            is_parked: false,
        }));
    }

    /// With the breaker open: one at a time, in turn over all that may start. Not only over keys that have failed, and
    /// not only as far as conflicts or bytes let events run ahead: these may fail for ever.
    fn probe(&mut self) {
        let Some(probe) = self.probe.filter(|p| self.now >= p.next && self.may_probe()) else { return };
        let ready = self.window.ready().iter().copied();
        let can: Vec<Offset> = ready.filter(|offset| self.may_probe_slot(*offset)).collect();
        let Some(offset) = can.iter().find(|o| **o > probe.last).or_else(|| can.first()).copied() else {
            return;
        };
        let breaker = self.settings.breaker.unwrap_or_default();
        self.probe = Some(Probe { next: self.now.after(breaker.probe), last: offset });
        let i = self.window.index_of(offset).expect("what is ready is in the window");
        self.start(i);
    }

    fn may_probe(&self) -> bool {
        self.is_active() && self.paused.is_none() && self.window.running() == 0
    }

    fn may_probe_slot(&self, offset: Offset) -> bool {
        let i = self.window.index_of(offset).expect("what is ready is in the window");
        let has_failed = || self.judged.has_failed(&self.window.at(i).lane());
        self.may_start(i, i) && (!self.has(Mutation::ProbeFailedKeys) || has_failed())
    }

    fn read_on(&mut self) {
        let has_room = self.window.len() <= self.settings.window / 2
            && (self.window.bytes() < self.settings.window_bytes || self.has(Mutation::IgnoreBudget));
        if !self.may_read() || self.reading || !has_room || self.read_at() > self.now {
            return;
        }
        (self.reading, self.news) = (true, false);
        let events = self.settings.window - self.window.len();
        let bytes = self.settings.window_bytes.saturating_sub(self.window.bytes()).max(1);
        self.actions.push(Action::Read { from: self.next, limit: ReadLimit { events, bytes } });
    }

    /// When to read again: at once, but after an empty answer without news.
    pub(super) fn read_at(&self) -> weir_schema::Millis {
        let poll = self.caught_up.filter(|_| !self.news).map(|at| at.after(self.settings.poll));
        poll.map_or(self.read_not_before, |at| at.max(self.read_not_before))
    }

    pub(super) fn report(&mut self, report: Report) {
        self.actions.push(Action::Report(report));
    }
}
