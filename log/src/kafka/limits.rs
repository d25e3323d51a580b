//! How large events may be: what the clients are set to, and what each topic takes.

use foldhash::HashMap;
use std::sync::{PoisonError, RwLock};
use weir_schema::TopicId;

/// What an event is called that its topic does not take.
pub(super) const EVENT: &str = "an event for Kafka (its topic's max.message.bytes)";

/// What Kafka adds to an event's key, value and headers as the log counts them, alone in its batch.
const FRAME: usize = 128;
/// The most that each topic takes.
#[derive(Default, Debug)]
pub(super) struct Limits(RwLock<HashMap<TopicId, usize>>);

impl Limits {
    /// A topic takes batches of so many bytes; none: that is not told.
    pub(super) fn set(&self, topic: TopicId, bytes: Option<usize>) {
        if let Some(bytes) = bytes {
            self.0.write().unwrap_or_else(PoisonError::into_inner).insert(topic, bytes);
        }
    }

    /// How large an event of a topic may be: key, value and headers.
    pub(super) fn event(&self, topic: TopicId) -> usize {
        let limits = self.0.read().unwrap_or_else(PoisonError::into_inner);
        limits.get(&topic).map_or(usize::MAX, |bytes| bytes.saturating_sub(FRAME))
    }

    /// How large a batch may be that every topic takes, where `wanted` is otherwise.
    pub(super) fn batch(&self, wanted: usize) -> usize {
        let limits = self.0.read().unwrap_or_else(PoisonError::into_inner);
        limits.values().copied().fold(wanted, usize::min).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_as_small_as_the_topic_that_takes_least() {
        let limits = Limits::default();
        assert_eq!((limits.batch(50_000), limits.event(TopicId(1))), (50_000, usize::MAX));
        limits.set(TopicId(1), Some(10_000));
        limits.set(TopicId(2), Some(1 << 20));
        limits.set(TopicId(2), None);
        assert_eq!((limits.batch(50_000), limits.event(TopicId(1))), (10_000, 10_000 - FRAME));
    }
}
