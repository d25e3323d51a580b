//! What an invocation does to the log, while it runs: in order, undone piece by piece when a callee fails.

use crate::Effects;
use bytes::Bytes;
use weir_schema::{
    At, FunctionName, Millis, Offset, Op, RecordsBuilder, StateKey, StateRange, TableName, counter,
};

/// An event to append.
#[derive(Clone, Debug)]
pub(crate) struct NewRecord {
    pub(crate) at: At,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Bytes,
    /// As [`weir_schema::Headers`] reads them.
    pub(crate) headers: Vec<u8>,
}

impl NewRecord {
    /// The bytes that count for the limits.
    pub(crate) fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.value.len() + self.headers.len()
    }
}

/// Appends in order, and one write per key.
#[derive(Default, Debug)]
pub(crate) struct Journal {
    events: Vec<NewRecord>,
    writes: Vec<(StateKey, Op)>,
    index: foldhash::HashMap<StateKey, usize>,
    /// What stood before each change of `writes`; none: nothing did.
    undo: Vec<(usize, Option<Op>)>,
    writers: Vec<(FunctionName, TableName)>,
    bytes: usize,
}

/// A point to come back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    events: usize,
    undo: usize,
    writers: usize,
    bytes: usize,
}

/// An `add` on what this invocation has made something else than a counter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum AddError {
    #[error("the value is {0}, not a whole number below 2^53")]
    NotACounter(String),
    #[error("the counter would pass 2^53")]
    TooLarge,
}

impl Journal {
    pub(crate) fn append(&mut self, event: NewRecord) {
        self.bytes += event.bytes();
        self.events.push(event);
    }

    /// What this invocation has made of a row; none: nothing yet.
    pub(crate) fn written(&self, key: &StateKey) -> Option<&Op> {
        self.index.get(key).map(|i| &self.writes[*i].1)
    }

    /// The rows of a range that this invocation has written, in byte order.
    pub(crate) fn written_in(&self, range: &StateRange) -> Vec<(Bytes, Op)> {
        let inside = self.writes.iter().filter(|(key, _)| range.contains(key));
        let mut rows: Vec<_> = inside.map(|(key, op)| (key.key.clone(), op.clone())).collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows
    }

    /// Puts or deletes a row: what came before does not matter.
    pub(crate) fn write(&mut self, by: &FunctionName, key: StateKey, op: Op) {
        let pair = |(f, t): &(FunctionName, TableName)| f == by && *t == key.table;
        if !self.writers.iter().any(pair) {
            self.writers.push((by.clone(), key.table.clone()));
        }
        self.bytes += key.key.len() + if let Op::Put { value, .. } = &op { value.len() } else { 0 };
        if let Some(&i) = self.index.get(&key) {
            let before = std::mem::replace(&mut self.writes[i].1, op);
            self.undo.push((i, Some(before)));
        } else {
            self.undo.push((self.writes.len(), None));
            self.index.insert(key.clone(), self.writes.len());
            self.writes.push((key, op));
        }
    }

    /// Adds to a row, blindly unless this invocation has written it.
    pub(crate) fn add(&mut self, by: &FunctionName, key: StateKey, n: i64) -> Result<(), AddError> {
        let op = match self.written(&key) {
            None => Op::Add(bounded(Some(n))?),
            Some(Op::Add(before)) => Op::Add(bounded(before.checked_add(n))?),
            Some(Op::Delete) => put(bounded(Some(n))?, None),
            Some(Op::Put { value, expires }) => {
                let before = counter(value)
                    .ok_or_else(|| AddError::NotACounter(String::from_utf8_lossy(value).into_owned()))?;
                put(bounded(before.checked_add(n))?, *expires)
            }
        };
        self.write(by, key, op);
        Ok(())
    }

    /// The bytes of all that was appended and written, what was written over included.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            events: self.events.len(),
            undo: self.undo.len(),
            writers: self.writers.len(),
            bytes: self.bytes,
        }
    }

    /// Undoes all that came after `mark`.
    pub(crate) fn rollback(&mut self, mark: Mark) {
        self.events.truncate(mark.events);
        self.writers.truncate(mark.writers);
        self.bytes = mark.bytes;
        for (i, before) in self.undo.drain(mark.undo..).rev() {
            if let Some(op) = before {
                self.writes[i].1 = op;
            } else if let Some((key, _)) = self.writes.pop() {
                self.index.remove(&key);
            }
        }
    }

    pub(crate) fn finish(self) -> Effects {
        Effects { appends: records(&self.events), writes: self.writes, writers: self.writers }
    }
}

/// A batch of events.
pub(crate) fn records(events: &[NewRecord]) -> weir_schema::Records {
    if events.is_empty() {
        return weir_schema::Records::default();
    }
    let mut builder = RecordsBuilder::with_capacity(events.len(), events.iter().map(NewRecord::bytes).sum());
    for event in events {
        let (key, value) = (event.key.as_deref(), Some(&event.value[..]));
        builder.push_encoded(event.at, Offset::ZERO, Millis(0), key, value, &event.headers);
    }
    builder.build()
}

/// The sum of a counter and what is added to it.
pub(crate) fn sum(base: i64, n: i64) -> Result<i64, AddError> {
    bounded(base.checked_add(n))
}

fn bounded(sum: Option<i64>) -> Result<i64, AddError> {
    sum.filter(|n| n.unsigned_abs() < 1 << 53).ok_or(AddError::TooLarge)
}

fn put(counter: i64, expires: Option<Millis>) -> Op {
    Op::Put { value: counter.to_string().into(), expires }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name() -> FunctionName {
        FunctionName::new("f").expect("well-formed")
    }

    fn key(n: u8) -> StateKey {
        let table = TableName::new("t").expect("well-formed");
        StateKey { table, generation: 0, key: vec![n].into() }
    }

    fn value(text: &'static str) -> Op {
        Op::Put { value: text.into(), expires: None }
    }

    #[test]
    fn writes_of_one_key_compose() {
        let cases: [(Op, i64, Result<Op, AddError>); 5] = [
            (Op::Add(1), 2, Ok(Op::Add(3))),
            (value("5"), 2, Ok(value("7"))),
            (Op::Delete, 2, Ok(value("2"))),
            (value("\"x\""), 2, Err(AddError::NotACounter("\"x\"".into()))),
            (value("9007199254740991"), 1, Err(AddError::TooLarge)),
        ];
        for (first, n, expected) in cases {
            let mut journal = Journal::default();
            journal.write(&name(), key(1), first);
            let added = journal.add(&name(), key(1), n);
            assert_eq!(added.map(|()| journal.written(&key(1)).expect("written").clone()), expected);
        }
    }

    proptest! {
        #[test]
        fn a_rollback_leaves_exactly_what_was_there(
            before in prop::collection::vec((0u8..4, 0u8..3), 0..8),
            after in prop::collection::vec((0u8..4, 0u8..3), 0..8),
        ) {
            let apply = |journal: &mut Journal, steps: &[(u8, u8)]| for (k, what) in steps {
                match what {
                    0 => journal.write(&name(), key(*k), Op::Delete),
                    1 => journal.write(&name(), key(*k), value("1")),
                    _ => journal.add(&name(), key(*k), 1).expect("small"),
                }
            };
            let (mut plain, mut undone) = (Journal::default(), Journal::default());
            apply(&mut plain, &before);
            apply(&mut undone, &before);
            let mark = undone.mark();
            apply(&mut undone, &after);
            undone.rollback(mark);
            prop_assert_eq!(plain.bytes(), undone.bytes());
            for k in 0..4 {
                prop_assert_eq!(plain.written(&key(k)), undone.written(&key(k)));
            }
            prop_assert_eq!(plain.finish().writes, undone.finish().writes);
        }
    }
}
