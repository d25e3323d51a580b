//! What people ask for.

use super::protocol::{Action, Command, CommandError, PauseReason, Selection};
use super::sent::{EntryChange, Purpose};
use super::slot::Lane;
use super::{Dispatcher, Phase};
use crate::parked::{Entry, EntryState};
use weir_schema::Offset;

impl Dispatcher {
    pub(super) fn on_command(&mut self, request: u64, command: Command) {
        match self.phase {
            Phase::Active => {}
            Phase::Draining { .. } | Phase::Lost => {
                return self.answer(request, Err(CommandError::Unsettled("handed over")));
            }
            Phase::Seeking { .. } if matches!(command, Command::Pause | Command::Resume) => {}
            Phase::Seeking { .. } => return self.answer(request, Err(CommandError::Unsettled("moved"))),
        }
        let result = match command {
            Command::Pause => {
                self.pause(PauseReason::ByHand);
                // whatever it stood still for, now it does so because someone said so
                self.paused = Some(PauseReason::ByHand);
                Ok(false)
            }
            Command::Resume => self.on_resume(request),
            Command::Seek(target) => {
                self.seek(target, request);
                Ok(true)
            }
            Command::Redrive(selection) => self.redrive(request, &selection),
            Command::Skip { offset, reason } => self.skip(request, offset, reason),
            Command::Edit { offset, value } => self.change_one(request, offset, |entry| {
                entry.edit += 1;
                entry.edited = Some(value);
            }),
        };
        match result {
            Ok(true) => {} // answered when it is durable
            Ok(false) => self.answer(request, Ok(())),
            Err(error) => self.answer(request, Err(error)),
        }
    }

    pub(super) fn answer(&mut self, request: u64, result: Result<(), CommandError>) {
        self.actions.push(Action::Answer { request, result });
    }

    fn on_resume(&mut self, request: u64) -> Result<bool, CommandError> {
        let reason = self.paused;
        self.resume();
        // what it stood still for gets another chance
        match reason {
            Some(PauseReason::Exhausted(offset))
                if self.is_active() && self.parked.find(offset).is_some() =>
            {
                self.redrive(request, &Selection::One(offset))
            }
            _ => Ok(false),
        }
    }

    /// Makes parked events due. Whether something must become durable for it.
    fn redrive(&mut self, request: u64, selection: &Selection) -> Result<bool, CommandError> {
        let lanes: Vec<Lane> = match selection {
            Selection::One(offset) => {
                let found = self.parked.find(*offset).map(|(lane, _)| lane.clone());
                vec![found.ok_or(CommandError::NotParked(*offset))?]
            }
            Selection::Key(key) => {
                let lane = Lane::Key(key.clone());
                self.parked.get(&lane).ok_or_else(|| CommandError::NoneOfKey(key.clone()))?;
                vec![lane]
            }
            Selection::All => self.parked.iter().map(|(lane, _)| lane.clone()).collect(),
        };
        let mut waits = 0;
        for lane in lanes {
            let is_chosen = |e: &Entry| !matches!(selection, Selection::One(o) if *o != e.offset);
            match self.redrive_lane(request, &lane, is_chosen) {
                Ok(is_sent) => waits += usize::from(is_sent),
                // of many, those that run just now need no help
                Err(CommandError::Busy(_)) if *selection == Selection::All => {}
                Err(error) => return Err(error),
            }
        }
        if waits > 0 {
            self.waiting.insert(request, waits);
        }
        Ok(waits > 0)
    }

    fn redrive_lane(
        &mut self,
        request: u64,
        lane: &Lane,
        is_chosen: impl Fn(&Entry) -> bool,
    ) -> Result<bool, CommandError> {
        let Some(sequence) = self.parked.get(lane) else { return Ok(false) };
        let chosen = || sequence.entries.iter().map(|h| &h.entry).filter(|e| is_chosen(e));
        let held: Vec<Entry> = chosen().filter(|e| e.state == EntryState::Held).cloned().collect();
        let is_head_chosen = sequence.entries.front().is_some_and(|h| is_chosen(&h.entry));
        if held.is_empty() {
            if is_head_chosen && sequence.busy.is_none() {
                self.parked.set_due(lane, self.now);
            }
            return Ok(false);
        }
        self.interrupt(lane)?;
        let now = self.now;
        let due = held.into_iter().map(|e| Entry { state: EntryState::Waiting, due: now, crashes: 0, ..e });
        let changes: Vec<EntryChange> =
            due.map(|e| (e.offset, e)).map(|(offset, e)| self.change(offset, Some(e))).collect();
        self.send_command(request, lane, changes, None);
        Ok(true)
    }

    fn skip(&mut self, request: u64, offset: Offset, reason: String) -> Result<bool, CommandError> {
        let (lane, held) = self.parked.find(offset).ok_or(CommandError::NotParked(offset))?;
        let (lane, entry) = (lane.clone(), held.entry.clone());
        self.interrupt(&lane)?;
        let audit = self.audit(entry, reason);
        let gone = self.change(offset, None);
        self.send_command(request, &lane, vec![gone], Some(audit));
        self.waiting.insert(request, 1);
        Ok(true)
    }

    /// Changes a parked event; then it is due.
    fn change_one(
        &mut self,
        request: u64,
        offset: Offset,
        change: impl FnOnce(&mut Entry),
    ) -> Result<bool, CommandError> {
        let (lane, held) = self.parked.find(offset).ok_or(CommandError::NotParked(offset))?;
        let (lane, mut entry) = (lane.clone(), held.entry.clone());
        self.interrupt(&lane)?;
        change(&mut entry);
        (entry.state, entry.due, entry.started) = (EntryState::Waiting, self.now, false);
        let change = self.change(offset, Some(entry));
        self.send_command(request, &lane, vec![change], None);
        self.waiting.insert(request, 1);
        Ok(true)
    }

    /// Ends what runs for a lane, unless it is being committed.
    fn interrupt(&mut self, lane: &Lane) -> Result<(), CommandError> {
        let Some(sequence) = self.parked.get(lane) else { return Ok(()) };
        let Some(busy) = sequence.busy else { return Ok(()) };
        let is_starting = self.is_starting(busy);
        match self.outside.get(&busy) {
            Some(attempt) if !attempt.is_committing && !is_starting => {
                self.run_again(busy);
                Ok(())
            }
            _ => {
                let head = sequence.entries.front().map_or(Offset::ZERO, |h| h.entry.offset);
                Err(CommandError::Busy(head))
            }
        }
    }

    fn send_command(
        &mut self,
        request: u64,
        lane: &Lane,
        changes: Vec<EntryChange>,
        audit: Option<weir_schema::Write>,
    ) {
        let mut body = self.changes(lane, changes);
        body.writes.extend(audit);
        let id = self.send(Purpose::Command { request, lane: lane.clone() }, body);
        self.parked.set_busy(lane, Some(id));
    }

    pub(super) fn command_committed(&mut self, request: u64, lane: &Lane, entries: &[EntryChange]) {
        self.parked.set_busy(lane, None);
        self.take_over(lane, entries);
        for gone in entries.iter().filter(|c| c.to.is_none()) {
            self.suspects.remove(&gone.offset);
            self.report(super::Report::Skipped(gone.offset));
        }
        self.unblock(lane);
        self.watch_parked();
        let Some(waits) = self.waiting.get_mut(&request) else { return };
        *waits -= 1;
        if *waits == 0 {
            self.waiting.remove(&request);
            self.answer(request, Ok(()));
        }
    }

    /// Nobody will carry out what was asked for.
    pub(super) fn refuse_commands(&mut self) {
        for request in std::mem::take(&mut self.waiting).into_keys() {
            self.answer(request, Err(CommandError::Unsettled("handed over")));
        }
        if let Phase::Seeking { request, .. } = self.phase {
            self.answer(request, Err(CommandError::Unsettled("handed over")));
        }
    }
}
