//! All triggers of a process: starts them, says how they are, and passes on what people ask of them.

use crate::control;
use crate::dispatcher::{Command, CommandError, Mode, PauseReason, Selection};
use crate::group::GroupTask;
use crate::pump::{HomeStatus, PumpHandle, ToPump};
use crate::replay;
use crate::trigger::{Place, Trigger};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_log::{CommitError, LogError, ReadLimit, TopicInfo, resolve};
use weir_runtime::Session;
use weir_schema::{At, FunctionName, GroupName, Offset, Position, TopicName};

/// How long a trigger may take to answer a command.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The triggers of one process.
#[derive(Clone, Debug)]
pub struct Triggers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    session: Arc<Session>,
    pumps: Arc<Vec<PumpHandle>>,
    triggers: Mutex<BTreeMap<GroupName, Known>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    hold: bool,
}

/// A trigger, and its task if it runs.
#[derive(Debug)]
struct Known {
    trigger: Arc<Trigger>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
    /// It waits until someone says where it begins.
    needs_start: bool,
}

/// How one trigger is.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct TriggerStatus {
    /// Its topic.
    pub topic: TopicName,
    /// Its name.
    pub function: String,
    /// Its group.
    pub group: GroupName,
    /// `live`, `probing`, `paused`, `replaying` (it stands still for a replay), `exhausted`, `too-many-parked`, `events-lost`, `refused`, `draining`, `seeking`,
    /// `needs-start` (the topic has events of others, and nobody has said where it begins),
    /// `stopped` (this process does not run it) or `orphaned` (a position without a trigger).
    pub state: &'static str,
    /// Events that are neither handled nor parked.
    pub lag: u64,
    /// How long ago the first of these was committed.
    pub lag_seconds: f64,
    /// Parked events.
    pub parked: usize,
    /// Per partition the first offset that is not handled; empty where it has never run.
    pub positions: Vec<Offset>,
}

/// Why something asked of a trigger was not done.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no such trigger.
    #[error("there is no trigger {0}")]
    NoTrigger(String),
    /// Its partitions are not here.
    #[error(
        "the triggers of this log are run by another process, or are just being handed over: ask that one (--url)"
    )]
    NotHere,
    /// An in-place replay of the same events runs.
    #[error(
        "{trigger} stands still for the replay {replay:?} and goes on when that is over (weir replay cancel {replay})"
    )]
    Held {
        /// The trigger.
        trigger: String,
        /// The replay.
        replay: String,
    },
    /// It has never begun.
    #[error(
        "{0} has not begun yet: weir triggers seek {0} --to POSITION, without --partition, says where it is to"
    )]
    NeedsStart(String),
    /// The dispatcher's answer.
    #[error(transparent)]
    Refused(#[from] CommandError),
    /// The log's.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log's.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Triggers {
    /// Triggers that are run by `pumps`. With `hold`, partitions are taken and commands carried out, but no function
    /// runs.
    #[must_use]
    pub fn new(
        session: Arc<Session>,
        pumps: Vec<PumpHandle>,
        shutdown: CancellationToken,
        hold: bool,
    ) -> Self {
        let inner = Inner {
            session,
            pumps: Arc::new(pumps),
            triggers: Mutex::default(),
            tasks: TaskTracker::new(),
            shutdown,
            hold,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Starts a trigger whose positions, if it has none yet, are these.
    pub(crate) async fn start_at(&self, trigger: Trigger, from: &[(At, Offset)]) -> Result<(), LogError> {
        let inner = &self.inner;
        let membership = inner.session.log().join(&trigger.group, from).await?;
        let task = GroupTask {
            session: inner.session.clone(),
            trigger: Arc::new(trigger.clone()),
            pumps: inner.pumps.clone(),
            hold: inner.hold,
        };
        self.run_as(trigger, false, |stop| task.run(membership, stop));
        Ok(())
    }

    /// Makes a trigger known, and runs what stands for it until it is stopped.
    pub(crate) fn run_as<F: Future<Output = ()> + Send + 'static>(
        &self,
        trigger: Trigger,
        needs_start: bool,
        task: impl FnOnce(CancellationToken) -> F,
    ) {
        let stop = self.inner.shutdown.child_token();
        let running = Some((stop.clone(), self.inner.tasks.spawn(task(stop))));
        let known = Known { trigger: Arc::new(trigger), running, needs_start };
        self.lock().insert(known.trigger.group.clone(), known);
    }

    /// Removes events past their topic's retention that nobody needs any more, now and from time to time.
    pub fn keep_retention(&self) {
        let inner = &self.inner;
        inner.tasks.spawn(crate::retention::run(self.clone(), inner.shutdown.clone()));
    }

    /// Removes events past their topic's retention that nobody needs any more.
    ///
    /// # Errors
    /// The log's.
    pub async fn trim_expired(&self) -> Result<(), LogError> {
        let enabled: Vec<_> = self.lock().keys().cloned().collect();
        crate::retention::trim_expired(&self.inner.session, &enabled).await
    }

    /// Removes rows of state that expired a day ago or more; how many.
    ///
    /// # Errors
    /// The log's.
    pub async fn sweep(&self) -> Result<usize, LogError> {
        crate::sweep::sweep(&self.inner.session).await
    }

    /// Makes a trigger known without running it.
    pub fn declare(&self, trigger: Trigger) {
        let known = Known { trigger: Arc::new(trigger), running: None, needs_start: false };
        self.lock().insert(known.trigger.group.clone(), known);
    }

    /// Stops a trigger at an event's boundary and forgets that it is known; its position stays.
    pub async fn stop(&self, group: &GroupName) {
        // one that waited to be told where it begins may have begun meanwhile
        while let Some(known) = self.forget_known(group) {
            let Some((stop, task)) = known.running else { continue };
            stop.cancel();
            if task.await.is_err() {
                tracing::error!(%group, "the trigger's task ended by a panic");
            }
        }
    }

    /// Waits until every partition has been handed over, after the shutdown was asked for.
    pub async fn stopped(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// How all triggers are, and the groups without one.
    ///
    /// # Errors
    /// The log's.
    pub async fn status(&self) -> Result<Vec<TriggerStatus>, LogError> {
        let session = &self.inner.session;
        let topics: HashMap<_, _> = session.log().topics().await?.into_iter().map(|t| (t.id, t)).collect();
        let homes = self.homes().await;
        let mut stored: BTreeMap<GroupName, Vec<(At, Offset)>> = BTreeMap::new();
        for position in session.log().positions(None).await? {
            stored.entry(position.group).or_default().push((position.at, position.position));
        }
        // one that has never run has no positions yet
        for trigger in self.all() {
            stored.entry(trigger.group.clone()).or_default();
        }
        let held: HashMap<_, _> = replay::holds(session).await?.into_iter().collect();
        let mut all = Vec::new();
        for (group, mut positions) in stored {
            if group.is_replay() {
                continue;
            }
            positions.sort_by_key(|(at, _)| *at);
            let trigger = self.lock().get(&group).map(|k| k.trigger.clone());
            let declared =
                || topics.values().find(|t| trigger.as_ref().is_some_and(|r| r.topic == t.spec.name));
            let topic = positions.first().and_then(|(at, _)| topics.get(&at.topic)).or_else(declared);
            let Some(topic) = topic else { continue };
            let name = group.as_str().split_once('/').map_or(group.as_str(), |(_, name)| name);
            let mut status = TriggerStatus {
                topic: topic.spec.name.clone(),
                function: trigger.as_ref().map_or_else(|| name.to_owned(), |t| t.name.to_string()),
                state: match (&trigger, self.state_of(&group, &homes)) {
                    (None, _) => "orphaned",
                    (Some(_), _) if self.needs_start(&group) => "needs-start",
                    (Some(_), "paused") if held.contains_key(&group) => "replaying",
                    (Some(_), state) => state,
                },
                lag: 0,
                lag_seconds: 0.0,
                parked: crate::parked_list::count(session, &group).await?,
                positions: positions.iter().map(|(_, offset)| *offset).collect(),
                group,
            };
            self.measure_lag(&mut status, topic, &positions).await?;
            all.push(status);
        }
        Ok(all)
    }

    /// Pauses a trigger, for good: it stays paused when the process starts again.
    ///
    /// # Errors
    /// `AskError`.
    pub async fn pause(&self, group: &GroupName) -> Result<(), AskError> {
        control::remember_pause(&self.inner.session, group, true).await?;
        self.ask_all(group, &Command::Pause).await
    }

    /// Lets a paused trigger go on. One that stands still for a replay goes on when that is over.
    ///
    /// # Errors
    /// `AskError`.
    pub async fn resume(&self, group: &GroupName) -> Result<(), AskError> {
        if self.needs_start(group) {
            return Err(AskError::NeedsStart(group.to_string()));
        }
        control::remember_pause(&self.inner.session, group, false).await?;
        if let Some(replay) = replay::holder(&self.inner.session, group).await? {
            return Err(AskError::Held { trigger: group.to_string(), replay });
        }
        self.ask_all(group, &Command::Resume).await
    }

    /// Whether a trigger waits until someone says where it begins.
    #[must_use]
    pub fn needs_start(&self, group: &GroupName) -> bool {
        self.lock().get(group).is_some_and(|known| known.needs_start)
    }

    /// Moves a trigger; one that needs to be told where it begins, begins there.
    ///
    /// # Errors
    /// `AskError`.
    pub async fn seek(
        &self,
        group: &GroupName,
        to: Position,
        partition: Option<u32>,
    ) -> Result<Vec<Offset>, AskError> {
        let trigger = self.trigger(group)?;
        let topic = self.topic(&trigger.topic).await?;
        if self.needs_start(group) {
            if partition.is_some() {
                return Err(AskError::NeedsStart(group.to_string()));
            }
            return Ok(self.begin(&trigger, &topic, to).await?);
        }
        let now = self.inner.session.clock().now();
        let mut offsets = Vec::new();
        for at in topic.partitions().filter(|at| partition.is_none_or(|p| p == at.partition)) {
            let offset = resolve(&**self.inner.session.log(), &topic, at.partition, to, now).await?;
            self.ask(&Place { group: group.clone(), at }, Command::Seek(offset)).await?;
            offsets.push(offset);
        }
        Ok(offsets)
    }

    /// Every trigger that is known, replays aside.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Trigger>> {
        self.lock().values().map(|k| k.trigger.clone()).filter(|t| t.replay.is_none()).collect()
    }

    /// Tries every parked event of this process's triggers now.
    ///
    /// # Errors
    /// The log's.
    pub async fn redrive_all(&self) -> Result<(), LogError> {
        let topics = self.inner.session.log().topics().await?;
        let parked = crate::parked_list::list(&self.inner.session, None).await?;
        let mut places = HashSet::new();
        for event in parked {
            let Some(topic) = topics.iter().find(|t| t.spec.name == event.entry.topic) else { continue };
            places.insert(Place {
                group: event.group,
                at: At { topic: topic.id, partition: event.entry.partition },
            });
        }
        for place in places {
            // one that was handled in the meantime is no error
            self.ask(&place, Command::Redrive(Selection::All)).await.ok();
        }
        Ok(())
    }

    /// Asks the dispatcher of one partition.
    ///
    /// # Errors
    /// `AskError`.
    pub async fn ask(&self, place: &Place, command: Command) -> Result<(), AskError> {
        let mut outcome = Err(AskError::NotHere);
        for pump in self.inner.pumps.iter() {
            let (answer, answered) = oneshot::channel();
            let message = ToPump::Ask(place.clone(), command.clone(), answer);
            if pump.0.send(message).await.is_err() {
                continue;
            }
            match tokio::time::timeout(ANSWER_WITHIN, answered).await {
                Ok(Ok(Err(CommandError::Unsettled("handed over")))) | Err(_) | Ok(Err(_)) => {}
                Ok(Ok(result)) => {
                    outcome = result.map_err(AskError::from);
                    break;
                }
            }
        }
        outcome
    }

    /// Forgets a group that has no trigger.
    ///
    /// # Errors
    /// `AskError`.
    pub async fn forget(&self, group: &GroupName) -> Result<(), AskError> {
        Ok(self.inner.session.log().forget(group).await?)
    }

    /// The trigger of a group.
    ///
    /// # Errors
    /// There is none.
    pub fn trigger(&self, group: &GroupName) -> Result<Arc<Trigger>, AskError> {
        self.lock()
            .get(group)
            .map(|k| k.trigger.clone())
            .ok_or_else(|| AskError::NoTrigger(group.to_string()))
    }

    /// The trigger that is called `TOPIC/NAME`.
    ///
    /// # Errors
    /// There is none; the text lists those there are.
    pub fn named(&self, name: &str) -> Result<Arc<Trigger>, AskError> {
        let triggers = self.all();
        let names = |t: &Trigger| format!("{}/{}", t.topic, t.name);
        let found = triggers.iter().find(|t| names(t) == name || t.group.as_str() == name);
        found.cloned().ok_or_else(|| {
            let known: Vec<_> = triggers.iter().map(|t| names(t)).collect();
            AskError::NoTrigger(format!("{name} (triggers: {})", known.join(", ")))
        })
    }

    /// The trigger of `topic` that is called `function`, or runs it.
    pub(crate) fn live(&self, topic: &TopicName, function: &FunctionName) -> Option<Arc<Trigger>> {
        let live: Vec<_> = self.all().into_iter().filter(|t| t.topic == *topic).collect();
        let named = live.iter().find(|t| t.name == *function);
        named.or_else(|| live.iter().find(|t| t.function == *function)).cloned()
    }

    /// Asks one worker, any, to do something beside its triggers.
    pub(crate) async fn lend_worker(&self, message: ToPump) -> Result<(), AskError> {
        let turn = fastrand::usize(..self.inner.pumps.len().max(1));
        let pump = self.inner.pumps.get(turn).ok_or(AskError::NotHere)?;
        pump.0.send(message).await.map_err(|_| AskError::NotHere)
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.inner.session
    }

    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.inner.shutdown
    }

    /// Runs a task that the end of the process waits for.
    pub(crate) fn keep(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.tasks.spawn(task);
    }

    pub(crate) async fn ask_all(&self, group: &GroupName, command: &Command) -> Result<(), AskError> {
        let trigger = self.trigger(group)?;
        for at in self.topic(&trigger.topic).await?.partitions() {
            match self.ask(&Place { group: group.clone(), at }, command.clone()).await {
                // remembered already: whoever takes the partition reads it
                Ok(()) | Err(AskError::NotHere) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) async fn homes(&self) -> Vec<HomeStatus> {
        let mut all = Vec::new();
        for pump in self.inner.pumps.iter() {
            let (answer, answered) = oneshot::channel();
            if pump.0.send(ToPump::Status(answer)).await.is_ok() {
                all.extend(answered.await.unwrap_or_default());
            }
        }
        all
    }

    fn state_of(&self, group: &GroupName, homes: &[HomeStatus]) -> &'static str {
        let modes = homes.iter().filter(|h| h.place.group == *group).map(|h| h.mode);
        modes.map(state_name).max_by_key(|s| s.1).map_or("stopped", |s| s.0)
    }

    async fn measure_lag(
        &self,
        status: &mut TriggerStatus,
        topic: &TopicInfo,
        positions: &[(At, Offset)],
    ) -> Result<(), LogError> {
        let now = self.inner.session.clock().now();
        for (at, position) in positions {
            let Some(tail) = topic.tail.get(at.partition as usize) else { continue };
            if position >= tail {
                continue;
            }
            let limit = ReadLimit { events: 1, bytes: 1 };
            let from = match self.inner.session.log().read(*at, *position, limit).await {
                Ok(next) => next.get(0).map_or(*tail, |next| {
                    let waited = now.since(next.meta.time).as_secs_f64();
                    status.lag_seconds = status.lag_seconds.max(waited);
                    next.meta.offset
                }),
                Err(_) => *position,
            };
            // a gap before the next event is nothing to be handled
            status.lag += tail.0.saturating_sub(from.0);
        }
        Ok(())
    }

    pub(crate) async fn topic(&self, name: &TopicName) -> Result<TopicInfo, LogError> {
        let topics = self.inner.session.log().topics().await?;
        topics.into_iter().find(|t| t.spec.name == *name).ok_or_else(|| LogError::NoTopic(name.to_string()))
    }

    fn forget_known(&self, group: &GroupName) -> Option<Known> {
        self.lock().remove(group)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<GroupName, Known>> {
        self.inner.triggers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a mode, and how much it matters beside those of other partitions.
fn state_name(mode: Mode) -> (&'static str, u8) {
    match mode {
        Mode::Live => ("live", 0),
        Mode::Lost => ("stopped", 1),
        Mode::Draining => ("draining", 2),
        Mode::Seeking => ("seeking", 3),
        Mode::Probing => ("probing", 4),
        Mode::Paused(PauseReason::ByHand) => ("paused", 5),
        Mode::Paused(PauseReason::TooManyParked) => ("too-many-parked", 6),
        Mode::Paused(PauseReason::Exhausted(_)) => ("exhausted", 7),
        Mode::Paused(PauseReason::Refused) => ("refused", 8),
        Mode::Paused(PauseReason::EventsLost { .. }) => ("events-lost", 9),
    }
}
