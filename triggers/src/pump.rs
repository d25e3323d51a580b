//! The pump of one worker: the one task that runs all triggers whose home the worker is.
//!
//! One task and not one per partition, because a `LocalSet` polls 61 tasks before it looks at the sockets. The pump gives
//! the thread back after a [stretch](stretch), within which [turns](crate::turns) say who goes on.

mod load;
mod messages;
mod stretch;

pub(crate) use messages::{HomeNews, Take, ToPump};
pub use messages::{HomeStatus, Inbox, PumpHandle, pump_channel};

use crate::Dispatcher;
use crate::dispatcher::{CommandError, Input};
use crate::home::{Acted, Home, Surroundings, Told};
use crate::runs::Queue;
use crate::trigger::Place;
use crate::turns::{Class, Turns};
use load::Load;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use stretch::{SLICE, Stretches};
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

    /// Tells the homes what has happened and lets them act in turns, for one stretch; whether there was anything to do.
    async fn act(&mut self) -> bool {
        let began = self.now();
        let stretch = self.stretches.begin(began);
        let mut now = began;
        self.deliver(&mut now);
        for (id, hosted) in &mut self.homes {
            hosted.home.stir(); // time has passed
            self.turns.wants(hosted.home.class(), *id);
        }
        let mut has_acted = false;
        loop {
            let Some((class, id)) = self.turns.next() else {
                if self.deliver(&mut now) {
                    continue;
                }
                self.stretches.end(now, false);
                return has_acted;
            };
            let Some(hosted) = self.homes.get_mut(&id) else {
                unreachable!("a home that is gone has no turns")
            };
            let acted = hosted.home.act(class);
            let took = self.spend(class, id, &mut now);
            has_acted |= !matches!(acted, Ok(Acted::Nothing));
            match acted {
                Ok(acted) => self.note(class, id, acted, took),
                Err(told) => self.tell(id, told).await,
            }
            if now - began >= stretch {
                self.stretches.end(now, true);
                return true;
            }
        }
    }

    /// Passes on what the log has answered, and which attempts may go on; whether there was anything.
    fn deliver(&mut self, now: &mut Instant) -> bool {
        let mut has_come = false;
        while let Some((id, input)) = self.queue.pop() {
            has_come = true;
            if let Some(hosted) = self.homes.get_mut(&id) {
                hosted.home.step(input);
                let class = hosted.home.class();
                self.turns.wants(class, id);
                self.spend(class, id, now);
            }
        }
        while let Some((id, run)) = self.queue.pop_woken() {
            has_come = true;
            if let Some(class) = self.homes.get_mut(&id).and_then(|h| h.home.woken(run)) {
                self.turns.wants(class, id);
            }
        }
        has_come
    }

    /// A home has worked since `since`, which becomes now; for how long.
    fn spend(&mut self, class: Class, id: u64, since: &mut Instant) -> Duration {
        let now = self.now();
        let took = now - std::mem::replace(since, now);
        self.turns.spent(class, id, took);
        if let Some(hosted) = self.homes.get_mut(&id) {
            hosted.load.add(took);
        }
        took
    }

    /// What a home wants after it has acted.
    fn note(&mut self, class: Class, id: u64, acted: Acted, took: Duration) {
        let Some(hosted) = self.homes.get_mut(&id) else { return };
        let home = &mut hosted.home;
        match acted {
            Acted::Unfinished(run) if took >= SLICE => home.go_on(run),
            Acted::Unfinished(_) | Acted::Done | Acted::Nothing => {}
        }
        if !home.has_work(class) {
            self.turns.rests(class, id);
        }
        // the end of a parked attempt is the dispatcher's to commit, and what it decides may be a parked attempt
        for other in [home.class(), Class::Parked] {
            if other != class && home.has_work(other) {
                self.turns.wants(other, id);
            }
        }
    }

    /// Passes on what a home tells; most of it is its end.
    async fn tell(&mut self, id: u64, told: Told) {
        let Some(hosted) = self.homes.get(&id) else { return };
        let news = hosted.news.clone();
        let message = match told {
            Told::Settled(place, epoch) => HomeNews::Settled(place, epoch),
            Told::Released(place, epoch) => {
                self.drop_home(id);
                HomeNews::Released(place, epoch)
            }
            Told::Lost(place) => {
                self.drop_home(id);
                HomeNews::Lost(place)
            }
        };
        drop(news.send(message).await); // its task ends only after its homes
    }

    fn drop_home(&mut self, id: u64) {
        if let Some(hosted) = self.homes.remove(&id) {
            hosted.home.report_load(0.0, false);
        }
        self.turns.forget(id);
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
