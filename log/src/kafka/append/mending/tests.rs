//! What real brokers would have to be brought to is what played ones are told to answer.

use super::*;
use crate::conformance::broker::Prefix;
use crate::kafka::append::{Appender, message};
use crate::kafka::clients::Clients;
use crate::kafka::mirror::Topic;
use crate::kafka::opening::reach;
use crate::kafka::pending::Entered;
use crate::kafka::shared::Shared;
use crate::{Commit, Driver, KafkaOptions, ManualClock, TopicInfo, TopicSpec};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, DefaultProducerContext};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use weir_schema::{
    CatalogVersion, Partitioner, Records, RecordsBuilder, TopicId, TopicName, Transaction, TxnId,
};

const AT: At = At { topic: TopicId(1), partition: 0 };
const NOW: Millis = Millis(1_700_000_000_000);

struct Appending {
    parts: Arc<Parts>,
    topic: Arc<Topic>,
    appender: Appender,
}

fn events(values: &[&str]) -> Records {
    let mut builder = RecordsBuilder::default();
    values.iter().for_each(|value| builder.push(AT, None, Some(value.as_bytes()), []));
    builder.build()
}

type Played = MockCluster<'static, DefaultProducerContext>;

fn played() -> Played {
    let brokers = MockCluster::new(1).expect("brokers are played");
    brokers.create_topic("played_events", 1, 1).expect("the topic is made");
    brokers
}

impl Appending {
    /// To brokers that are played.
    async fn to(brokers: &Played) -> Self {
        let options = KafkaOptions::new(brokers.bootstrap_servers(), "played", Driver::Memory);
        Self::with(options, false).await
    }

    async fn with(options: KafkaOptions, makes: bool) -> Self {
        let (clients, shared) = (Clients::new(options.clone()), Arc::new(Shared::new(&options.prefix)));
        let parts = Arc::new(reach(&clients, shared.clone()).expect("the brokers are reached"));
        let name = TopicName::new("events").expect("valid");
        let spec = TopicSpec { name, partitions: 1, partitioner: Partitioner::Murmur2, retention: None };
        if makes {
            let name = shared.mirror.name_of(&spec.name);
            parts.topics.make(&name, &spec).await.expect("the topic is made");
            parts.await_leaders(&name, 1).expect("it has a leader");
        }
        let info = TopicInfo { id: AT.topic, spec, earliest: Vec::new(), tail: Vec::new(), bytes: 0 };
        let topic = shared.mirror.add(&info);
        parts.follow(&topic).expect("the topic is followed");
        let (handle, clock) = (Handle::current(), Arc::new(ManualClock::new(NOW)));
        let appender = Appender::open(parts.clone(), handle, clock).expect("the producer is opened");
        Self { parts, topic, appender }
    }

    fn enter(&self, id: u64) -> Commit {
        match self.parts.shared.pending.enter(&Transaction::new(TxnId(id), CatalogVersion(0))) {
            Entered::New(commit) | Entered::Known(commit) => commit,
        }
    }

    async fn append(&self, id: u64, value: &str) -> Offset {
        let commit = self.enter(id);
        self.appender.send(&self.parts.shared, TxnId(id), self.topic.clone(), AT, events(&[value]));
        offset(commit).await
    }

    /// Fails an event of a producer's that it had with the time [`NOW`].
    async fn fail(&self, id: u64, value: &str) -> Offset {
        let commit = self.enter(id);
        let (topic, shared) = (self.topic.clone(), self.parts.shared.clone());
        let event = events(&[value]);
        let sent = Box::new(Sent { id: TxnId(id), topic, at: AT, event, time: Some(NOW), shared });
        self.appender.line.fail(sent);
        offset(commit).await
    }

    fn values(&self) -> Vec<String> {
        let read = self.parts.read(&self.topic, AT, Offset(0), ReadLimit::default()).expect("read");
        let value =
            |event: Record<'_>| String::from_utf8_lossy(event.value().expect("it has one")).into_owned();
        read.iter().map(value).collect()
    }
}

async fn offset(commit: Commit) -> Offset {
    let receipt = commit.await.expect("it is committed");
    let place = receipt.offsets().next();
    place.expect("it tells where").1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_on_after_a_producer_has_failed_for_good() {
    let brokers = played();
    let f = Appending::to(&brokers).await;
    assert_eq!(f.append(1, "a").await, Offset(0));
    let broken = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER];
    brokers.request_errors(RDKafkaApiKey::Produce, &broken);
    assert_eq!(f.append(2, "b").await, Offset(1));
    assert_eq!(f.append(3, "c").await, Offset(2));
    assert_eq!(f.values(), ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_had_arrived_is_found_and_not_sent_again() {
    let prefix = Prefix::fresh();
    let options = KafkaOptions::new(prefix.brokers(), prefix.name(), Driver::Memory);
    let f = Appending::with(options, true).await;
    let producer: BaseProducer = f.parts.clients.config(&[]).create().expect("a producer");
    let records = events(&["a"]);
    let event = records.get(0).expect("one");
    producer.send(message(&f.topic, &event, NOW, ())).map_err(|(error, _)| error).expect("it is sent");
    producer.flush(Duration::from_secs(10)).expect("it arrives");
    assert_eq!(f.fail(1, "a").await, Offset(0));
    // the same again, of which the log has been told now
    assert_eq!(f.fail(2, "a").await, Offset(1));
    assert_eq!(f.append(3, "b").await, Offset(2));
    assert_eq!(f.values(), ["a", "a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_waits_when_the_log_is_closed_is_in_doubt() {
    let brokers = played();
    let f = Appending::to(&brokers).await;
    brokers.broker_down(1).expect("it is down");
    let commit = f.enter(1);
    f.appender.send(&f.parts.shared, TxnId(1), f.topic.clone(), AT, events(&["a"]));
    drop(f.appender);
    assert!(matches!(commit.await, Err(CommitError::Ambiguous(_))));
}
