//! Topics that had events before the log knew them, and how far another application has come in them.
//!
//! Which of these events a new trigger is to handle, the log cannot know: it may be that none was handled, or all. That a
//! topic is such a one is kept in the store from the moment the log first meets it. What another application has
//! handled, as an older version of this one on another platform, Kafka knows by its consumer group.

use super::clients::{ANSWER, Clients, patiently};
use super::mirror::{Topic, number, offset};
use super::notes::{self, Notes};
use crate::store::Store;
use crate::{CommitError, LogError};
use bytes::Bytes;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::{Offset as Place, TopicPartitionList};
use weir_schema::{At, Offset, Op, StateKey, TopicName};

/// The table. Key: the topic's name in the log.
const TABLE: &str = "_weir_foreign";

/// Keeps that `topic` is one.
pub(super) async fn note(notes: &Notes, topic: &TopicName) -> Result<(), CommitError> {
    notes.write(vec![(key(topic), Op::Put { value: Bytes::from_static(b"1"), expires: None })]).await
}

/// Whether `topic` is one.
pub(super) async fn is_foreign(store: &dyn Store, topic: &TopicName) -> Result<bool, LogError> {
    Ok(store.get(&[key(topic)]).await?.iter().any(Option::is_some))
}

/// How far the consumer group `group` has come in each partition of `topic`, none where it has not begun; and whether
/// members of it are there now.
pub(super) fn progress(
    clients: &Clients,
    group: &str,
    topic: &Topic,
) -> Result<(Vec<(At, Option<Offset>)>, bool), KafkaError> {
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
    let groups = consumer.fetch_group_list(Some(group), ANSWER)?;
    let is_alive = groups.groups().iter().any(|group| !group.members().is_empty());
    Ok((topic.partitions().map(|(at, _)| (at, place(at))).collect(), is_alive))
}

fn key(topic: &TopicName) -> StateKey {
    notes::key(TABLE, Bytes::copy_from_slice(topic.as_str().as_bytes()))
}
