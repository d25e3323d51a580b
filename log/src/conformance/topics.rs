//! Topics: created once, described as they are.

use super::{Fixture, spec};
use crate::LogError;
use std::time::Duration;
use weir_schema::{Offset, Partitioner};

/// Creating a topic that exists with the same spec returns it, events and all.
pub async fn the_same_topic_again_is_the_one_that_is_there(f: &Fixture) {
    let first = f.topic("orders", 3).await;
    f.append(first.partitions().next().expect("three"), &["a"]).await;
    let again = f.topic("orders", 3).await;
    assert_eq!((again.id, &again.tail), (first.id, &vec![Offset(1), Offset(0), Offset(0)]));
    assert_ne!(f.topic("others", 3).await.id, first.id);
}

/// Partitions are fixed at creation, and so is the partitioner, but for logs that say otherwise.
pub async fn another_shape_of_a_topic_is_refused(f: &Fixture) {
    let refuse = async |other: &crate::TopicSpec| {
        let error = f.log.create_topic(other).await.expect_err("it has another shape");
        assert!(matches!(error, LogError::AlreadyExists(_)), "{error:?}");
    };
    let there = f.topic("orders", 3).await;
    refuse(&spec("orders", 4)).await;
    let crc32 = crate::TopicSpec { partitioner: Partitioner::Crc32, ..spec("orders", 3) };
    if f.log.capabilities().takes_partitioner {
        let taken = f.log.create_topic(&crc32).await.expect("it takes another partitioner");
        assert_eq!((taken.id, &taken.spec), (there.id, &crc32));
        assert_eq!(f.log.topics().await.expect("listed")[0].spec, crc32);
    } else {
        refuse(&crc32).await;
    }
}

/// Retention may change: the last one given counts.
pub async fn retention_given_again_is_taken_over(f: &Fixture) {
    for retention in [Some(Duration::from_secs(60)), Some(Duration::from_millis(1)), None] {
        let wanted = crate::TopicSpec { retention, ..spec("orders", 1) };
        assert_eq!(f.log.create_topic(&wanted).await.expect("created").spec.retention, retention);
        assert_eq!(f.log.topics().await.expect("listed")[0].spec, wanted);
    }
}

/// `topics` lists by name, with the earliest offset and the tail of each partition, and bytes.
pub async fn topics_tell_their_offsets_and_bytes(f: &Fixture) {
    let (b, a) = (f.topic("b", 2).await, f.topic("a", 1).await);
    f.append(b.partitions().nth(1).expect("two"), &["12345", "123"]).await;
    let topics = f.log.topics().await.expect("listed");
    assert_eq!(topics.iter().map(|t| t.id).collect::<Vec<_>>(), [a.id, b.id]);
    assert_eq!(topics[1].tail, [Offset(0), Offset(2)]);
    assert_eq!(topics[1].earliest, [Offset(0), Offset(0)]);
    assert_eq!((topics[0].bytes, topics[1].bytes), (0, f.bytes(8)));
}
