//! The log's topics: their numbers in the store, their names in Kafka.

use crate::{TopicInfo, TopicSpec};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use weir_schema::{At, TopicId, TopicName};

/// A topic that is in Kafka and, without events, in the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Topic {
    pub(super) id: TopicId,
    /// In Kafka.
    pub(super) name: String,
    pub(super) spec: TopicSpec,
}

/// The topics that this process knows.
#[derive(Debug)]
pub(super) struct Mirror {
    prefix: String,
    maps: RwLock<Maps>,
}

#[derive(Default, Debug)]
struct Maps {
    by_id: HashMap<TopicId, Arc<Topic>>,
    by_name: HashMap<String, Arc<Topic>>,
}

impl Mirror {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), maps: RwLock::default() }
    }

    /// What a topic is called in Kafka.
    pub(super) fn name_of(&self, topic: &TopicName) -> String {
        format!("{}_{topic}", self.prefix)
    }

    /// Takes a topic of the store's in, or what has changed of it.
    pub(super) fn add(&self, info: &TopicInfo) -> Arc<Topic> {
        let topic = Arc::new(self.named(info));
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        maps.by_id.insert(info.id, topic.clone());
        maps.by_name.insert(topic.name.clone(), topic.clone());
        topic
    }

    /// A topic of the store's with its name in Kafka.
    pub(super) fn named(&self, info: &TopicInfo) -> Topic {
        Topic { id: info.id, name: self.name_of(&info.spec.name), spec: info.spec.clone() }
    }

    /// The topic of a partition, if it has that partition.
    pub(super) fn topic(&self, at: At) -> Option<Arc<Topic>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        maps.by_id.get(&at.topic).filter(|topic| at.partition < topic.spec.partitions).cloned()
    }

    /// Every topic that is known.
    pub(super) fn all(&self) -> Vec<Arc<Topic>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        maps.by_id.values().cloned().collect()
    }

    /// The number of the topic that Kafka calls `name`.
    pub(super) fn id(&self, name: &str) -> Option<TopicId> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        maps.by_name.get(name).map(|topic| topic.id)
    }

    /// The topic that Kafka calls `name`.
    pub(super) fn by_name(&self, name: &str) -> Option<Arc<Topic>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        maps.by_name.get(name).cloned()
    }
}

impl Topic {
    /// Its partitions, with their numbers as Kafka's clients take them.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (At, i32)> + use<> {
        let topic = self.id;
        (0..self.spec.partitions).map(move |partition| (At { topic, partition }, number(partition)))
    }
}

/// A partition's number as Kafka's clients take it.
pub(super) fn number(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

/// An offset as Kafka's clients give it; what is none is the first.
pub(super) fn offset(offset: i64) -> weir_schema::Offset {
    weir_schema::Offset(u64::try_from(offset).unwrap_or(0))
}
