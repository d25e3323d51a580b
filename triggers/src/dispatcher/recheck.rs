//! Running again what has read what is no longer so.

use super::protocol::{Action, RunFailure, What};
use super::slot::{Done, Estimate, Status, Why};
use super::{Dispatcher, Mutation};
use bytes::Bytes;
use std::collections::BTreeSet;
use weir_schema::{Offset, StateKey};

impl Dispatcher {
    /// Takes a slot's attempt back, and runs again what depended on it. One in flight is left: its commit decides.
    pub(super) fn revoke(&mut self, i: usize) {
        let offset = self.window.at(i).offset;
        let old = self.take_back(i);
        if !self.has(Mutation::SkipRecheckOnRevoke) {
            self.recheck(Some(offset), old);
        }
    }

    /// Everything above `after` that has read one of `keys`, and would now see something else, runs again; and so on
    /// for what these wrote.
    pub(super) fn recheck(&mut self, after: Option<Offset>, keys: Vec<StateKey>) {
        let mut work = vec![(after, keys)];
        while let Some((after, keys)) = work.pop() {
            for offset in self.readers(after, &keys) {
                let Some(i) = self.window.index_of(offset) else { continue };
                self.recheck_one(i, &mut work);
            }
        }
    }

    /// As [`Self::recheck`], of every slot, whatever it has read.
    pub(super) fn recheck_all(&mut self) {
        let mut work = Vec::new();
        for i in 0..self.window.len() {
            self.recheck_one(i, &mut work);
        }
        for (after, keys) in work {
            self.recheck(after, keys);
        }
    }

    fn recheck_one(&mut self, i: usize, work: &mut Vec<(Option<Offset>, Vec<StateKey>)>) {
        let (status, offset) = (self.window.at(i).status, self.window.at(i).offset);
        let is_forgotten = self.has(Mutation::ForgetFailedReads) && matches!(status, Status::Park(_));
        if self.is_flying(i) || !status.has_run() || is_forgotten || self.is_current(i) {
            return;
        }
        let old = self.take_back(i);
        if !self.has(Mutation::SkipRecheckOnRevoke) {
            work.push((Some(offset), old));
        }
    }

    fn readers(&self, after: Option<Offset>, keys: &[StateKey]) -> Vec<Offset> {
        let is_after = |offset: &Offset| after.is_none_or(|a| *offset > a);
        let of_keys = keys.iter().filter_map(|key| self.rows.get(key)).flat_map(|row| &row.readers);
        if self.scanners.is_empty() {
            let mut readers: Vec<_> = of_keys.copied().filter(is_after).collect();
            readers.sort_unstable();
            readers.dedup();
            return readers;
        }
        let mut readers: BTreeSet<_> = of_keys.copied().filter(is_after).collect();
        for offset in self.scanners.iter().copied().filter(is_after) {
            let slot = self.window.index_of(offset).map(|i| self.window.at(i));
            if slot.is_some_and(|s| s.reads.iter().any(|r| keys.iter().any(|k| r.what.covers(k)))) {
                readers.insert(offset);
            }
        }
        readers.into_iter().collect()
    }

    /// Back to the queue, with an estimate of what the next attempt will do. Returns the keys that it had written.
    pub(super) fn take_back(&mut self, i: usize) -> Vec<StateKey> {
        let old = self.clear_attempt(i);
        let slot = self.window.at(i);
        let (was, key, offset, lane) = (slot.status, slot.key.clone(), slot.offset, slot.lane());
        self.count(match was {
            Status::Running => "cancelled",
            Status::Done => "done, run again",
            Status::Park(Why::Failed) => "parked, run again",
            _ => "taken back",
        });
        self.window.set(i, Status::Queued);
        if was == Status::Park(Why::Failed) {
            // its error was not real: the breaker must not count it, and its key goes on
            self.judged.take_back(&lane);
            if let Some(key) = key {
                self.free_followers(&key, Some(offset));
            }
        }
        old
    }

    /// The followers of a key go back to the queue, up to one that is parked on its own account.
    pub(super) fn free_followers(&mut self, key: &Bytes, after: Option<Offset>) {
        for i in self.window.of_key(key, after) {
            match self.window.at(i).status {
                Status::Park(Why::Follower) => self.window.set(i, Status::Queued),
                Status::Park(_) => return,
                Status::Queued | Status::Running | Status::Done | Status::Failed => {}
            }
        }
    }

    fn clear_attempt(&mut self, i: usize) -> Vec<StateKey> {
        let is_running = self.window.at(i).status == Status::Running;
        let was_done = self.window.at(i).status == Status::Done;
        if was_done {
            // counts the bytes of the effects, which go now
            self.window.set(i, Status::Failed);
        }
        let slot = self.window.at_mut(i);
        let offset = slot.offset;
        let (run, reads) = (slot.run, std::mem::take(&mut slot.reads));
        let effects = std::mem::take(&mut slot.effects);
        slot.failure = RunFailure::default();
        let keys = effects.keys();
        let estimate = slot.estimate.get_or_insert_default();
        if !reads.is_empty() {
            estimate.reads = reads.iter().map(|r| r.what.clone()).collect();
        }
        if !keys.is_empty() {
            estimate.writes.clone_from(&keys);
        }
        self.estimated.insert(offset);
        if is_running {
            self.runs.remove(&run);
            self.actions.push(Action::Cancel(run));
        }
        self.forget_reads(offset, reads.iter().map(|r| &r.what));
        if was_done {
            for key in &keys {
                self.rows.remove_pending(key, offset);
            }
        }
        keys
    }

    /// Takes a slot out of the index of readers.
    pub(super) fn forget_reads<'a>(&mut self, offset: Offset, reads: impl Iterator<Item = &'a What>) {
        for what in reads {
            match what {
                What::Key(key) => self.rows.remove_reader(key, offset),
                What::Range(_) => {
                    self.scanners.remove(&offset);
                }
            }
        }
    }

    /// Whether an earlier event that waits or runs will likely write what this one will likely read.
    pub(super) fn awaits_an_estimate(&self, i: usize) -> bool {
        let slot = self.window.at(i);
        let Some(mine) = slot.estimate.as_deref().filter(|e| !e.reads.is_empty()) else { return false };
        self.estimated.range(..slot.offset).any(|offset| {
            let earlier = self.window.index_of(*offset).map(|i| self.window.at(i));
            earlier.is_some_and(|e| {
                matches!(e.status, Status::Queued | Status::Running)
                    && e.estimate.as_deref().is_some_and(|e: &Estimate| e.feeds(mine))
            })
        })
    }

    /// Forgets an estimate: an attempt has come true.
    pub(super) fn drop_estimate(&mut self, i: usize) {
        let slot = self.window.at_mut(i);
        if slot.estimate.take().is_some() {
            self.estimated.remove(&slot.offset);
        }
    }

    /// What a finished attempt leaves in its slot.
    pub(super) fn put_effects(&mut self, i: usize, effects: weir_runtime::Effects) {
        self.window.at_mut(i).effects = Done { appends: effects.appends, writes: effects.writes };
    }
}
