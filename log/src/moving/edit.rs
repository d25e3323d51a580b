//! What an import can do to a log.

use super::{Marker, Numbers, Partition, Position};
use crate::TopicSpec;
use weir_schema::{At, Records, StateKey, TopicId, Versioned};

/// One change.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// The log belongs to this application.
    App(String),
    /// Since now, or no more, it is the half of a copy, which nobody may open.
    Mark(Option<Marker>),
    /// There is this topic, without its partitions.
    Topic(TopicId, TopicSpec),
    /// There are no topics and no partitions. Their events must have been dropped.
    NoTopics,
    /// A partition has these numbers, whatever its events are.
    Partition(Partition),
    /// A partition has no events.
    NoEvents(At),
    /// Events of one partition are added. They bear their offsets, dense, the first one the partition's tail; their
    /// times, raised to the partition's last where they are below. The partition's numbers follow.
    Events(Records),
    /// Rows are added, or overwritten.
    Rows(Vec<Row>),
    /// There are no rows.
    NoRows,
    /// These are positions of groups; those of other groups and partitions stay.
    Positions(Vec<Position>),
    /// No group has a position.
    NoPositions,
    /// The log's counters are these.
    Numbers(Numbers),
}

/// A row of state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    pub(crate) key: StateKey,
    pub(crate) row: Versioned,
}
