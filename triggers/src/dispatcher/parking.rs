//! The parked events of the partition, in the order of their keys.

use super::slot::Lane;
use crate::parked::{Entry, EntryState};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use weir_schema::{Millis, Offset, Stamp, TxnId};

/// A parked event, and the version of its row.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) entry: Entry,
    pub(super) stamp: Stamp,
}

/// The parked events of one lane: the first runs, the others wait.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    pub(super) entries: VecDeque<Held>,
    /// What runs, or is being committed, for it: one at a time.
    pub(super) busy: Option<TxnId>,
    /// Under which time it stands in the index.
    due: Option<Millis>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Parking {
    lanes: BTreeMap<Lane, Sequence>,
    due: BTreeSet<(Millis, Lane)>,
    count: usize,
}

impl Parking {
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// How many events.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn get(&self, lane: &Lane) -> Option<&Sequence> {
        self.lanes.get(lane)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Lane, &Sequence)> {
        self.lanes.iter()
    }

    pub(super) fn head(&self, lane: &Lane) -> Option<&Held> {
        self.lanes.get(lane)?.entries.front()
    }

    pub(super) fn of_lane(&self, lane: &Lane, offset: Offset) -> Option<&Held> {
        let entries = &self.lanes.get(lane)?.entries;
        entries.binary_search_by_key(&offset, |h| h.entry.offset).ok().map(|place| &entries[place])
    }

    /// The lane of the event at an offset, and its place there.
    pub(super) fn find(&self, offset: Offset) -> Option<(&Lane, &Held)> {
        self.lanes.iter().find_map(|(lane, s)| {
            let place = s.entries.binary_search_by_key(&offset, |h| h.entry.offset).ok()?;
            Some((lane, &s.entries[place]))
        })
    }

    /// Adds an event, or replaces the one at its offset.
    pub(super) fn put(&mut self, entry: Entry, stamp: Stamp) {
        let lane = Lane::of(entry.key.as_ref(), entry.offset);
        let sequence = self.lanes.entry(lane.clone()).or_default();
        let held = Held { entry, stamp };
        match sequence.entries.binary_search_by_key(&held.entry.offset, |h| h.entry.offset) {
            Ok(place) => sequence.entries[place] = held,
            Err(place) => {
                sequence.entries.insert(place, held);
                self.count += 1;
            }
        }
        self.index(&lane);
    }

    /// Takes an event out; whether the lane has no more.
    pub(super) fn remove(&mut self, lane: &Lane, offset: Offset) -> bool {
        let Some(sequence) = self.lanes.get_mut(lane) else { return true };
        let before = sequence.entries.len();
        sequence.entries.retain(|h| h.entry.offset != offset);
        self.count -= before - sequence.entries.len();
        self.index(lane);
        let is_empty = self.lanes.get(lane).is_none_or(|s| s.entries.is_empty());
        if is_empty {
            self.lanes.remove(lane);
        }
        is_empty
    }

    /// Says what runs or commits for a lane.
    pub(super) fn set_busy(&mut self, lane: &Lane, busy: Option<TxnId>) {
        if let Some(sequence) = self.lanes.get_mut(lane) {
            sequence.busy = busy;
        }
        self.index(lane);
    }

    /// The first event of a lane runs no earlier, or no later, than this; not durable.
    pub(super) fn set_due(&mut self, lane: &Lane, due: Millis) {
        if let Some(head) = self.lanes.get_mut(lane).and_then(|s| s.entries.front_mut()) {
            head.entry.due = due;
        }
        self.index(lane);
    }

    /// Forgets what is at or past `target`, and what runs.
    pub(super) fn cut(&mut self, target: Offset) {
        for sequence in self.lanes.values_mut() {
            sequence.entries.retain(|h| h.entry.offset < target);
            sequence.busy = None;
        }
        self.lanes.retain(|_, s| !s.entries.is_empty());
        self.count = self.lanes.values().map(|s| s.entries.len()).sum();
        for lane in self.lanes.keys().cloned().collect::<Vec<_>>() {
            self.index(&lane);
        }
        self.due.retain(|(_, lane)| self.lanes.contains_key(lane));
    }

    /// The lanes that may run at `now`, the longest due first.
    pub(super) fn due(&self, now: Millis, most: usize) -> Vec<Lane> {
        self.due.iter().take_while(|(due, _)| *due <= now).take(most).map(|(_, lane)| lane.clone()).collect()
    }

    pub(super) fn next_due(&self) -> Option<Millis> {
        self.due.first().map(|(due, _)| *due)
    }

    fn index(&mut self, lane: &Lane) {
        let Some(sequence) = self.lanes.get_mut(lane) else { return };
        let head = sequence.entries.front().filter(|_| sequence.busy.is_none());
        let due = head.filter(|h| h.entry.state != EntryState::Held).map(|h| h.entry.due);
        if due != sequence.due {
            if let Some(old) = sequence.due {
                self.due.remove(&(old, lane.clone()));
            }
            if let Some(new) = due {
                self.due.insert((new, lane.clone()));
            }
            sequence.due = due;
        }
    }
}
