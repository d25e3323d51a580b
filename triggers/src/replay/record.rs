//! What the log keeps of a replay.
//!
//! | table | key | value |
//! |---|---|---|
//! | `_weir_replays` | name | a [`Record`] as JSON |
//!
//! Every change reads the record's stamp, so that no change of another process is lost.

use super::ReplayError;
use super::hold::{self, hold_key};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::sync::Arc;
use weir_log::{CommitError, LogError, all_rows};
use weir_runtime::Session;
use weir_schema::{
    FunctionName, GroupName, Millis, Offset, Op, Read, Stamp, StateKey, StateRange, TableName, TopicName,
    Transaction, Versioned, Write,
};

const REPLAYS: &str = "_weir_replays";

/// What a replay is allowed to change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayMode {
    /// Nothing: it tells what would be appended and written.
    DryRun,
    /// The live tables.
    InPlace,
}

impl ReplayMode {
    /// As `ctx.replay.mode` and the command line spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DryRun => "dry-run",
            Self::InPlace => "in-place",
        }
    }
}

/// How a replay is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayState {
    /// It goes on by itself, after a restart too.
    Running,
    /// It stands still until someone resumes it.
    Paused,
    /// It has reached its end.
    Done,
    /// It cannot go on; the record says why.
    Failed,
    /// Someone has ended it.
    Cancelled,
}

impl ReplayState {
    /// Whether it is over for good.
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Running | Self::Paused)
    }
}

/// A replay as the log keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Names it among all replays of the log.
    pub name: String,
    /// What it may change.
    pub mode: ReplayMode,
    /// How it is.
    pub state: ReplayState,
    /// The topic.
    pub topic: TopicName,
    /// As the trigger is named, or the function itself.
    pub function: FunctionName,
    /// Per partition the first offset of the range.
    pub from: Vec<Offset>,
    /// Per partition the first offset past it.
    pub to: Vec<Offset>,
    /// Only this partition.
    pub partition: Option<u32>,
    /// Only events of this key run.
    pub key: Option<String>,
    /// Events per second.
    pub rate: Option<NonZeroU32>,
    /// Whether appends are committed.
    pub emit: bool,
    /// The hosts that its functions may send requests to.
    #[serde(default)]
    pub allow_http: Vec<String>,
    /// The live trigger that stands still meanwhile.
    pub live: Option<GroupName>,
    /// When it was asked for.
    pub created: Millis,
    /// When it was over.
    #[serde(default)]
    pub ended: Option<Millis>,
    /// Events that were handled or parked, when it was over.
    #[serde(default)]
    pub done: u64,
    /// Events appended.
    #[serde(default)]
    pub appended: u64,
    /// Rows written: each once for each commit that wrote it.
    #[serde(default)]
    pub written: u64,
    /// Events that failed and were not applied, when it was over.
    #[serde(default)]
    pub parked: u64,
    /// The first of these.
    #[serde(default)]
    pub failures: Vec<ReplayFailure>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// Whether nothing is left of its group.
    #[serde(default)]
    pub is_cleared: bool,
}

/// An event that a replay could not handle.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReplayFailure {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: Offset,
    /// Its key, if it has one.
    pub key: Option<String>,
    /// Its last error; none: it was not run, for an earlier event of its key had failed.
    pub error: Option<String>,
}

impl Record {
    /// The group that keeps its positions.
    ///
    /// # Errors
    /// The name is not well-formed.
    pub fn group(&self) -> Result<GroupName, ReplayError> {
        let group = format!("{}/{}@replay-{}", self.topic, self.function, self.name);
        GroupName::new(&group).map_err(|e| ReplayError::Invalid(e.to_string()))
    }

    /// Events of the range, as far as offsets tell.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.from.iter().zip(&self.to).map(|(from, to)| to.0.saturating_sub(from.0)).sum()
    }

    fn to_row(&self) -> Bytes {
        serde_json::to_vec(self).expect("a record always has a JSON form").into()
    }
}

/// A record and the stamp it was read with.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) record: Record,
    pub(crate) stamp: Stamp,
}

/// Every replay that the log knows, by name.
pub(crate) async fn list(session: &Session) -> Result<Vec<Stored>, ReplayError> {
    let rows = rows(session, REPLAYS).await?;
    rows.into_iter().map(|(_, row)| read(&row.value, row.stamp)).collect()
}

/// The row of a replay.
pub(crate) fn record_key(name: &str) -> StateKey {
    key(REPLAYS, name)
}

/// Whether the replay of this row is not over.
pub(crate) fn may_run(row: &Versioned) -> bool {
    read(&row.value, row.stamp).is_ok_and(|stored| !stored.record.state.is_over())
}

/// One replay.
pub(crate) async fn find(session: &Session, name: &str) -> Result<Stored, ReplayError> {
    let row = session.log().get(&[record_key(name)]).await?.pop().flatten();
    let row = row.ok_or_else(|| ReplayError::Unknown(name.to_owned()))?;
    read(&row.value, row.stamp)
}

/// Writes a new replay, and holds its live trigger. Refused if either is taken.
pub(crate) async fn insert(session: &Session, record: &Record) -> Result<(), ReplayError> {
    let mut transaction = Transaction::new(session.next_id(), session.catalog());
    let at = record_key(&record.name);
    transaction.reads.push(Read::Key(at.clone(), None));
    put(&mut transaction, at, record.to_row());
    if let Some(live) = &record.live {
        transaction.reads.push(Read::Key(hold_key(live), None));
        let name = serde_json::to_vec(&record.name).expect("a text always has a JSON form");
        put(&mut transaction, hold_key(live), name.into());
    }
    match commit(session, transaction).await {
        Err(CommitError::Conflict { now, .. }) => Err(taken(record, &now)),
        other => Ok(other?),
    }
}

fn taken(record: &Record, now: &[(StateKey, Option<Versioned>)]) -> ReplayError {
    let holder = now.iter().find(|(key, _)| key.table.as_str() == hold::TABLE);
    match holder.and_then(|(_, row)| serde_json::from_slice(&row.as_ref()?.value).ok()) {
        Some(other) => {
            let trigger = record.live.as_ref().map(ToString::to_string).unwrap_or_default();
            ReplayError::Busy { trigger, other }
        }
        None => ReplayError::Taken(record.name.clone()),
    }
}

/// Writes a replay that was read, with what goes with the change. A replay that is over holds no trigger.
pub(crate) async fn update(
    session: &Session,
    before: &Stored,
    after: &Record,
    more: Vec<(StateKey, Op)>,
) -> Result<(), ReplayError> {
    let mut transaction = Transaction::new(session.next_id(), session.catalog());
    let stamp = transaction.id;
    let at = record_key(&after.name);
    transaction.reads.push(Read::Key(at.clone(), Some(before.stamp)));
    put(&mut transaction, at, after.to_row());
    let is_ending = after.state.is_over() && !before.record.state.is_over();
    if let Some(live) = after.live.as_ref().filter(|_| is_ending) {
        transaction.writes.push(Write { key: hold_key(live), op: Op::Delete, stamp });
    }
    transaction.writes.extend(more.into_iter().map(|(key, op)| Write { key, op, stamp }));
    match commit(session, transaction).await {
        Err(CommitError::Conflict { .. }) => Err(ReplayError::Changed(after.name.clone())),
        other => Ok(other?),
    }
}

/// Commits; an outcome that is not known is resolved by the same transaction again.
async fn commit(session: &Session, transaction: Transaction) -> Result<(), CommitError> {
    let transaction = Arc::new(transaction);
    loop {
        match session.log().commit(transaction.clone()).await {
            Err(CommitError::Ambiguous(_)) => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            other => return other.map(drop),
        }
    }
}

fn put(transaction: &mut Transaction, key: StateKey, value: Bytes) {
    let stamp = transaction.id;
    transaction.writes.push(Write { key, op: Op::Put { value, expires: None }, stamp });
}

fn read(value: &[u8], stamp: Stamp) -> Result<Stored, ReplayError> {
    let record = serde_json::from_slice(value).map_err(|e| {
        let subject = format!("a row of {REPLAYS}");
        LogError::Corrupt { subject, detail: e.to_string() }
    })?;
    Ok(Stored { record, stamp })
}

/// All rows of a table of the platform's.
pub(crate) async fn rows(session: &Session, table: &str) -> Result<Vec<(Bytes, Versioned)>, LogError> {
    let table = TableName::new(table).expect("a constant that is well-formed");
    let range = StateRange { table, generation: 0, from: Bytes::new(), to: None };
    all_rows(&**session.log(), range).await
}

/// A row of a table of the platform's.
pub(crate) fn key(table: &str, key: &str) -> StateKey {
    let table = TableName::new(table).expect("a constant that is well-formed");
    StateKey { table, generation: 0, key: Bytes::copy_from_slice(key.as_bytes()) }
}
