//! Several processes on one log: whichever of them relays, each is told where its own events are.

use std::sync::Arc;
use weir_log::conformance::broker::Prefix;
use weir_log::conformance::places::Schema;
use weir_log::conformance::{Fixture, key, put};
use weir_log::{Driver, KafkaOptions, LogConfig, SystemClock};
use weir_schema::At;

struct Cluster {
    prefix: Prefix,
    schema: Schema,
}

impl Cluster {
    fn new() -> Self {
        Self { prefix: Prefix::fresh(), schema: Schema::fresh() }
    }

    async fn node(&self) -> Fixture {
        let store = Driver::Postgres(self.schema.options());
        let options = KafkaOptions::new(self.prefix.brokers(), self.prefix.name(), store);
        let config = LogConfig { driver: Driver::Kafka(options), app: None, clock: Arc::new(SystemClock) };
        Fixture::new(weir_log::open(config).await.expect("the log is opened"), Arc::default(), ())
    }
}

/// Commits an event with a row, and returns where the receipt says that the event is.
async fn commit(f: &Fixture, at: At, value: &str) -> (u64, String) {
    let mut transaction = f.transaction();
    transaction.appends.push(weir_log::conformance::events(at, &[value]));
    transaction.writes.push(put(&key("t", value), "1", transaction.id));
    let receipt = f.done(transaction).await;
    (receipt.offsets().next().expect("it tells where the event is").1.0, value.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_is_told_where_its_own_events_are() {
    let cluster = Cluster::new();
    let nodes = [cluster.node().await, cluster.node().await];
    let at = nodes[0].partition().await;
    let mut told = Vec::new();
    for round in 0..10 {
        for (n, node) in nodes.iter().enumerate() {
            assert_eq!(node.partition().await, at, "the topic is the same for both");
            told.push(commit(node, at, &format!("{n}-{round}")).await);
        }
    }
    assert_eq!(nodes[0].values(at, 0).await, told);
    assert_eq!(nodes[1].values(at, 0).await, told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_goes_on_when_the_one_that_relays_is_gone() {
    let cluster = Cluster::new();
    let (first, second) = (cluster.node().await, cluster.node().await);
    let at = first.partition().await;
    second.partition().await;
    let mut told = vec![commit(&first, at, "a").await, commit(&second, at, "b").await];
    first.log.close().await.expect("closed");
    told.push(commit(&second, at, "c").await);
    assert_eq!(second.values(at, 0).await, told);
    let third = cluster.node().await;
    third.partition().await;
    drop(second);
    told.push(commit(&third, at, "d").await);
    assert_eq!(third.values(at, 0).await, told);
}
