//! Topics as the log knows them.

use crate::LogError;
use smallvec::SmallVec;
use std::time::Duration;
use weir_schema::{At, Offset, Partitioner, TopicId, TopicName};

/// A topic to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicSpec {
    /// Its name.
    pub name: TopicName,
    /// How many partitions, at least 1. Fixed at creation.
    pub partitions: u32,
    /// How keys are placed. Fixed at creation, unless [`Capabilities::takes_partitioner`](crate::Capabilities::takes_partitioner).
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
    /// Bytes that keys, values and headers take together; 0 where the backend does not count them.
    pub bytes: u64,
}

impl TopicInfo {
    /// Its partitions.
    pub fn partitions(&self) -> impl Iterator<Item = At> + use<> {
        let topic = self.id;
        (0..self.spec.partitions).map(move |partition| At { topic, partition })
    }
}

/// Whether `wanted` may stand for the topic that exists as `there`.
pub(crate) fn check_same(there: &TopicSpec, wanted: &TopicSpec) -> Result<(), LogError> {
    if (there.partitions, there.partitioner) == (wanted.partitions, wanted.partitioner) {
        return Ok(());
    }
    Err(LogError::AlreadyExists(format!(
        "topic {} exists with {} partitions and the partitioner {:?}, which are fixed; wanted are {} and {:?}: \
         take the former, or another name",
        there.name, there.partitions, there.partitioner, wanted.partitions, wanted.partitioner,
    )))
}

/// There is no such partition.
pub(crate) fn no_topic(at: At) -> LogError {
    LogError::NoTopic(format!("{} with a partition {}", at.topic.0, at.partition))
}

/// Adds an event at `at` and `offset` to a receipt's runs.
pub(crate) fn extend_runs(runs: &mut SmallVec<[(At, Offset, u32); 1]>, at: At, offset: Offset) {
    match runs.last_mut() {
        Some((last, base, count)) if *last == at && base.0 + u64::from(*count) == offset.0 => *count += 1,
        _ => runs.push((at, offset, 1)),
    }
}

/// What backends store of how long events are kept.
pub(crate) fn retention_ms(spec: &TopicSpec) -> Option<i64> {
    spec.retention.map(|r| i64::try_from(r.as_millis()).unwrap_or(i64::MAX))
}

/// What backends store of a partitioner.
pub(crate) fn partitioner_name(partitioner: Partitioner) -> &'static str {
    match partitioner {
        Partitioner::Murmur2 => "murmur2",
        Partitioner::Crc32 => "crc32",
    }
}

/// The partitioner that was stored as `name`.
pub(crate) fn partitioner(name: &str) -> Result<Partitioner, LogError> {
    match name {
        "murmur2" => Ok(Partitioner::Murmur2),
        "crc32" => Ok(Partitioner::Crc32),
        other => Err(damaged(&format!("a topic has the partitioner {other:?}"))),
    }
}

/// What is stored of topics is not what was stored.
pub(crate) fn damaged(detail: &str) -> LogError {
    LogError::Corrupt { subject: "the list of topics".into(), detail: detail.to_owned() }
}
