//! Errors whose variants are decisions that a caller can take.

use weir_schema::{CatalogVersion, Epoch, Offset, StateKey, StateRange, TopicId, Versioned};

/// Any error, as a cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What became of a transaction that was not committed. Nothing of it is applied, but for `Ambiguous`.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// It saw what is no longer so: run it again on what is so now.
    #[error("stale reads: {} rows and {} ranges have changed since{}", now.len(), ranges.len(), if catalog.is_some() { ", and the catalog" } else { "" })]
    Conflict {
        /// Every stale row as it is now.
        now: Vec<(StateKey, Option<Versioned>)>,
        /// Every stale range.
        ranges: Vec<StateRange>,
        /// The catalog's version, if the transaction named another.
        catalog: Option<CatalogVersion>,
    },
    /// The partition has changed hands: drop all work of it.
    #[error("fenced: the partition is owned under epoch {0}")]
    Fenced(Epoch),
    /// The position is not `advance.from`. Equal to `advance.to` after `Ambiguous`: it was applied.
    #[error("the group's position is {0}")]
    Moved(Offset),
    /// It can never succeed.
    #[error("refused: {0}")]
    Rejected(Rejection),
    /// Not applied; the same again later may succeed.
    #[error("the log is not available: {0}")]
    Unavailable(#[source] BoxError),
    /// Not known whether it was applied: commit the same transaction again.
    #[error("the outcome of the commit is not known: {0}")]
    Ambiguous(#[source] BoxError),
}

/// Why a transaction can never succeed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejection {
    /// No such topic or partition.
    #[error("there is no topic {} with a partition {partition}", topic.0)]
    NoTopic {
        /// The topic.
        topic: TopicId,
        /// The partition.
        partition: u32,
    },
    /// Past one of [`LogLimits`](crate::LogLimits).
    #[error("{what} has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// `an event`, `the key of an event`, …
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// `Add` on a row that holds something else, or a sum past 2^53.
    #[error("state {}[{:?}] is no counter, or the sum is past 2^53", .0.table, String::from_utf8_lossy(&.0.key))]
    NotACounter(StateKey),
    /// An advance without a fence, or of a group that was never joined.
    #[error("{0}")]
    Malformed(&'static str),
}

impl Rejection {
    /// The fence names what was never joined here, or has been forgotten.
    pub(crate) const UNKNOWN_GROUP: Self =
        Self::Malformed("the fence names a group that was never joined here, or has been forgotten");
}

/// What the other calls of the log end with.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Events below `earliest` have been removed.
    #[error("events below offset {earliest} have been removed")]
    Trimmed {
        /// The first offset that is kept.
        earliest: Offset,
    },
    /// No such topic or partition.
    #[error("there is no topic {0}")]
    NoTopic(String),
    /// The topic exists with other partitions or another partitioner.
    #[error("{0}")]
    AlreadyExists(String),
    /// The log has been closed.
    #[error("the log is closed")]
    Closed,
    /// The storage did not answer as it should.
    #[error("{operation}: {source}")]
    Unavailable {
        /// A verb phrase: `open log .weir/log.db`.
        operation: String,
        /// The cause.
        source: BoxError,
        /// Whether the same call may succeed later without anyone's help.
        retry: bool,
    },
    /// The storage holds what it should not.
    #[error("{subject} is damaged: {detail}")]
    Corrupt {
        /// What.
        subject: String,
        /// How.
        detail: String,
    },
}

impl LogError {
    /// A thread of the log at `place` could not be started.
    pub(crate) fn no_thread(place: impl std::fmt::Display, error: std::io::Error) -> Self {
        let operation = format!("start a thread for log {place}");
        Self::Unavailable { operation, source: error.into(), retry: true }
    }

    /// Whether the same call may succeed later without anyone's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { retry: true, .. })
    }
}
