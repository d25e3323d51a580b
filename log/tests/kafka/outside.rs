//! Events of producers that know nothing of the log, and topics that were there before it.

use super::opened::open;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::time::Duration;
use weir_log::conformance::broker::Prefix;
use weir_log::conformance::{Fixture, spec};
use weir_log::{LogError, ReadLimit};
use weir_schema::{At, Offset};

pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn admin(prefix: &Prefix) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", prefix.brokers()).create().expect("a client")
}

pub(super) async fn make(prefix: &Prefix, topic: &str, partitions: i32) {
    make_with(prefix, topic, partitions, &[]).await;
}

pub(super) async fn make_with(prefix: &Prefix, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
    let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let topic = settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
    let made = admin(prefix).create_topics([&topic], &AdminOptions::new()).await.expect("the broker answers");
    made[0].as_ref().expect("the topic is made");
}

pub(super) async fn delete(prefix: &Prefix, topic: &str) {
    let deleted = admin(prefix).delete_topics(&[topic], &AdminOptions::new()).await;
    deleted.expect("the broker answers")[0].as_ref().expect("it is deleted");
}

/// A log with a topic of one partition that others have made, and its name in Kafka.
async fn made_by_others() -> (Prefix, String, Fixture, At) {
    let prefix = Prefix::fresh();
    let (name, f) = (prefix.topic("events"), open(&prefix).await);
    make(&prefix, &name, 1).await;
    let at = f.partition().await;
    (prefix, name, f, at)
}

pub(super) fn open_producer(
    prefix: &Prefix,
    settings: &[(&str, &str)],
) -> ThreadedProducer<DefaultProducerContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", prefix.brokers());
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create().expect("a producer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_others_are_read_as_they_are_and_watchers_hear_of_them() {
    let (prefix, name, f, at) = made_by_others().await;
    let mut news = f.log.watch();
    let producer = open_producer(&prefix, &[]);
    let send = |record: BaseRecord<'_, [u8], [u8]>| {
        producer.send(record).map_err(|(error, _)| error).expect("it is sent");
    };
    let headers = OwnedHeaders::new().insert(Header { key: "traceparent", value: Some("00-x") });
    let first = BaseRecord::to(&name).key(&b"\xff\0"[..]).payload(&b"no json"[..]);
    send(first.headers(headers).timestamp(42));
    send(BaseRecord::to(&name).key(&b"gone"[..]));
    producer.flush(PATIENCE).expect("both are delivered");
    let is_there = |hint: &weir_log::Hint| hint.tails.get(&at) == Some(&Offset(2));
    news.wait_for(is_there).await.expect("the log is open");
    let records = f.log.read(at, Offset(0), ReadLimit::default()).await.expect("read");
    let got: Vec<_> = records.iter().map(|record| (record.key(), record.value())).collect();
    assert_eq!(got, [(Some(&b"\xff\0"[..]), Some(&b"no json"[..])), (Some(&b"gone"[..]), None)]);
    let first = records.get(0).expect("two");
    assert_eq!((first.header("traceparent"), first.meta.time.0), (Some(&b"00-x"[..]), 42));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_there_is_taken_with_its_partitions_or_not_at_all() {
    let prefix = Prefix::fresh();
    let f = open(&prefix).await;
    make(&prefix, &prefix.topic("orders"), 3).await;
    let refused = f.log.create_topic(&spec("orders", 2)).await.expect_err("it has three partitions");
    assert!(
        matches!(&refused, LogError::AlreadyExists(words) if words.contains("3 partitions")),
        "{refused}"
    );
    assert_eq!(f.topic("orders", 3).await.tail, [Offset(0); 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_kafka_takes_for_another_is_refused_with_that_one() {
    let prefix = Prefix::fresh();
    let f = open(&prefix).await;
    f.topic("a.b", 1).await;
    let refused = f.log.create_topic(&spec("a_b", 1)).await.expect_err("Kafka takes . and _ for the same");
    assert!(refused.to_string().contains(&format!("{}_a.b", prefix.name())), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_whose_name_is_no_text_is_left_out_and_the_event_is_read() {
    let (prefix, name, f, at) = made_by_others().await;
    let mut kcat = Command::new("kcat")
        .args(["-P", "-b", prefix.brokers(), "-t", &name, "-H", "a=1", "-H"])
        .arg(OsStr::from_bytes(b"\xff=2"))
        .stdin(Stdio::piped())
        .spawn()
        .expect("kcat is installed (Debian: apt-get install kcat)");
    kcat.stdin.take().expect("it reads").write_all(b"value\n").expect("it takes the event");
    assert!(kcat.wait().expect("it ends").success());
    let records = f.log.read(at, Offset(0), ReadLimit::default()).await.expect("read");
    let event = records.get(0).expect("one");
    let headers: Vec<_> = event.headers().collect();
    assert_eq!((event.value(), headers), (Some(&b"value"[..]), vec![("a", &b"1"[..])]));
}
