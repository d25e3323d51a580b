//! Topics as the log knows them.

use std::time::Duration;
use weir_schema::{At, Offset, Partitioner, TopicId, TopicName};

/// A topic to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicSpec {
    /// Its name.
    pub name: TopicName,
    /// How many partitions, at least 1. Fixed at creation.
    pub partitions: u32,
    /// How keys are placed. Fixed at creation.
    pub partitioner: Partitioner,
    /// How long events are kept; none: for good.
    pub retention: Option<Duration>,
}

/// A topic as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicInfo {
    /// Its number in this log.
    pub id: TopicId,
    /// As it was created.
    pub spec: TopicSpec,
    /// Per partition the first offset that is kept.
    pub earliest: Vec<Offset>,
    /// Per partition the first offset that is not written yet.
    pub tail: Vec<Offset>,
    /// Bytes that keys, values and headers take together, as far as the backend counts them.
    pub bytes: u64,
}

impl TopicInfo {
    /// Its partitions.
    pub fn partitions(&self) -> impl Iterator<Item = At> + use<> {
        let topic = self.id;
        (0..self.spec.partitions).map(move |partition| At { topic, partition })
    }
}
