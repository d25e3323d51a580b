//! A broker for the benches, logs on it, and clients of its own kind beside them.

use crate::store::{Log, value};
use crate::trigger::KEYS;
use anyhow::{anyhow, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use weir_log::conformance::broker::Broker;
use weir_log::{Driver, KafkaOptions, ReadLimit, TopicInfo};

/// Of each topic.
pub(crate) const PARTITIONS: u32 = 4;
/// How long something may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker that ends with this process.
#[derive(Debug)]
pub(crate) struct Kafka {
    broker: Broker,
    logs: AtomicU32,
}

impl Kafka {
    pub(crate) fn start() -> anyhow::Result<Self> {
        Ok(Self { broker: Broker::fast().map_err(|e| anyhow!(e))?, logs: AtomicU32::new(0) })
    }

    pub(crate) fn brokers(&self) -> &str {
        self.broker.brokers()
    }

    /// A prefix for a new log.
    fn fresh(&self) -> String {
        format!("bench-{}-{}", std::process::id(), self.logs.fetch_add(1, Ordering::Relaxed))
    }

    /// The log of a prefix, with its store in `folder`.
    pub(crate) async fn log(&self, prefix: &str, folder: &Path) -> anyhow::Result<Log> {
        let store = Driver::sqlite(folder.join("store.db"));
        Log::open(Driver::Kafka(KafkaOptions::new(self.brokers(), prefix, store))).await
    }

    /// Makes topics, as a log would; returns its prefix.
    pub(crate) async fn topics(&self, names: &[&str]) -> anyhow::Result<String> {
        let (prefix, folder) = (self.fresh(), tempfile::tempdir()?);
        let log = self.log(&prefix, folder.path()).await?;
        for name in names {
            log.topic(name, PARTITIONS).await?;
        }
        log.session.log().close().await?;
        Ok(prefix)
    }

    /// A client's settings.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers());
        config
    }

    /// Reads all partitions of a topic, from the beginning, what is committed of them.
    pub(crate) fn reader(&self, topic: &str, group: &str) -> anyhow::Result<BaseConsumer> {
        let mut config = self.client();
        config.set("group.id", group).set("isolation.level", "read_committed");
        config.set("enable.auto.commit", "false").set("fetch.queue.backoff.ms", "5");
        let consumer: BaseConsumer = config.create()?;
        let mut places = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            places.add_partition_offset(topic, partition.cast_signed(), Offset::Beginning)?;
        }
        consumer.assign(&places)?;
        Ok(consumer)
    }
}

/// Writes events as a stranger does, each with the number of its own as `id`.
pub(crate) struct Feed {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
    next: u64,
}

impl Feed {
    pub(crate) fn new(kafka: &Kafka, topic: &str) -> anyhow::Result<Self> {
        let mut config = kafka.client();
        config.set("enable.idempotence", "true").set("linger.ms", "0");
        config.set("queue.buffering.max.messages", "1000000").set("partitioner", "murmur2_random");
        Ok(Self { producer: config.create()?, topic: topic.to_owned(), next: 0 })
    }

    /// Sends one more.
    pub(crate) fn send(&mut self) -> anyhow::Result<()> {
        let (key, value) = (format!("key-{:06}", self.next % KEYS), value(self.next));
        let event = BaseRecord::to(&self.topic).key(&key).payload(&value);
        self.producer.send(event).map_err(|(error, _)| error)?;
        self.next += 1;
        Ok(())
    }

    /// Sends so many more, and waits until all are there.
    pub(crate) fn fill(&mut self, events: u64) -> anyhow::Result<()> {
        (0..events).try_for_each(|_| self.send())?;
        Ok(self.producer.flush(PATIENCE)?)
    }
}

/// Reads a topic page by page to its end; returns how many events it has.
pub(crate) async fn read_all(log: &dyn weir_log::Log, topic: &TopicInfo) -> anyhow::Result<u64> {
    let mut events = 0;
    for at in topic.partitions() {
        let mut next = weir_schema::Offset::ZERO;
        loop {
            let page = log.read(at, next, ReadLimit::default()).await?;
            let Some(last) = page.last() else { break };
            next = last.meta.offset.next();
            events += page.len() as u64;
        }
    }
    Ok(events)
}

/// What comes out, each event once.
pub(crate) struct Outputs {
    reader: BaseConsumer,
    /// Whether the event of this number has come.
    seen: Vec<bool>,
}

impl Outputs {
    pub(crate) fn new(kafka: &Kafka, topic: &str) -> anyhow::Result<Self> {
        Ok(Self { reader: kafka.reader(topic, &format!("{topic}-read"))?, seen: Vec::new() })
    }

    /// Waits for the next `count`; tells of each its number and when it came.
    pub(crate) fn next(&mut self, count: u64) -> anyhow::Result<Vec<(u64, Instant)>> {
        let (mut came, mut patience) = (Vec::new(), Instant::now() + PATIENCE);
        while (came.len() as u64) < count {
            ensure!(Instant::now() < patience, "only {} of {count} outputs came", came.len());
            let Some(message) = self.reader.poll(Duration::from_millis(100)) else { continue };
            let message = message?;
            let output: serde_json::Value = serde_json::from_slice(message.payload().unwrap_or_default())?;
            let id = output["id"].as_u64().ok_or_else(|| anyhow!("an output without an id: {output}"))?;
            let index = usize::try_from(id)?;
            self.seen.resize(self.seen.len().max(index + 1), false);
            ensure!(!std::mem::replace(&mut self.seen[index], true), "the output of event {id} came twice");
            came.push((id, Instant::now()));
            patience = Instant::now() + PATIENCE;
        }
        Ok(came)
    }
}
