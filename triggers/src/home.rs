//! The home of one partition of one trigger: carries out what its dispatcher decides.

use crate::attempt;
use crate::dispatcher::{Action, Command, CommandError, Input, Report, RunEnd, Start, What};
use crate::host::TriggerHost;
use crate::replay::pacing;
use crate::trigger::{Place, Trigger};
use crate::{Dispatcher, report};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;
use weir_log::{LogError, ReadLimit};
use weir_runtime::{Code, Session, Worker};
use weir_schema::{Epoch, Millis, Offset, Records, TxnId};

/// What all homes of a worker share.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) session: Arc<Session>,
    pub(crate) worker: Rc<Worker>,
    pub(crate) code: tokio::sync::watch::Receiver<Arc<Code>>,
    pub(crate) tasks: TaskTracker,
}

/// What has happened to the homes of a worker and has not been told to their dispatchers.
#[derive(Default, Debug)]
pub(crate) struct Queue {
    inputs: RefCell<VecDeque<(u64, Input)>>,
    pub(crate) filled: Notify,
}

impl Queue {
    pub(crate) fn push(&self, home: u64, input: Input) {
        self.inputs.borrow_mut().push_back((home, input));
        self.filled.notify_one();
    }

    pub(crate) fn pop(&self) -> Option<(u64, Input)> {
        self.inputs.borrow_mut().pop_front()
    }
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

/// See the module's docs.
pub(crate) struct Home {
    id: u64,
    pub(crate) place: Place,
    epoch: Epoch,
    trigger: Arc<Trigger>,
    around: Surroundings,
    queue: Rc<Queue>,
    pub(crate) dispatcher: Rc<RefCell<Dispatcher>>,
    running: HashMap<TxnId, AbortHandle>,
    actions: VecDeque<Action>,
    batch: Vec<Action>,
    answers: HashMap<u64, oneshot::Sender<Result<(), CommandError>>>,
    next_request: u64,
    /// A replay's read may wait for its pace.
    reading: Option<AbortHandle>,
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
            actions: VecDeque::new(),
            batch: Vec::new(),
            answers: HashMap::new(),
            next_request: 0,
            reading: None,
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

    /// Carries out one thing that the dispatcher wants; false: it wants nothing now.
    pub(crate) async fn act(&mut self) -> Result<bool, Told> {
        if self.actions.is_empty() {
            let now = self.now();
            self.dispatcher.borrow_mut().take_actions(now, &mut self.batch);
            self.actions.extend(self.batch.drain(..));
        }
        let Some(action) = self.actions.pop_front() else { return Ok(false) };
        match action {
            Action::Read { from, limit } => self.read(from, limit),
            Action::Start(start) => self.start(start),
            Action::Cancel(run) => {
                if let Some(attempt) = self.running.remove(&run) {
                    attempt.abort();
                }
            }
            Action::Commit(transaction) => {
                let commit = self.around.session.log().commit(transaction.clone());
                let counts = self.trigger.replay.as_ref().map(|r| r.counts.clone());
                self.spawn(async move {
                    let outcome = commit.await;
                    if let (Some(counts), Ok(_)) = (counts, &outcome) {
                        counts.committed(&transaction);
                    }
                    Input::Replied { id: transaction.id, outcome }
                });
            }
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
        Ok(true)
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

    fn read(&mut self, from: Offset, limit: ReadLimit) {
        let (session, place) = (self.around.session.clone(), self.place.clone());
        let replay = self.trigger.replay.clone();
        self.reading = Some(self.spawn(async move {
            let read = match &replay {
                Some(replay) => pacing::read(&session, place.at, from, limit, replay).await,
                None => session.log().read(place.at, from, limit).await,
            };
            match read {
                Ok(records) => Input::Records { from, records },
                Err(LogError::Trimmed { earliest }) => Input::Trimmed { earliest },
                Err(error) => {
                    let partition = place.at.partition;
                    tracing::warn!(group = %place.group, partition, %error, "cannot read the topic");
                    Input::ReadFailed { from }
                }
            }
        }));
    }

    /// Runs a function. One that returns without waiting ends here, without a task of its own.
    fn start(&mut self, start: Start) {
        let run = start.run;
        let mut attempt = self.attempt(start);
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        if let std::task::Poll::Ready(end) = attempt.poll_unpin(&mut nobody) {
            self.step(Input::Ran { run, end });
            return;
        }
        let (queue, home) = (self.queue.clone(), self.id);
        let task = self.around.tasks.spawn_local(async move {
            let end = attempt.await;
            queue.push(home, Input::Ran { run, end });
        });
        self.running.retain(|_, task| !task.is_finished());
        self.running.insert(run, task.abort_handle());
    }

    fn attempt(&self, start: Start) -> LocalBoxFuture<'static, RunEnd> {
        let (around, trigger, dispatcher) =
            (self.around.clone(), self.trigger.clone(), self.dispatcher.clone());
        let at = self.place.at;
        async move {
            let records = match &start.event {
                Some(_) => None,
                None => match read_one(&around.session, at, start.offset).await {
                    Some(records) => Some(records),
                    None => return RunEnd::Interrupted,
                },
            };
            let record = match (&start.event, &records) {
                (Some(event), _) => event.record(),
                (None, Some(records)) => records.get(0).expect("read_one returns one event"),
                (None, None) => return RunEnd::Interrupted,
            };
            if trigger.replay.as_ref().is_some_and(|r| !r.takes(&record)) {
                return RunEnd::Ok(weir_runtime::Effects::default());
            }
            let (trace, append) = attempt::trace(&trigger, &record);
            let started = std::time::Instant::now();
            let invocation = attempt::invocation(&trigger, &start, &record, trace);
            let host = TriggerHost {
                session: around.session.clone(),
                dispatcher,
                run: start.run,
                now: record.meta.time,
                invocation: invocation.id,
                event: attempt::source(&trigger, &record),
                trace,
                suppress_appends: trigger.replay.as_ref().is_some_and(|r| !r.emit),
            };
            let code = around.code.borrow().clone();
            let outcome = around.worker.run_shared(&code, Rc::new(invocation), Rc::new(host)).await;
            let parent = append.filter(|a| a.trace_id == trace.trace_id).map_or(0, |a| a.span_id);
            around.session.record("deliver", trace, parent, started, |span| {
                let failure = outcome.result.as_ref().err();
                attempt::describe(span, &trigger, &record, start.attempt, append, failure);
            });
            if let Err(failure) = &outcome.result {
                report::failure(&trigger, at.partition, start.offset, start.attempt, failure);
            }
            attempt::conclude(&around.session, &trigger, outcome)
        }
        .boxed_local()
    }

    fn spawn(&self, work: impl Future<Output = Input> + 'static) -> AbortHandle {
        let (queue, home) = (self.queue.clone(), self.id);
        self.around.tasks.spawn_local(async move { queue.push(home, work.await) }).abort_handle()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for attempt in self.running.values().chain(&self.reading) {
            attempt.abort();
        }
    }
}

/// The event at `offset`; none if it is gone or the log does not answer.
async fn read_one(session: &Session, at: weir_schema::At, offset: Offset) -> Option<Records> {
    let records = session.log().read(at, offset, ReadLimit { events: 1, bytes: 1 }).await.ok()?;
    records.get(0).is_some_and(|r| r.meta.offset == offset).then_some(records)
}
