//! The pump of one worker: the one task that runs all triggers whose home the worker is.
//!
//! One task and not one per partition, because a `LocalSet` polls 61 tasks before it looks at the sockets. The pump gives
//! the thread back after a [stretch](stretch), within which [turns](crate::turns) say who goes on.

mod act;
mod load;
mod messages;
mod stretch;

pub(crate) use messages::{HomeNews, Take, ToPump};
pub use messages::{HomeStatus, Inbox, PumpHandle, pump_channel};

use crate::Dispatcher;
use crate::dispatcher::{CommandError, Input};
use crate::home::{Home, Surroundings};
use crate::runs::Queue;
use crate::trigger::Place;
use crate::turns::Turns;
use load::Load;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use stretch::Stretches;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_log::Hint;
use weir_runtime::{Code, Session, Worker};

/// How long the pump waits at most when nothing happens.
const IDLE: Duration = Duration::from_secs(1);

/// See the module's docs.
#[derive(Debug)]
pub struct Pump {
    around: Surroundings,
    queue: Rc<Queue>,
    inbox: mpsc::Receiver<ToPump>,
    hints: watch::Receiver<Hint>,
    homes: BTreeMap<u64, Hosted>,
    next_home: u64,
    turns: Turns,
    stretches: Stretches,
    stopwatch: Stopwatch,
    /// When the homes' loads were last weighed.
    weighed: Instant,
}

/// A home, and what the pump keeps of it.
#[derive(Debug)]
struct Hosted {
    home: Home,
    news: mpsc::Sender<HomeNews>,
    load: Load,
}

/// Tells what work takes: by the time of day, since asking for the thread's own time costs as much as a small function.
struct Stopwatch(Box<dyn Fn() -> Instant>);

impl fmt::Debug for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stopwatch")
    }
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
            turns: Turns::default(),
            stretches: Stretches::default(),
            stopwatch: Stopwatch(Box::new(Instant::now)),
            weighed: Instant::now(),
        }
    }

    /// Runs until `stop`, and until every home has been released. Inside a `LocalSet`.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() || !self.homes.is_empty() {
            if self.act().await {
                // let the reactor look at the sockets, then go on
                tokio::task::yield_now().await;
                while let Ok(message) = self.inbox.try_recv() {
                    self.take_message(message);
                }
                self.take_hints();
                self.weigh();
                continue;
            }
            let wake = self.wake_in();
            tokio::select! {
                () = self.queue.filled() => {}
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
            self.weigh();
        }
        self.around.tasks.close();
        self.around.tasks.wait().await;
    }

    /// From time to time says how much of the worker each partition uses.
    fn weigh(&mut self) {
        let now = self.now();
        let passed = now - self.weighed;
        if passed < load::WEIGHED_EVERY {
            return;
        }
        self.weighed = now;
        for hosted in self.homes.values_mut() {
            let lags = hosted.home.lags();
            let (ratio, fills) = hosted.load.weigh(passed, lags);
            hosted.home.report_load(ratio, fills);
        }
    }

    fn now(&self) -> Instant {
        (self.stopwatch.0)()
    }

    fn wake_in(&self) -> Duration {
        let now = self.around.session.clock().now();
        let due = self.homes.values().filter_map(|h| h.home.wake_at()).min();
        due.map_or(IDLE, |due| due.since(now)).min(IDLE)
    }

    fn tick(&mut self) {
        for Hosted { home, .. } in self.homes.values_mut() {
            home.step(Input::Tick);
        }
    }

    fn take_hints(&mut self) {
        if !self.hints.has_changed().unwrap_or(false) {
            self.wake_lagging();
            return;
        }
        let catalog = self.hints.borrow_and_update().catalog;
        for Hosted { home, .. } in self.homes.values_mut() {
            home.step(Input::Catalog(catalog));
        }
        self.wake_lagging();
    }

    fn wake_lagging(&mut self) {
        for Hosted { home, .. } in self.homes.values_mut() {
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
                let status = self.homes.values().map(|Hosted { home, .. }| {
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
        let id = self.next_home;
        self.next_home += 1;
        let home = Home::new(id, place, epoch, trigger, self.around.clone(), self.queue.clone(), dispatcher);
        self.homes.insert(id, Hosted { home, news, load: Load::default() });
    }

    fn find(&mut self, place: &Place) -> Option<&mut Home> {
        self.homes.values_mut().map(|h| &mut h.home).find(|home| home.place == *place)
    }
}

#[cfg(test)]
mod tests;
