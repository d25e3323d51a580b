//! The state as the window knows it: committed rows that are remembered, pending writes, and who has read what.

use bytes::Bytes;
use smallvec::SmallVec;
use std::collections::{BTreeSet, VecDeque};
use weir_schema::{Millis, Offset, Op, StateKey, StateRange, Versioned, counter};

/// A row's content without its version: the value, and when it stops to count.
pub(super) type Cell = Option<(Bytes, Option<Millis>)>;

/// A write that is not committed yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) offset: Offset,
    /// The event's: by it expiry is judged.
    pub(super) time: Millis,
    pub(super) op: Op,
}

#[derive(Debug, Default)]
pub(super) struct Row {
    /// As committed; none: not known. What is known may be that there is no row.
    pub(super) cached: Option<Option<Versioned>>,
    /// In offset order.
    pub(super) pending: SmallVec<[Pending; 1]>,
    /// In offset order; one that has read twice stands here twice.
    pub(super) readers: SmallVec<[Offset; 2]>,
}

impl Row {
    fn is_empty(&self) -> bool {
        self.cached.is_none() && self.pending.is_empty() && self.readers.is_empty()
    }
}

/// What an operation makes of a cell, for an event of `time`; none: an `Add` to what is no counter.
pub(super) fn apply(op: &Op, cell: &Cell, time: Millis) -> Option<Cell> {
    match op {
        Op::Put { value, expires } => Some(Some((value.clone(), *expires))),
        Op::Delete => Some(None),
        Op::Add(by) => match cell.as_ref().filter(|(_, expires)| expires.is_none_or(|e| time < e)) {
            None => Some(Some((decimal(*by)?, None))),
            Some((value, expires)) => Some(Some((decimal(counter(value)?.checked_add(*by)?)?, *expires))),
        },
    }
}

/// Two operations as one; the later belongs to an event of `time`. None: they must not be one, for the log has to see
/// both: an `Add` to what is no counter, and an `Add` that would vanish, bad or not, under what follows it.
pub(super) fn compose(first: &Op, then: &Op, time: Millis) -> Option<Op> {
    match (first, then) {
        (Op::Add(a), Op::Add(b)) => Some(Op::Add(a.checked_add(*b)?)),
        (Op::Add(_), Op::Put { .. } | Op::Delete) => None,
        (_, Op::Put { .. } | Op::Delete) => Some(then.clone()),
        (Op::Put { value, expires }, Op::Add(_)) => put(apply(then, &Some((value.clone(), *expires)), time)?),
        (Op::Delete, Op::Add(_)) => put(apply(then, &None, time)?),
    }
}

fn put(cell: Cell) -> Option<Op> {
    cell.map(|(value, expires)| Op::Put { value, expires })
}

fn decimal(number: i64) -> Option<Bytes> {
    let text = number.to_string();
    counter(text.as_bytes()).map(|_| text.into())
}

pub(super) fn cell_of(row: Option<&Versioned>) -> Cell {
    row.map(|v| (v.value.clone(), v.expires))
}

/// See the module.
#[derive(Debug)]
pub(super) struct Rows {
    map: foldhash::HashMap<StateKey, Row>,
    /// The keys of `map` in order: kept from the first read of a range on.
    ordered: Option<BTreeSet<StateKey>>,
    /// Keys in the order of being remembered; some may have been forgotten since.
    remembered: VecDeque<StateKey>,
    cached: usize,
    bytes: usize,
    max_rows: usize,
    max_bytes: usize,
    /// Grows with everything that can change what a read sees.
    changes: u64,
}

impl Rows {
    pub(super) fn new(max_rows: usize, max_bytes: usize) -> Self {
        Self {
            map: foldhash::HashMap::default(),
            ordered: None,
            remembered: VecDeque::new(),
            cached: 0,
            bytes: 0,
            max_rows,
            max_bytes,
            changes: 0,
        }
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn get(&self, key: &StateKey) -> Option<&Row> {
        self.map.get(key)
    }

    pub(super) fn cached(&self, key: &StateKey) -> Option<&Option<Versioned>> {
        self.map.get(key)?.cached.as_ref()
    }

    /// Keeps the keys in order from now on.
    pub(super) fn order(&mut self) {
        if self.ordered.is_none() {
            self.ordered = Some(self.map.keys().cloned().collect());
        }
    }

    /// The known rows of a range, in order.
    pub(super) fn range<'a>(
        &'a self,
        range: &'a StateRange,
    ) -> impl Iterator<Item = (&'a StateKey, &'a Row)> {
        let first =
            StateKey { table: range.table.clone(), generation: range.generation, key: range.from.clone() };
        let keys = self.ordered.iter().flat_map(move |o| o.range(first.clone()..));
        keys.take_while(|k| range.contains(k)).filter_map(|k| self.map.get_key_value(k))
    }

    /// Remembers a committed row, or that there is none.
    pub(super) fn remember(&mut self, key: &StateKey, value: Option<Versioned>) {
        let size = size(key, value.as_ref());
        let row = self.row(key);
        let old = row.cached.replace(value);
        if old.as_ref() != row.cached.as_ref() {
            self.changes += 1;
        }
        match old {
            Some(old) => self.bytes -= self::size(key, old.as_ref()),
            None => {
                self.cached += 1;
                self.remembered.push_back(key.clone());
            }
        }
        self.bytes += size;
    }

    pub(super) fn forget(&mut self, key: &StateKey) {
        let Some(row) = self.map.get_mut(key) else { return };
        if let Some(old) = row.cached.take() {
            self.cached -= 1;
            self.bytes -= size(key, old.as_ref());
            self.changes += 1;
        }
        if row.is_empty() {
            self.remove(key);
        }
    }

    /// Forgets the rows remembered first, down to the bounds.
    pub(super) fn trim(&mut self) {
        while self.cached > self.max_rows
            || self.bytes > self.max_bytes
            || self.remembered.len() > 2 * self.max_rows.max(8)
        {
            let Some(key) = self.remembered.pop_front() else { return };
            self.forget(&key);
        }
    }

    pub(super) fn add_pending(&mut self, key: &StateKey, pending: Pending) {
        self.changes += 1;
        let row = self.row(key);
        let place = row.pending.partition_point(|p| p.offset < pending.offset);
        row.pending.insert(place, pending);
    }

    pub(super) fn remove_pending(&mut self, key: &StateKey, offset: Offset) {
        self.changes += 1;
        let Some(row) = self.map.get_mut(key) else { return };
        row.pending.retain(|p| p.offset != offset);
        if row.is_empty() {
            self.remove(key);
        }
    }

    pub(super) fn add_reader(&mut self, key: &StateKey, offset: Offset) {
        let row = self.row(key);
        let place = row.readers.partition_point(|o| *o < offset);
        row.readers.insert(place, offset);
    }

    pub(super) fn remove_reader(&mut self, key: &StateKey, offset: Offset) {
        let Some(row) = self.map.get_mut(key) else { return };
        if let Ok(place) = row.readers.binary_search(&offset) {
            row.readers.remove(place);
        }
        if row.is_empty() {
            self.remove(key);
        }
    }

    /// Forgets pending writes and readers: the window is empty.
    pub(super) fn clear_window(&mut self) {
        self.changes += 1;
        for row in self.map.values_mut() {
            row.pending.clear();
            row.readers.clear();
        }
        self.map.retain(|_, row| row.cached.is_some());
        if self.ordered.is_some() {
            self.ordered = Some(self.map.keys().cloned().collect());
        }
    }

    fn row(&mut self, key: &StateKey) -> &mut Row {
        let ordered = &mut self.ordered;
        self.map.entry(key.clone()).or_insert_with(|| {
            if let Some(ordered) = ordered {
                ordered.insert(key.clone());
            }
            Row::default()
        })
    }

    fn remove(&mut self, key: &StateKey) {
        self.map.remove(key);
        if let Some(ordered) = &mut self.ordered {
            ordered.remove(key);
        }
    }
}

fn size(key: &StateKey, value: Option<&Versioned>) -> usize {
    key.key.len() + value.map_or(0, |v| v.value.len())
}
