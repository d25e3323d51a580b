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

/// Faults stop here.
const END: i64 = 700;
/// And so long after that everything must have been handled.
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

    fn release(&mut self, group: usize, n: usize) {
        if self.owner[group] == Some(n) {
            self.owner[group] = None;
            let number = self.rng.below(2) as usize;
            self.at(1, Happening::Assign(group, number, true));
        }
    }

    /// The operator, and whoever joins again.
    fn report(&mut self, n: usize, report: &Report) {
        match report {
            Report::Paused(PauseReason::Exhausted(offset)) => {
                // whoever tries it again has it coming
                self.kills.remove(&(self.nodes[n].group, *offset));
                let is_late = self.now > END;
                if is_late {
                    let skip = Command::Skip { offset: *offset, reason: "tired of it".to_owned() };
                    self.command(n, 20, skip);
                }
                self.command(n, 30, Command::Resume);
            }
            Report::Paused(PauseReason::Refused | PauseReason::EventsLost { .. }) => {
                self.err(format!("10: unexpected {report:?}"));
            }
            Report::Lost => {
                let group = self.nodes[n].group;
                if self.owner[group] == Some(n) {
                    self.owner[group] = None;
                    self.at(1, Happening::Assign(group, self.nodes[n].number, false));
                }
            }
            _ => {}
        }
    }

    fn command(&mut self, n: usize, after: i64, command: Command) {
        self.requests += 1;
        let request = self.requests;
        self.unanswered.insert(request, n);
        self.at(after, Happening::Give(n, Input::Command { request, command }));
    }

    fn start(&mut self, n: usize, start: Start) {
        let event = self.log.event(start.offset).clone();
        let node = &self.nodes[n];
        let (group, number) = (node.group, node.number);
        if event.killer {
            let kills = self.kills.entry((group, event.offset)).or_default();
            *kills += 1;
            if *kills > MAX_KILLS && !self.plan.seeks && !self.plan.chaos && !self.plan.commands {
                let kills = *kills;
                self.err(format!("8: {} ended the process {kills} times", event.offset));
            }
            return self.crash(number);
        }
        let edited = start.edited.as_ref().and_then(|e| std::str::from_utf8(e).ok()?.parse().ok());
        let seed = edited.unwrap_or(event.seed);
        let exec = Exec::new(self.log.checker.programs.of(group, seed, event.slow), seed, event.time);
        let run = start.run;
        self.nodes[n].running.insert(run, Running { exec, start, event });
        self.at(0, Happening::Step(n, run, None));
    }

    fn commit(&mut self, n: usize, tx: Arc<Transaction>) {
        let faults = if self.now < END { self.plan.faults } else { 0 };
        let lag = self.lag();
        let reply = |id, outcome| Happening::Give(n, Input::Replied { id, outcome });
        if self.rng.chance(faults) {
            return self.at(lag, reply(tx.id, Err(CommitError::Unavailable("busy".into()))));
        }
        let is_hidden = self.rng.chance(faults);
        if is_hidden && self.rng.chance(50) {
            return self.at(lag, reply(tx.id, Err(CommitError::Ambiguous("lost".into()))));
        }
        self.last_apply = self.last_apply.max(self.now + lag);
        self.at(self.last_apply - self.now, Happening::Apply(n, tx, is_hidden));
    }

    fn crash(&mut self, number: usize) {
        for n in 0..self.nodes.len() {
            if self.nodes[n].number != number || !self.nodes[n].is_alive {
                continue;
            }
            self.nodes[n].is_alive = false;
            self.unanswered.retain(|_, asked| *asked != n);
            let group = self.nodes[n].group;
            if self.owner[group] == Some(n) {
                self.owner[group] = None;
                let (number, wait) = (self.rng.below(2) as usize, 1 + self.rng.below(30) as i64);
                self.at(wait, Happening::Assign(group, number, false));
            }
        }
    }

    fn assign(&mut self, group: usize, number: usize, is_clean: bool) {
        let row = &mut self.log.groups[group];
        row.epoch = Epoch(row.epoch.0 + 1);
        row.unclean += u32::from(!is_clean);
        let epoch = row.epoch;
        let name = row.name.clone();
        self.writer += 1;
        let (writer, mut sequence) = (WriterId(self.writer), 0);
        let ids = Box::new(move || {
            sequence += 1;
            TxnId::new(writer, sequence)
        });
        let row = &self.log.groups[group];
        let assigned = Assignment {
            fence: Fence { group: name.clone(), at: TOPIC, epoch },
            topic: TopicName::new("orders").expect("valid"),
            position: row.position,
            incarnation: row.incarnation,
            unclean: row.unclean,
            catalog: if self.rng.chance(50) { self.log.catalog } else { CatalogVersion(1) },
            parked: self.log.range(&Entry::range(&name, 0)),
            mark: self.log.rows.get(&mark_key(&name, 0)).cloned(),
            is_paused: false,
        };
        let dispatcher =
            Dispatcher::new(self.settings.clone(), assigned, ids, self.time()).expect("rows that it wrote");
        self.nodes.push(Node {
            group,
            number,
            dispatcher,
            epoch,
            running: HashMap::new(),
            ended: HashMap::new(),
            notes: HashMap::new(),
            is_alive: true,
            next_tick: i64::MAX,
            will_flush: false,
        });
        let n = self.nodes.len() - 1;
        self.owner[group] = Some(n);
        self.flush(n);
        if !self.plan.lazy {
            self.at(1, Happening::Tick(n));
        }
    }

    fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::Tick(n) => self.tick(n),
            Happening::Flush(n) => self.flush(n),
            Happening::Give(n, input) => {
                if let Input::Command { request, .. } = &input {
                    if !self.nodes[n].is_alive {
                        self.unanswered.remove(request);
                    }
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

    fn produce(&mut self) {
        for _ in 0..=self.rng.below(5) {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            let gap = if self.plan.gaps { self.rng.below(3) } else { 0 };
            let event = SimEvent {
                offset: Offset(self.log.tail().0 + gap),
                key: (!self.rng.chance(self.plan.keyless)).then(|| self.rng.below(4) as u8),
                time: self.time(),
                seed: self.rng.next(),
                size: 1 + self.rng.below(30) as usize,
                slow: self.settings.detach_after.is_some() && self.rng.chance(6),
                killer: self.plan.killers && self.rng.chance(6),
                poison: self.plan.outage.is_some() && self.rng.chance(10),
            };
            self.log.topic.push(event);
        }
        if self.rng.chance(50) {
            for n in self.owner.clone().into_iter().flatten() {
                self.give(n, Input::News);
            }
        }
        if self.left > 0 {
            let wait = 1 + self.rng.below(30) as i64;
            self.at(wait, Happening::Produce);
        }
    }

    fn gateway(&mut self) {
        let seed = self.rng.next();
        let now = self.time();
        let ins: Vec<Ins> = self.log.checker.programs.of(GATEWAY, seed, false);
        let mut exec = Exec::new(ins.clone(), seed, now);
        let mut reads = Vec::new();
        let log = &self.log;
        exec.run(&mut |ask: Ask| {
            let (answer, read): (Answer, _) = log.look(ask, now);
            reads.push(read);
            Some(answer)
        });
        self.writer += 1;
        let id = TxnId::new(WriterId(self.writer), 0);
        let out: Out = exec.out;
        let mut tx = Transaction::new(id, self.log.catalog);
        tx.reads = reads;
        tx.writes = writes(&out, id);
        tx.appends.push(appends(&out.appends));
        let note = Note { group: GATEWAY, gateway: Some((ins, seed, out, now)), ..Note::default() };
        let lag = self.lag();
        self.last_apply = self.last_apply.max(self.now + lag);
        self.at(self.last_apply - self.now, Happening::GatewayCommit(Arc::new(tx), note));
        if self.now < END || self.plan.hot {
            let wait = if self.plan.hot { 1 } else { 1 + self.rng.below(40) as i64 };
            self.at(wait, Happening::Gateway);
        }
    }

    fn chaos(&mut self) {
        if self.now >= END {
            return self.resume_all();
        }
        let group = self.rng.below(self.plan.groups as u64) as usize;
        let owner = self.owner[group];
        match (self.rng.below(10), owner) {
            (0 | 1, _) if self.plan.chaos => {
                let number = self.rng.below(2) as usize;
                self.crash(number);
            }
            (2, Some(n)) if self.plan.chaos => {
                let within = Duration::from_millis(self.rng.below(40));
                self.give(n, Input::Revoking { within });
            }
            // the old one goes on, a zombie
            (3, Some(_)) if self.plan.chaos => {
                let number = self.rng.below(2) as usize;
                self.assign(group, number, false);
            }
            (4 | 5, Some(n)) if self.plan.seeks => self.seek(n),
            (6..=8, Some(n)) if self.plan.commands => self.some_command(n, group),
            (9, _) if self.plan.catalogs => self.change_catalog(),
            _ => {}
        }
        let wait = 10 + self.rng.below(75) as i64;
        self.at(wait, Happening::Chaos);
    }

    fn resume_all(&mut self) {
        for n in self.owner.clone().into_iter().flatten() {
            if self.nodes[n].dispatcher.mode() == Mode::Paused(PauseReason::ByHand) {
                self.command(n, 0, Command::Resume);
            }
        }
        if self.now < END + 2000 {
            self.at(100, Happening::Chaos);
        }
    }

    fn seek(&mut self, n: usize) {
        let position = self.nodes[n].dispatcher.position();
        let anywhere = Offset(self.rng.below(self.log.tail().0 + 1));
        let target = if self.rng.chance(20) { position } else { anywhere };
        self.command(n, 0, Command::Seek(target));
    }

    fn change_catalog(&mut self) {
        self.log.catalog = CatalogVersion(self.log.catalog.0 + 1);
        // the news arrives, or not: then a commit tells
        for n in 0..self.nodes.len() {
            if self.rng.chance(50) {
                let lag = self.lag();
                let catalog = self.log.catalog;
                self.at(lag, Happening::Give(n, Input::Catalog(catalog)));
            }
        }
    }

    fn some_command(&mut self, n: usize, group: usize) {
        let range = Entry::range(&self.log.groups[group].name, 0);
        let parked: Vec<Offset> = self.log.rows.keys().filter(|k| range.contains(k)).map(offset_of).collect();
        let one = if parked.is_empty() { Offset::ZERO } else { self.rng.pick(&parked) };
        let command = match self.rng.below(7) {
            0 => Command::Pause,
            1 => Command::Resume,
            2 => Command::Redrive(Selection::One(one)),
            3 => Command::Redrive(Selection::All),
            4 => {
                let key = vec![self.rng.below(4) as u8];
                Command::Redrive(Selection::Key(key.into()))
            }
            5 => Command::Skip { offset: one, reason: "by hand".to_owned() },
            _ => Command::Edit { offset: one, value: self.rng.below(1 << 40).to_string().into() },
        };
        self.command(n, 0, command);
    }

    fn step(&mut self, n: usize, run: TxnId, given: Option<(What, Stored)>) {
        if !self.nodes[n].is_alive {
            return;
        }
        let node = &mut self.nodes[n];
        let Some(mut running) = node.running.remove(&run) else { return };
        let (mut fresh, mut is_gone) = (given, false);
        let dispatcher = &mut node.dispatcher;
        let step = running.exec.run(&mut |ask| {
            let what = what(ask);
            let stored = fresh.take().filter(|(w, _)| *w == what).map(|(_, s)| s);
            match dispatcher.read(run, &what, stored) {
                Seen::View(View::Value(value)) => {
                    let Ask::Key(key) = ask else { unreachable!("a value for a key") };
                    Some(value.map(|v| (key, v)).into_iter().collect())
                }
                Seen::View(View::Rows(rows)) => Some(rows.into_iter().map(|(k, v)| (k[0], v)).collect()),
                Seen::AskStore => None,
                Seen::Gone => {
                    is_gone = true;
                    None
                }
            }
        });
        if is_gone {
            return;
        }
        let wait = match step {
            Step::Done => return self.ended(n, run, running),
            Step::Blocked(what) => {
                self.nodes[n].running.insert(run, running);
                let lag = self.lag();
                return self.at(lag, Happening::Load(n, run, what));
            }
            Step::Wait(time) => time,
            Step::Http => {
                let is_out = self.plan.outage.is_some_and(|(from, to)| from <= self.now && self.now < to);
                running.exec.out.http = Some(!running.event.poison && !is_out);
                self.rng.below(10) as i64
            }
        };
        self.nodes[n].running.insert(run, running);
        self.at(wait, Happening::Step(n, run, None));
    }

    fn ended(&mut self, n: usize, run: TxnId, running: Running) {
        if self.plan.interrupts && self.now < END && self.rng.chance(5) {
            return self.give(n, Input::Ran { run, end: RunEnd::Interrupted });
        }
        let out = running.exec.out;
        let end = if out.ok {
            let writes: Vec<_> = out.ops.iter().map(|(key, op)| (row_key(*key), op.clone())).collect();
            let appends = if out.appends.is_empty() { Records::default() } else { appends(&out.appends) };
            RunEnd::Ok(Effects { appends, writes, writers: Vec::new() })
        } else {
            RunEnd::Failed(RunFailure { message: "failed".to_owned(), ..RunFailure::default() })
        };
        let (offset, catalog) = (running.start.offset, running.start.catalog);
        self.nodes[n].ended.insert(run, Made { offset, run, catalog, out });
        self.give(n, Input::Ran { run, end });
    }
}

fn writes(out: &Out, stamp: TxnId) -> Vec<Write> {
    let write = |(key, op): (&u8, &Op)| Write { key: row_key(*key), op: op.clone(), stamp };
    out.ops.iter().map(write).collect()
}
