//! Functions: pure programs over what they read, resumable at each read.

use bytes::Bytes;
use std::collections::BTreeMap;
use weir_schema::{Millis, Op, StateKey, StateRange, TableName, counter};
use weir_triggers::dispatcher::What;

/// Rows have small numbers here.
pub(crate) type Key = u8;
/// A row's content: value and expiry.
pub(crate) type Cell = Option<(Bytes, Option<Millis>)>;
/// What stands for the gateway where groups are numbered.
pub(crate) const GATEWAY: usize = 9;

#[derive(Clone, Debug)]
pub(crate) struct Rng(pub u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ins {
    Get(Key),
    Scan(Key, Key),
    Set(Key),
    SetText(Key),
    SetTtl(Key, u64),
    Add(Key),
    Del(Key),
    FailIf(i64),
    AppendIf(i64),
    Huge(i64),
    Wait(i64),
    Http,
}

/// What an attempt came to.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Out {
    pub(crate) ok: bool,
    pub(crate) ops: BTreeMap<Key, Op>,
    pub(crate) appends: Vec<i64>,
    /// Every value that it saw.
    pub(crate) trace: Vec<i64>,
    pub(crate) http: Option<bool>,
}

/// An append that the log refuses.
pub(crate) const HUGE: i64 = i64::MIN;

pub(crate) enum Step {
    Blocked(What),
    Wait(i64),
    Http,
    Done,
}

/// What a program reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    Key(Key),
    Range(Key, Key),
}

/// Live rows.
pub(crate) type Answer = Vec<(Key, Bytes)>;

pub(crate) fn table() -> TableName {
    TableName::new("t").expect("valid")
}

pub(crate) fn row_key(key: Key) -> StateKey {
    StateKey { table: table(), generation: 0, key: Bytes::copy_from_slice(&[key]) }
}

pub(crate) fn what(ask: Ask) -> What {
    match ask {
        Ask::Key(key) => What::Key(row_key(key)),
        Ask::Range(from, to) => What::Range(StateRange {
            table: table(),
            generation: 0,
            from: Bytes::copy_from_slice(&[from]),
            to: Some(Bytes::copy_from_slice(&[to])),
        }),
    }
}

pub(crate) fn live(cell: &Cell, now: Millis) -> Option<Bytes> {
    cell.as_ref().filter(|(_, e)| e.is_none_or(|e| now < e)).map(|(v, _)| v.clone())
}

/// What an operation makes of a cell; none: an add to what is no counter.
pub(crate) fn apply(op: &Op, cell: &Cell, now: Millis) -> Option<Cell> {
    match op {
        Op::Put { value, expires } => Some(Some((value.clone(), *expires))),
        Op::Delete => Some(None),
        Op::Add(by) => {
            let Some((value, expires)) = cell.as_ref().filter(|(_, e)| e.is_none_or(|e| now < e)) else {
                return Some(Some((by.to_string().into(), None)));
            };
            let sum = counter(value)? + by;
            Some(Some((sum.to_string().into(), *expires)))
        }
    }
}

/// One attempt.
#[derive(Clone, Debug)]
pub(crate) struct Exec {
    ins: Vec<Ins>,
    pc: usize,
    acc: i64,
    now: Millis,
    pub(crate) out: Out,
}

impl Exec {
    pub(crate) fn new(ins: Vec<Ins>, seed: u64, now: Millis) -> Self {
        Self { ins, pc: 0, acc: (seed % 97) as i64, now, out: Out { ok: true, ..Out::default() } }
    }

    fn see(&mut self, value: Option<i64>) {
        self.out.trace.push(value.unwrap_or(-999));
        self.acc = (self.acc * 31 + value.unwrap_or(-7) + 3).rem_euclid(1009);
    }

    fn see_value(&mut self, value: Option<&Bytes>) {
        self.see(value.map(|v| counter(v).unwrap_or(-5)));
    }

    /// Runs until it must wait. `read` gives the live rows below its own writes, or nothing: then it is blocked.
    pub(crate) fn run(&mut self, read: &mut dyn FnMut(Ask) -> Option<Answer>) -> Step {
        while let Some(&ins) = self.ins.get(self.pc) {
            if let Some(step) = self.one(ins, read) {
                return step;
            }
            self.pc += 1;
            if !self.out.ok {
                self.out.ops.clear();
                self.out.appends.clear();
                return Step::Done;
            }
        }
        Step::Done
    }

    fn one(&mut self, ins: Ins, read: &mut dyn FnMut(Ask) -> Option<Answer>) -> Option<Step> {
        match ins {
            Ins::Get(key) => {
                let own = self.out.ops.get(&key).cloned();
                let below = match own {
                    Some(Op::Put { .. } | Op::Delete) => None,
                    _ => match read(Ask::Key(key)) {
                        None => return Some(Step::Blocked(what(Ask::Key(key)))),
                        Some(rows) => rows.into_iter().next().map(|(_, v)| (v, None)),
                    },
                };
                let seen = own.and_then(|op| apply(&op, &below, self.now)).unwrap_or(below);
                self.see_value(live(&seen, self.now).as_ref());
            }
            Ins::Scan(from, to) => {
                let Some(rows) = read(Ask::Range(from, to)) else {
                    return Some(Step::Blocked(what(Ask::Range(from, to))));
                };
                for key in from..to {
                    let below: Cell = rows.iter().find(|r| r.0 == key).map(|r| (r.1.clone(), None));
                    let own = self.out.ops.get(&key);
                    let seen = own.and_then(|op| apply(op, &below, self.now)).unwrap_or(below);
                    if let Some(value) = live(&seen, self.now) {
                        self.see(Some(i64::from(key)));
                        self.see_value(Some(&value));
                    }
                }
            }
            Ins::Set(key) => self.put(key, (self.acc % 5).to_string(), None),
            Ins::SetText(key) => self.put(key, format!("\"{}\"", self.acc % 3), None),
            Ins::SetTtl(key, ttl) => {
                self.put(key, (self.acc % 5).to_string(), Some(Millis(self.now.0 + ttl as i64)))
            }
            Ins::Add(key) => self.add(key, 1 + self.acc % 3),
            Ins::Del(key) => {
                self.out.ops.insert(key, Op::Delete);
            }
            Ins::FailIf(m) => self.out.ok = self.acc % m != 0,
            Ins::AppendIf(m) if self.acc % m == 0 => self.out.appends.push(self.acc),
            Ins::Huge(m) if self.acc % m == 0 => self.out.appends.push(HUGE),
            Ins::AppendIf(_) | Ins::Huge(_) => {}
            Ins::Wait(time) => {
                self.pc += 1;
                return Some(Step::Wait(time));
            }
            Ins::Http => match self.out.http {
                None => return Some(Step::Http),
                Some(ok) => self.out.ok &= ok,
            },
        }
        None
    }

    fn put(&mut self, key: Key, value: String, expires: Option<Millis>) {
        self.out.ops.insert(key, Op::Put { value: value.into(), expires });
    }

    fn add(&mut self, key: Key, by: i64) {
        let op = match self.out.ops.get(&key) {
            None => Op::Add(by),
            Some(Op::Add(first)) => Op::Add(first + by),
            Some(Op::Delete) => Op::Put { value: by.to_string().into(), expires: None },
            Some(Op::Put { value, expires }) => {
                let cell = apply(&Op::Add(by), &Some((value.clone(), *expires)), self.now);
                let Some(Some((value, expires))) = cell else {
                    self.out.ok = false; // as `state.add` raises
                    return;
                };
                Op::Put { value, expires }
            }
        };
        self.out.ops.insert(key, op);
    }
}

/// Which functions a seed has.
#[derive(Clone, Default, Debug)]
pub(crate) struct Programs {
    pub(crate) seed: u64,
    pub(crate) keys: u64,
    pub(crate) fails: u64,
    pub(crate) waits: u64,
    pub(crate) http: u64,
    pub(crate) huge: bool,
    pub(crate) texts: bool,
    pub(crate) ttl: bool,
    /// Mostly adds and reads of them.
    pub(crate) sums: bool,
}

impl Programs {
    pub(crate) fn of(&self, group: usize, seed: u64, slow: bool) -> Vec<Ins> {
        let mut r = Rng(self.seed ^ seed.wrapping_mul(31) ^ ((group as u64) << 50));
        let is_gateway = group == GATEWAY;
        let mut ins = Vec::new();
        if slow {
            ins.push(Ins::Wait(400));
        }
        for _ in 0..1 + r.below(6) {
            ins.push(self.one(&mut r));
            if !is_gateway && r.chance(self.waits) {
                ins.push(Ins::Wait(1 + r.below(30) as i64));
            }
        }
        if r.chance(self.fails) {
            ins.push(Ins::FailIf(2 + r.below(3) as i64));
        }
        if !is_gateway && r.chance(self.http) {
            ins.push(Ins::Http);
        }
        if !is_gateway && self.huge && r.chance(10) {
            ins.push(Ins::Huge(3));
        }
        if r.chance(30) {
            ins.push(Ins::Set(r.below(self.keys) as Key));
        }
        ins
    }

    fn one(&self, r: &mut Rng) -> Ins {
        let key = r.below(self.keys) as Key;
        let pick = if self.sums { [0, 2, 2, 0, 4][r.below(5) as usize] } else { r.below(7) };
        match pick {
            0 | 1 => Ins::Get(key),
            2 => Ins::Add(key),
            3 if self.texts && r.chance(15) => Ins::SetText(key),
            3 if self.ttl && r.chance(50) => Ins::SetTtl(key, r.below(60)),
            3 | 5 => Ins::Set(key),
            4 => Ins::AppendIf(2),
            6 if r.chance(50) => Ins::Del(key),
            _ => Ins::Scan(key, (key + 1 + r.below(3) as Key).min(self.keys as Key)),
        }
    }
}
