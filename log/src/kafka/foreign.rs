//! Topics that had events before the log knew them, and how far another application has come in them.
//!
//! Which of these events a new trigger is to handle, the log cannot know: it may be that none was handled, or all. That a
//! topic is such a one is kept in the store from the moment the log first meets it. What another application has
//! handled, as an older version of this one on another platform, Kafka knows by its consumer group.

use super::KafkaLog;
use super::clients::{ANSWER, Clients, patiently};
use super::mirror::{Topic, number, offset};
use super::notes;
use crate::{FirstPosition, LogError, TopicInfo, TopicSpec};
use bytes::Bytes;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::{Offset as Place, TopicPartitionList};
use weir_schema::{At, Offset, Op, StateKey, TopicId, TopicName};

/// The table. Key: the topic's name in the log.
const TABLE: &str = "_weir_foreign";

/// How far a consumer group has come in a topic.
struct Progress {
    /// In each partition; none: it has not begun there.
    positions: Vec<(At, Option<Offset>)>,
    /// Whether it has members now.
    is_alive: bool,
}

impl KafkaLog {
    /// Meets a topic that others have made. If it has events, or has had some, that is noted before the store has the topic.
    pub(super) async fn meet(&self, name: &str, spec: &TopicSpec) -> Result<(), LogError> {
        // the store numbers it later
        let topic = Topic { id: TopicId(0), name: name.to_owned(), spec: spec.clone() };
        let window = move |parts: &super::Parts| -> Result<Vec<_>, LogError> {
            topic.partitions().map(|(at, _)| parts.window(&topic, at)).collect()
        };
        if self.work(window).await?.iter().all(|(_, end)| *end == Offset::ZERO) {
            return Ok(());
        }
        let noted = Op::Put { value: Bytes::from_static(b"1"), expires: None };
        self.notes.write(vec![(key(&spec.name), noted)]).await.map_err(|error| LogError::Unavailable {
            operation: format!("note that topic {name} has events"),
            source: error.into(),
            retry: true,
        })
    }

    /// What is known of where a new group of `topic` is to begin.
    pub(super) async fn first(&self, topic: &TopicInfo) -> Result<FirstPosition, LogError> {
        let is_foreign = self.store.get(&[key(&topic.spec.name)]).await?.iter().any(Option::is_some);
        if !is_foreign {
            return Ok(FirstPosition::Usual);
        }
        let Some(who) = self.parts.clients.options.consumer_group.clone() else {
            return Ok(FirstPosition::Unknown);
        };
        let Progress { positions, is_alive } = self.progress(&who, topic).await?;
        if positions.iter().all(|(_, offset)| offset.is_none()) {
            return Ok(FirstPosition::Unknown);
        }
        if is_alive {
            let (group, topic) = (&who, &topic.spec.name);
            tracing::warn!(group, %topic, "the consumer group has members: what they handle from now on is handled here too");
        }
        // where it had not begun it would have begun with the first event
        let begin = |((at, offset), earliest): ((At, Option<Offset>), &Offset)| {
            (at, offset.unwrap_or_default().max(*earliest))
        };
        let positions = positions.into_iter().zip(&topic.earliest).map(begin).collect();
        Ok(FirstPosition::After { who, positions })
    }

    async fn progress(&self, group: &str, topic: &TopicInfo) -> Result<Progress, LogError> {
        let topic = self.topic(At { topic: topic.id, partition: 0 }).await?;
        let group = group.to_owned();
        let ask = move |parts: &super::Parts| {
            let progress = progress(&parts.clients, &group, &topic);
            progress.map_err(|error| parts.in_words("look at the consumer group", &group, &error))
        };
        self.work(ask).await
    }
}

fn progress(clients: &Clients, group: &str, topic: &Topic) -> Result<Progress, KafkaError> {
    let consumer = clients.consumer(&[("group.id", group)])?;
    let mut places = TopicPartitionList::new();
    for (_, partition) in topic.partitions() {
        places.add_partition(&topic.name, partition);
    }
    let committed = patiently(|| consumer.committed_offsets(places.clone(), ANSWER))?;
    let place = |at: At| {
        let found = committed.find_partition(&topic.name, number(at.partition))?;
        if let Place::Offset(place) = found.offset() { Some(offset(place)) } else { None }
    };
    let positions = topic.partitions().map(|(at, _)| (at, place(at))).collect();
    let groups = consumer.fetch_group_list(Some(group), ANSWER)?;
    let is_alive = groups.groups().iter().any(|group| !group.members().is_empty());
    Ok(Progress { positions, is_alive })
}

fn key(topic: &TopicName) -> StateKey {
    notes::key(TABLE, Bytes::copy_from_slice(topic.as_str().as_bytes()))
}
