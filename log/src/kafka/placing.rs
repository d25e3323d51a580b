//! Whether keyed events lie where their topic's partitioner places them. Where others place them otherwise, a key's events are in two
//! partitions: those of others, and those that functions append. Nobody has them in order then.

use super::mirror::{Mirror, Topic};
use rdkafka::message::Message;
use std::collections::{HashMap, HashSet};
use weir_schema::{Partitioner, TopicId};

/// So many events are looked at when a log is opened, and then each one of so many.
const FIRST: u64 = 4096;
const ONE_OF: u64 = 64;
/// So many keys that lie elsewhere are no accident.
const ENOUGH: usize = 5;

const PARTITIONERS: [(Partitioner, &str); 2] =
    [(Partitioner::Murmur2, "murmur2"), (Partitioner::Crc32, "crc32")];

/// See the module's docs.
#[derive(Default, Debug)]
pub(super) struct Placing {
    met: u64,
    topics: HashMap<TopicId, Misplaced>,
}

/// Keys of a topic that lie elsewhere.
#[derive(Default, Debug)]
struct Misplaced {
    keys: HashSet<Vec<u8>>,
    /// How many of them lie where each partitioner places them.
    fitting: [usize; PARTITIONERS.len()],
}

impl Placing {
    /// Looks at an event, if it is its turn; says once for each topic that its events lie elsewhere.
    pub(super) fn look(&mut self, mirror: &Mirror, event: &impl Message) {
        self.met += 1;
        if self.met > FIRST && !self.met.is_multiple_of(ONE_OF) {
            return;
        }
        let topic = mirror.by_name(event.topic());
        let (Some(topic), Some(key), Ok(partition)) = (topic, event.key(), u32::try_from(event.partition()))
        else {
            return;
        };
        if let Some(found) = self.note(&topic, key, partition) {
            warn(&topic, found);
        }
    }

    /// Notes where an event is. When it is clear that others place them otherwise, by which partitioner they do; the inner
    /// none: by none that is known.
    fn note(&mut self, topic: &Topic, key: &[u8], partition: u32) -> Option<Option<&'static str>> {
        let fits = |partitioner: Partitioner| partitioner.partition(key, topic.spec.partitions) == partition;
        if fits(topic.spec.partitioner) {
            return None;
        }
        let misplaced = self.topics.entry(topic.id).or_default();
        if misplaced.keys.len() >= ENOUGH || !misplaced.keys.insert(key.to_vec()) {
            return None;
        }
        for ((partitioner, _), fitting) in PARTITIONERS.iter().zip(&mut misplaced.fitting) {
            *fitting += usize::from(fits(*partitioner));
        }
        let mut others = PARTITIONERS.iter().zip(misplaced.fitting);
        let other = others.find(|(_, fitting)| *fitting == ENOUGH).map(|((_, name), _)| *name);
        (misplaced.keys.len() == ENOUGH).then_some(other)
    }
}

fn warn(topic: &Topic, found: Option<&str>) {
    let name = topic.spec.name.as_str();
    let own = crate::topic::partitioner_name(topic.spec.partitioner);
    let (theirs, remedy) = match found {
        Some(other) => (other, format!("set weir.topics.{name}.partitioner: {other}, or")),
        None => (
            "no partitioner that is known",
            "if they are not older than the topic's last partitions,".to_owned(),
        ),
    };
    tracing::warn!(
        topic = topic.name,
        "keyed events lie where {theirs} places them, and not where {own} does (weir.topics.{name}.partitioner): what \
         functions append under the same keys is in other partitions, so that a key's events are in no order. To mend \
         it, {remedy} let producers place keys as {own} does"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TopicSpec;
    use weir_schema::TopicName;

    const PARTITIONS: u32 = 7;

    fn topic(partitioner: Partitioner) -> Topic {
        let name = TopicName::new("orders").expect("valid");
        let spec = TopicSpec { name, partitions: PARTITIONS, partitioner, retention: None };
        Topic { id: TopicId(1), name: "shop_orders".into(), spec }
    }

    /// What is found of keys that are placed so, after each of them.
    fn found(topic: &Topic, place: impl Fn(&[u8]) -> u32) -> Vec<Option<&'static str>> {
        let mut placing = Placing::default();
        let keys = (0..100).map(|n| format!("key {n}"));
        keys.filter_map(|key| placing.note(topic, key.as_bytes(), place(key.as_bytes()))).collect()
    }

    #[test]
    fn keys_that_lie_where_the_topic_places_them_are_no_news() {
        for (partitioner, _) in PARTITIONERS {
            assert_eq!(found(&topic(partitioner), |key| partitioner.partition(key, PARTITIONS)), []);
        }
    }

    #[test]
    fn the_partitioner_of_others_is_told_once() {
        let (murmur2, crc32) = (topic(Partitioner::Murmur2), topic(Partitioner::Crc32));
        assert_eq!(found(&murmur2, |key| Partitioner::Crc32.partition(key, PARTITIONS)), [Some("crc32")]);
        assert_eq!(found(&crc32, |key| Partitioner::Murmur2.partition(key, PARTITIONS)), [Some("murmur2")]);
    }

    #[test]
    fn keys_that_nobody_places_so_are_told_as_such() {
        assert_eq!(found(&topic(Partitioner::Murmur2), |key| u32::from(key[4]) % PARTITIONS), [None]);
    }

    #[test]
    fn one_key_elsewhere_however_often_may_be_an_accident() {
        let (topic, mut placing) = (topic(Partitioner::Murmur2), Placing::default());
        let other = (topic.spec.partitioner.partition(b"a", PARTITIONS) + 1) % PARTITIONS;
        assert!((0..100).all(|_| placing.note(&topic, b"a", other).is_none()));
    }
}
