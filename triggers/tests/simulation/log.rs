//! The simulated log. `apply` is where a transaction takes its place in the commit order, and where the checker looks.

use super::check::{Checker, Note};
use super::program::{Answer, Ask, Cell, HUGE, Key, apply, live, table, what};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use weir_log::{CommitError, Rejection};
use weir_schema::{
    At, CatalogVersion, DigestBuilder, Epoch, GroupName, Millis, Offset, Op, Read, Receipt, Records,
    RecordsBuilder, StateKey, StateRange, TopicId, Transaction, TxnId, Versioned,
};
use weir_triggers::dispatcher::{Stored, What};

pub(crate) const TOPIC: At = At { topic: TopicId(0), partition: 0 };
pub(crate) const OUTPUT: At = At { topic: TopicId(1), partition: 0 };

#[derive(Clone, Debug)]
pub(crate) struct SimEvent {
    pub(crate) offset: Offset,
    pub(crate) key: Option<u8>,
    pub(crate) time: Millis,
    pub(crate) seed: u64,
    pub(crate) size: usize,
    pub(crate) slow: bool,
    pub(crate) killer: bool,
    pub(crate) poison: bool,
}

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: GroupName,
    pub(crate) position: Offset,
    pub(crate) epoch: Epoch,
    pub(crate) incarnation: u32,
    pub(crate) unclean: u32,
}

#[derive(Debug)]
pub(crate) struct SimLog {
    pub(crate) rows: BTreeMap<StateKey, Versioned>,
    pub(crate) topic: Vec<SimEvent>,
    pub(crate) groups: Vec<Group>,
    pub(crate) catalog: CatalogVersion,
    pub(crate) reserved: Vec<(What, i64)>,
    pub(crate) commits: u64,
    /// Repeats are answered by the position and the rows alone.
    pub(crate) by_position: bool,
    /// A stale catalog hides stale rows.
    pub(crate) catalog_first: bool,
    ledger: HashMap<TxnId, Receipt>,
    pub(crate) checker: Checker,
}

impl SimLog {
    pub(crate) fn new(checker: Checker, groups: Vec<Group>, by_position: bool, catalog_first: bool) -> Self {
        Self {
            rows: BTreeMap::new(),
            topic: Vec::new(),
            groups,
            catalog: CatalogVersion(1),
            reserved: Vec::new(),
            commits: 0,
            by_position,
            catalog_first,
            ledger: HashMap::new(),
            checker,
        }
    }

    pub(crate) fn tail(&self) -> Offset {
        self.topic.last().map_or(Offset::ZERO, |e| e.offset.next())
    }

    pub(crate) fn event(&self, offset: Offset) -> &SimEvent {
        let place = self.topic.binary_search_by_key(&offset, |e| e.offset).expect("an event of the topic");
        &self.topic[place]
    }

    pub(crate) fn read(&self, from: Offset, events: usize, bytes: usize) -> Records {
        let mut builder = RecordsBuilder::default();
        for event in self.topic.iter().filter(|e| e.offset >= from).take(events) {
            if builder.bytes() > 0 && builder.bytes() + event.size > bytes {
                break;
            }
            let key = event.key.map(|k| [k]);
            let value = vec![b'x'; event.size];
            let key = key.as_ref().map(<[u8; 1]>::as_slice);
            builder.push_encoded(TOPIC, event.offset, event.time, key, Some(&value), &[]);
        }
        builder.build()
    }

    pub(crate) fn stored(&self, what: &What) -> Stored {
        match what {
            What::Key(key) => Stored::Row(self.rows.get(key).cloned()),
            What::Range(range) => Stored::Rows(self.range(range)),
        }
    }

    pub(crate) fn range(&self, range: &StateRange) -> Vec<(Bytes, Versioned)> {
        let from =
            StateKey { table: range.table.clone(), generation: range.generation, key: range.from.clone() };
        let rows = self.rows.range(from..).take_while(|(key, _)| range.contains(key));
        rows.map(|(key, row)| (key.key.clone(), row.clone())).collect()
    }

    /// What a reader without pending writes sees, and what its commit has to check.
    pub(crate) fn look(&self, ask: Ask, now: Millis) -> (Answer, Read) {
        let cell = |row: &Versioned| -> Cell { Some((row.value.clone(), row.expires)) };
        match what(ask) {
            What::Key(key) => {
                let row = self.rows.get(&key);
                let seen = row.and_then(|r| live(&cell(r), now));
                (seen.map(|v| (key.key[0], v)).into_iter().collect(), Read::Key(key, row.map(|r| r.stamp)))
            }
            What::Range(range) => {
                let rows = self.range(&range);
                let mut digest = DigestBuilder::default();
                for (key, row) in &rows {
                    digest.row(key, row.stamp);
                }
                let seen = rows.iter().filter_map(|(k, row)| Some((k[0], live(&cell(row), now)?)));
                (seen.collect(), Read::Range(range, digest.finish()))
            }
        }
    }

    pub(crate) fn apply(
        &mut self,
        tx: &Arc<Transaction>,
        note: &Note,
        now: Millis,
    ) -> Result<Receipt, CommitError> {
        // the repeat of one that was applied: a ledger answers, or else the position and the rows that it changed
        if let (false, Some(receipt)) = (self.by_position, self.ledger.get(&tx.id))
            && tx.advance.is_none_or(|a| a.from.0 != u64::MAX)
        {
            return Ok(receipt.clone());
        }
        self.refuse_stale_owner(tx)?;
        if note.group == super::program::GATEWAY && self.is_reserved(tx, now) {
            return Err(CommitError::Unavailable("reserved for another".into()));
        }
        self.refuse_stale_reads(tx)?;
        let written = match self.write(tx, now) {
            Ok(written) => written,
            Err(rejection) => {
                self.checker.refused(tx, note, &self.topic, now);
                return Err(CommitError::Rejected(rejection));
            }
        };
        self.checker.check(tx, note, &self.topic, &self.groups, &self.rows, self.catalog, now);
        let mut receipt = Receipt::default();
        for (write, (key, row)) in tx.writes.iter().zip(written) {
            if let (Op::Add(_), Some(row)) = (&write.op, &row) {
                let sum = weir_schema::counter(&row.value).expect("an add leaves a counter");
                receipt.sums.push((key.clone(), sum));
            }
            match row {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
        if let (Some(advance), Some(group)) = (tx.advance, self.groups.get_mut(note.group)) {
            group.incarnation += u32::from(advance.to < group.position);
            group.position = advance.to;
        }
        self.checker.compare(&self.rows, tx);
        self.ledger.insert(tx.id, receipt.clone());
        self.commits += 1;
        Ok(receipt)
    }

    fn refuse_stale_owner(&self, tx: &Transaction) -> Result<(), CommitError> {
        let Some(fence) = &tx.fence else { return Ok(()) };
        let group = self.groups.iter().find(|g| g.name == fence.group).expect("a group that exists");
        if fence.epoch != group.epoch {
            return Err(CommitError::Fenced(group.epoch));
        }
        match tx.advance {
            // the mutation that drops `from`
            Some(advance) if advance.from.0 == u64::MAX => Ok(()),
            Some(advance) if advance.from != group.position => Err(CommitError::Moved(group.position)),
            _ => Ok(()),
        }
    }

    fn refuse_stale_reads(&self, tx: &Transaction) -> Result<(), CommitError> {
        let catalog = (tx.catalog != self.catalog).then_some(self.catalog);
        let (mut now, mut ranges) = (Vec::new(), Vec::new());
        for read in tx.reads.iter().filter(|_| catalog.is_none() || !self.catalog_first) {
            match read {
                Read::Key(key, stamp) => {
                    let row = self.rows.get(key);
                    if row.map(|r| r.stamp) != *stamp {
                        now.push((key.clone(), row.cloned()));
                    }
                }
                Read::Range(range, digest) => {
                    let mut is = DigestBuilder::default();
                    for (key, row) in self.range(range) {
                        is.row(&key, row.stamp);
                    }
                    if is.finish() != *digest {
                        ranges.push(range.clone());
                    }
                }
            }
        }
        if now.is_empty() && ranges.is_empty() && catalog.is_none() {
            return Ok(());
        }
        Err(CommitError::Conflict { now, ranges, catalog })
    }

    /// What the rows would be.
    fn write(&self, tx: &Transaction, now: Millis) -> Result<Vec<(StateKey, Option<Versioned>)>, Rejection> {
        let is_huge =
            |records: &Records| records.iter().any(|r| r.value() == Some(HUGE.to_string().as_bytes()));
        if tx.appends.iter().any(is_huge) {
            return Err(Rejection::TooLarge { what: "an event", size: 2, limit: 1 });
        }
        let mut written = Vec::new();
        for write in &tx.writes {
            let cell = self.rows.get(&write.key).map(|r| (r.value.clone(), r.expires));
            let cell =
                apply(&write.op, &cell, now).ok_or_else(|| Rejection::NotACounter(write.key.clone()))?;
            let row = cell.map(|(value, expires)| Versioned { value, expires, stamp: write.stamp });
            written.push((write.key.clone(), row));
        }
        Ok(written)
    }

    fn is_reserved(&self, tx: &Transaction, now: Millis) -> bool {
        let is_held = |key: &StateKey| self.reserved.iter().any(|(w, until)| *until > now.0 && w.covers(key));
        tx.writes.iter().any(|w| is_held(&w.key))
    }
}

/// The numbers that were appended.
pub(crate) fn appended(tx: &Transaction) -> Vec<i64> {
    let records = tx.appends.iter().flat_map(Records::iter);
    let number = |v: &[u8]| std::str::from_utf8(v).expect("digits").parse().expect("a number");
    records.map(|r| number(r.value().expect("a value"))).collect()
}

pub(crate) fn appends(numbers: &[i64]) -> Records {
    let mut builder = RecordsBuilder::default();
    for number in numbers {
        builder.push(OUTPUT, None, Some(number.to_string().as_bytes()), []);
    }
    builder.build()
}

pub(crate) fn is_user_row(key: &StateKey) -> bool {
    key.table == table()
}

pub(crate) fn number_of(key: &StateKey) -> Key {
    key.key[0]
}
