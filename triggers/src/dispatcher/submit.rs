//! Builds the transaction of the settled prefix.

use super::protocol::{Stored, What};
use super::rows::compose;
use super::sent::{Body, EntryChange, Purpose};
use super::settings::OnExhausted;
use super::slot::{Recorded, Slot, Status, Why};
use super::{Dispatcher, Mutation};
use crate::parked::{Entry, EntryError, EntryState};
use smallvec::SmallVec;
use std::time::Duration;
use weir_schema::{Advance, DigestBuilder, Millis, Offset, Op, Read, Stamp, StateKey, Versioned, Write};

/// What a commit has to check: of each read its part of the store. Two versions of one row go out both, and conflict.
#[derive(Debug, Default)]
pub(super) struct Reads {
    pub(super) list: Vec<Read>,
    stamps: foldhash::HashMap<StateKey, SmallVec<[Option<Stamp>; 1]>>,
    /// Rows that stop to count at some time.
    expiring: foldhash::HashMap<StateKey, Versioned>,
}

impl Reads {
    pub(super) fn add(&mut self, read: &Recorded, only_last: bool) {
        match (&read.what, &read.base) {
            (What::Key(key), Some(Stored::Row(row))) => {
                if let Some(row) = row.as_ref().filter(|r| r.expires.is_some()) {
                    self.expiring.insert(key.clone(), row.clone());
                }
                self.add_key(key, row.as_ref().map(|r| r.stamp), only_last);
            }
            (What::Range(range), Some(Stored::Rows(rows))) => {
                let mut digest = DigestBuilder::default();
                for (key, row) in rows {
                    digest.row(key, row.stamp);
                    if row.expires.is_some() {
                        let table = range.table.clone();
                        let key = StateKey { table, generation: range.generation, key: key.clone() };
                        self.expiring.insert(key, row.clone());
                    }
                }
                let read = Read::Range(range.clone(), digest.finish());
                if !self.list.contains(&read) {
                    self.list.push(read);
                }
            }
            _ => {}
        }
    }

    fn add_key(&mut self, key: &StateKey, stamp: Option<Stamp>, only_last: bool) {
        let stamps = self.stamps.entry(key.clone()).or_default();
        if only_last && !stamps.is_empty() {
            stamps.clear();
            self.list.retain(|r| !matches!(r, Read::Key(k, _) if k == key));
        }
        if !stamps.contains(&stamp) {
            stamps.push(stamp);
            self.list.push(Read::Key(key.clone(), stamp));
        }
    }
}

/// The writes of several slots, one per row.
#[derive(Debug, Default)]
struct Writes {
    list: Vec<Write>,
    index: foldhash::HashMap<StateKey, usize>,
}

impl Writes {
    /// Adds a slot's writes, unless one of them adds to what is no counter: then it has to meet the log alone, which
    /// refuses it.
    fn add(&mut self, slot: &Slot, reads: &Reads) -> bool {
        let mut ops: SmallVec<[(Option<usize>, Op); 4]> = SmallVec::new();
        for (key, op) in &slot.effects.writes {
            let place = self.index.get(key).copied();
            // whether an expired counter counts must be judged by one clock: once it was read, by the events'
            let base = || reads.expiring.get(key).filter(|_| matches!(op, Op::Add(_)));
            let first = match place {
                Some(place) => Some(self.list[place].op.clone()),
                None => base().map(|b| Op::Put { value: b.value.clone(), expires: b.expires }),
            };
            let op = match first {
                Some(first) => compose(&first, op, slot.time),
                None => Some(op.clone()),
            };
            let Some(op) = op else { return false };
            ops.push((place, op));
        }
        for ((key, _), (place, op)) in slot.effects.writes.iter().zip(ops) {
            let write = Write { key: key.clone(), op, stamp: slot.run };
            match place {
                Some(place) => self.list[place] = write,
                None => {
                    self.index.insert(key.clone(), self.list.len());
                    self.list.push(write);
                }
            }
        }
        true
    }

    fn add_as_they_are(&mut self, slot: &Slot) {
        for (key, op) in &slot.effects.writes {
            self.index.insert(key.clone(), self.list.len());
            self.list.push(Write { key: key.clone(), op: op.clone(), stamp: slot.run });
        }
    }
}

impl Dispatcher {
    /// Commits the settled prefix, or as much of it as one transaction takes.
    pub(super) fn submit(&mut self) {
        let mut n = self.chunk_len();
        let body = loop {
            match self.chunk(n) {
                Ok(body) => break body,
                Err(shorter) => n = shorter,
            }
        };
        self.send(Purpose::Flight, body);
        self.flight = Some(n);
    }

    fn chunk_len(&mut self) -> usize {
        let most = if self.one_by_one > 0 { 1 } else { self.settings.chunk };
        let settled = self.window.settled().min(most);
        let mut bytes = 0;
        let fits = |slot: &&Slot| {
            bytes += slot.effects.bytes();
            bytes <= self.settings.chunk_bytes
        };
        self.window.iter().take(settled).take_while(fits).count().max(1)
    }

    /// The transaction of the first `n` slots; or how many fewer can be composed.
    fn chunk(&mut self, n: usize) -> Result<Body, usize> {
        let mut reads = Reads::default();
        let only_last = self.has(Mutation::OneStampPerKey);
        let forgets = self.has(Mutation::ForgetFailedReads);
        for slot in self.window.iter().take(n).filter(|s| !forgets || s.status == Status::Done) {
            for read in &slot.reads {
                reads.add(read, only_last);
            }
        }
        let mut writes = Writes::default();
        let mut body = Body::default();
        for (i, slot) in self.window.iter().take(n).enumerate().filter(|(_, s)| s.status == Status::Done) {
            if !writes.add(slot, &reads) {
                if i > 0 {
                    return Err(i);
                }
                writes.add_as_they_are(slot);
            }
            if !slot.effects.appends.is_empty() {
                body.appends.push(slot.effects.appends.clone());
            }
        }
        body.slots = n;
        body.reads = reads.list;
        body.writes = writes.list;
        self.park_slots(n, &mut body);
        body.advance = Some(Advance { from: self.position, to: self.window.at(n - 1).offset.next() });
        Ok(body)
    }

    fn park_slots(&mut self, n: usize, body: &mut Body) {
        let parks = |s: &Slot| match s.status {
            Status::Park(why) => Some((s.offset, why)),
            Status::Queued | Status::Running | Status::Done | Status::Failed => None,
        };
        let parked: Vec<_> = self.window.iter().take(n).filter_map(parks).collect();
        for (offset, why) in parked {
            let Some(i) = self.window.index_of(offset) else { continue };
            let entry = self.new_entry(i, why);
            if why == Why::Failed
                && entry.state == EntryState::Held
                && self.settings.on_exhausted == OnExhausted::Skip
            {
                let reason = format!("failed: {}", self.window.at(i).failure.message);
                let audit = self.audit(entry, reason);
                body.writes.push(audit);
                continue;
            }
            let change = self.change(offset, Some(entry));
            let EntryChange { key, to: Some((entry, stamp)), .. } = &change else { continue };
            let op = Op::Put { value: entry.to_json(), expires: None };
            body.writes.push(Write { key: key.clone(), op, stamp: *stamp });
            body.entries.push(change);
        }
    }

    fn new_entry(&self, i: usize, why: Why) -> Entry {
        let slot = self.window.at(i);
        let (topic, partition) = (self.topic.clone(), self.fence.at.partition);
        let mut entry = Entry::waiting(topic, partition, slot.offset, slot.key.clone(), slot.time, self.now);
        match why {
            Why::Follower => {}
            Why::Detached => (entry.state, entry.started) = (EntryState::Running, true),
            Why::Crashed => {
                entry.state = EntryState::Held;
                let error = "the process ended each time it ran".to_owned();
                entry.errors.push(EntryError { time: self.now, attempt: 0, error });
            }
            Why::Failed => {
                entry.failed(self.now, &slot.failure.message);
                entry.due = self.due_after(slot.offset, 1, slot.failure.retry_after);
                if slot.failure.is_final || self.settings.retry.attempts <= 1 {
                    entry.state = EntryState::Held;
                }
            }
        }
        entry
    }

    /// When an event that has failed `attempts` times runs again.
    pub(super) fn due_after(&self, offset: Offset, attempts: u32, at_least: Option<Duration>) -> Millis {
        let retry = &self.settings.retry;
        let doubled = retry.backoff.saturating_mul(1_u32 << attempts.saturating_sub(1).min(20));
        let wait = doubled.min(retry.max_backoff);
        // a number between -1 and 1 that belongs to this attempt
        let spread = mix(self.settings.seed ^ offset.0.rotate_left(32) ^ u64::from(attempts)) as f64
            / u64::MAX as f64
            * 2.0
            - 1.0;
        let wait = wait.mul_f64((1.0 + spread * retry.jitter).max(0.0));
        self.now.after(wait.max(at_least.unwrap_or_default()))
    }
}

/// `SplitMix64`.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
