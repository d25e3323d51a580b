//! The topic log: an append-only log of events, tables of state and the positions of groups, behind one trait.
//!
//! [`Log`] is the seam where users choose a backend. Its contract is the conformance suite's: what the docs of a
//! method say, a case proves, once, against every backend. Backends are opened by one registry, `open`; nothing above
//! this crate names one.
//!
//! What a commit does is in [`weir_schema::Transaction`]; this crate says when it is durable and who sees it.

mod batch;
mod capabilities;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod faults;
mod first;
mod hint;
#[cfg(feature = "kafka")]
mod kafka;
mod kafka_options;
mod keeper;
mod ledger;
mod limits;
mod lost;
mod members;
mod membership;
mod memory;
mod moving;
mod open;
mod pages;
mod postgres;
mod refused;
mod resolve;
mod scan;
mod sqlite;
mod steps;
#[cfg(feature = "kafka")]
mod store;
mod topic;
mod versions;

pub use capabilities::{Capabilities, LogLimits};
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{BoxError, CommitError, LogError, Rejection};
pub use faults::{FaultPoint, Faults};
pub use first::FirstPosition;
pub use hint::Hint;
pub use kafka_options::{KafkaOptions, Properties};
pub use lost::lost_key;
pub use membership::{Change, GroupPosition, Membership, MembershipEnd};
pub use moving::{
    Copied, Imported, Phase, Progress, SpacerImport, SpacerTopic, Tally, Watcher, copy, import_spacer,
};
pub use open::{Driver, LogConfig, open, schema_state};
pub use pages::all_rows;
pub use postgres::{ConnString, PostgresOptions, Surroundings};
pub use refused::{RefusedEvent, refused_events};
pub use resolve::resolve;
pub use sqlite::{Backup, SqliteOptions, backup};
pub use topic::{TopicInfo, TopicSpec};
pub use versions::SchemaState;

use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use weir_schema::{
    At, GroupName, Millis, Offset, Receipt, Records, ScanPage, StateKey, StateRange, Transaction, Versioned,
};

/// How much one [`Log::read`] returns at most. The first event is returned however large it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadLimit {
    /// Events.
    pub events: usize,
    /// Bytes of keys, values and headers.
    pub bytes: usize,
}

impl ReadLimit {
    /// Whether an event of so many bytes still goes with those that were read; the first one does however large it is.
    fn has_room(&self, read: &weir_schema::RecordsBuilder, bytes: usize) -> bool {
        read.is_empty() || read.bytes() + bytes <= self.bytes
    }
}

impl Default for ReadLimit {
    fn default() -> Self {
        Self { events: 1000, bytes: 1 << 20 }
    }
}

/// A transaction on its way. Resolves when its outcome is durable; dropping it cancels nothing.
#[derive(Debug)]
pub struct Commit(oneshot::Receiver<Result<Receipt, CommitError>>);

impl Commit {
    /// A commit and the end that resolves it. A sender that is dropped resolves it as `Ambiguous`.
    #[must_use]
    pub fn channel() -> (oneshot::Sender<Result<Receipt, CommitError>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }

    /// A commit whose outcome is already known.
    #[must_use]
    pub fn ready(outcome: Result<Receipt, CommitError>) -> Self {
        let (sender, commit) = Self::channel();
        drop(sender.send(outcome));
        commit
    }
}

impl Future for Commit {
    type Output = Result<Receipt, CommitError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(cx).map(|r| {
            r.unwrap_or_else(|_| {
                Err(CommitError::Ambiguous("the log's writer went away before it answered".into()))
            })
        })
    }
}

/// The topic log. Every method may be called from any thread and any runtime.
///
/// **Visibility**: offsets become visible in commit order, so that a reader that follows a partition never
/// skips one. What a resolved commit wrote is seen by every later `read`, `get` and `scan`.
///
/// **Cancelled futures**: dropping the future of a method leaves what it would have done either done or not
/// done, never half; a dropped [`Commit`] goes on.
#[async_trait::async_trait]
pub trait Log: Send + Sync + std::fmt::Debug + 'static {
    /// What this backend promises, and its limits. Constant for as long as the log is open.
    fn capabilities(&self) -> &Capabilities;

    /// Creates a topic. The same spec again returns what is there (a new retention is taken over).
    ///
    /// # Errors
    /// `AlreadyExists` if it has another number of partitions or, unless [`Capabilities::takes_partitioner`], another partitioner.
    async fn create_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError>;

    /// Every topic, by name, with the earliest kept offset and the tail of each partition (the first offset that
    /// is not written yet).
    async fn topics(&self) -> Result<Vec<TopicInfo>, LogError>;

    /// The only write path. The transaction is enqueued when this returns, so that calls of one thread commit in
    /// call order; the returned future resolves when it is durable. Waiting transactions are merged into one
    /// durable write; one that is refused does not hurt the others.
    ///
    /// The same id again, after its outcome became known or not: a transaction that was applied is not
    /// applied twice. Its first receipt is returned where the backend still knows it (the last 65,536 of this
    /// process, fewer only if they hold millions of sums; sums may be missing after a restart), and otherwise the refusal tells: `Moved(p)` with
    /// `p == advance.to`. A transaction with neither advance nor reads is remembered only as long as the process
    /// lives (`Capabilities::ledger`).
    ///
    /// Checked in this order: the ledger of ids, the fence, `advance.from`, the catalog, the reads, what can never
    /// succeed. A read-only transaction is checked in one snapshot and writes nothing.
    ///
    /// Resolves to `Unavailable` at once when the queue is full or the log is closed. After an `Ambiguous` that says
    /// nothing about the earlier call.
    fn commit(&self, transaction: Arc<Transaction>) -> Commit;

    /// Events from the first at or after `from`, in offset order. At or past the tail: empty. Next is the last
    /// offset plus 1.
    ///
    /// # Errors
    /// `Trimmed { earliest }` if `from` is below the earliest kept offset; `NoTopic`.
    async fn read(&self, at: At, from: Offset, max: ReadLimit) -> Result<Records, LogError>;

    /// The offset of the first event whose time is `time` or later; if there is none, the tail.
    async fn offset_at(&self, at: At, time: Millis) -> Result<Offset, LogError>;

    /// News: tails, the catalog's version, control entries. Merged; commits of other processes arrive later (tens of
    /// milliseconds). They may be lost on the way, so they are never the only way to progress: the backend looks for
    /// itself now and then ([`Capabilities::tells_within`]), or whoever follows a partition does.
    fn watch(&self) -> watch::Receiver<Hint>;

    /// Rows in one snapshot, in the order of the keys; expired ones too (see [`Versioned::expires`]).
    async fn get(&self, keys: &[StateKey]) -> Result<Vec<Option<Versioned>>, LogError>;

    /// Up to `limit` rows of a range in byte order, expired ones too.
    async fn scan(&self, range: &StateRange, limit: u32) -> Result<ScanPage, LogError>;

    /// Takes part in a group. If the group has no position at all, `start` is written first, as a whole.
    /// Partitions of the topics in `start` that have none get the earliest offset.
    ///
    /// The membership's first changes say what is assigned to this process; on a log that another process owns
    /// they come when that one ends. Each assignment raises the epoch of its partition.
    async fn join(&self, group: &GroupName, start: &[(At, Offset)]) -> Result<Membership, LogError>;

    /// Where each group stands; of one group, or of all.
    async fn positions(&self, group: Option<&GroupName>) -> Result<Vec<GroupPosition>, LogError>;

    /// Where a group of `topic` that has no position yet is to begin if nobody has said it. Only a log that takes in topics
    /// which others have made knows more than the usual.
    async fn first_position(&self, topic: &TopicInfo) -> Result<FirstPosition, LogError> {
        let _ = topic;
        Ok(FirstPosition::Usual)
    }

    /// Forgets a group: its positions, epochs and incarnations. Nothing if it is not known.
    async fn forget(&self, group: &GroupName) -> Result<(), LogError>;

    /// Removes the events below `before` (at most up to the tail), in bounded steps; returns the new earliest
    /// offset. Offsets are never used again. A `before` that is not above the earliest changes nothing.
    async fn trim(&self, at: At, before: Offset) -> Result<Offset, LogError>;

    /// What someone must see to, in a line each; as a rule nothing.
    async fn troubles(&self) -> Result<Vec<String>, LogError> {
        Ok(Vec::new())
    }

    /// Commits what was enqueued, then closes. Later calls: `Closed`, and `Unavailable` of `commit`.
    async fn close(&self) -> Result<(), LogError>;
}
