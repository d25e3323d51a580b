//! The home of one partition of one trigger: carries out what its dispatcher decides.

mod agenda;

use crate::attempt;
use crate::dispatcher::{Action, Command, CommandError, Input, Report, Start, What};
use crate::replay::pacing;
use crate::runs::{Queue, Run};
use crate::trigger::{Place, Trigger};
use crate::turns::Class;
use crate::{Dispatcher, report};
use agenda::{Agenda, Work};
use futures::FutureExt as _;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use weir_log::{LogError, ReadLimit};
use weir_runtime::{Code, Session, Worker};
use weir_schema::{Epoch, Millis, Offset, Records, Transaction, TxnId};

/// What all homes of a worker share.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) session: Arc<Session>,
    pub(crate) worker: Rc<Worker>,
    pub(crate) code: tokio::sync::watch::Receiver<Arc<Code>>,
    pub(crate) tasks: TaskTracker,
}

/// What the manager is told by a home.
#[derive(Debug)]
pub(crate) enum Told {
    /// The partition is handed over.
    Released(Place, Epoch),
    /// What an unclean take-over left has been digested.
    Settled(Place, Epoch),
    /// Commits are fenced, or the position has moved: it is someone else's.
    Lost(Place),
}

/// What came of letting a home act.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Acted {
    /// It has nothing to do now.
    Nothing,
    /// One thing is done.
    Done,
    /// An attempt has used the thread and is not over.
    Unfinished(TxnId),
}

/// See the module's docs.
pub(crate) struct Home {
    id: u64,
    pub(crate) place: Place,
    epoch: Epoch,
    trigger: Arc<Trigger>,
    around: Surroundings,
    queue: Rc<Queue>,
    pub(crate) dispatcher: Rc<RefCell<Dispatcher>>,
    /// Attempts that wait.
    running: HashMap<TxnId, Run>,
    agenda: Agenda,
    batch: Vec<Action>,
    answers: HashMap<u64, oneshot::Sender<Result<(), CommandError>>>,
    next_request: u64,
    /// The offset after the last one that a read has returned or found to be the tail.
    read_to: Offset,
}

impl std::fmt::Debug for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Home").field("place", &self.place).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Home {
    pub(crate) fn new(
        id: u64,
        place: Place,
        epoch: Epoch,
        trigger: Arc<Trigger>,
        around: Surroundings,
        queue: Rc<Queue>,
        dispatcher: Dispatcher,
    ) -> Self {
        Self {
            id,
            place,
            epoch,
            trigger,
            around,
            queue,
            read_to: dispatcher.position(),
            dispatcher: Rc::new(RefCell::new(dispatcher)),
            running: HashMap::new(),
            agenda: Agenda::default(),
            batch: Vec::new(),
            answers: HashMap::new(),
            next_request: 0,
        }
    }

    fn now(&self) -> Millis {
        self.around.session.clock().now()
    }

    /// Tells the dispatcher something.
    pub(crate) fn step(&mut self, input: Input) {
        let now = self.now();
        if let Input::Records { from, records } = &input {
            self.read_to = records.last().map_or(*from, |r| r.meta.offset.next());
        }
        self.dispatcher.borrow_mut().step(now, input);
        self.stir();
    }

    /// Sees to it that the dispatcher is asked: something has happened, or time has passed.
    pub(crate) fn stir(&mut self) {
        self.agenda.ask();
    }

    /// Asks the dispatcher something; the answer comes when what it asked for is durable.
    pub(crate) fn command(&mut self, command: Command, answer: oneshot::Sender<Result<(), CommandError>>) {
        self.next_request += 1;
        self.answers.insert(self.next_request, answer);
        self.step(Input::Command { request: self.next_request, command });
    }

    /// When it must be looked at again.
    pub(crate) fn wake_at(&self) -> Option<Millis> {
        self.dispatcher.borrow().wake_at()
    }

    /// Whether the log has events that it has not read.
    pub(crate) fn lags(&self) -> bool {
        self.around.session.tail(self.place.at).is_some_and(|tail| tail > self.read_to)
    }

    /// Whether there is nothing to read at `from`, by the word of a log that tells of every tail: then an idle trigger
    /// costs its storage nothing. A replay's range is given, and ends.
    fn is_tail(&self, from: Offset) -> bool {
        let session = &self.around.session;
        let tells = session.log().capabilities().tells_within.is_some() && self.trigger.replay.is_none();
        tells && session.tail(self.place.at).is_some_and(|tail| tail <= from)
    }

    /// The class of what it does, attempts at parked events aside.
    pub(crate) fn class(&self) -> Class {
        if self.trigger.replay.is_some() { Class::Replay } else { Class::Live }
    }

    /// Whether there is something to do of a class.
    pub(crate) fn has_work(&self, class: Class) -> bool {
        self.agenda.has(class)
    }

    /// Does one thing of a class.
    pub(crate) fn act(&mut self, class: Class) -> Result<Acted, Told> {
        match self.agenda.take(class) {
            None => Ok(Acted::Nothing),
            Some(Work::Ask) => {
                self.ask();
                Ok(if self.has_work(class) { Acted::Done } else { Acted::Nothing })
            }
            Some(Work::Do(action)) => self.carry_out(action),
            Some(Work::GoOn(run)) => {
                Ok(self.running.remove(&run).map_or(Acted::Done, |r| self.advance(run, r)))
            }
        }
    }

    /// Asks the dispatcher what is to be done; if that is something, it is asked again after it.
    fn ask(&mut self) {
        let (now, mut batch) = (self.now(), std::mem::take(&mut self.batch));
        self.dispatcher.borrow_mut().take_actions(now, &mut batch);
        let has_more = !batch.is_empty();
        for action in batch.drain(..) {
            let class = if let Action::Start(start) = &action { self.class_of(start) } else { self.class() };
            self.agenda.add(class, Work::Do(action));
        }
        self.batch = batch;
        if has_more {
            self.agenda.ask();
        }
    }

    fn class_of(&self, start: &Start) -> Class {
        if start.is_parked && self.trigger.replay.is_none() { Class::Parked } else { self.class() }
    }

    fn carry_out(&mut self, action: Action) -> Result<Acted, Told> {
        match action {
            Action::Read { from, .. } if self.is_tail(from) => {
                self.step(Input::Records { from, records: Records::default() });
            }
            Action::Read { from, limit } => self.read(from, limit),
            Action::Start(start) => return Ok(self.start(start)),
            Action::Cancel(run) => self.cancel(run),
            Action::Commit(transaction) => self.commit(transaction),
            Action::Reserve(reads) => self.reserve(reads),
            Action::Answer { request, result } => {
                if let Some(answer) = self.answers.remove(&request) {
                    drop(answer.send(result)); // who asked may have gone
                }
            }
            Action::Report(report) => {
                self.report(&report);
                if report == Report::Lost {
                    return Err(Told::Lost(self.place.clone()));
                }
            }
            Action::Settled => return Err(Told::Settled(self.place.clone(), self.epoch)),
            Action::Release => return Err(Told::Released(self.place.clone(), self.epoch)),
        }
        Ok(Acted::Done)
    }

    fn cancel(&mut self, run: TxnId) {
        self.running.remove(&run);
        self.agenda.cancel(run);
    }

    fn commit(&self, transaction: Arc<Transaction>) {
        let commit = self.around.session.log().commit(transaction.clone());
        let counts = self.trigger.replay.as_ref().map(|r| r.counts.clone());
        let session = self.around.session.clone();
        self.queue.ask(self.id, async move {
            let outcome = commit.await;
            if outcome.is_ok() {
                session.committed(&transaction);
                if let Some(counts) = counts {
                    counts.committed(&transaction);
                }
            }
            Input::Replied { id: transaction.id, outcome }
        });
    }

    fn reserve(&self, reads: Vec<What>) {
        let (mut keys, mut ranges) = (Vec::new(), Vec::new());
        for what in reads {
            match what {
                What::Key(key) => keys.push(key),
                What::Range(range) => ranges.push(range),
            }
        }
        self.around.session.reserve(keys, ranges, self.now());
    }

    fn report(&self, report: &Report) {
        if let Report::Committed { .. } = report {
            self.around.session.release_reserved();
        }
        report::report(&self.trigger, self.place.at.partition, report);
    }

    /// How much of its worker the partition uses, and whether it `fills` it while its events pile up: a replay always
    /// uses what it gets.
    pub(crate) fn report_load(&self, ratio: f64, fills: bool) {
        report::load(&self.trigger, self.place.at.partition, ratio, fills && self.trigger.replay.is_none());
    }

    fn read(&self, from: Offset, limit: ReadLimit) {
        let (session, place) = (self.around.session.clone(), self.place.clone());
        let replay = self.trigger.replay.clone();
        self.queue.ask(self.id, async move {
            let read = match &replay {
                Some(replay) => pacing::read(&session, place.at, from, limit, replay).await,
                None => session.log().read(place.at, from, limit).await,
            };
            match read {
                Ok(records) => Input::Records { from, records },
                Err(LogError::Trimmed { earliest }) => Input::Trimmed { earliest },
                Err(error) => {
                    let partition = place.at.partition;
                    // it is tried again soon; that a server does not answer is said once, by whoever asks it
                    if error.is_retryable() {
                        tracing::debug!(group = %place.group, partition, %error, "cannot read the topic");
                    } else {
                        tracing::warn!(group = %place.group, partition, %error, "cannot read the topic");
                    }
                    Input::ReadFailed { from }
                }
            }
        });
    }

    /// Runs a function, until it ends or waits.
    fn start(&mut self, start: Start) -> Acted {
        let (id, class) = (start.run, self.class_of(&start));
        let (around, trigger, dispatcher) =
            (self.around.clone(), self.trigger.clone(), self.dispatcher.clone());
        let work = attempt::attempt(around, trigger, dispatcher, self.place.at, start).boxed_local();
        let run = self.queue.run(self.id, id, class, work);
        self.advance(id, run)
    }

    fn advance(&mut self, id: TxnId, mut run: Run) -> Acted {
        match run.poll() {
            Poll::Ready(end) => {
                self.step(Input::Ran { run: id, end });
                Acted::Done
            }
            Poll::Pending => {
                self.running.insert(id, run);
                Acted::Unfinished(id)
            }
        }
    }

    /// An attempt that waited was woken; the class of its work, if it is still wanted.
    pub(crate) fn woken(&mut self, run: TxnId) -> Option<Class> {
        let class = self.running.get(&run)?.class;
        self.agenda.add(class, Work::GoOn(run));
        Some(class)
    }

    /// Lets an attempt that was interrupted while it computed go on in its next turn: it waits for nothing.
    pub(crate) fn go_on(&mut self, run: TxnId) {
        if self.running.get(&run).is_some_and(Run::wake_by_hand) {
            self.woken(run);
        }
    }
}
