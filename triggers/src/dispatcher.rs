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

mod protocol;
mod settings;

pub use protocol::{
    Action, Assignment, Command, CommandError, Event, Input, Mode, PauseReason, Report, RunEnd, RunFailure,
    Seen, Selection, Start, Stored, View, What,
};
pub use settings::{Breaker, OnExhausted, Retry, Settings};

use crate::parked::EntryDamaged;
use weir_schema::{Millis, Offset, TxnId};

/// Where ids of attempts and transactions come from: each call gives one that was never given before.
pub type Ids = Box<dyn FnMut() -> TxnId + Send>;

/// See the [module](self).
#[derive(Debug)]
pub struct Dispatcher {}

impl Dispatcher {
    /// Begins at the assigned position, with what its predecessor left.
    ///
    /// # Errors
    /// `EntryDamaged` if a row of the parked events is none.
    pub fn new(
        _settings: Settings,
        _assignment: Assignment,
        _ids: Ids,
        _now: Millis,
    ) -> Result<Self, EntryDamaged> {
        Ok(Self {})
    }

    /// Takes note of what happened. What follows from it is in the next [`Dispatcher::take_actions`].
    pub fn step(&mut self, _now: Millis, _input: Input) {}

    /// What is to be done now, appended to `into`, in order.
    pub fn take_actions(&mut self, _now: Millis, _into: &mut Vec<Action>) {}

    /// When the next [`Input::Tick`] is due, if nothing else happens before; none: only an input can change anything.
    #[must_use]
    pub fn wake_at(&self) -> Option<Millis> {
        None
    }

    /// A read of a running attempt. First without `stored`; if that answers [`Seen::AskStore`], again with the
    /// store's answer, which must have been asked for after that. Pass on what it saw, nothing else.
    pub fn read(&mut self, _run: TxnId, _what: &What, _stored: Option<Stored>) -> Seen {
        Seen::AskStore
    }

    /// What it is about.
    #[must_use]
    pub fn mode(&self) -> Mode {
        Mode::Live
    }

    /// The first offset that is not committed as handled or parked.
    #[must_use]
    pub fn position(&self) -> Offset {
        Offset::ZERO
    }

    /// How many events are parked.
    #[must_use]
    pub fn parked(&self) -> usize {
        0
    }
}
