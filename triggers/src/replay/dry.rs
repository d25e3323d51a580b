//! A dry run: a range of a topic run through a function, and nothing committed.
//!
//! It runs on a worker, beside its triggers, one event after the other: in offset order, several partitions merged by
//! time. Each event sees the live state with what the earlier ones of the run would have written over it.

mod host;
mod merge;
mod overlay;

use super::record::{Record, ReplayFailure};
use crate::attempt;
use crate::dispatcher::{Event, RunEnd, Start};
use crate::home::Surroundings;
use crate::trigger::Trigger;
use bytes::Bytes;
use host::DryHost;
use merge::Merge;
use overlay::Overlay;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_log::LogError;
use weir_runtime::Effects;
use weir_schema::{Offset, TopicId};

/// Events between two lines of progress.
const PROGRESS: u64 = 256;

/// How long an event that must wait for its pace waits before it looks again.
const LOOK: Duration = Duration::from_millis(100);

/// What a dry run tells.
#[derive(Debug)]
pub enum DryLine {
    /// How far it is.
    Progress {
        /// Events passed.
        done: u64,
        /// Events of the range, as far as offsets tell.
        total: u64,
    },
    /// What one event would have done.
    Effects {
        /// Its partition.
        partition: u32,
        /// Its offset.
        offset: Offset,
        /// Appends and writes. Without `emit` its appends would not be committed.
        effects: Effects,
    },
    /// An event that would have been parked.
    Failure(ReplayFailure),
    /// The end.
    Report(DryReport),
    /// It could not go on.
    Error(String),
}

/// What a dry run came to.
#[derive(Clone, PartialEq, Eq, Default, Debug, serde::Serialize)]
pub struct DryReport {
    /// Its name.
    pub name: String,
    /// Events passed.
    pub done: u64,
    /// Events that the function ran for.
    pub run: u64,
    /// Events that another key kept from running.
    pub passed_over: u64,
    /// Events that would be parked: they failed, or follow one of their key that did.
    pub parked: u64,
    /// Events that would be appended, by topic.
    pub appends: BTreeMap<String, u64>,
    /// Whether they would: without `emit` appends are suppressed.
    pub emit: bool,
    /// Rows that would differ at the end, by table.
    pub rows: BTreeMap<String, u64>,
}

/// A dry run on its way to a worker.
#[derive(Debug)]
pub(crate) struct DryRun {
    pub(crate) trigger: Arc<Trigger>,
    pub(crate) topic: TopicId,
    pub(crate) record: Record,
    pub(crate) lines: mpsc::Sender<DryLine>,
    pub(crate) shutdown: CancellationToken,
}

/// Why a dry run ends before its end.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("nobody listens")]
    Unheard,
    #[error("the server is stopping")]
    Shutdown,
    #[error("the function {0} cannot run now: it is missing, or the log does not answer")]
    Interrupted(String),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    TooLarge(#[from] overlay::TooLarge),
}

impl DryRun {
    /// Runs it to its end, or until nobody listens any more.
    pub(crate) async fn run(self, around: Surroundings) {
        let lines = self.lines.clone();
        let last = match (Running {
            overlay: Rc::default(),
            blocked: HashSet::new(),
            report: DryReport::default(),
            dry: self,
            around,
        })
        .run()
        .await
        {
            Ok(report) => DryLine::Report(report),
            Err(Stopped::Unheard) => return,
            Err(error) => DryLine::Error(error.to_string()),
        };
        drop(lines.send(last).await); // who asked may have gone
    }
}

struct Running {
    dry: DryRun,
    around: Surroundings,
    overlay: Rc<RefCell<Overlay>>,
    /// Keys of which an event has failed: the later ones would wait behind it.
    blocked: HashSet<(u32, Bytes)>,
    report: DryReport,
}

impl Running {
    async fn run(mut self) -> Result<DryReport, Stopped> {
        let total = self.dry.record.total();
        let session = self.around.session.clone();
        let mut events = Merge::new(session, self.dry.topic, &self.dry.record);
        while let Some(event) = events.next().await? {
            if self.report.done.is_multiple_of(PROGRESS) {
                self.tell(DryLine::Progress { done: self.report.done, total }).await?;
            }
            if self.dry.shutdown.is_cancelled() {
                return Err(Stopped::Shutdown);
            }
            self.report.done += 1;
            self.handle(event).await?;
            // the worker has requests and triggers to serve
            tokio::task::yield_now().await;
        }
        let report = DryReport {
            name: self.dry.record.name.clone(),
            emit: self.dry.record.emit,
            rows: self.overlay.borrow().rows_by_table(),
            ..self.report
        };
        Ok(report)
    }

    async fn handle(&mut self, event: Event) -> Result<(), Stopped> {
        let record = event.record();
        let trigger = self.dry.trigger.clone();
        let Some(replay) = &trigger.replay else { return Ok(()) };
        if !replay.takes(&record) {
            self.report.passed_over += 1;
            return Ok(());
        }
        let partition = record.meta.at.partition;
        if record.key_bytes().is_some_and(|key| self.blocked.contains(&(partition, key))) {
            return self.fail(&event, None).await;
        }
        while replay.pace.as_ref().is_some_and(|p| p.take(1, self.around.session.clock().now()) == 0) {
            tokio::time::sleep(LOOK).await;
        }
        self.report.run += 1;
        match self.attempt(&trigger, &event).await {
            RunEnd::Ok(effects) => self.keep(&event, effects).await,
            RunEnd::Failed(failure) => self.fail(&event, Some(failure.message)).await,
            RunEnd::Interrupted => Err(Stopped::Interrupted(trigger.function.to_string())),
        }
    }

    async fn attempt(&self, trigger: &Trigger, event: &Event) -> RunEnd {
        let (session, record) = (&self.around.session, event.record());
        let start = Start {
            run: session.next_id(),
            offset: record.meta.offset,
            event: None,
            attempt: 1,
            edit: 0,
            edited: None,
            incarnation: 0,
            catalog: session.catalog(),
            is_parked: false,
        };
        let (trace, _) = attempt::trace(trigger, &record);
        let invocation = attempt::invocation(trigger, &start, &record, trace);
        let host = DryHost {
            session: session.clone(),
            overlay: self.overlay.clone(),
            now: record.meta.time,
            invocation: invocation.id,
            event: attempt::source(trigger, &record),
        };
        let code = self.around.code.borrow().clone();
        attempt::judge(self.around.worker.run(&code, &invocation, Rc::new(host)).await)
    }

    /// Lets the later events see what this one would have written.
    async fn keep(&mut self, event: &Event, effects: Effects) -> Result<(), Stopped> {
        let (session, now) = (self.around.session.clone(), event.record().meta.time);
        if let Err(refused) = overlay::apply(&self.overlay, &session, &effects.writes, now).await? {
            return self.fail(event, Some(refused)).await;
        }
        let names = session.topic_names();
        for append in effects.appends.iter() {
            let topic = names.get(&append.meta.at.topic).map_or("?", |t| t.as_str());
            *self.report.appends.entry(topic.to_owned()).or_default() += 1;
        }
        let (partition, offset) = (event.record().meta.at.partition, event.record().meta.offset);
        if effects.is_empty() {
            return Ok(());
        }
        self.tell(DryLine::Effects { partition, offset, effects }).await
    }

    async fn fail(&mut self, event: &Event, error: Option<String>) -> Result<(), Stopped> {
        let record = event.record();
        let (partition, offset) = (record.meta.at.partition, record.meta.offset);
        self.report.parked += 1;
        self.blocked.extend(record.key_bytes().map(|key| (partition, key)));
        let key = record.key().map(|k| String::from_utf8_lossy(k).into_owned());
        self.tell(DryLine::Failure(ReplayFailure { partition, offset, key, error })).await
    }

    async fn tell(&self, line: DryLine) -> Result<(), Stopped> {
        self.dry.lines.send(line).await.map_err(|_| Stopped::Unheard)
    }
}
