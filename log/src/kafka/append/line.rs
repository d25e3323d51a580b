//! Who sends now: the producer, or, while there is none, whoever makes the next one.

use super::lanes::Lanes;
use super::{Producer, Sent};
use crate::CommitError;
use crate::kafka::native::flush;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weir_schema::{At, Millis};

/// How many events may wait.
const WAITING: usize = 100_000;
/// How long what may set out waits at most for what has, which may be for another broker.
const ROUND: Duration = Duration::from_millis(1);

/// See the module's docs. Producers hold on to it, so it lets go of its own when it is closed.
#[derive(Default)]
pub(super) struct Line {
    state: Mutex<State>,
    /// A producer has failed.
    failed: Condvar,
    /// Something may set out.
    ready: Condvar,
}

#[derive(Default)]
struct State {
    producer: Option<Arc<Producer>>,
    /// One that has failed for good, for whoever makes the next.
    failed: Option<Arc<Producer>>,
    /// What a producer has, and what waits to be given to one.
    lanes: Lanes<Waiting>,
    /// What the next one is to send.
    #[expect(clippy::vec_box, reason = "a producer takes it, and gives it back, in its box")]
    waiting: Vec<Box<Sent>>,
    closed: bool,
}

/// An event, and the time at which it came.
type Waiting = (Box<Sent>, Millis);

impl Line {
    /// Sends an event as soon as what is on its way to its partition has arrived, and there is a producer.
    pub(super) fn send(&self, sent: Box<Sent>, now: Millis) {
        let mut state = self.lock();
        if state.closed {
            return sent.resolve(Err(closed()));
        }
        if state.lanes.waiting() >= WAITING {
            return sent.resolve(Err(full()));
        }
        self.change(&mut state, |lanes| lanes.wait(sent.at, (sent, now)));
    }

    /// What a producer was given for `at` has come to something: what has waited for that may follow.
    pub(super) fn reported(&self, at: At) {
        self.change(&mut self.lock(), |lanes| lanes.arrive(at));
    }

    /// Gives what may set out to the producer, round by round, until the line is closed.
    pub(super) fn run(&self) {
        while let Some(round) = self.round() {
            for (sent, now) in round {
                let (at, mut state) = (sent.at, self.lock());
                if !self.give(&mut state, sent, now) {
                    state.lanes.arrive(at);
                }
            }
            let producer = self.lock().producer.clone();
            if let Some(producer) = producer {
                flush(producer.client(), ROUND);
            }
        }
    }

    /// Waits for what may set out; none: the line is closed.
    fn round(&self) -> Option<Vec<Waiting>> {
        let state = self.lock();
        let idle = |state: &mut State| !state.closed && !state.lanes.is_ready();
        let mut state = self.ready.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        (!state.closed).then(|| state.lanes.set_out())
    }

    /// An event has failed, and it is not known whether Kafka has it: the producer is not used any more, and the next one
    /// begins with it.
    pub(super) fn fail(&self, sent: Box<Sent>) {
        let mut state = self.lock();
        if state.closed {
            let why = "the log was closed while the event was on its way";
            return sent.resolve(Err(CommitError::Ambiguous(why.into())));
        }
        state.waiting.push(sent);
        self.give_up(&mut state);
    }

    /// Notes that whoever mends has given a producer an event, which will be reported.
    pub(super) fn join(&self, at: At) {
        self.lock().lanes.join(at);
    }

    /// Waits for a producer that has failed; none: the line is closed.
    pub(super) fn failed(&self) -> Option<Arc<Producer>> {
        let state = self.lock();
        let well = |state: &mut State| !state.closed && state.failed.is_none();
        let mut state = self.failed.wait_while(state, well).unwrap_or_else(PoisonError::into_inner);
        state.failed.take()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// What waits for the next producer, in order.
    #[expect(clippy::vec_box, reason = "a producer takes it, and gives it back, in its box")]
    pub(super) fn take(&self) -> Vec<Box<Sent>> {
        std::mem::take(&mut self.lock().waiting)
    }

    /// Takes a producer into use, unless something waits for it or the line is closed: then it comes back.
    pub(super) fn restore(&self, producer: Producer) -> Result<(), Producer> {
        let mut state = self.lock();
        if state.closed || !state.waiting.is_empty() {
            return Err(producer);
        }
        state.producer = Some(Arc::new(producer));
        Ok(())
    }

    /// Ends everything; what waits is not sent.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        let State { producer, failed, lanes, waiting, .. } =
            std::mem::replace(&mut *state, State { closed: true, ..State::default() });
        drop(state);
        self.failed.notify_all();
        self.ready.notify_all();
        // its last reports need the lock
        drop((producer, failed));
        for sent in waiting.into_iter().chain(lanes.into_waiting().map(|(sent, _)| sent)) {
            let why = "the log was closed while the event waited for Kafka";
            sent.resolve(Err(CommitError::Ambiguous(why.into())));
        }
    }

    /// Gives an event to the producer; returns whether that will report it.
    fn give(&self, state: &mut State, sent: Box<Sent>, now: Millis) -> bool {
        if state.closed {
            sent.resolve(Err(closed()));
            return false;
        }
        let Some(producer) = state.producer.clone() else {
            if state.waiting.len() >= WAITING {
                sent.resolve(Err(full()));
            } else {
                state.waiting.push(sent);
            }
            return false;
        };
        let Err((error, mut sent)) = sent.produce(&producer, now) else { return true };
        // a partition that it does not know may be new: the next one will know it
        let is_new = error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownPartition);
        if is_new || producer.client().fatal_error().is_some() {
            sent.time = None;
            state.waiting.push(sent);
            self.give_up(state);
        } else if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) {
            sent.resolve(Err(full()));
        } else {
            sent.resolve(Err(CommitError::Unavailable(error.into())));
        }
        false
    }

    /// Changes the lanes, and wakes who sends if something may set out by that.
    fn change(&self, state: &mut State, change: impl FnOnce(&mut Lanes<Waiting>)) {
        let was_ready = state.lanes.is_ready();
        change(&mut state.lanes);
        if !was_ready && state.lanes.is_ready() {
            self.ready.notify_one();
        }
    }

    /// The producer is not used any more.
    fn give_up(&self, state: &mut State) {
        if let Some(producer) = state.producer.take() {
            state.failed = Some(producer);
            self.failed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed() -> CommitError {
    CommitError::Unavailable(crate::LogError::Closed.into())
}

fn full() -> CommitError {
    CommitError::Unavailable("too many events wait for Kafka: commit less at once".into())
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}
