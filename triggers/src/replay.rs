//! Replays: a range of a topic run through a function again, named, tracked, and going on after a restart.
//!
//! An in-place replay is a trigger of its own: its group `TOPIC/FUNCTION@replay-NAME` has positions, a fence and parked
//! events like any other, so that a crash neither loses nor repeats an event. What makes it a replay is that it ends,
//! at its pace, and that the live trigger of the same events stands still meanwhile. A dry run commits nothing at all
//! and is gone when it ends.
//!
//! The record in the log says what should be; the [`Steward`](steward) of each process makes it so.

mod dry;
mod hold;
pub(crate) mod pacing;
mod progress;
mod range;
mod record;
mod status;
mod steward;

pub(crate) use dry::DryRun;
pub use dry::{DryLine, DryReport};
pub(crate) use hold::{hold_key, holder, holds};
pub use pacing::Pace;
pub use progress::Counts;
pub use range::{NewReplay, Plan};
pub use record::{Record, ReplayFailure, ReplayMode, ReplayState};
pub(crate) use record::{may_run, record_key};
pub use status::ReplayStatus;

use crate::control;
use crate::dispatcher::{Command, OnExhausted};
use crate::manager::{AskError, Triggers};
use crate::pump::ToPump;
use crate::trigger::{ReplayRun, Trigger};
use progress::Meter;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc};
use weir_log::{CommitError, LogError};
use weir_runtime::{Limits, ReplayContext};
use weir_schema::{FunctionName, Op};

/// Attempts at one event: what failed over and over in the past is not waited for.
const ATTEMPTS: u32 = 5;

/// Lines of a dry run that wait for their reader.
const LINES: usize = 256;

/// What an invocation of a function may use.
pub type LimitsOf = Arc<dyn Fn(&FunctionName) -> Limits + Send + Sync>;

/// The replays of a log, as one process sees them.
#[derive(Clone, Debug)]
pub struct Replays {
    inner: Arc<Inner>,
}

struct Inner {
    triggers: Triggers,
    limits: LimitsOf,
    is_serving: bool,
    changed: Notify,
    running: Mutex<HashMap<String, Running>>,
}

/// A replay that this process takes part in.
#[derive(Debug)]
struct Running {
    counts: Arc<Counts>,
    meter: Meter,
    /// When the counts went into the record.
    saved_at: weir_schema::Millis,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replays").field("running", &self.running).finish_non_exhaustive()
    }
}

/// Why something asked of a replay was not done.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such replay.
    #[error("there is no replay {0:?} (weir replay list shows those there are)")]
    Unknown(String),
    /// The name is taken.
    #[error("a replay is called {0:?} already: give another --name")]
    Taken(String),
    /// The live trigger stands still for another replay.
    #[error(
        "{trigger} stands still for the replay {other:?} already: wait for it, or weir replay cancel {other}"
    )]
    Busy {
        /// The trigger.
        trigger: String,
        /// The replay.
        other: String,
    },
    /// What was asked for cannot be.
    #[error("{0}")]
    Invalid(String),
    /// It is over.
    #[error("the replay {name:?} is {state}: begin another")]
    Over {
        /// Which.
        name: String,
        /// `done`, `failed`, `cancelled`.
        state: &'static str,
    },
    /// Someone else changed it at the same time.
    #[error("the replay {0:?} was changed by someone else at the same time: look, and try again")]
    Changed(String),
    /// No server runs it.
    #[error(
        "an in-place replay runs in a server, and none has this log: start one (weir dev, weir start), then ask again"
    )]
    NoServer,
    /// The triggers'.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The log's.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log's.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Replays {
    /// Replays through these triggers. Without `is_serving` they are only looked at and asked to change.
    #[must_use]
    pub fn new(triggers: Triggers, limits: LimitsOf, is_serving: bool) -> Self {
        let (changed, running) = (Notify::new(), Mutex::default());
        Self { inner: Arc::new(Inner { triggers, limits, is_serving, changed, running }) }
    }

    /// Goes on with the replays that are under way, until the process stops.
    pub fn serve(&self) {
        if self.inner.is_serving {
            self.inner.triggers.keep(steward::run(self.clone()));
        }
    }

    /// What a replay would be about.
    ///
    /// # Errors
    /// `Invalid`, and the log's.
    pub async fn plan(&self, new: &NewReplay) -> Result<Plan, ReplayError> {
        range::plan(&self.inner.triggers, new).await
    }

    /// Begins an in-place replay. From then on it goes on by itself.
    ///
    /// # Errors
    /// `Invalid`, `Taken`, `Busy`, `NoServer`, and the log's.
    pub async fn create(&self, new: &NewReplay) -> Result<ReplayStatus, ReplayError> {
        if !self.inner.is_serving {
            return Err(ReplayError::NoServer);
        }
        let plan = self.plan(new).await?;
        if plan.events_in_place == 0 {
            let text = format!("nothing to replay: {} has no handled event in this range", new.topic);
            return Err(ReplayError::Invalid(text));
        }
        let name = self.free_name(new).await?;
        let session = self.inner.triggers.session();
        let record = range::record(session, new, plan, name, ReplayMode::InPlace);
        record.group()?;
        record::insert(session, &record).await?;
        self.inner.changed.notify_one();
        self.status(record).await
    }

    /// Runs a range and commits nothing. What comes of it is sent line by line; dropping the receiver ends it.
    ///
    /// # Errors
    /// `Invalid`, and the log's.
    pub async fn dry_run(&self, new: &NewReplay) -> Result<mpsc::Receiver<DryLine>, ReplayError> {
        let triggers = &self.inner.triggers;
        let plan = self.plan(new).await?;
        let name = self.free_name(new).await?;
        let topic = triggers.topic(&new.topic).await?.id;
        let record = range::record(triggers.session(), new, plan, name, ReplayMode::DryRun);
        let (lines, seen) = mpsc::channel(LINES);
        let trigger = Arc::new(self.trigger(&record)?);
        let run = DryRun { trigger, topic, record, lines, shutdown: triggers.shutdown().clone() };
        triggers.lend_worker(ToPump::DryRun(Box::new(run))).await?;
        Ok(seen)
    }

    async fn free_name(&self, new: &NewReplay) -> Result<String, ReplayError> {
        let taken = record::list(self.inner.triggers.session()).await?;
        let taken: Vec<_> = taken.into_iter().map(|s| s.record.name).collect();
        range::name(new, &taken)
    }

    /// Every replay that the log knows, the latest last.
    ///
    /// # Errors
    /// The log's.
    pub async fn list(&self) -> Result<Vec<ReplayStatus>, ReplayError> {
        let mut stored = record::list(self.inner.triggers.session()).await?;
        stored.sort_by_key(|s| s.record.created);
        let mut all = Vec::new();
        for stored in stored {
            all.push(self.status(stored.record).await?);
        }
        Ok(all)
    }

    /// One replay.
    ///
    /// # Errors
    /// `Unknown`, and the log's.
    pub async fn show(&self, name: &str) -> Result<ReplayStatus, ReplayError> {
        let stored = record::find(self.inner.triggers.session(), name).await?;
        self.status(stored.record).await
    }

    /// Lets a replay stand still, across restarts too. The live trigger stands still with it.
    ///
    /// # Errors
    /// `Unknown`, `Over`, and the log's.
    pub async fn pause(&self, name: &str) -> Result<ReplayStatus, ReplayError> {
        self.switch(name, ReplayState::Paused).await
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// `Unknown`, `Over`, and the log's.
    pub async fn resume(&self, name: &str) -> Result<ReplayStatus, ReplayError> {
        self.switch(name, ReplayState::Running).await
    }

    /// Pause and resume: the record and the group's own pause change together.
    async fn switch(&self, name: &str, state: ReplayState) -> Result<ReplayStatus, ReplayError> {
        let triggers = &self.inner.triggers;
        let (op, command) = match state {
            ReplayState::Paused => (control::paused(), Command::Pause),
            _ => (Op::Delete, Command::Resume),
        };
        let (after, group) = loop {
            let before = self.under_way(name).await?;
            let after = Record { state, ..before.record.clone() };
            let group = after.group()?;
            let row = (control::pause_key(&group), op.clone());
            match record::update(triggers.session(), &before, &after, vec![row]).await {
                Err(ReplayError::Changed(_)) => {} // the steward has saved its counts
                updated => break updated.map(|()| (after, group))?,
            }
        };
        match triggers.ask_all(&group, &command).await {
            // written already: whoever runs it reads it
            Ok(()) | Err(AskError::NoTrigger(_)) => {}
            Err(error) => return Err(error.into()),
        }
        self.inner.changed.notify_one();
        self.status(after).await
    }

    /// Ends a replay for good. What it has committed stays; the live trigger goes on.
    ///
    /// # Errors
    /// `Unknown`, `Over`, and the log's.
    pub async fn cancel(&self, name: &str) -> Result<ReplayStatus, ReplayError> {
        let after = loop {
            let before = self.under_way(name).await?;
            let after = self.close(before.record.clone(), ReplayState::Cancelled, None).await?;
            match record::update(self.inner.triggers.session(), &before, &after, Vec::new()).await {
                Err(ReplayError::Changed(_)) => {}
                updated => break updated.map(|()| after)?,
            }
        };
        self.inner.changed.notify_one();
        self.status(after).await
    }

    async fn under_way(&self, name: &str) -> Result<record::Stored, ReplayError> {
        let stored = record::find(self.inner.triggers.session(), name).await?;
        check_under_way(&stored.record).map(|()| stored)
    }

    /// The trigger that a replay is.
    fn trigger(&self, record: &Record) -> Result<Trigger, ReplayError> {
        let live = self.inner.triggers.live(&record.topic, &record.function);
        let function = live.as_ref().map_or_else(|| record.function.clone(), |t| t.function.clone());
        let mut settings = live.map(|t| t.settings.clone()).unwrap_or_default();
        settings.retry.attempts = settings.retry.attempts.min(ATTEMPTS);
        settings.on_exhausted = OnExhausted::Hold;
        let context = ReplayContext {
            name: record.name.clone(),
            mode: record.mode.as_str(),
            allow_http: record.allow_http.clone().into(),
        };
        Ok(Trigger {
            topic: record.topic.clone(),
            name: record.function.clone(),
            limits: (self.inner.limits)(&function),
            function,
            group: record.group()?,
            settings,
            replay: Some(Arc::new(ReplayRun {
                context,
                emit: record.emit,
                key: record.key.as_ref().map(|k| bytes::Bytes::copy_from_slice(k.as_bytes())),
                to: record.to.clone(),
                pace: record.rate.map(|rate| Arc::new(Pace::new(rate))),
                counts: Arc::new(Counts::from(record.appended, record.written)),
            })),
        })
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, Running>> {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_under_way(record: &Record) -> Result<(), ReplayError> {
    let state = match record.state {
        ReplayState::Running | ReplayState::Paused => return Ok(()),
        ReplayState::Done => "done",
        ReplayState::Failed => "failed",
        ReplayState::Cancelled => "cancelled",
    };
    Err(ReplayError::Over { name: record.name.clone(), state })
}
