//! Standing still, handing over, moving, and what an unclean take-over asks for.

use super::protocol::{Action, Mode, PauseReason, Report};
use super::sent::{Body, Purpose};
use super::slot::{Lane, Status};
use super::{Dispatcher, Mutation, Phase};
use crate::parked::{Entry, EntryState, mark_key};
use std::time::Duration;
use weir_log::lost_key;
use weir_schema::{Advance, CatalogVersion, Millis, Offset, Op, TxnId, Write};

/// A parked attempt that was running when the process ended so often is held.
const MAX_CRASHES: u32 = 3;
/// From so many unclean take-overs in a row on, one event runs at a time.
pub(super) const PROBATION: u32 = 3;

impl Dispatcher {
    /// What it is about.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self.phase {
            Phase::Lost => Mode::Lost,
            Phase::Seeking { .. } => Mode::Seeking,
            Phase::Draining { .. } => Mode::Draining,
            Phase::Active => match (self.paused, self.probe) {
                (Some(reason), _) => Mode::Paused(reason),
                (None, Some(_)) => Mode::Probing,
                (None, None) => Mode::Live,
            },
        }
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active)
    }

    pub(super) fn is_live(&self) -> bool {
        self.mode() == Mode::Live
    }

    pub(super) fn is_lost(&self) -> bool {
        matches!(self.phase, Phase::Lost)
    }

    pub(super) fn is_seeking(&self) -> bool {
        matches!(self.phase, Phase::Seeking { .. })
    }

    pub(super) fn may_read(&self) -> bool {
        self.is_active() && self.paused.is_none()
    }

    pub(super) fn may_run_parked(&self) -> bool {
        matches!(self.mode(), Mode::Live | Mode::Paused(PauseReason::TooManyParked))
    }

    pub(super) fn pause(&mut self, reason: PauseReason) {
        if self.paused.is_none() {
            self.paused = Some(reason);
            self.count("paused");
            self.report(Report::Paused(reason));
        }
    }

    pub(super) fn resume(&mut self) {
        let Some(reason) = self.paused.take() else { return };
        if let PauseReason::EventsLost { earliest } = reason {
            // a human has seen it: what is gone is gone
            self.next = self.next.max(earliest);
            if let Some(told) = self.untell_lost() {
                self.send(Purpose::Unmark, Body { writes: vec![told], ..Body::default() });
            }
        }
        self.report(Report::Resumed);
    }

    /// Past `maxParked` the main line stands still, until enough is drained.
    pub(super) fn watch_parked(&mut self) {
        let (count, most) = (self.parked.count(), self.settings.max_parked);
        if count >= most {
            self.pause(PauseReason::TooManyParked);
        } else if self.paused == Some(PauseReason::TooManyParked) && count < most - most / 10 {
            self.resume();
        }
    }

    pub(super) fn on_catalog(&mut self, version: CatalogVersion) {
        if version > self.catalog {
            self.catalog = version;
            self.count("catalog");
            self.revoke_stale_catalog();
        }
    }

    /// What was built with an older catalog runs again; what is in flight, when its commit has said so.
    pub(super) fn revoke_stale_catalog(&mut self) {
        if self.has(Mutation::KeepOldCatalog) {
            return;
        }
        let version = self.catalog;
        for i in self.flying()..self.window.len() {
            let slot = self.window.at(i);
            if slot.status.has_run() && slot.catalog < version {
                self.revoke(i);
            }
        }
        let idle = self.outside.iter().filter(|(_, a)| !a.is_committing && a.catalog < version);
        for run in idle.map(|(run, _)| *run).collect::<Vec<_>>() {
            let is_starting = self.is_starting(run);
            match self.outside.get_mut(&run) {
                // its start is not durable yet: nothing has run
                Some(attempt) if is_starting => attempt.catalog = version,
                _ => self.run_again(run),
            }
        }
    }

    pub(super) fn on_revoking(&mut self, within: Duration) {
        if matches!(self.phase, Phase::Active) {
            self.phase = Phase::Draining { by: self.now.after(within) };
        }
    }

    /// Hands over when all is done, or when the time is up.
    pub(super) fn drain(&mut self) {
        let Phase::Draining { by } = self.phase else { return };
        if self.is_quiet() || self.now >= by {
            self.end();
            self.actions.push(Action::Release);
        }
    }

    /// Another has the partition.
    pub(super) fn lose(&mut self) {
        if !self.is_lost() {
            self.end();
            self.report(Report::Lost);
        }
    }

    fn end(&mut self) {
        self.refuse_commands();
        self.phase = Phase::Lost;
        let runs: Vec<TxnId> =
            self.window.iter().filter(|s| s.status == Status::Running).map(|s| s.run).collect();
        let outside = std::mem::take(&mut self.outside);
        for run in runs.into_iter().chain(outside.into_keys()) {
            self.actions.push(Action::Cancel(run));
        }
        self.drop_window();
        self.sent.clear();
    }

    pub(super) fn drop_window(&mut self) {
        self.window = super::window::Window::default();
        self.rows.clear_window();
        self.runs.clear();
        self.scanners.clear();
        self.estimated.clear();
        self.flight = None;
        self.one_by_one = 0;
    }

    /// Begins to move: what runs is cancelled, what is on its way is awaited.
    pub(super) fn seek(&mut self, target: Offset, request: u64) {
        self.count("seek");
        self.phase = Phase::Seeking { target, request };
        self.probe = None;
        for i in 0..self.window.len() {
            if self.window.at(i).status == Status::Running {
                self.take_back(i);
            }
        }
        let idle = self.outside.iter().filter(|(_, a)| !a.is_committing).map(|(run, _)| *run);
        for run in idle.collect::<Vec<_>>() {
            self.run_again(run);
        }
    }

    /// Moves, once nothing is on its way: position, parked events past the target, mark, in one transaction.
    pub(super) fn go_on_seeking(&mut self) {
        let Phase::Seeking { target, .. } = self.phase else { return };
        let is_awaited = |purpose: &Purpose| match purpose {
            Purpose::Parked(_) | Purpose::Started(_) | Purpose::Found(_) | Purpose::Mark(_) => {
                !self.has(Mutation::SeekDoesNotWait)
            }
            _ => true,
        };
        if self.sent.values().any(|s| is_awaited(&s.purpose)) {
            return;
        }
        let mut body = Body::default();
        let past: Vec<Offset> = self
            .parked
            .iter()
            .flat_map(|(_, s)| &s.entries)
            .map(|h| h.entry.offset)
            .filter(|offset| *offset >= target)
            .collect();
        for offset in past {
            let key = Entry::key(&self.fence, offset);
            body.writes.push(Write { key, op: Op::Delete, stamp: self.fresh() });
        }
        if !self.has(Mutation::SeekLeavesMark) {
            body.writes.push(self.unmark());
        }
        body.writes.extend(self.untell_lost());
        // to the position itself nothing moves, and a repeat changes nothing
        if target != self.position {
            body.advance = Some(Advance { from: self.position, to: target });
        }
        self.send(Purpose::Seek(target), body);
    }

    pub(super) fn sought(&mut self, target: Offset) {
        let Phase::Seeking { request, .. } = self.phase else { return };
        self.outside.clear();
        self.drop_window();
        self.crashed = None;
        if target < self.position {
            self.incarnation += 1;
        }
        (self.position, self.next) = (target, target);
        (self.reading, self.caught_up, self.news) = (false, None, false);
        self.parked.cut(target);
        self.phase = Phase::Active;
        if matches!(self.paused, Some(PauseReason::EventsLost { .. })) {
            self.resume();
        }
        self.report(Report::Sought(target));
        self.answer(request, Ok(()));
        self.watch_parked();
    }

    /// Ends probation, and says so, when what an unclean take-over left has been digested.
    pub(super) fn calm_down(&mut self) {
        let Some(end) = self.unclean_until.filter(|_| self.is_live()) else { return };
        let is_past = self.position >= end || self.caught_up.is_some() && self.window.is_empty();
        if is_past && (self.position >= end || self.outside.is_empty()) {
            self.probation = false;
        }
        // the durable count goes back only when all that the crash may have left parked has run
        let has_suspect = |s: &super::parking::Sequence| {
            s.entries.front().is_some_and(|h| h.entry.state != EntryState::Held)
                && s.entries.iter().any(|h| self.suspects.contains(&h.entry.offset))
        };
        let waits = !self.suspects.is_empty() && self.parked.iter().any(|(_, s)| has_suspect(s));
        if is_past && !waits {
            self.unclean_until = None;
            let unmark = self.unmark();
            self.send(Purpose::Unmark, Body { writes: vec![unmark], ..Body::default() });
            self.actions.push(Action::Settled);
        }
    }

    fn unmark(&mut self) -> Write {
        let key = mark_key(&self.fence.group, self.fence.at.partition);
        Write { key, op: Op::Delete, stamp: self.fresh() }
    }

    /// What removes the row that says that events are lost, if there is one.
    fn untell_lost(&mut self) -> Option<Write> {
        let key = lost_key(&self.fence.group, self.fence.at.partition);
        let is_told = std::mem::take(&mut self.is_told_lost);
        is_told.then(|| Write { key, op: Op::Delete, stamp: self.fresh() })
    }

    /// Attempts at parked events that a predecessor started and did not end: uncounted, but the third crash of one event
    /// (the first one on probation) is its own fault. One that was handed over in between did not crash.
    pub(super) fn count_crashes(&mut self, unclean: u32) {
        let lanes: Vec<Lane> = self.parked.iter().map(|(lane, _)| lane.clone()).collect();
        for lane in lanes {
            let Some(sequence) = self.parked.get(&lane) else { continue };
            let found = sequence
                .entries
                .iter()
                .map(|h| &h.entry)
                .filter(|e| e.started && e.state != EntryState::Held);
            let crashed: Vec<Entry> = found.cloned().map(|e| crashed(e, unclean, self.now)).collect();
            if crashed.is_empty() {
                continue;
            }
            let changes = crashed.into_iter().map(|e| self.change(e.offset, Some(e))).collect();
            let body = self.changes(&lane, changes);
            let id = self.send(Purpose::Found(lane.clone()), body);
            self.parked.set_busy(&lane, Some(id));
        }
    }

    /// When the next [`Input::Tick`](super::Input::Tick) is due, if nothing else happens before; none: only an input can
    /// change anything.
    #[must_use]
    pub fn wake_at(&self) -> Option<Millis> {
        if self.is_lost() {
            return None;
        }
        let draining = if let Phase::Draining { by } = self.phase { Some(by) } else { None };
        let due = self.parked.next_due().filter(|_| self.may_run_parked());
        let probe = self.probe.filter(|_| self.paused.is_none()).map(|p| p.next);
        let read = (self.may_read() && !self.reading).then(|| self.read_at());
        let held_back = self.window.ready().iter().take(self.settings.max_concurrent);
        let held_back =
            held_back.filter_map(|o| self.window.index_of(*o)).map(|i| self.window.at(i).not_before);
        let slow = self.settings.detach_after.and_then(|after| {
            let running = self.window.iter().find(|s| s.status == Status::Running)?;
            Some(running.started.after(after))
        });
        let times = [draining, due, probe, read, slow, self.next_send()];
        times.into_iter().flatten().chain(held_back).filter(|t| *t > self.now).min()
    }
}

fn crashed(mut entry: Entry, unclean: u32, now: Millis) -> Entry {
    entry.started = false;
    entry.crashes += u32::from(unclean > 0);
    entry.state = EntryState::Waiting;
    if unclean >= PROBATION || entry.crashes >= MAX_CRASHES {
        entry.state = EntryState::Held;
        let error = "the process ended each time it ran".to_owned();
        entry.errors.push(crate::parked::EntryError { time: now, attempt: entry.attempts, error });
    }
    entry
}
