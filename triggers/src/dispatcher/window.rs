//! The window: events read and not yet committed, with the indexes that make each question about them cheap.

use super::slot::{Slot, Status};
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};
use weir_schema::Offset;

/// The events of one key in the window.
#[derive(Debug, Default)]
struct Line {
    offsets: VecDeque<Offset>,
    /// How many of the first ones are done.
    done: usize,
    parks: usize,
}

/// Slots in offset order. A status changes only through [`Window::set`], which keeps the indexes.
#[derive(Debug, Default)]
pub(super) struct Window {
    slots: VecDeque<Slot>,
    lines: foldhash::HashMap<Bytes, Line>,
    /// Queued, and every earlier one of the key is done.
    ready: BTreeSet<Offset>,
    settled: usize,
    running: usize,
    bytes: usize,
}

impl Window {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Bytes of the events, and of the effects of those that are done.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn ready(&self) -> &BTreeSet<Offset> {
        &self.ready
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Slot> + DoubleEndedIterator {
        self.slots.iter()
    }

    pub(super) fn at(&self, index: usize) -> &Slot {
        &self.slots[index]
    }

    /// For everything but the status and what is indexed by.
    pub(super) fn at_mut(&mut self, index: usize) -> &mut Slot {
        &mut self.slots[index]
    }

    pub(super) fn index_of(&self, offset: Offset) -> Option<usize> {
        index_of(&self.slots, offset)
    }

    /// How many of the first slots are done or to be parked.
    pub(super) fn settled(&mut self) -> usize {
        while self.slots.get(self.settled).is_some_and(|s| s.status.is_settled()) {
            self.settled += 1;
        }
        self.settled
    }

    pub(super) fn has_parks_of(&self, key: &Bytes) -> bool {
        self.lines.get(key).is_some_and(|l| l.parks > 0)
    }

    /// The slots of a key that lie above `after`; below it too if there is no `after`.
    pub(super) fn of_key(&self, key: &Bytes, after: Option<Offset>) -> Vec<usize> {
        let Some(line) = self.lines.get(key) else { return Vec::new() };
        let above = line.offsets.iter().filter(|o| after.is_none_or(|a| **o > a));
        above.filter_map(|o| self.index_of(*o)).collect()
    }

    pub(super) fn push(&mut self, slot: Slot) {
        let (offset, status) = (slot.offset, slot.status);
        self.bytes += slot.bytes;
        if let Some(key) = &slot.key {
            let line = self.lines.entry(key.clone()).or_default();
            line.offsets.push_back(offset);
            line.parks += usize::from(matches!(status, Status::Park(_)));
        }
        self.slots.push_back(slot);
        self.refresh(self.slots.len() - 1);
    }

    /// Changes a slot's status.
    pub(super) fn set(&mut self, index: usize, status: Status) {
        let slot = &mut self.slots[index];
        let old = std::mem::replace(&mut slot.status, status);
        let effects = slot.effects.bytes();
        match (old == Status::Done, status == Status::Done) {
            (false, true) => self.bytes += effects,
            (true, false) => self.bytes -= effects,
            _ => {}
        }
        self.running += usize::from(status == Status::Running);
        self.running -= usize::from(old == Status::Running);
        if !status.is_settled() {
            self.settled = self.settled.min(index);
        }
        let Some(key) = slot.key.clone() else { return self.refresh(index) };
        let offset = slot.offset;
        let before = self.front_of(&key);
        if let Some(line) = self.lines.get_mut(&key) {
            line.parks += usize::from(matches!(status, Status::Park(_)));
            line.parks -= usize::from(matches!(old, Status::Park(_)));
            if status != Status::Done {
                let place = line.offsets.partition_point(|o| *o < offset);
                line.done = line.done.min(place);
            }
        }
        let after = self.front_of(&key);
        for changed in [before, after, Some(index)].into_iter().flatten() {
            self.refresh(changed);
        }
    }

    /// Takes the first `n` slots out.
    pub(super) fn pop(&mut self, n: usize) -> Vec<Slot> {
        let popped: Vec<Slot> = self.slots.drain(..n).collect();
        self.settled = self.settled.saturating_sub(n);
        for slot in &popped {
            self.bytes -= slot.bytes + if slot.status == Status::Done { slot.effects.bytes() } else { 0 };
            self.running -= usize::from(slot.status == Status::Running);
            self.ready.remove(&slot.offset);
            let Some(key) = &slot.key else { continue };
            let Some(line) = self.lines.get_mut(key) else { continue };
            line.offsets.pop_front();
            line.done = line.done.saturating_sub(1);
            line.parks -= usize::from(matches!(slot.status, Status::Park(_)));
            if line.offsets.is_empty() {
                self.lines.remove(key);
            } else if let Some(front) = self.front_of(key) {
                self.refresh(front);
            }
        }
        popped
    }

    /// The first slot of a key that is not done.
    fn front_of(&mut self, key: &Bytes) -> Option<usize> {
        let line = self.lines.get_mut(key)?;
        while let Some(offset) = line.offsets.get(line.done) {
            // an offset that is being popped is no slot any more
            let index = index_of(&self.slots, *offset)?;
            if self.slots[index].status != Status::Done {
                return Some(index);
            }
            line.done += 1;
        }
        None
    }

    fn refresh(&mut self, index: usize) {
        let (status, offset) = (self.slots[index].status, self.slots[index].offset);
        let key = self.slots[index].key.clone();
        let is_ready = status == Status::Queued && key.is_none_or(|key| self.front_of(&key) == Some(index));
        if is_ready {
            self.ready.insert(offset);
        } else {
            self.ready.remove(&offset);
        }
    }
}

fn index_of(slots: &VecDeque<Slot>, offset: Offset) -> Option<usize> {
    let first = slots.front()?.offset;
    let guess = usize::try_from(offset.0.checked_sub(first.0)?).ok()?;
    // without gaps the place is known
    if slots.get(guess).is_some_and(|s| s.offset == offset) {
        return Some(guess);
    }
    let place = slots.partition_point(|s| s.offset < offset);
    slots.get(place).filter(|s| s.offset == offset).map(|_| place)
}
