//! The pump of one worker: the one task that runs all triggers whose home the worker is.
//!
//! One task and not one per partition, because a `LocalSet` polls 61 tasks before it looks at the sockets. The pump
//! takes its homes in turn and gives the thread back after [`SLICE`].

use crate::Dispatcher;
use crate::dispatcher::{Assignment, Command, CommandError, Input, Mode};
use crate::home::{Home, Queue, Surroundings, Told};
use crate::replay::DryRun;
use crate::trigger::{Place, Trigger};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_log::Hint;
use weir_runtime::{Code, Session, Worker};
use weir_schema::{Epoch, Offset};

/// The most trigger work between two looks at the sockets.
const SLICE: Duration = Duration::from_micros(500);

/// Actions in one turn of a live trigger's home, and of a replay's.
const LIVE_TURN: usize = 64;
const REPLAY_TURN: usize = 16;

/// How long the pump waits at most when nothing happens.
const IDLE: Duration = Duration::from_secs(1);

/// For a pump.
#[derive(Debug)]
pub(crate) enum ToPump {
    /// A partition is at home here.
    Take(Box<Take>),
    /// Tell the dispatcher of a place; nothing if it is not here.
    Tell(Place, Input),
    /// Ask the dispatcher of a place.
    Ask(Place, Command, oneshot::Sender<Result<(), CommandError>>),
    /// Run a range without committing anything.
    DryRun(Box<DryRun>),
    /// How are the homes?
    Status(oneshot::Sender<Vec<HomeStatus>>),
}

/// A partition that gets its home.
#[derive(Debug)]
pub(crate) struct Take {
    pub(crate) place: Place,
    pub(crate) epoch: Epoch,
    pub(crate) trigger: Arc<Trigger>,
    pub(crate) assignment: Assignment,
    /// Where the home's news go.
    pub(crate) news: mpsc::Sender<HomeNews>,
}

/// What a home tells its trigger's task.
#[derive(Debug)]
pub(crate) enum HomeNews {
    /// The partition is handed over.
    Released(Place, Epoch),
    /// What an unclean take-over left has been digested.
    Settled(Place, Epoch),
    /// It could not begin.
    Broken(Place),
    /// Someone else has it, or had: take part in the group anew.
    Lost(Place),
}

/// How one home is.
#[derive(Clone, Debug)]
pub struct HomeStatus {
    /// Which.
    pub place: Place,
    /// What its dispatcher is about.
    pub mode: Mode,
    /// The first offset that is not handled.
    pub position: Offset,
    /// Parked events.
    pub parked: usize,
    /// Whether nothing runs and nothing is being committed.
    pub is_quiet: bool,
}

/// The end by which a pump is reached.
#[derive(Clone, Debug)]
pub struct PumpHandle(pub(crate) mpsc::Sender<ToPump>);

/// See the module's docs.
#[derive(Debug)]
pub struct Pump {
    around: Surroundings,
    queue: Rc<Queue>,
    inbox: mpsc::Receiver<ToPump>,
    hints: watch::Receiver<Hint>,
    homes: BTreeMap<u64, (Home, bool, mpsc::Sender<HomeNews>)>,
    next_home: u64,
    next_turn: u64,
}

/// A pump's inbox, made before its thread.
#[derive(Debug)]
pub struct Inbox(mpsc::Receiver<ToPump>);

/// A pump's two ends.
#[must_use]
pub fn pump_channel() -> (PumpHandle, Inbox) {
    let (sender, receiver) = mpsc::channel(1024);
    (PumpHandle(sender), Inbox(receiver))
}

impl Pump {
    /// A pump for this thread's worker.
    #[must_use]
    pub fn new(
        session: Arc<Session>,
        worker: Rc<Worker>,
        code: watch::Receiver<Arc<Code>>,
        inbox: Inbox,
    ) -> Self {
        let hints = session.log().watch();
        let around = Surroundings { session, worker, code, tasks: TaskTracker::new() };
        Self {
            around,
            queue: Rc::default(),
            inbox: inbox.0,
            hints,
            homes: BTreeMap::new(),
            next_home: 0,
            next_turn: 0,
        }
    }

    /// Runs until `stop`, and until every home has been released. Inside a `LocalSet`.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() || !self.homes.is_empty() {
            self.deliver();
            if self.act().await {
                // let the reactor look at the sockets, then go on
                tokio::task::yield_now().await;
                while let Ok(message) = self.inbox.try_recv() {
                    self.take_message(message);
                }
                self.take_hints();
                continue;
            }
            let wake = self.wake_in();
            tokio::select! {
                () = self.queue.filled.notified() => {}
                changed = self.hints.changed() => {
                    if changed.is_err() {
                        tokio::time::sleep(Duration::from_millis(50)).await; // the log is closing
                    }
                    self.take_hints();
                }
                Some(message) = self.inbox.recv() => self.take_message(message),
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                () = tokio::time::sleep(wake) => self.tick(),
            }
        }
        self.around.tasks.close();
        self.around.tasks.wait().await;
    }

    fn deliver(&mut self) {
        while let Some((id, input)) = self.queue.pop() {
            if let Some((home, ..)) = self.homes.get_mut(&id) {
                home.step(input);
            }
        }
    }

    /// Carries out what the dispatchers want, in turns, for at most [`SLICE`]; whether there was anything.
    async fn act(&mut self) -> bool {
        let started = Instant::now();
        let order: Vec<u64> = {
            let after = self.homes.range(self.next_turn..).map(|(id, _)| *id);
            after.chain(self.homes.range(..self.next_turn).map(|(id, _)| *id)).collect()
        };
        let mut has_acted = false;
        for id in order {
            let Some((home, is_replay, news)) = self.homes.get_mut(&id) else { continue };
            for _ in 0..if *is_replay { REPLAY_TURN } else { LIVE_TURN } {
                match home.act().await {
                    Ok(false) => break,
                    Ok(true) => has_acted = true,
                    Err(Told::Settled(place, epoch)) => {
                        has_acted = true;
                        drop(news.send(HomeNews::Settled(place, epoch)).await); // its task ends only after its homes
                    }
                    Err(Told::Released(place, epoch)) => {
                        let news = news.clone();
                        self.homes.remove(&id);
                        drop(news.send(HomeNews::Released(place, epoch)).await);
                        return true;
                    }
                    Err(Told::Lost(place)) => {
                        let news = news.clone();
                        self.homes.remove(&id);
                        drop(news.send(HomeNews::Lost(place)).await);
                        return true;
                    }
                }
                if started.elapsed() >= SLICE {
                    self.next_turn = id + 1;
                    return true;
                }
            }
        }
        has_acted
    }

    fn wake_in(&self) -> Duration {
        let now = self.around.session.clock().now();
        let due = self.homes.values().filter_map(|(home, ..)| home.wake_at()).min();
        due.map_or(IDLE, |due| due.since(now)).min(IDLE)
    }

    fn tick(&mut self) {
        for (home, ..) in self.homes.values_mut() {
            home.step(Input::Tick);
        }
    }

    fn take_hints(&mut self) {
        if !self.hints.has_changed().unwrap_or(false) {
            self.wake_lagging();
            return;
        }
        let catalog = self.hints.borrow_and_update().catalog;
        for (home, ..) in self.homes.values_mut() {
            home.step(Input::Catalog(catalog));
        }
        self.wake_lagging();
    }

    fn wake_lagging(&mut self) {
        for (home, ..) in self.homes.values_mut() {
            if home.lags() {
                home.step(Input::News);
            }
        }
    }

    fn take_message(&mut self, message: ToPump) {
        match message {
            ToPump::Take(take) => self.take(*take),
            ToPump::Tell(place, input) => {
                if let Some(home) = self.find(&place) {
                    home.step(input);
                }
            }
            ToPump::Ask(place, command, answer) => match self.find(&place) {
                Some(home) => home.command(command, answer),
                None => drop(answer.send(Err(CommandError::Unsettled("handed over")))),
            },
            ToPump::DryRun(run) => {
                let around = self.around.clone();
                self.around.tasks.spawn_local(run.run(around));
            }
            ToPump::Status(answer) => {
                let status = self.homes.values().map(|(home, ..)| {
                    let dispatcher = home.dispatcher.borrow();
                    let (mode, position, parked) =
                        (dispatcher.mode(), dispatcher.position(), dispatcher.parked());
                    let is_quiet = dispatcher.is_quiet();
                    HomeStatus { place: home.place.clone(), mode, position, parked, is_quiet }
                });
                drop(answer.send(status.collect())); // who asked may have gone
            }
        }
    }

    fn take(&mut self, take: Take) {
        let Take { place, epoch, trigger, assignment, news } = take;
        let session = self.around.session.clone();
        let ids = Box::new(move || session.next_id());
        let now = self.around.session.clock().now();
        let dispatcher = match Dispatcher::new(trigger.settings.clone(), assignment, ids, now) {
            Ok(dispatcher) => dispatcher,
            Err(damaged) => {
                tracing::error!(group = %place.group, error = %damaged, "this partition cannot be handled");
                drop(news.try_send(HomeNews::Broken(place))); // it is logged already
                return;
            }
        };
        let (id, is_replay) = (self.next_home, trigger.replay.is_some());
        self.next_home += 1;
        let home = Home::new(id, place, epoch, trigger, self.around.clone(), self.queue.clone(), dispatcher);
        self.homes.insert(id, (home, is_replay, news));
    }

    fn find(&mut self, place: &Place) -> Option<&mut Home> {
        self.homes.values_mut().map(|(home, ..)| home).find(|home| home.place == *place)
    }
}
