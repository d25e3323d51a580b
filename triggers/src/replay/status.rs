//! How a replay is getting on, and what it came to.

use super::{Record, ReplayError, ReplayFailure, ReplayMode, ReplayState, Replays};
use crate::parked_list;
use weir_schema::Offset;

/// Failed events that a record keeps, and characters of each one's error.
const MAX_FAILURES: usize = 100;
const MAX_ERROR: usize = 500;

/// How a replay is, for people and machines.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct ReplayStatus {
    /// Its name.
    pub name: String,
    /// What it may change.
    pub mode: ReplayMode,
    /// How it is.
    pub state: ReplayState,
    /// The topic.
    pub topic: String,
    /// As the trigger is named, or the function itself.
    pub function: String,
    /// Per partition the first offset of the range.
    pub from: Vec<Offset>,
    /// Per partition the first offset past it.
    pub to: Vec<Offset>,
    /// Only events of this key run.
    pub key: Option<String>,
    /// Whether appends are committed.
    pub emit: bool,
    /// The hosts that its functions may send requests to.
    pub allow_http: Vec<String>,
    /// Events handled or parked.
    pub done: u64,
    /// Events of the range.
    pub total: u64,
    /// Events that are left.
    pub lag: u64,
    /// Events per second, lately.
    pub rate: f64,
    /// Events per second at most.
    pub rate_limit: Option<u32>,
    /// How long it will take at this rate; none: it does not move.
    pub eta_seconds: Option<f64>,
    /// Events that failed and were not applied.
    pub parked: u64,
    /// Events appended. What was committed in the last seconds before a crash is not counted.
    pub appended: u64,
    /// Rows written, each once for each commit that wrote it; likewise.
    pub written: u64,
    /// The first events that failed.
    pub failures: Vec<ReplayFailure>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was asked for.
    pub created: String,
    /// When it was over.
    pub ended: Option<String>,
}

impl Replays {
    /// The record of a replay that is over, with what it came to.
    pub(super) async fn close(
        &self,
        record: Record,
        state: ReplayState,
        error: Option<String>,
    ) -> Result<Record, ReplayError> {
        let session = self.inner.triggers.session();
        let failures = self.failures(&record).await?;
        let (done, (appended, written)) = (self.done(&record).await?, self.effects(&record));
        let ended = Some(session.clock().now());
        let parked = failures.len() as u64;
        let failures = failures.into_iter().take(MAX_FAILURES).collect();
        Ok(Record { state, error, ended, done, appended, written, parked, failures, ..record })
    }

    pub(super) async fn status(&self, record: Record) -> Result<ReplayStatus, ReplayError> {
        let is_over = record.state.is_over();
        let (done, failures) = if is_over {
            (record.done, record.failures.clone())
        } else {
            (self.done(&record).await?, self.failures(&record).await?)
        };
        let parked = if is_over { record.parked } else { failures.len() as u64 };
        let (appended, written) = self.effects(&record);
        let total = record.total();
        let lag = if is_over { 0 } else { total.saturating_sub(done) };
        let rate = if record.state == ReplayState::Running { self.rate(&record.name) } else { 0.0 };
        Ok(ReplayStatus {
            lag,
            rate,
            eta_seconds: (rate > 0.0).then(|| lag as f64 / rate),
            done,
            total,
            parked,
            appended,
            written,
            failures: failures.into_iter().take(MAX_FAILURES).collect(),
            name: record.name,
            mode: record.mode,
            state: record.state,
            topic: record.topic.to_string(),
            function: record.function.to_string(),
            from: record.from,
            to: record.to,
            key: record.key,
            emit: record.emit,
            allow_http: record.allow_http.clone(),
            rate_limit: record.rate.map(std::num::NonZeroU32::get),
            error: record.error,
            created: record.created.to_rfc3339(),
            ended: record.ended.map(weir_schema::Millis::to_rfc3339),
        })
    }

    /// Events of the range below the group's positions.
    pub(super) async fn done(&self, record: &Record) -> Result<u64, ReplayError> {
        let positions = self.inner.triggers.session().log().positions(Some(&record.group()?)).await?;
        let done = positions.iter().filter_map(|p| {
            let at = p.at.partition as usize;
            let (from, to) = (record.from.get(at)?, record.to.get(at)?);
            Some(p.position.min(*to).0.saturating_sub(from.0))
        });
        Ok(done.sum())
    }

    async fn failures(&self, record: &Record) -> Result<Vec<ReplayFailure>, ReplayError> {
        let parked = parked_list::list(self.inner.triggers.session(), Some(&record.group()?)).await?;
        let failure = |event: parked_list::ParkedEvent| ReplayFailure {
            partition: event.entry.partition,
            offset: event.entry.offset,
            key: event.entry.key.as_ref().map(|k| String::from_utf8_lossy(k).into_owned()),
            error: event.entry.errors.last().map(|e| e.error.chars().take(MAX_ERROR).collect()),
        };
        Ok(parked.into_iter().map(failure).collect())
    }

    pub(super) fn effects(&self, record: &Record) -> (u64, u64) {
        let running = self.running();
        running.get(&record.name).map_or((record.appended, record.written), |r| r.counts.read())
    }

    fn rate(&self, name: &str) -> f64 {
        self.running().get(name).map_or(0.0, |r| r.meter.rate())
    }
}
