//! Reads: what an attempt sees of the state through the pending writes of earlier events.

use super::protocol::{Seen, Stored, View, What};
use super::rows::{Cell, Row, apply, cell_of};
use super::slot::{Recorded, Status};
use super::{Dispatcher, Mutation};
use bytes::Bytes;
use std::collections::BTreeMap;
use weir_runtime::HostRow;
use weir_schema::{Millis, Offset, Op, StateKey, StateRange, TxnId, Versioned};

/// Physical rows in byte order.
type StoredRows = Vec<(Bytes, Versioned)>;

/// Whose eyes: pending writes below `before` (none: only what is committed), expiry by `time`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    pub(super) before: Option<Offset>,
    pub(super) time: Millis,
}

impl Dispatcher {
    /// A read of a running attempt. First without `stored`; if that answers [`Seen::AskStore`], again with the
    /// store's answer, which must have been asked for after that. Pass on what it saw, nothing else.
    #[expect(clippy::needless_pass_by_value, reason = "the caller has no further use for it")]
    pub fn read(&mut self, run: TxnId, what: &What, stored: Option<Stored>) -> Seen {
        let slot = self.runs.get(&run).and_then(|offset| self.window.index_of(*offset));
        let reader = match slot {
            Some(i) => {
                let slot = self.window.at(i);
                Reader { before: Some(slot.offset), time: slot.time }
            }
            None => match self.outside.get(&run) {
                Some(attempt) => attempt.reader(),
                None => return Seen::Gone,
            },
        };
        if let What::Range(_) = what {
            self.rows.order();
        }
        if let Some(stored) = &stored {
            self.take_note(what, stored);
        }
        let Some((view, base)) = self.lookup(reader, what, stored.as_ref()) else { return Seen::AskStore };
        let read = Recorded { what: what.clone(), view: view.clone(), base };
        match slot {
            Some(i) => self.record(i, read),
            None => self.outside.get_mut(&run).expect("found above").reads.push(read),
        }
        Seen::View(view)
    }

    fn record(&mut self, i: usize, read: Recorded) {
        let slot = self.window.at_mut(i);
        if slot.reads.is_empty() {
            slot.changes_seen = self.rows.changes();
        }
        match &read.what {
            What::Key(key) => self.rows.add_reader(key, slot.offset),
            What::Range(_) => {
                self.scanners.insert(slot.offset);
            }
        }
        slot.reads.push(read);
    }

    /// Remembers what the store answered. A range's answer replaces what was known of the range: to patch it with
    /// that would conflict again.
    fn take_note(&mut self, what: &What, stored: &Stored) {
        match (what, stored) {
            (What::Key(key), Stored::Row(row)) => {
                if self.rows.cached(key).is_none() {
                    self.rows.remember(key, row.clone());
                }
            }
            (What::Range(range), Stored::Rows(rows)) => {
                let known: Vec<_> = self
                    .rows
                    .range(range)
                    .filter(|(_, r)| r.cached.is_some())
                    .map(|(k, _)| k.clone())
                    .collect();
                for key in known.iter().filter(|k| rows.binary_search_by(|(r, _)| r.cmp(&k.key)).is_err()) {
                    self.rows.remember(key, None);
                }
                for (key, row) in rows {
                    self.rows.remember(&in_range(range, key), Some(row.clone()));
                }
            }
            _ => debug_assert!(false, "a row for a key, rows for a range"),
        }
    }

    /// Folds the pending writes below the reader over the cache, else over `given`: what a record or a fresh answer of
    /// the store has. None: the store must be asked.
    pub(super) fn lookup(
        &self,
        reader: Reader,
        what: &What,
        given: Option<&Stored>,
    ) -> Option<(View, Option<Stored>)> {
        match (what, given) {
            (What::Key(key), given) => {
                let row = self.rows.get(key);
                if let Some(cell) = row.and_then(|r| fold_from_put(r, reader)) {
                    return Some((View::Row(live(cell, reader.time)), None));
                }
                let base = match (row.and_then(|r| r.cached.as_ref()), given) {
                    (Some(cached), _) => cached.clone(),
                    (None, Some(Stored::Row(given))) => given.clone(),
                    (None, _) => return None,
                };
                let cell = fold(row, reader, cell_of(base.as_ref()));
                Some((View::Row(live(cell, reader.time)), Some(Stored::Row(base))))
            }
            (What::Range(range), Some(Stored::Rows(given))) => {
                let (view, base) = self.lookup_range(reader, range, given);
                Some((View::Rows(view), Some(Stored::Rows(base))))
            }
            (What::Range(_), _) => None,
        }
    }

    fn lookup_range(
        &self,
        reader: Reader,
        range: &StateRange,
        given: &[(Bytes, Versioned)],
    ) -> (Vec<(Bytes, Bytes)>, StoredRows) {
        let mut base: BTreeMap<Bytes, Versioned> = given.iter().cloned().collect();
        for (key, row) in self.rows.range(range) {
            match &row.cached {
                Some(Some(cached)) => {
                    base.insert(key.key.clone(), cached.clone());
                }
                Some(None) => {
                    base.remove(&key.key);
                }
                None => {}
            }
        }
        let mut cells: BTreeMap<Bytes, Cell> =
            base.iter().map(|(key, row)| (key.clone(), cell_of(Some(row)))).collect();
        for (key, row) in self.rows.range(range).filter(|(_, r)| !r.pending.is_empty()) {
            let below = cells.remove(&key.key).flatten();
            cells.insert(
                key.key.clone(),
                fold_from_put(row, reader).unwrap_or_else(|| fold(Some(row), reader, below)),
            );
        }
        let seen = cells.into_iter().filter_map(|(key, cell)| Some((key, live(cell, reader.time)?.value)));
        (seen.collect(), base.into_iter().collect())
    }

    /// Whether every read would see the same *value* again. What does is recorded anew: the version of the row below it
    /// may have changed.
    pub(super) fn refresh(&self, reader: Reader, reads: &mut [Recorded]) -> bool {
        for read in reads {
            let is_evicted = |key| self.rows.cached(key).is_none();
            let is_trusted = matches!(&read.what, What::Key(key) if is_evicted(key));
            if self.has(Mutation::TrustEvicted) && is_trusted {
                continue;
            }
            match self.lookup(reader, &read.what, read.base.as_ref()) {
                Some((view, base)) if view == read.view => {
                    if !self.has(Mutation::KeepOldBase) {
                        read.base = base;
                    }
                }
                _ => return false,
            }
        }
        true
    }

    /// Whether a slot's attempt saw what is so.
    pub(super) fn is_current(&mut self, i: usize) -> bool {
        let changes = self.rows.changes();
        let slot = self.window.at_mut(i);
        // nothing has changed since it first read: nothing to compare, and this is the rule while functions do not wait
        if slot.reads.is_empty() || slot.changes_seen == changes {
            return true;
        }
        let mut reads = std::mem::take(&mut slot.reads);
        let reader = Reader { before: Some(slot.offset), time: slot.time };
        let is_current = self.refresh(reader, &mut reads);
        let slot = self.window.at_mut(i);
        slot.reads = reads;
        if is_current {
            slot.changes_seen = changes;
        }
        is_current
    }

    /// Makes a finished slot's writes visible to later events.
    pub(super) fn publish(&mut self, i: usize) {
        let slot = self.window.at(i);
        for (key, op) in &slot.effects.writes {
            let pending = super::rows::Pending { offset: slot.offset, time: slot.time, op: op.clone() };
            self.rows.add_pending(key, pending);
        }
        self.window.set(i, Status::Done);
    }
}

fn in_range(range: &StateRange, key: &Bytes) -> StateKey {
    StateKey { table: range.table.clone(), generation: range.generation, key: key.clone() }
}

/// The pending writes from the nearest one that does not depend on what is below it; none if there is no such write.
fn fold_from_put(row: &Row, reader: Reader) -> Option<Cell> {
    let below = &row.pending[..below(row, reader)];
    let put = below.iter().rposition(|p| !matches!(p.op, Op::Add(_)))?;
    Some(fold_pending(&below[put..], None))
}

fn fold(row: Option<&Row>, reader: Reader, base: Cell) -> Cell {
    match row {
        Some(row) => fold_pending(&row.pending[..below(row, reader)], base),
        None => base,
    }
}

/// An `Add` to what is no counter leaves the value: the log will refuse it, and then it was never there.
fn fold_pending(pending: &[super::rows::Pending], base: Cell) -> Cell {
    pending.iter().fold(base, |cell, p| apply(&p.op, &cell, p.time).unwrap_or(cell))
}

fn below(row: &Row, reader: Reader) -> usize {
    reader.before.map_or(0, |before| row.pending.partition_point(|p| p.offset < before))
}

fn live(cell: Cell, time: Millis) -> Option<HostRow> {
    let (value, expires) = cell?;
    HostRow { value, expires }.live(time)
}
