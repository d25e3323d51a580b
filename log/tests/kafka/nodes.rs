//! Several processes on one log: whichever of them relays, each is told where its own events are.

use super::opened::{opened, options};
use weir_log::conformance::broker::Prefix;
use weir_log::conformance::ownership::Owner;
use weir_log::conformance::places::Schema;
use weir_log::conformance::{Fixture, add, events, key, put};
use weir_log::{CommitError, Driver};
use weir_schema::{At, Transaction};

struct Cluster {
    prefix: Prefix,
    schema: Schema,
}

impl Cluster {
    fn new() -> Self {
        Self { prefix: Prefix::fresh(), schema: Schema::fresh() }
    }

    async fn node(&self) -> Fixture {
        opened(options(&self.prefix, Driver::Postgres(self.schema.options()))).await
    }
}

/// Commits an event with a row, and returns where the receipt says that the event is.
async fn commit(f: &Fixture, at: At, value: &str) -> (u64, String) {
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &[value]));
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

/// What a node makes of the first event of its partition: it counts it, and says so.
fn handled(node: &Fixture, owner: &mut Owner) -> Transaction {
    let mut transaction = node.transaction();
    transaction.appends.push(events(owner.at, &["handled"]));
    transaction.writes.push(add(&key("t", "sum"), 1, transaction.id));
    (transaction.fence, transaction.advance) = owner.advance(1);
    transaction
}

/// Of two nodes the second takes the partition over from the first, which does not know it yet, and handles its first
/// event; then the first commits what it has made of that event, with or without its epoch. Returns what that came to, and
/// how often the event was counted and handled.
async fn handle_twice(has_epoch: bool) -> (Result<(), CommitError>, Option<String>, usize) {
    let cluster = Cluster::new();
    let (sleeper, other) = (cluster.node().await, cluster.node().await);
    let at = sleeper.partition().await;
    other.partition().await;
    let mut first = Owner::join(&sleeper, "events/f", at).await;
    let mut late = handled(&sleeper, &mut first);
    if !has_epoch {
        (late.fence, late.advance) = (None, None);
    }
    drop(first);
    let mut second = Owner::join(&other, "events/f", at).await;
    let done = handled(&other, &mut second);
    other.done(done).await;
    let outcome = sleeper.commit(late).await.map(drop);
    (outcome, other.value(&key("t", "sum")).await, other.values(at, 0).await.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_lost_its_partition_counts_nothing_twice() {
    let (outcome, counted, handled) = handle_twice(true).await;
    assert!(matches!(outcome, Err(CommitError::Fenced(_))), "{outcome:?}");
    assert_eq!((counted.as_deref(), handled), (Some("1"), 1));
}

/// The control: without the epoch the same is counted and handled twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_epoch_an_event_would_be_counted_twice() {
    let (outcome, counted, handled) = handle_twice(false).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!((counted.as_deref(), handled), (Some("2"), 2));
}
