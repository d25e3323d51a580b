//! All of a log but its events and rows.

use crate::{GroupPosition, TopicSpec};
use std::collections::HashSet;
use weir_schema::{At, Millis, Offset, StateKey, TopicId};

/// See the module's docs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Outline {
    /// The application that it belongs to.
    pub(crate) app: Option<String>,
    /// What is said about a copy into it that has not ended.
    pub(crate) marker: Option<Marker>,
    pub(crate) numbers: Numbers,
    /// By name.
    pub(crate) topics: Vec<(TopicId, TopicSpec)>,
    /// In their order.
    pub(crate) partitions: Vec<Partition>,
    /// By group and partition.
    pub(crate) positions: Vec<Position>,
    /// How many rows of state there are.
    pub(crate) rows: u64,
    /// The last of them, in the order of [`Export::rows`](super::Export::rows).
    pub(crate) last_row: Option<StateKey>,
}

/// The counters of a log. They only grow, so a number that has been used never comes again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Numbers {
    pub(crate) catalog: u64,
    pub(crate) control: u64,
    /// How often the log has been opened to be written.
    pub(crate) writers: u64,
    pub(crate) epochs: u64,
}

impl Numbers {
    const NAMES: [&'static str; 4] = ["catalog", "control", "writers", "epochs"];

    /// Those that a log has under their names.
    pub(crate) fn read<E>(mut number: impl FnMut(&'static str) -> Result<u64, E>) -> Result<Self, E> {
        let [catalog, control, writers, epochs] = Self::NAMES;
        Ok(Self {
            catalog: number(catalog)?,
            control: number(control)?,
            writers: number(writers)?,
            epochs: number(epochs)?,
        })
    }

    /// Each with its name.
    pub(crate) fn named(self) -> impl Iterator<Item = (&'static str, u64)> {
        Self::NAMES.into_iter().zip([self.catalog, self.control, self.writers, self.epochs])
    }
}

/// What is known of a partition beside its events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Partition {
    pub(crate) at: At,
    pub(crate) earliest: Offset,
    pub(crate) tail: Offset,
    /// No event will be earlier.
    pub(crate) last_time: Millis,
    /// Of keys, values and headers.
    pub(crate) bytes: u64,
}

/// A group's position in a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    pub(crate) standing: GroupPosition,
    /// Whether its last owner has not handed it over.
    pub(crate) owned: bool,
}

impl Position {
    /// Positions, of which those of these groups and partitions are owned.
    pub(crate) fn all(standings: Vec<GroupPosition>, owned: &HashSet<(String, At)>) -> Vec<Self> {
        let is_owned =
            |standing: &GroupPosition| owned.contains(&(standing.group.as_str().to_owned(), standing.at));
        standings.into_iter().map(|standing| Self { owned: is_owned(&standing), standing }).collect()
    }
}

/// What is written into a log while it is the half of a copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Marker {
    /// A hash of where the copy comes from.
    pub(crate) origin: u64,
    /// [`Numbers::writers`] of the origin when its rows were begun: as long as it is the same, they are too.
    pub(crate) writers: u64,
}

impl Outline {
    /// Whether there is nothing in it that a copy would lose. Topics without an event are nothing: opening a log for a
    /// project makes those.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
            && self.positions.is_empty()
            && self.partitions.iter().all(|partition| partition.tail == Offset::ZERO)
    }

    /// How many events are kept.
    pub(crate) fn events(&self) -> u64 {
        self.partitions.iter().map(Partition::events).sum()
    }

    /// A partition; none if there is no such.
    pub(crate) fn partition(&self, at: At) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.at == at)
    }

    /// The name of a topic, for people.
    pub(crate) fn name(&self, id: TopicId) -> &str {
        self.topics.iter().find(|(known, _)| *known == id).map_or("?", |(_, spec)| spec.name.as_str())
    }
}

impl Partition {
    /// How many events are kept.
    pub(crate) fn events(&self) -> u64 {
        self.tail.0 - self.earliest.0
    }
}
