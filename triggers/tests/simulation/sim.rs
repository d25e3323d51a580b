//! Virtual time, nodes, faults. One seed is one schedule.

use super::check::{Checker, Made, Note, offset_of};
use super::log::{Group, SimEvent, SimLog, TOPIC, appends};
use super::plan::{Plan, draw};
use super::program::{Answer, Ask, Exec, GATEWAY, Ins, Out, Rng, Step, row_key, what};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use weir_log::CommitError;
use weir_runtime::Effects;
use weir_schema::{
    CatalogVersion, Epoch, Fence, GroupName, Millis, Offset, Op, Receipt, Records, TopicName, Transaction,
    TxnId, Write, WriterId,
};
use weir_triggers::Dispatcher;
use weir_triggers::dispatcher::{
    Action, Assignment, Command, Input, Mode, Mutation, PauseReason, Report, RunEnd, RunFailure, Seen,
    Selection, Settings, Start, Stored, View, What,
};
use weir_triggers::parked::{Entry, mark_key};

mod faults;
mod runs;

/// Faults stop here.
const END: i64 = 700;
/// And so long after that everything must have been handled. A gateway that writes every row each millisecond leaves room
/// only while rows are reserved, so that some schedules need more than eight seconds.
const PATIENCE: i64 = 20_000;
/// How long a reservation holds.
const RESERVED: i64 = 2000;
/// How often an event may end the process: three times unmarked, three times marked.
const MAX_KILLS: u32 = 6;

enum Happening {
    Tick(usize),
    Flush(usize),
    Give(usize, Input),
    Step(usize, TxnId, Option<(What, Stored)>),
    Load(usize, TxnId, What),
    Apply(usize, Arc<Transaction>, bool),
    Produce,
    Gateway,
    GatewayCommit(Arc<Transaction>, Note),
    Chaos,
    Assign(usize, usize, bool),
}

struct Running {
    exec: Exec,
    start: Start,
    event: SimEvent,
}

struct Node {
    group: usize,
    number: usize,
    dispatcher: Dispatcher,
    epoch: Epoch,
    running: HashMap<TxnId, Running>,
    ended: HashMap<TxnId, Made>,
    notes: HashMap<TxnId, Note>,
    is_alive: bool,
    next_tick: i64,
    will_flush: bool,
}

/// What a seed came to.
pub(crate) struct Outcome {
    pub(crate) errors: Vec<String>,
    pub(crate) history: Vec<String>,
    pub(crate) plan: String,
    pub(crate) commits: u64,
    pub(crate) attempts: u64,
    pub(crate) events: u64,
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

pub(crate) struct Sim {
    rng: Rng,
    now: i64,
    sequence: u64,
    queue: BinaryHeap<Reverse<(i64, u64)>>,
    happenings: HashMap<u64, Happening>,
    log: SimLog,
    nodes: Vec<Node>,
    owner: Vec<Option<usize>>,
    plan: Plan,
    settings: Settings,
    /// Commits are enqueued in call order.
    last_apply: i64,
    writer: u32,
    left: u64,
    kills: HashMap<(usize, Offset), u32>,
    requests: u64,
    unanswered: BTreeMap<u64, usize>,
}

impl Outcome {
    /// The dispatcher, or the simulation, met what cannot be.
    pub(crate) fn panicked() -> Self {
        Self {
            errors: vec!["panicked".to_owned()],
            history: Vec::new(),
            plan: String::new(),
            commits: 0,
            attempts: 0,
            events: 0,
            seen: BTreeMap::new(),
        }
    }
}

impl Sim {
    pub(crate) fn new(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut rng = Rng(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 77);
        let (plan, settings, programs) = draw(&mut rng, seed, mutation);
        let group = |n| Group {
            name: GroupName::new(&format!("orders/g{n}")).expect("valid"),
            position: Offset::ZERO,
            epoch: Epoch(0),
            incarnation: 0,
            unclean: 0,
        };
        let checker = Checker::new(programs, plan.groups);
        let groups = (0..plan.groups).map(group).collect();
        let log = SimLog::new(checker, groups, plan.by_position, plan.catalog_first);
        let mut sim = Self {
            rng,
            now: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            happenings: HashMap::new(),
            log,
            nodes: Vec::new(),
            owner: vec![None; plan.groups],
            settings,
            last_apply: 0,
            writer: 1,
            left: plan.events,
            kills: HashMap::new(),
            requests: 0,
            unanswered: BTreeMap::new(),
            plan,
        };
        for group in 0..sim.plan.groups {
            let number = sim.rng.below(2) as usize;
            sim.at(0, Happening::Assign(group, number, true));
        }
        sim.at(0, Happening::Produce);
        sim.at(3, Happening::Gateway);
        sim.at(30, Happening::Chaos);
        sim
    }

    fn at(&mut self, after: i64, happening: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse((self.now + after, self.sequence)));
        self.happenings.insert(self.sequence, happening);
    }

    fn lag(&mut self) -> i64 {
        self.rng.below(self.plan.latency) as i64
    }

    fn time(&self) -> Millis {
        Millis(self.now)
    }

    fn err(&mut self, text: String) {
        self.log.checker.err(text);
    }

    pub(crate) fn run(mut self) -> Outcome {
        let (mut steps, mut look) = (0_u64, END);
        while let Some(Reverse((time, sequence))) = self.queue.pop() {
            self.now = time;
            steps += 1;
            let happening = self.happenings.remove(&sequence).expect("queued with its content");
            self.handle(happening);
            if !self.log.checker.errors.is_empty() {
                break;
            }
            if self.now >= look {
                look = self.now + 20;
                if self.is_quiet() {
                    break;
                }
            }
            if self.now > END + PATIENCE || steps > 400_000 {
                let why = self.why();
                self.err(format!("10: not live: {why}"));
                break;
            }
        }
        self.outcome()
    }

    fn outcome(self) -> Outcome {
        let mut seen = BTreeMap::new();
        for node in &self.nodes {
            for (what, n) in node.dispatcher.seen() {
                *seen.entry(*what).or_default() += n;
            }
        }
        Outcome {
            plan: format!("{:?} {:?} {:?}", self.plan, self.settings, self.log.checker.programs),
            commits: self.log.commits,
            attempts: self.nodes.iter().map(|n| n.dispatcher.effort().0).sum(),
            events: (self.log.topic.len() * self.plan.groups) as u64,
            history: self.log.checker.history.into(),
            errors: self.log.checker.errors,
            seen,
        }
    }

    /// Whether all is handled, or waits for someone.
    fn is_quiet(&self) -> bool {
        self.left == 0
            && self.unanswered.is_empty()
            && (0..self.plan.groups).all(|group| self.is_group_quiet(group))
    }

    fn is_group_quiet(&self, group: usize) -> bool {
        let Some(node) = self.owner[group].map(|n| &self.nodes[n]) else { return false };
        let d = &node.dispatcher;
        let window = d.window();
        let is_poisoned = d.mode() == Mode::Probing
            && !window.is_empty()
            && d.ready().iter().all(|o| self.log.event(*o).poison);
        // all places are taken by parked events that wait for someone
        let is_full = d.mode() == Mode::Paused(PauseReason::TooManyParked) && d.all_held();
        let is_idle = node.is_alive
            && window.is_empty()
            && d.mode() == Mode::Live
            && self.log.groups[group].position >= self.log.tail();
        is_poisoned || (is_full || is_idle) && d.all_held()
    }

    fn why(&self) -> String {
        let group = |group: usize| match self.owner[group] {
            None => "no owner".to_owned(),
            Some(n) => {
                let d = &self.nodes[n].dispatcher;
                format!("position {} tail {} {:?} {d:?}", d.position(), self.log.tail(), d.mode())
            }
        };
        (0..self.plan.groups).map(group).collect::<Vec<_>>().join("\n")
    }

    fn give(&mut self, n: usize, input: Input) {
        if !self.nodes[n].is_alive {
            return;
        }
        let now = self.time();
        self.nodes[n].dispatcher.step(now, input);
        if !self.plan.batched {
            return self.flush(n);
        }
        if !std::mem::replace(&mut self.nodes[n].will_flush, true) {
            let wait = self.rng.below(2) as i64;
            self.at(wait, Happening::Flush(n));
        }
    }

    fn flush(&mut self, n: usize) {
        self.nodes[n].will_flush = false;
        let mut actions = Vec::new();
        let now = self.time();
        loop {
            if !self.nodes[n].is_alive {
                return;
            }
            self.nodes[n].dispatcher.take_actions(now, &mut actions);
            if actions.is_empty() {
                break;
            }
            for action in actions.drain(..) {
                self.note(n, &action);
                if self.nodes[n].is_alive {
                    self.act(n, action);
                }
            }
        }
        self.check_bounds(n);
        if self.plan.lazy {
            let wake = self.nodes[n].dispatcher.wake_at().map(|t| t.0);
            if let Some(wake) =
                wake.filter(|w| *w < self.nodes[n].next_tick || self.nodes[n].next_tick <= self.now)
            {
                self.nodes[n].next_tick = wake;
                self.at(wake - self.now, Happening::Tick(n));
            }
        }
    }

    /// A transaction is looked at when it is sent first: its events are still in the window then.
    fn note(&mut self, n: usize, action: &Action) {
        let Action::Commit(tx) = action else { return };
        let node = &mut self.nodes[n];
        if node.notes.contains_key(&tx.id) {
            return;
        }
        let carried = node.dispatcher.take_carried(tx.id);
        let (attempts, is_seek) = carried.map(|c| (c.attempts, c.is_seek)).unwrap_or_default();
        let attempts = attempts.iter().filter_map(|run| node.ended.get(run).cloned()).collect();
        let (group, author) = (node.group, node.epoch);
        node.notes.insert(tx.id, Note { group, author, is_seek, attempts, gateway: None });
    }

    fn check_bounds(&mut self, n: usize) {
        let d = &self.nodes[n].dispatcher;
        if d.mode() == Mode::Lost {
            return;
        }
        let window = d.window();
        let largest = window.iter().map(|o| self.log.event(*o).size + 1).max().unwrap_or(0);
        let (bytes, position) = (d.window_bytes(), d.position());
        if window.len() > self.settings.window {
            self.err(format!("10: {} slots", window.len()));
        }
        if bytes >= self.settings.window_bytes + largest && bytes > largest {
            self.err(format!("10: {bytes} bytes in the window of {}", self.settings.window_bytes));
        }
        if window.is_sorted_by(|a, b| a < b) && window.first().is_none_or(|o| *o >= position) {
            return;
        }
        self.err(format!("4: slots {window:?} at position {position}"));
    }

    fn act(&mut self, n: usize, action: Action) {
        match action {
            Action::Read { from, limit } => {
                let records = self.log.read(from, limit.events, limit.bytes);
                let slow = if self.rng.chance(5) { 60 } else { 0 };
                let wait = self.lag() + slow;
                let input = if self.now < END && self.rng.chance(self.plan.faults / 2) {
                    Input::ReadFailed { from }
                } else {
                    Input::Records { from, records }
                };
                self.at(wait, Happening::Give(n, input));
            }
            Action::Start(start) => self.start(n, start),
            Action::Cancel(run) => {
                // else its result comes late, under an id that is no more
                if self.rng.chance(60) {
                    self.nodes[n].running.remove(&run);
                }
            }
            Action::Commit(tx) => self.commit(n, tx),
            Action::Reserve(whats) => {
                let until = self.now + RESERVED;
                self.log.reserved.retain(|(_, t)| *t > self.now);
                self.log.reserved.extend(whats.into_iter().map(|w| (w, until)));
            }
            Action::Release => self.release(self.nodes[n].group, n),
            Action::Settled => {
                let group = self.nodes[n].group;
                if self.owner[group] == Some(n) {
                    self.log.groups[group].unclean = 0;
                }
            }
            Action::Answer { request, .. } => {
                self.unanswered.remove(&request);
            }
            Action::Report(report) => self.report(n, &report),
        }
    }

    fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::Tick(n) => self.tick(n),
            Happening::Flush(n) => self.flush(n),
            Happening::Give(n, input) => {
                if let (Input::Command { request, .. }, false) = (&input, self.nodes[n].is_alive) {
                    self.unanswered.remove(request);
                }
                self.give(n, input);
            }
            Happening::Step(n, run, given) => self.step(n, run, given),
            Happening::Load(n, run, what) => {
                let stored = self.log.stored(&what);
                let lag = self.lag();
                self.at(lag, Happening::Step(n, run, Some((what, stored))));
            }
            Happening::Apply(n, tx, is_hidden) => self.apply(n, &tx, is_hidden),
            Happening::Produce => self.produce(),
            Happening::Gateway => self.gateway(),
            Happening::GatewayCommit(tx, note) => {
                let now = self.time();
                drop(self.log.apply(&tx, &note, now));
            }
            Happening::Chaos => self.chaos(),
            Happening::Assign(group, number, is_clean) => {
                if self.owner[group].is_none() {
                    self.assign(group, number, is_clean);
                }
            }
        }
    }

    fn tick(&mut self, n: usize) {
        if !self.nodes[n].is_alive || self.nodes[n].dispatcher.mode() == Mode::Lost {
            return;
        }
        self.give(n, Input::Tick);
        if !self.plan.lazy {
            self.at(6, Happening::Tick(n));
        }
    }

    fn apply(&mut self, n: usize, tx: &Arc<Transaction>, is_hidden: bool) {
        if !self.nodes[n].is_alive && self.rng.chance(50) {
            return;
        }
        let note = self.nodes[n].notes[&tx.id].clone();
        let now = self.time();
        let outcome: Result<Receipt, CommitError> = self.log.apply(tx, &note, now);
        let outcome = if is_hidden { Err(CommitError::Ambiguous("lost".into())) } else { outcome };
        let lag = self.lag();
        self.at(lag, Happening::Give(n, Input::Replied { id: tx.id, outcome }));
    }
}
