//! One event of the window.

use super::protocol::{Event, RunFailure, Stored, View, What};
use bytes::Bytes;
use weir_schema::{CatalogVersion, Millis, Offset, Op, Records, StateKey, TxnId};

/// Events of one lane run and commit in offset order. An event without a key is a lane of its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Lane {
    Key(Bytes),
    One(Offset),
}

impl Lane {
    pub(super) fn of(key: Option<&Bytes>, offset: Offset) -> Self {
        key.map_or(Self::One(offset), |k| Self::Key(k.clone()))
    }
}

/// Why an event leaves the main line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// It failed, and the error is judged.
    Failed,
    /// An earlier event of its key is parked.
    Follower,
    /// It is slow, and others wait behind it.
    Detached,
    /// The process ended when it ran.
    Crashed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    Queued,
    Running,
    /// Ran well; its effects are visible to later events.
    Done,
    /// Failed; not yet judged.
    Failed,
    /// Is to be parked by the next commit.
    Park(Why),
}

impl Status {
    pub(super) fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Park(_))
    }

    pub(super) fn has_run(self) -> bool {
        matches!(self, Self::Running | Self::Done | Self::Failed | Self::Park(Why::Failed))
    }
}

/// One read: what the attempt saw, and the store's part of it; none where the lookup ended at a pending write.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) what: What,
    pub(super) view: View,
    pub(super) base: Option<Stored>,
}

/// What a revoked attempt read and wrote: the next one will likely do the same.
#[derive(Clone, Default, Debug)]
pub(super) struct Estimate {
    pub(super) reads: Vec<What>,
    pub(super) writes: Vec<StateKey>,
}

impl Estimate {
    /// Whether this would write what `other` would read.
    pub(super) fn feeds(&self, other: &Self) -> bool {
        other.reads.iter().any(|what| self.writes.iter().any(|key| what.covers(key)))
    }
}

impl What {
    /// Whether a write of `key` can change it.
    #[must_use]
    pub fn covers(&self, key: &StateKey) -> bool {
        match self {
            Self::Key(k) => k == key,
            Self::Range(range) => range.contains(key),
        }
    }
}

/// The effects of a finished attempt.
#[derive(Clone, Default, Debug)]
pub(super) struct Done {
    pub(super) appends: Records,
    pub(super) writes: Vec<(StateKey, Op)>,
}

impl Done {
    pub(super) fn bytes(&self) -> usize {
        let value = |op: &Op| if let Op::Put { value, .. } = op { value.len() } else { 0 };
        self.appends.bytes() + self.writes.iter().map(|(k, op)| k.key.len() + value(op)).sum::<usize>()
    }

    pub(super) fn keys(&self) -> Vec<StateKey> {
        self.writes.iter().map(|(key, _)| key.clone()).collect()
    }
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) event: Event,
    pub(super) offset: Offset,
    pub(super) time: Millis,
    pub(super) key: Option<Bytes>,
    pub(super) bytes: usize,
    pub(super) status: Status,
    /// Of the attempt; means nothing while the slot is queued.
    pub(super) run: TxnId,
    pub(super) reads: Vec<Recorded>,
    /// The count of changes to the rows when the attempt first read.
    pub(super) changes_seen: u64,
    pub(super) effects: Done,
    pub(super) failure: RunFailure,
    pub(super) started: Millis,
    pub(super) not_before: Millis,
    pub(super) catalog: CatalogVersion,
    pub(super) estimate: Option<Box<Estimate>>,
}

impl Slot {
    pub(super) fn new(event: Event, status: Status) -> Self {
        let record = event.record();
        let (offset, time, key) = (record.meta.offset, record.meta.time, record.key_bytes());
        let bytes = record.meta.bytes();
        Self {
            event,
            offset,
            time,
            key,
            bytes,
            status,
            run: TxnId(0),
            reads: Vec::new(),
            changes_seen: 0,
            effects: Done::default(),
            failure: RunFailure::default(),
            started: Millis(0),
            not_before: Millis(i64::MIN),
            catalog: CatalogVersion(0),
            estimate: None,
        }
    }

    pub(super) fn lane(&self) -> Lane {
        Lane::of(self.key.as_ref(), self.offset)
    }
}
