//! What the log has to do with brokers: calls that wait for their answers.

use super::clients::{ANSWER, Clients};
use super::follower::Follower;
use super::mirror::Topic;
use super::native::{Id, topic_ids};
use super::read::{Range, Readers};
use super::shared::Shared;
use super::topics::Topics;
use crate::{LogError, ReadLimit};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::collections::HashMap;
use std::sync::Arc;
use weir_schema::{At, Millis, Offset, Records};

/// See the module's docs.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) clients: Clients,
    pub(super) shared: Arc<Shared>,
    pub(super) follower: Follower,
    pub(super) readers: Readers,
    pub(super) topics: Topics,
}

impl Parts {
    /// How many partitions a topic has in Kafka; none: there is no such topic.
    pub(super) fn partitions(&self, name: &str) -> Result<Option<u32>, LogError> {
        self.topics.partitions(name).map_err(|error| self.in_words("look for topic", name, &error))
    }

    pub(super) fn await_leaders(&self, name: &str, partitions: u32) -> Result<(), LogError> {
        let led = self.topics.await_leaders(name, partitions);
        led.map_err(|error| self.in_words("wait for the leaders of topic", name, &error))
    }

    /// Follows a topic from now on; one that is gone is noted as such.
    pub(super) fn follow(&self, topic: &Topic) -> Result<(), LogError> {
        let is_gone = self.partitions(&topic.name)?.is_none();
        self.shared.set_gone(topic, is_gone);
        if is_gone {
            return Ok(());
        }
        self.follower.add(topic).map_err(|error| self.in_words("follow topic", &topic.name, &error))
    }

    /// Follows a partition no more.
    pub(super) fn unfollow(&self, topic: &Topic, at: At) -> Result<(), LogError> {
        let unfollowed = self.follower.remove(topic, at);
        unfollowed.map_err(|error| self.in_words("follow topic", &topic.name, &error))
    }

    /// Looks up how much each topic takes. What is not told is taken to be what the clients are set to.
    pub(super) async fn look_at_limits(&self) {
        let topics = self.shared.mirror.all();
        let names: Vec<_> = topics.iter().map(|topic| topic.name.as_str()).collect();
        match self.topics.limits(&names).await {
            Ok(limits) => {
                let told = topics.iter().zip(limits);
                told.for_each(|(topic, limit)| self.shared.limits.set(topic.id, limit));
            }
            Err(error) => tracing::debug!(%error, "the settings of topics cannot be looked at"),
        }
    }

    /// By which ids Kafka knows topics, as far as it tells.
    pub(super) fn ids(&self, topics: &[Arc<Topic>]) -> HashMap<String, Id> {
        let names: Vec<_> = topics.iter().map(|topic| topic.name.as_str()).collect();
        topic_ids(self.topics.admin.inner(), &names, ANSWER)
    }

    /// Of each partition the earliest offset that is kept, and the tail.
    pub(super) fn ends(&self, topic: &Topic) -> Result<Vec<(Offset, Offset)>, LogError> {
        topic.partitions().map(|(at, _)| self.end(topic, at)).collect()
    }

    /// The earliest offset that a partition keeps, and its tail.
    pub(super) fn end(&self, topic: &Topic, at: At) -> Result<(Offset, Offset), LogError> {
        let (earliest, end) = self.window(topic, at)?;
        Ok((earliest, self.follower.tail(at, end).max(earliest)))
    }

    pub(super) fn read(
        &self,
        topic: &Topic,
        at: At,
        from: Offset,
        max: ReadLimit,
    ) -> Result<Records, LogError> {
        // if it is gone, what is known of the end is not so any more
        if let Some(end) = self.known_end(at, from)
            && let Some(records) = self.read_range(topic, Range { at, from, end }, max)?
        {
            return Ok(records);
        }
        let (earliest, end) = self.window(topic, at)?;
        if from < earliest {
            return Err(LogError::Trimmed { earliest });
        }
        let tail = self.shared.tails.settled(at, end).unwrap_or(end);
        if from >= tail || max.events == 0 {
            return Ok(Records::default());
        }
        match self.read_range(topic, Range { at, from, end: tail }, max)? {
            Some(records) => Ok(records),
            None => Err(LogError::Trimmed { earliest: self.window(topic, at)?.0 }),
        }
    }

    /// The events of a range; none: where it begins there is nothing any more.
    fn read_range(&self, topic: &Topic, range: Range, max: ReadLimit) -> Result<Option<Records>, LogError> {
        match self.readers.read(topic, range, max) {
            Ok(records) => Ok(Some(records)),
            Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset)) => Ok(None),
            Err(error) => Err(self.in_words("read topic", &topic.name, &error)),
        }
    }

    /// How far a partition can be read, where a read goes on at `from`, without asking the brokers.
    fn known_end(&self, at: At, from: Offset) -> Option<Offset> {
        let known = self.shared.tails.known(at);
        (from < known && self.readers.has_come_to(at, from)).then_some(known)
    }

    /// Lets go of what is kept of a partition that is trimmed.
    pub(super) fn forget(&self, at: At) {
        self.readers.forget(at);
        self.shared.recent.forget(at);
    }

    pub(super) fn offset_at(&self, topic: &Topic, at: At, time: Millis) -> Result<Offset, LogError> {
        let found = self.follower.offset_at(topic, at, time);
        match found.map_err(|error| self.in_words("look a time up in topic", &topic.name, &error))? {
            Some(found) => self.first_since(topic, at, found, time),
            None => Ok(self.end(topic, at)?.1),
        }
    }

    /// The first event from `next` on that is not earlier than `time`; if there is none, the tail. What Kafka finds by a time
    /// may be the mark of a transaction, which has the time of its own commit.
    fn first_since(&self, topic: &Topic, at: At, mut next: Offset, time: Millis) -> Result<Offset, LogError> {
        loop {
            let page = self.read(topic, at, next, ReadLimit::default())?;
            if let Some(found) = page.iter().find(|event| event.meta.time >= time) {
                return Ok(found.meta.offset);
            }
            match page.last() {
                Some(last) => next = last.meta.offset.next(),
                None => return Ok(self.end(topic, at)?.1),
            }
        }
    }

    /// The earliest offset that a partition keeps, and the first that cannot be read yet.
    pub(super) fn window(&self, topic: &Topic, at: At) -> Result<(Offset, Offset), LogError> {
        let window = self.follower.window(topic, at);
        window.map_err(|error| self.in_words("look at topic", &topic.name, &error))
    }

    pub(super) fn in_words(&self, operation: &str, name: &str, error: &KafkaError) -> LogError {
        let operation = [operation, name].join(" ");
        self.clients.words.unavailable(operation.trim_end(), error)
    }
}
