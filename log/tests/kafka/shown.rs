//! Positions as Kafka's consumer groups: those that the log shows, and those that it begins at.

use super::altered::assigned;
use super::opened::{opened, options, store_in};
use super::outside::make;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset as Place, TopicPartitionList};
use std::path::Path;
use std::time::Duration;
use weir_log::conformance::broker::{Broker, Prefix};
use weir_log::conformance::{Fixture, group};
use weir_log::{FirstPosition, KafkaOptions, TopicInfo};
use weir_schema::{At, GroupName, Offset};

const PATIENCE: Duration = Duration::from_secs(30);

async fn open(prefix: &Prefix, folder: &Path) -> Fixture {
    let consumer_group = Some(prefix.name().to_owned());
    opened(KafkaOptions { consumer_group, ..options(prefix, store_in(folder)) }).await
}

/// What Kafka's own tool tells of a group: position, end and lag of the first partition; none: there is no such group.
fn told(prefix: &Prefix, group: &str) -> Option<[String; 3]> {
    let mut tool = prefix.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand");
    let output = tool.args(["--describe", "--group", group]).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("it is text");
    let row = text.lines().find(|line| line.starts_with(&format!("{group} ")))?;
    let columns: Vec<_> = row.split_whitespace().map(str::to_owned).collect();
    Some([columns[3].clone(), columns[4].clone(), columns[5].clone()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tools_of_kafka_tell_the_lag_of_triggers_and_forget_those_that_are_forgotten() {
    let (prefix, folder) = (Prefix::fresh(), tempfile::tempdir().expect("a folder is made"));
    let f = open(&prefix, folder.path()).await;
    let at = f.partition().await;
    // two in one: a mark of their transaction comes behind them
    f.append(at, &["a", "b"]).await;
    let join = async |group: &GroupName, position| {
        let mut membership = f.log.join(group, &[(at, Offset(position))]).await.expect("joined");
        assert_eq!(assigned(&mut membership, at).await, Offset(position));
    };
    let (done, behind, replay) = (group("events/done"), group("events/behind"), group("events/x@replay-1"));
    join(&done, 2).await;
    join(&behind, 1).await;
    join(&replay, 1).await;
    f.log.close().await.expect("closed");
    let of = |name: &str| told(&prefix, &format!("{}.events.{name}", prefix.name()));
    assert_eq!(of("done"), Some(["3", "3", "0"].map(str::to_owned)));
    assert_eq!(of("behind"), Some(["1", "3", "2"].map(str::to_owned)));
    assert_eq!(of("x@replay-1"), None);
    let f = open(&prefix, folder.path()).await;
    f.log.forget(&done).await.expect("forgotten");
    assert_eq!(of("done"), None);
}

/// One answer of brokers may take ten seconds: were each group waited for, it would take longer than [`PATIENCE`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_brokers_are_away_is_closed_without_waiting_for_each_group_that_has_moved() {
    let (mut broker, folder) =
        (Broker::own().expect("a broker starts"), tempfile::tempdir().expect("a folder is made"));
    let consumer_group = Some("away".to_owned());
    let store = store_in(folder.path());
    let f =
        opened(KafkaOptions { consumer_group, ..KafkaOptions::new(broker.brokers(), "away", store) }).await;
    let at = f.partition().await;
    f.append(at, &["a", "b"]).await;
    let mut memberships = Vec::new();
    for n in 0..8 {
        let name = group(&format!("events/{n}"));
        memberships.push(f.log.join(&name, &[(at, Offset(1))]).await.expect("joined"));
    }
    broker.kill(0).expect("it runs");
    let closed = tokio::time::timeout(PATIENCE, f.log.close()).await;
    assert!(matches!(closed, Ok(Ok(()))), "{closed:?}");
}

/// Puts three events into each partition of a topic of others.
async fn fill(prefix: &Prefix, topic: &str) {
    make(prefix, topic, 2).await;
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", prefix.brokers()).create().expect("a producer");
    for partition in [0, 0, 0, 1, 1, 1] {
        let record = BaseRecord::<(), _>::to(topic).partition(partition).payload("x");
        producer.send(record).map_err(|(error, _)| error).expect("it is sent");
    }
    producer.flush(PATIENCE).expect("all are delivered");
}

/// Commits a position in the first partition, as an application does that has handled what is before it.
fn handled(prefix: &Prefix, topic: &str, up_to: i64) {
    let group = prefix.name();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", prefix.brokers()).set("group.id", group);
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut places = TopicPartitionList::new();
    places.add_partition_offset(topic, 0, Place::Offset(up_to)).expect("a place");
    consumer.commit(&places, CommitMode::Sync).expect("the position is committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_topic_that_others_have_filled_nobody_knows_where_to_begin_but_their_group() {
    let (prefix, folder) = (Prefix::fresh(), tempfile::tempdir().expect("a folder is made"));
    let f = open(&prefix, folder.path()).await;
    let first = async |f: &Fixture, topic: &TopicInfo| f.log.first_position(topic).await.expect("told");
    let own = f.topic("own", 1).await;
    f.append(At { topic: own.id, partition: 0 }, &["a"]).await;
    let own = f.topic("own", 1).await;
    assert_eq!(first(&f, &own).await, FirstPosition::Usual);
    let empty = prefix.topic("empty");
    make(&prefix, &empty, 2).await;
    assert_eq!(first(&f, &f.topic("empty", 2).await).await, FirstPosition::Usual);
    let orders = prefix.topic("orders");
    fill(&prefix, &orders).await;
    let topic = f.topic("orders", 2).await;
    assert_eq!(first(&f, &topic).await, FirstPosition::Unknown);
    handled(&prefix, &orders, 2);
    f.log.close().await.expect("closed");
    let f = open(&prefix, folder.path()).await;
    let [one, other] = [0, 1].map(|partition| At { topic: topic.id, partition });
    // where it has not begun, it would have begun with the first event
    let positions = vec![(one, Offset(2)), (other, Offset(0))];
    let expected = FirstPosition::After { who: prefix.name().to_owned(), positions };
    assert_eq!(first(&f, &topic).await, expected);
}
