//! The promise, checked at each commit: the transaction is replayed event by event on a serial state.

use super::log::{Group, SimEvent, appended, is_user_row, number_of};
use super::program::{
    Answer, Ask, Cell, Exec, GATEWAY, HUGE, Ins, Key, Out, Programs, Step, apply, live, row_key,
};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use weir_schema::{CatalogVersion, Epoch, Millis, Offset, Op, StateKey, Transaction, TxnId, Versioned};
use weir_triggers::parked::{AUDIT, Entry, EntryState, MARKS, PARKED};

/// What the simulation knows of a transaction beside its content.
#[derive(Clone, Debug, Default)]
pub(crate) struct Note {
    pub(crate) group: usize,
    pub(crate) author: Epoch,
    pub(crate) is_seek: bool,
    pub(crate) attempts: Vec<Made>,
    pub(crate) gateway: Option<(Vec<Ins>, u64, Out, Millis)>,
}

/// An attempt whose effects or error a transaction carries.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) offset: Offset,
    pub(crate) run: TxnId,
    pub(crate) catalog: CatalogVersion,
    pub(crate) out: Out,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Done,
    Failed,
    Dropped,
    Follower,
    Detached,
    Crashed,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    None,
    Done,
    Parked,
    Held,
    Dropped,
}

#[derive(Debug, Default)]
struct Followed {
    fate: HashMap<Offset, Fate>,
    attempts: HashMap<Offset, u32>,
    /// Marked on probation since the last seek.
    marked: HashSet<Offset>,
}

/// The entries that a transaction writes; none: deleted.
type Entries = BTreeMap<Offset, Option<Entry>>;

#[derive(Debug, Default)]
pub(crate) struct Checker {
    pub(crate) programs: Programs,
    pub(crate) errors: Vec<String>,
    pub(crate) history: VecDeque<String>,
    serial: BTreeMap<Key, (Bytes, Option<Millis>)>,
    groups: Vec<Followed>,
    /// Attempts that the log has refused, each rightly.
    refused: HashSet<TxnId>,
}

impl Checker {
    pub(crate) fn new(programs: Programs, groups: usize) -> Self {
        Self { programs, groups: (0..groups).map(|_| Followed::default()).collect(), ..Self::default() }
    }

    pub(crate) fn err(&mut self, text: String) {
        self.errors.push(text);
    }

    /// The log is about to apply a transaction.
    #[expect(clippy::too_many_arguments, reason = "the log's parts, borrowed apart")]
    pub(crate) fn check(
        &mut self,
        tx: &Transaction,
        note: &Note,
        topic: &[SimEvent],
        groups: &[Group],
        rows: &BTreeMap<StateKey, Versioned>,
        catalog: CatalogVersion,
        now: Millis,
    ) {
        self.remember(tx, note);
        let expected = if let Some((ins, seed, out, time)) = &note.gateway {
            let serial = self.replay(ins.clone(), *seed, *time, None);
            if serial != *out {
                self.err(format!("1: the gateway saw {out:?}, serially {serial:?}"));
            }
            self.write(&serial, tx, *time, now);
            serial.appends
        } else {
            self.check_owner(tx, note, groups, catalog);
            let entries = entries_of(tx);
            self.check_marks(tx, note);
            if note.is_seek {
                self.check_seek(tx, note, topic, &groups[note.group], rows, &entries);
                Vec::new()
            } else if note.attempts.is_empty() && tx.advance.is_none() {
                self.check_change(tx, note, &entries);
                Vec::new()
            } else {
                self.check_events(tx, note, topic, &groups[note.group], rows, &entries, now)
            }
        };
        if expected != appended(tx) {
            self.err(format!("1: appends {:?}, serially {expected:?}", appended(tx)));
        }
    }

    fn remember(&mut self, tx: &Transaction, note: &Note) {
        let made: Vec<_> = note.attempts.iter().map(|a| (a.offset.0, &a.out.trace, a.out.ok)).collect();
        let entries: Vec<_> =
            entries_of(tx).into_iter().map(|(o, e)| (o.0, e.map(|e| (e.state, e.attempts)))).collect();
        let writes: Vec<_> = tx
            .writes
            .iter()
            .filter(|w| is_user_row(&w.key))
            .map(|w| (number_of(&w.key), &w.op, w.stamp.0))
            .collect();
        self.history.push_back(format!(
            "g{} {:?} seek {} reads {:?} writes {writes:?} entries {entries:?} made {made:?}",
            note.group,
            tx.advance.map(|a| (a.from.0, a.to.0)),
            note.is_seek,
            tx.reads
        ));
        if self.history.len() > 14 {
            self.history.pop_front();
        }
    }

    fn check_owner(&mut self, tx: &Transaction, note: &Note, groups: &[Group], catalog: CatalogVersion) {
        let epoch = groups[note.group].epoch;
        if note.author != epoch {
            self.err(format!("6: an effect of epoch {} under epoch {epoch}", note.author));
        }
        if let Some(stale) = note.attempts.iter().find(|a| a.catalog != catalog) {
            self.err(format!(
                "6: {} ran under {:?}, now {catalog:?}: {:?}",
                stale.offset, stale.catalog, tx.id
            ));
        }
    }

    fn check_marks(&mut self, tx: &Transaction, note: &Note) {
        for write in tx.writes.iter().filter(|w| w.key.table.as_str() == MARKS) {
            if let Op::Put { value, .. } = &write.op {
                let offset = std::str::from_utf8(value).expect("digits").parse().expect("an offset");
                self.groups[note.group].marked.insert(Offset(offset));
            }
        }
    }

    fn check_seek(
        &mut self,
        tx: &Transaction,
        note: &Note,
        topic: &[SimEvent],
        group: &Group,
        rows: &BTreeMap<StateKey, Versioned>,
        entries: &Entries,
    ) {
        let target = tx.advance.map_or(group.position, |a| a.to);
        let followed = &mut self.groups[note.group];
        followed.marked.clear();
        for event in topic {
            if event.offset >= target {
                followed.fate.insert(event.offset, Fate::None);
                followed.attempts.remove(&event.offset);
            } else if event.offset >= group.position {
                followed.fate.insert(event.offset, Fate::Dropped);
            }
        }
        if let Some(offset) = entries.keys().find(|o| **o < target) {
            self.err(format!("4: a seek to {target} deleted {offset}"));
        }
        let parked = rows.keys().filter(|k| is_parked_of(k, group)).map(offset_of);
        let left: Vec<_> = parked.filter(|o| *o >= target && entries.get(o) != Some(&None)).collect();
        if !left.is_empty() {
            self.err(format!("4: a seek to {target} left {left:?} parked"));
        }
    }

    /// A change of entries without an attempt: someone's command, or what a predecessor left.
    fn check_change(&mut self, tx: &Transaction, note: &Note, entries: &Entries) {
        for (offset, entry) in entries {
            let followed = &self.groups[note.group];
            let fate = followed.fate.get(offset).copied().unwrap_or(Fate::None);
            if !matches!(fate, Fate::Parked | Fate::Held) {
                self.err(format!("4: the entry of {offset} changes, which is {fate:?}"));
            }
            self.check_attempts(note.group, *offset, entry.as_ref());
            if entry.is_none() && !is_audited(tx, *offset) {
                self.err(format!("4: {offset} is dropped without an audit row"));
            }
            self.groups[note.group].fate.insert(*offset, fate_of_entry(entry.as_ref()));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "as for `check`")]
    fn check_events(
        &mut self,
        tx: &Transaction,
        note: &Note,
        topic: &[SimEvent],
        group: &Group,
        rows: &BTreeMap<StateKey, Versioned>,
        entries: &Entries,
        now: Millis,
    ) -> Vec<i64> {
        let offsets: Vec<Offset> = match tx.advance {
            Some(advance) => {
                if advance.to <= group.position {
                    self.err(format!("5: position {} moves to {}", group.position, advance.to));
                }
                let is_in = |o: &Offset| *o >= group.position && *o < advance.to;
                topic.iter().map(|e| e.offset).filter(is_in).collect()
            }
            None => note.attempts.iter().map(|a| a.offset).collect(),
        };
        for stray in entries.keys().chain(note.attempts.iter().map(|a| &a.offset)) {
            if !offsets.contains(stray) {
                self.err(format!("5: {stray} is handled, but not passed: {:?}", tx.advance));
            }
        }
        let mut appends = Vec::new();
        for offset in offsets {
            let place = topic.binary_search_by_key(&offset, |e| e.offset).expect("an event of the topic");
            let made = note.attempts.iter().find(|a| a.offset == offset);
            let entry = entries.get(&offset);
            let kind = kind_of(tx, offset, entry);
            let seed = edited_seed(rows, group, offset).unwrap_or(topic[place].seed);
            if let Some(appended) = self.check_event(tx, note, &topic[place], kind, made, seed, now) {
                appends.extend(appended);
                self.check_key_order(note.group, topic, &topic[place]);
            }
            if matches!(kind, Kind::Failed | Kind::Dropped) {
                *self.groups[note.group].attempts.entry(offset).or_default() += 1;
            }
            self.check_attempts(note.group, offset, entry.and_then(Option::as_ref));
            let fate = match kind {
                Kind::Done => Fate::Done,
                Kind::Dropped => Fate::Dropped,
                _ => fate_of_entry(entry.and_then(Option::as_ref)),
            };
            self.groups[note.group].fate.insert(offset, fate);
        }
        appends
    }

    /// One event. Its appends, if it is handled by this.
    #[expect(clippy::too_many_arguments, reason = "as for `check`")]
    fn check_event(
        &mut self,
        tx: &Transaction,
        note: &Note,
        event: &SimEvent,
        kind: Kind,
        made: Option<&Made>,
        seed: u64,
        now: Millis,
    ) -> Option<Vec<i64>> {
        let offset = event.offset;
        let followed = &self.groups[note.group];
        let fate = followed.fate.get(&offset).copied().unwrap_or(Fate::None);
        let expected = if tx.advance.is_some() { Fate::None } else { Fate::Parked };
        if kind == Kind::Crashed && !followed.marked.contains(&offset) {
            self.err(format!("8: {offset} is parked as crashed, but never was marked since the last seek"));
        }
        if fate != expected {
            self.err(format!("4: {offset} is {fate:?} and comes as {kind:?}, advance {:?}", tx.advance));
        }
        if !matches!(kind, Kind::Done | Kind::Failed | Kind::Dropped) {
            return None;
        }
        let Some(made) = made else {
            self.err(format!("4: {offset} is {kind:?} without an attempt"));
            return None;
        };
        let out =
            self.replay(self.programs.of(note.group, seed, event.slow), seed, event.time, made.out.http);
        let check = if kind == Kind::Done { 1 } else { 7 };
        if out != made.out {
            self.err(format!("{check}: {offset} saw {:?}, serially {out:?}", made.out));
        }
        let is_done = out.ok && !self.is_refused(&out, now);
        let was_refused = kind != Kind::Done && self.refused.contains(&made.run);
        if (kind == Kind::Done) != is_done && !was_refused {
            self.err(format!("7: {offset} is {kind:?} against the serial run: {out:?}"));
        }
        if kind != Kind::Done {
            return None;
        }
        self.write(&out, tx, event.time, now);
        Some(out.appends)
    }

    fn check_key_order(&mut self, group: usize, topic: &[SimEvent], event: &SimEvent) {
        let Some(key) = event.key else { return };
        for earlier in topic.iter().filter(|e| e.key == Some(key) && e.offset < event.offset) {
            let fate = self.groups[group].fate.get(&earlier.offset);
            if !matches!(fate, Some(Fate::Done | Fate::Dropped)) {
                self.err(format!("3: {} of key {key} before {}", event.offset, earlier.offset));
            }
        }
    }

    fn check_attempts(&mut self, group: usize, offset: Offset, entry: Option<&Entry>) {
        let Some(entry) = entry else { return };
        let judged = self.groups[group].attempts.get(&offset).copied().unwrap_or(0);
        if entry.attempts != judged {
            self.err(format!("8: attempts of {offset}: {} stored, {judged} judged", entry.attempts));
        }
    }

    /// The log refuses a transaction. If it is one event's, its attempt is to be refused serially too.
    pub(crate) fn refused(&mut self, tx: &Transaction, note: &Note, topic: &[SimEvent], now: Millis) {
        let is_alone = tx
            .advance
            .is_none_or(|a| topic.iter().filter(|e| e.offset >= a.from && e.offset < a.to).count() == 1);
        if let ([made], true) = (&note.attempts[..], is_alone)
            && made.out.ok
            && self.is_refused(&made.out, now)
        {
            self.refused.insert(made.run);
        }
    }

    /// The state that the log holds is the serial run's.
    pub(crate) fn compare(&mut self, rows: &BTreeMap<StateKey, Versioned>, tx: &Transaction) {
        let held = rows.iter().filter(|(key, _)| is_user_row(key));
        let held: BTreeMap<Key, (Bytes, Option<Millis>)> =
            held.map(|(key, row)| (number_of(key), (row.value.clone(), row.expires))).collect();
        if held != self.serial {
            let text = format!("1: state {held:?}, serially {:?}, after {tx:?}", self.serial);
            self.err(text);
        }
    }

    fn is_refused(&self, out: &Out, now: Millis) -> bool {
        let is_bad = |key: &Key, op: &Op| apply(op, &self.serial.get(key).cloned(), now).is_none();
        out.appends.contains(&HUGE) || out.ops.iter().any(|(key, op)| is_bad(key, op))
    }

    /// An `Add` that the log applies is judged by the log's clock, one that is part of a `Put` by the event's.
    fn write(&mut self, out: &Out, tx: &Transaction, time: Millis, now: Millis) {
        for (key, op) in &out.ops {
            let row = row_key(*key);
            let is_blind = tx.writes.iter().any(|w| w.key == row && matches!(w.op, Op::Add(_)));
            let clock = if is_blind { now } else { time };
            match apply(op, &self.serial.get(key).cloned(), clock) {
                Some(Some(cell)) => self.serial.insert(*key, cell),
                Some(None) => self.serial.remove(key),
                None => {
                    self.err(format!("1: an add to {key} went through, which is no counter"));
                    return;
                }
            };
        }
    }

    fn replay(&self, ins: Vec<Ins>, seed: u64, time: Millis, http: Option<bool>) -> Out {
        let mut exec = Exec::new(ins, seed, time);
        exec.out.http = http;
        loop {
            match exec.run(&mut |ask| Some(self.answer(ask, time))) {
                Step::Done => return exec.out,
                Step::Http => exec.out.http = Some(true),
                Step::Wait(_) | Step::Blocked(_) => {}
            }
        }
    }

    fn answer(&self, ask: Ask, time: Millis) -> Answer {
        let (from, to) = match ask {
            Ask::Key(key) => (key, key + 1),
            Ask::Range(from, to) => (from, to),
        };
        let cell = |row: &(Bytes, Option<Millis>)| -> Cell { Some(row.clone()) };
        self.serial.range(from..to).filter_map(|(k, row)| Some((*k, live(&cell(row), time)?))).collect()
    }
}

fn entries_of(tx: &Transaction) -> Entries {
    let writes = tx.writes.iter().filter(|w| w.key.table.as_str() == PARKED);
    let entry = |op: &Op| match op {
        Op::Put { value, .. } => Some(Entry::from_row(&Bytes::new(), value).expect("an entry")),
        Op::Delete | Op::Add(_) => None,
    };
    writes.map(|w| (offset_of(&w.key), entry(&w.op))).collect()
}

pub(crate) fn offset_of(key: &StateKey) -> Offset {
    let end = key.key.last_chunk::<8>().expect("a key of an entry");
    Offset(u64::from_be_bytes(*end))
}

fn is_parked_of(key: &StateKey, group: &Group) -> bool {
    Entry::range(&group.name, 0).contains(key)
}

fn is_audited(tx: &Transaction, offset: Offset) -> bool {
    let mut audits = tx.writes.iter().filter(|w| w.key.table.as_str() == AUDIT);
    audits.any(|w| {
        let Op::Put { value, .. } = &w.op else { return false };
        let audit: weir_triggers::parked::Audit = serde_json::from_slice(value).expect("an audit");
        audit.entry.offset == offset
    })
}

fn kind_of(tx: &Transaction, offset: Offset, entry: Option<&Option<Entry>>) -> Kind {
    match entry {
        _ if is_audited(tx, offset) => Kind::Dropped,
        None | Some(None) => Kind::Done,
        Some(Some(_)) if tx.advance.is_none() => Kind::Failed,
        Some(Some(e)) if e.state == EntryState::Running => Kind::Detached,
        Some(Some(e)) if e.attempts == 1 => Kind::Failed,
        Some(Some(e)) if e.state == EntryState::Held => Kind::Crashed,
        Some(Some(_)) => Kind::Follower,
    }
}

fn fate_of_entry(entry: Option<&Entry>) -> Fate {
    match entry.map(|e| e.state) {
        None => Fate::Dropped,
        Some(EntryState::Held) => Fate::Held,
        Some(EntryState::Waiting | EntryState::Running) => Fate::Parked,
    }
}

fn edited_seed(rows: &BTreeMap<StateKey, Versioned>, group: &Group, offset: Offset) -> Option<u64> {
    let mut key = Entry::range(&group.name, 0).from.to_vec();
    key.extend_from_slice(&offset.0.to_be_bytes());
    let key = StateKey { table: Entry::range(&group.name, 0).table, generation: 0, key: key.into() };
    let entry = Entry::from_row(&Bytes::new(), &rows.get(&key)?.value).expect("an entry");
    std::str::from_utf8(&entry.edited?).ok()?.parse().ok()
}

/// Whether the numbering of groups has a place for the gateway.
const _: () = assert!(GATEWAY > 2);
