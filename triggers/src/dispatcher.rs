//! The dispatcher of one partition of one trigger: decides what runs when, what commits, what is parked.
//!
//! A pure state machine: no clock, no I/O, no threads. Whoever drives it feeds [`Input`]s, carries out the
//! [`Action`]s and answers the reads of running functions by [`Dispatcher::read`]:
//!
//! ```text
//! loop {
//!     dispatcher.step(now, input);              // as many as there are
//!     dispatcher.take_actions(now, &mut todo);  // then what follows from them
//!     for action in todo.drain(..) { … }
//! }
//! ```
//!
//! Functions that return without waiting are best run one after the other, and their ends fed, before the next
//! `take_actions`: then they commit as one chunk.
//!
//! It is Block-STM over a sliding window: events run ahead of each other, read through the pending writes of
//! earlier ones, and run again when an earlier one wrote after they had read. Errors are judged only at the head of
//! what is settled, and every read goes into the commit, so that no event is parked on a torn read.

mod breaker;
mod commands;
mod control;
mod feed;
mod lookup;
mod mutation;
mod outside;
mod parking;
mod protocol;
mod recheck;
mod replies;
mod rows;
mod sent;
mod settings;
mod settle;
mod slot;
mod submit;
mod window;

#[doc(hidden)]
pub use mutation::Mutation;
pub use protocol::{
    Action, Assignment, Command, CommandError, Event, Input, Mode, PauseReason, Report, RunEnd, RunFailure,
    Seen, Selection, Start, Stored, View, What,
};
pub use settings::{Breaker, OnExhausted, Retry, Settings};

use crate::parked::{Entry, EntryDamaged};
use breaker::{Judged, Probe};
use outside::Attempt;
use parking::Parking;
use rows::Rows;
use sent::Sent;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use weir_schema::{CatalogVersion, Fence, Millis, Offset, TopicName, TxnId};
use window::Window;

/// Where ids of attempts and transactions come from: each call gives one that was never given before.
pub type Ids = Box<dyn FnMut() -> TxnId + Send>;

struct IdSource(Ids);

impl fmt::Debug for IdSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Active,
    Draining { by: Millis },
    Seeking { target: Offset, request: u64 },
    Lost,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Dispatcher {
    settings: Settings,
    fence: Fence,
    topic: TopicName,
    incarnation: u32,
    catalog: CatalogVersion,
    ids: IdSource,
    now: Millis,
    actions: Vec<Action>,

    phase: Phase,
    paused: Option<PauseReason>,
    /// Whether a row of the log's says that events are lost.
    is_told_lost: bool,
    /// Some: the breaker is open.
    probe: Option<Probe>,
    judged: Judged,

    /// As committed.
    position: Offset,
    /// Where to read on.
    next: Offset,
    reading: bool,
    read_not_before: Millis,
    /// When the last read found nothing; none: it found something.
    caught_up: Option<Millis>,
    /// Events may have come since the last read was asked for.
    news: bool,

    window: Window,
    /// Attempts that run in the window, and where.
    runs: foldhash::HashMap<TxnId, Offset>,
    /// Slots that have read a range.
    scanners: BTreeSet<Offset>,
    /// Slots with an estimate.
    estimated: BTreeSet<Offset>,
    rows: Rows,
    parked: Parking,
    outside: BTreeMap<TxnId, Attempt>,

    sent: BTreeMap<TxnId, Sent>,
    /// The commit of so many of the first slots is on its way.
    flight: Option<usize>,
    /// How many slots go one by one: the log has refused them together.
    one_by_one: usize,
    /// Slots that may be started, from the first on: fewer while commits conflict.
    limit: usize,
    recent: VecDeque<bool>,
    hot: foldhash::HashMap<What, u32>,
    /// Commands that wait for this many commits.
    waiting: BTreeMap<u64, usize>,

    /// One event at a time, a durable mark before each.
    probation: bool,
    /// Past this position what an unclean take-over left has been digested.
    unclean_until: Option<Offset>,
    /// The event that was marked when the process ended.
    crashed: Option<Offset>,
    /// Parked events that were there when the process ended, and have not run since.
    suspects: BTreeSet<Offset>,

    /// Kept for its room.
    chosen: Vec<Offset>,
    attempts_made: u64,
    conflicts: u64,
    skip_settle: bool,
    #[cfg(any(test, feature = "mutations"))]
    seen: BTreeMap<&'static str, u64>,
    #[cfg(any(test, feature = "mutations"))]
    carried: BTreeMap<TxnId, Carried>,
}

/// What a transaction carries, for the simulation's checks.
#[cfg(any(test, feature = "mutations"))]
#[derive(Clone, Debug)]
pub struct Carried {
    /// The attempts whose effects or errors it makes true.
    pub attempts: Vec<TxnId>,
    /// Whether it is a seek's.
    pub is_seek: bool,
}

impl Dispatcher {
    /// Begins at the assigned position, with what its predecessor left.
    ///
    /// # Errors
    /// `EntryDamaged` if a row of the parked events is none.
    pub fn new(
        settings: Settings,
        assigned: Assignment,
        ids: Ids,
        now: Millis,
    ) -> Result<Self, EntryDamaged> {
        let mut parked = Parking::default();
        for (key, row) in &assigned.parked {
            parked.put(Entry::from_row(key, &row.value)?, row.stamp);
        }
        let (unclean, position) = (assigned.unclean, assigned.position);
        let (paused, crashed) = (assigned.paused(), assigned.mark().filter(|mark| *mark >= position));
        let probation = unclean >= control::PROBATION;
        let horizon = 3 * settings.window as u64 + 20;
        let suspects = parked.iter().flat_map(|(_, s)| &s.entries).map(|h| h.entry.offset);
        // what ended the process may wait among the parked, long past probation
        let suspects: BTreeSet<Offset> = suspects.filter(|_| unclean > 0).collect();
        let mut dispatcher = Self {
            fence: assigned.fence,
            topic: assigned.topic,
            incarnation: assigned.incarnation,
            catalog: assigned.catalog,
            ids: IdSource(ids),
            now,
            actions: Vec::new(),
            phase: Phase::Active,
            paused,
            is_told_lost: assigned.lost.is_some(),
            probe: None,
            judged: Judged::default(),
            position,
            next: position,
            reading: false,
            read_not_before: Millis(i64::MIN),
            caught_up: None,
            news: false,
            window: Window::default(),
            runs: foldhash::HashMap::default(),
            scanners: BTreeSet::new(),
            estimated: BTreeSet::new(),
            rows: Rows::new(settings.cache_rows, settings.cache_bytes),
            parked,
            outside: BTreeMap::new(),
            sent: BTreeMap::new(),
            flight: None,
            one_by_one: 0,
            limit: if probation { 1 } else { settings.window },
            recent: VecDeque::new(),
            hot: foldhash::HashMap::default(),
            waiting: BTreeMap::new(),
            probation,
            unclean_until: (unclean > 0).then(|| Offset(position.0.saturating_add(horizon))),
            crashed,
            suspects,
            chosen: Vec::new(),
            attempts_made: 0,
            conflicts: 0,
            skip_settle: false,
            #[cfg(any(test, feature = "mutations"))]
            seen: BTreeMap::new(),
            #[cfg(any(test, feature = "mutations"))]
            carried: BTreeMap::new(),
            settings,
        };
        dispatcher.begin(unclean);
        Ok(dispatcher)
    }

    fn begin(&mut self, unclean: u32) {
        if self.has(Mutation::NoSuspects) {
            self.suspects.clear();
        }
        if self.probation {
            self.count("probation");
        }
        self.count_crashes(unclean);
        self.watch_parked();
        if let Some(reason @ PauseReason::EventsLost { .. }) = self.paused {
            self.report(Report::Paused(reason));
        }
    }

    /// Takes note of what happened. What follows from it is in the next [`Dispatcher::take_actions`].
    pub fn step(&mut self, now: Millis, input: Input) {
        self.now = self.now.max(now);
        if self.is_lost() {
            if let Input::Command { request, command } = input {
                self.on_command(request, command);
            }
            return;
        }
        self.skip_settle &= matches!(input, Input::Tick);
        match input {
            Input::Records { from, records } => self.on_records(from, records),
            Input::ReadFailed { from } => self.on_read_failed(from),
            Input::Trimmed { earliest } => self.on_trimmed(earliest),
            Input::News => self.news = true,
            Input::Ran { run, end } => self.on_ran(run, end),
            Input::Replied { id, outcome } => self.on_replied(id, outcome),
            Input::Tick => {}
            Input::Catalog(version) => self.on_catalog(version),
            Input::Revoking { within } => self.on_revoking(within),
            Input::Lost => self.lose(),
            Input::Command { request, command } => self.on_command(request, command),
        }
    }

    /// What is to be done now, appended to `into`, in order.
    pub fn take_actions(&mut self, now: Millis, into: &mut Vec<Action>) {
        self.now = self.now.max(now);
        if !self.is_lost() {
            self.send_due();
            self.detach_slow_head();
            self.go_on_seeking();
            if !self.skip_settle {
                self.settle();
            }
            self.calm_down();
            self.fill();
            self.drain();
            self.rows.trim();
        }
        into.append(&mut self.actions);
    }

    /// The first offset that is not committed as handled or parked.
    #[must_use]
    pub fn position(&self) -> Offset {
        self.position
    }

    /// How many events are parked.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.parked.count()
    }

    /// Whether nothing runs and no commit is on its way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.sent.is_empty() && self.outside.is_empty() && self.window.running() == 0
    }

    /// How many attempts have been made, and how many commits met stale reads: for metrics.
    #[must_use]
    pub fn effort(&self) -> (u64, u64) {
        (self.attempts_made, self.conflicts)
    }

    /// How many of the first slots are in flight.
    fn flying(&self) -> usize {
        self.flight.unwrap_or(0)
    }

    fn is_flying(&self, i: usize) -> bool {
        i < self.flying()
    }

    fn fresh(&mut self) -> TxnId {
        (self.ids.0)()
    }
}

/// What only the simulation asks for.
#[cfg(any(test, feature = "mutations"))]
impl Dispatcher {
    fn has(&self, mutation: Mutation) -> bool {
        self.settings.mutation == Some(mutation)
    }

    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// How often what has happened.
    #[must_use]
    pub fn seen(&self) -> &BTreeMap<&'static str, u64> {
        &self.seen
    }

    /// Keeps what a transaction carries, until it is asked for.
    fn carry(&mut self, id: TxnId, purpose: &sent::Purpose, len: usize) {
        use sent::Purpose;
        use slot::{Status, Why};
        let ran = |s: &&slot::Slot| matches!(s.status, Status::Done | Status::Park(Why::Failed));
        let attempts = match purpose {
            Purpose::Flight => self.window.iter().take(len).filter(ran).map(|s| s.run).collect(),
            Purpose::Parked(run) => vec![*run],
            _ => Vec::new(),
        };
        let is_seek = matches!(purpose, Purpose::Seek(_));
        self.carried.insert(id, Carried { attempts, is_seek });
    }

    /// What a transaction carries; once.
    #[must_use]
    pub fn take_carried(&mut self, id: TxnId) -> Option<Carried> {
        self.carried.remove(&id)
    }

    /// The offsets in the window, in order.
    #[must_use]
    pub fn window(&self) -> Vec<Offset> {
        self.window.iter().map(|s| s.offset).collect()
    }

    /// Bytes of the events in the window.
    #[must_use]
    pub fn window_bytes(&self) -> usize {
        self.window.iter().map(|s| s.bytes).sum()
    }

    /// Offsets that wait for nothing but a free place, or for the breaker.
    #[must_use]
    pub fn ready(&self) -> Vec<Offset> {
        self.window.ready().iter().copied().collect()
    }

    /// Whether every parked sequence waits for someone.
    #[must_use]
    pub fn all_held(&self) -> bool {
        let is_held = |h: &parking::Held| h.entry.state == crate::parked::EntryState::Held;
        self.parked.iter().all(|(_, s)| s.entries.front().is_some_and(is_held))
    }
}

#[cfg(not(any(test, feature = "mutations")))]
impl Dispatcher {
    #[expect(clippy::unused_self, reason = "the simulation's twin looks at the settings")]
    const fn has(&self, _mutation: Mutation) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "the simulation's twin keeps it")]
    const fn carry(&mut self, _id: TxnId, _purpose: &sent::Purpose, _len: usize) {}

    #[expect(clippy::unused_self, reason = "the simulation's twin counts")]
    const fn count(&mut self, _what: &'static str) {}
}

#[cfg(test)]
mod tests;
