//! Topics that keep the last event of each key: what others have overwritten is gone.

use super::opened::open;
use super::outside::{make_with, open_producer};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{Offset as Place, TopicPartitionList};
use std::time::{Duration, Instant};
use weir_log::ReadLimit;
use weir_log::conformance::Fixture;
use weir_log::conformance::broker::Prefix;
use weir_schema::{At, Millis, Offset};

const PATIENCE: Duration = Duration::from_secs(90);
/// A segment is closed by an event that is so much later than its first, and only closed ones are compacted.
const SEGMENT: i64 = 10_000;
/// For a topic that is compacted at once, and keeps no trace of what was deleted.
const COMPACTED: [(&str, &str); 5] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "1000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("min.compaction.lag.ms", "0"),
    ("delete.retention.ms", "0"),
];
/// The log's events, where others were: the last of the keys that are still there, and what closed segments.
const LEFT: [u64; 7] = [195, 196, 197, 198, 199, 205, 206];

type Producer = ThreadedProducer<DefaultProducerContext>;

struct Topic {
    prefix: Prefix,
    name: String,
    producer: Producer,
}

impl Topic {
    async fn make() -> Self {
        let prefix = Prefix::compacting().await;
        let name = prefix.topic("events");
        make_with(&prefix, &name, 1, &COMPACTED).await;
        let producer = open_producer(&prefix, &[]);
        Self { prefix, name, producer }
    }

    /// Ten keys, each written twenty times; the first five are deleted.
    fn fill(&self) {
        let values = (0..200).map(|n| (n % 10, Some(format!("{n}"))));
        let deletions = (0..5).map(|key| (key, None));
        for (time, (key, value)) in (1..).zip(values.chain(deletions)) {
            self.produce(&self.producer, &format!("k{key}"), value.as_deref(), time);
        }
        self.producer.flush(PATIENCE).expect("all are delivered");
    }

    fn send(&self, key: &str, value: Option<&str>, time: i64) {
        self.produce(&self.producer, key, value, time);
        self.producer.flush(PATIENCE).expect("it is delivered");
    }

    fn produce(&self, producer: &Producer, key: &str, value: Option<&str>, time: i64) {
        let mut event = BaseRecord::to(&self.name).partition(0).key(key).timestamp(time);
        event.payload = value;
        producer.send(event).map_err(|(error, _)| error).expect("it is sent");
    }

    /// Appends what nobody will ever read.
    fn send_in_vain(&self, time: i64) {
        let producer = open_producer(&self.prefix, &[("transactional.id", &self.name)]);
        producer.init_transactions(PATIENCE).expect("it has a name");
        producer.begin_transaction().expect("it begins");
        self.produce(&producer, "vain", Some("x"), time);
        producer.flush(PATIENCE).expect("it is delivered");
        producer.abort_transaction(PATIENCE).expect("it is taken back");
    }

    /// Waits until the broker has none of these events.
    fn await_gone(&self, gone: impl Fn(u64) -> bool) {
        let patience = Instant::now() + PATIENCE;
        while let Some(there) = self.offsets().into_iter().find(|offset| gone(*offset)) {
            assert!(Instant::now() < patience, "the broker still has {there}");
        }
    }

    /// Where the broker has events.
    fn offsets(&self) -> Vec<u64> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.prefix.brokers()).set("group.id", "looks");
        config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(&self.name, 0, Place::Beginning).expect("it is a place");
        consumer.assign(&place).expect("it reads");
        let mut found = Vec::new();
        while let Some(Ok(event)) = consumer.poll(PATIENCE) {
            found.push(event.offset().cast_unsigned());
        }
        found
    }

    /// As [`Self::fill`], and compacted.
    fn compact(&self) {
        self.fill();
        self.send("last", Some("a"), SEGMENT);
        // the second time it goes through, deleted keys leave no trace
        self.await_gone(|offset| offset < 195);
        self.send("end", Some("b"), SEGMENT * 2);
        self.await_gone(|offset| !LEFT.contains(&offset));
    }
}

/// The offsets that reads give from `from` on, `limit` events at a time.
async fn walk(f: &Fixture, at: At, from: u64, limit: usize) -> Vec<u64> {
    let (mut found, mut next) = (Vec::new(), Offset(from));
    loop {
        let page = f.log.read(at, next, ReadLimit { events: limit, bytes: 1 << 20 }).await.expect("read");
        let Some(last) = page.last() else { return found };
        found.extend(page.iter().map(|event| event.meta.offset.0));
        next = last.meta.offset.next();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_and_times_pass_over_what_was_compacted_away() {
    let topic = Topic::make().await;
    tokio::task::block_in_place(|| topic.compact());
    let f = open(&topic.prefix).await;
    let at = f.partition().await;
    let info = f.log.topics().await.expect("listed").remove(0);
    assert_eq!((info.earliest, info.tail), (vec![Offset(0)], vec![Offset(207)]));
    for limit in [1, 3, 1000] {
        assert_eq!(walk(&f, at, 0, limit).await, LEFT);
        assert_eq!(walk(&f, at, 42, limit).await, LEFT);
        assert_eq!(walk(&f, at, 200, limit).await, [205, 206]);
    }
    for (time, offset) in
        [(1, 195), (150, 195), (198, 197), (201, 205), (SEGMENT + 1, 206), (SEGMENT * 3, 207)]
    {
        assert_eq!(f.log.offset_at(at, Millis(time)).await.expect("found"), Offset(offset), "at {time}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_open_goes_on_behind_what_is_compacted_away_meanwhile() {
    let topic = Topic::make().await;
    let f = open(&topic.prefix).await;
    let at = f.partition().await;
    let first = ReadLimit { events: 10, bytes: 1 << 20 };
    let walked =
        async |from| f.log.read(at, Offset(from), first).await.expect("read").last().map(|e| e.meta.offset.0);
    tokio::task::block_in_place(|| topic.fill());
    let is_there = |hint: &weir_log::Hint| hint.tails.get(&at) == Some(&Offset(205));
    f.log.watch().wait_for(is_there).await.expect("the log is open");
    assert_eq!(walked(0).await, Some(9));
    tokio::task::block_in_place(|| topic.send("last", Some("a"), SEGMENT));
    tokio::task::block_in_place(|| topic.await_gone(|offset| offset < 195));
    assert_eq!(walk(&f, at, 10, 10).await.last(), Some(&205));
    assert_eq!(walked(11).await.map(|last| last >= 199), Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_whose_last_events_are_gone_has_an_end_and_takes_new_ones() {
    let topic = Topic::make().await;
    // every key is deleted, and nothing that can be read closes the segment
    tokio::task::block_in_place(|| {
        topic.send("a", Some("1"), 1);
        topic.send("b", Some("1"), 2);
        (3..103).for_each(|time| topic.send("a", None, time));
        topic.send_in_vain(SEGMENT);
        topic.await_gone(|offset| offset != 1 && offset < 102);
        topic.send_in_vain(SEGMENT * 2);
        topic.await_gone(|offset| offset != 1);
    });
    let f = open(&topic.prefix).await;
    let at = f.partition().await;
    let info = f.log.topics().await.expect("listed").remove(0);
    let tail = info.tail[0];
    assert_eq!(walk(&f, at, 0, 1000).await, [1]);
    assert_eq!(walk(&f, at, 2, 1000).await, [0; 0]);
    assert_eq!(f.log.offset_at(at, Millis(3)).await.expect("found"), tail);
    tokio::task::block_in_place(|| topic.send("c", Some("1"), SEGMENT * 2));
    f.log.watch().wait_for(|hint| hint.tails.get(&at) > Some(&tail)).await.expect("the log is open");
    assert_eq!(walk(&f, at, 2, 1000).await, [tail.0]);
}
