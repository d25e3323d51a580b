//! What a backend promises, as data.

use std::time::Duration;
use weir_schema::WriterId;

/// What differs between backends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// `memory`, `sqlite`, `postgres` or `kafka`.
    pub driver: &'static str,
    /// Where the log is, as a user would write it, without secrets.
    pub place: String,
    /// When a commit counts as durable, in one sentence.
    pub durability: &'static str,
    /// Whether offsets are 0, 1, 2, … without gaps.
    pub dense: bool,
    /// Whether a transaction's appends, state and position become visible at one moment.
    pub atomic_visibility: bool,
    /// Whether [`TopicInfo::bytes`](crate::TopicInfo::bytes) is known.
    pub counts_bytes: bool,
    /// Whether [`Log::create_topic`](crate::Log::create_topic) gives a topic another partitioner: others place keys too, and how they
    /// do may be found out late.
    pub takes_partitioner: bool,
    /// Whether other processes may write the same log while this one has it open.
    pub shared: bool,
    /// How long news may take at most to come to [`Log::watch`](crate::Log::watch) while the storage answers, because the
    /// backend itself looks for what it was not told of. None: it does not look, so whoever follows a partition has to read
    /// now and then.
    pub tells_within: Option<Duration>,
    /// This process's number, for transaction ids.
    pub writer: WriterId,
    /// What is refused as too large.
    pub limits: LogLimits,
}

/// Sizes in bytes that the log refuses to exceed (`Rejection::TooLarge`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogLimits {
    /// The key of an event.
    pub event_key: usize,
    /// Key, value and headers of an event together.
    pub event: usize,
    /// The key of a state row.
    pub state_key: usize,
    /// The value of a state row.
    pub state_value: usize,
    /// All of a transaction.
    pub transaction: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            event_key: 64 << 10,
            event: 16 << 20,
            state_key: 1 << 10,
            state_value: 16 << 20,
            transaction: 64 << 20,
        }
    }
}
