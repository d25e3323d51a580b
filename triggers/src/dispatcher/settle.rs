//! What an attempt's end means, and when it is judged: at the head of what is settled.

use super::breaker::Probe;
use super::protocol::{Report, RunEnd, RunFailure, What};
use super::slot::{Slot, Status, Why};
use super::{Dispatcher, Mutation};
use weir_schema::TxnId;

impl Dispatcher {
    pub(super) fn on_ran(&mut self, run: TxnId, end: RunEnd) {
        if self.outside.contains_key(&run) {
            return self.outside_ran(run, end);
        }
        let i = match self.runs.get(&run) {
            Some(offset) => self.window.index_of(*offset),
            None if self.has(Mutation::AcceptOldRun) => {
                self.window.iter().position(|s| s.status == Status::Running)
            }
            None => None,
        };
        let Some(i) = i else { return }; // cancelled, or run again
        if !self.is_current(i) {
            // torn: it never comes to a commit, so this is where it counts as a conflict
            let read =
                |s: &Slot| s.reads.iter().filter(|r| r.base.is_some()).map(|r| r.what.clone()).collect();
            let whats: Vec<What> = read(self.window.at(i));
            if !self.has(Mutation::HeatCommitsOnly) {
                self.heat(&whats, &whats);
            }
            return self.revoke(i);
        }
        let run = self.window.at(i).run;
        match end {
            RunEnd::Interrupted => {
                self.window.at_mut(i).not_before = self.now.after(self.settings.backoff);
                self.revoke(i);
            }
            RunEnd::Ok(effects) => {
                self.runs.remove(&run);
                self.drop_estimate(i);
                self.put_effects(i, effects);
                self.publish(i);
                self.close_breaker();
                let slot = self.window.at(i);
                if !slot.effects.writes.is_empty() {
                    let (offset, keys) = (slot.offset, slot.effects.keys());
                    self.recheck(Some(offset), keys);
                }
            }
            RunEnd::Failed(_) if self.probe.is_some() => self.revoke(i),
            RunEnd::Failed(failure) => {
                self.runs.remove(&run);
                self.drop_estimate(i);
                self.window.at_mut(i).failure = failure;
                self.window.set(i, Status::Failed); // not yet judged; its key waits
            }
        }
    }

    fn close_breaker(&mut self) {
        if self.probe.take().is_some() {
            self.judged.clear();
            self.report(Report::BreakerClosed);
        }
    }

    /// Judges what has failed at the head of what is settled, and commits the settled prefix.
    pub(super) fn settle(&mut self) {
        loop {
            let head = self.window.settled();
            if head >= self.window.len() || self.window.at(head).status != Status::Failed {
                break;
            }
            // `break`, not `return`: what is settled before a head that runs again must still be committed
            if !self.is_current(head) || self.probe.is_some() || self.opens_breaker(head) {
                self.revoke(head);
                break;
            }
            self.park(head, Why::Failed);
        }
        let may_commit = self.flight.is_none() && !self.is_seeking() && !self.is_lost();
        if may_commit && self.window.settled() > 0 {
            self.submit();
        }
    }

    fn opens_breaker(&mut self, head: usize) -> bool {
        let lane = self.window.at(head).lane();
        self.judged.failed(self.now, lane);
        // on probation only the event at the position may run: should that one always fail, nothing would close it
        let may_open = self.is_live() && !self.probation;
        let Some(breaker) = self.settings.breaker.filter(|_| may_open) else { return false };
        if !self.judged.opens(self.now, &breaker) {
            return false;
        }
        let next = self.now.after(breaker.probe);
        self.probe = Some(Probe { next, last: weir_schema::Offset::ZERO });
        self.count("breaker opened");
        self.report(Report::BreakerOpened);
        true
    }

    /// A slot leaves the main line, and so do the later ones of its key.
    pub(super) fn park(&mut self, head: usize, why: Why) {
        self.count(if why == Why::Failed { "parked" } else { "detached" });
        self.window.set(head, Status::Park(why));
        let slot = self.window.at(head);
        let Some(key) = slot.key.clone() else { return };
        for i in self.window.of_key(&key, Some(slot.offset)) {
            let slot = self.window.at(i);
            match slot.status {
                Status::Park(Why::Follower | Why::Crashed) => continue,
                // it was detached while `head` was done, before that was revoked and failed
                Status::Park(Why::Detached) => self.drop_detached(slot.offset),
                Status::Queued
                | Status::Running
                | Status::Done
                | Status::Failed
                | Status::Park(Why::Failed) => {}
            }
            self.revoke(i);
            self.window.set(i, Status::Park(Why::Follower));
        }
    }

    /// The log refuses what a slot did: a failure like any other.
    pub(super) fn refuse(&mut self, i: usize, message: String) {
        let slot = self.window.at(i);
        let (offset, keys) = (slot.offset, slot.effects.keys());
        for key in &keys {
            self.rows.remove_pending(key, offset);
        }
        self.window.set(i, Status::Failed);
        let slot = self.window.at_mut(i);
        slot.effects = super::slot::Done::default();
        slot.failure = RunFailure { message, ..RunFailure::default() };
        self.recheck(Some(offset), keys);
    }

    /// A head that has run for long while others wait behind it goes on beside the main line.
    pub(super) fn detach_slow_head(&mut self) {
        let Some(after) = self.settings.detach_after.filter(|_| self.is_live() && !self.probation) else {
            return;
        };
        let head = self.window.settled();
        if head >= self.window.len() {
            return;
        }
        let slot = self.window.at(head);
        let is_slow = slot.status == Status::Running && slot.started.after(after) <= self.now;
        if !is_slow || !self.window.iter().skip(head).any(|s| s.status == Status::Done) {
            return;
        }
        let (run, offset) = (slot.run, slot.offset);
        let attempt = super::outside::Attempt::detached(slot);
        let whats: Vec<What> = attempt.whats();
        self.window.at_mut(head).reads.clear();
        self.forget_reads(offset, whats.iter());
        self.runs.remove(&run);
        self.outside.insert(run, attempt);
        self.park(head, Why::Detached);
        self.report(Report::Detached(offset));
    }

    /// The detached attempts whose parking is durable go on as parked ones, if what they read has come true.
    pub(super) fn adopt_detached(&mut self) {
        let position = self.position;
        let adopted = self.outside.iter().filter(|(_, a)| a.is_detached && a.offset < position);
        for run in adopted.map(|(run, _)| *run).collect::<Vec<_>>() {
            let Some(mut attempt) = self.outside.remove(&run) else { continue };
            attempt.is_detached = false;
            let is_current = self.refresh(attempt.reader(), &mut attempt.reads);
            let lane = attempt.lane.clone();
            self.outside.insert(run, attempt);
            self.parked.set_busy(&lane, Some(run));
            if is_current || self.has(Mutation::TrustDetachedReads) {
                self.count("detached goes on");
                self.commit_parked(run);
            } else {
                self.run_again(run);
            }
        }
    }
}
