//! A broker that is hurt while transactions are on their way.

use super::opened::{opened, store_in};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use weir_log::conformance::broker::Broker;
use weir_log::conformance::{Fixture, add, events, key};
use weir_log::{KafkaOptions, ReadLimit};
use weir_schema::{At, Offset};

const WRITERS: u32 = 8;
/// So many commits are acknowledged before it is hurt.
const LOAD: u32 = 200;
/// How long the broker stands still: longer than a transaction may be open, so that it ends the one that it finds.
const STILL: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stands_still_is_waited_for_and_nothing_is_lost_or_doubled() {
    let (broker, folder) = (Broker::own().expect("a broker starts"), tempfile::tempdir().expect("a folder"));
    let options = KafkaOptions::new(broker.brokers(), "still", store_in(folder.path()));
    let f = Arc::new(opened(options).await);
    let at = f.partition().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let acknowledged = Arc::new(Semaphore::new(0));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(f.clone(), at, writer, stopped.clone(), acknowledged.clone()));
    }
    drop(acknowledged.acquire_many(LOAD).await.expect("the writers write"));
    let hurt = move || {
        broker.signal(0, "STOP").expect("it stands still");
        std::thread::sleep(STILL);
        broker.signal(0, "CONT").expect("it goes on");
        broker
    };
    let broker = tokio::task::spawn_blocking(hurt).await.expect("it was hurt");
    stop.send(true).expect("the writers listen");
    let mut told = HashMap::new();
    while let Some(ended) = writers.join_next().await {
        told.extend(ended.expect("a writer has ended"));
    }
    let (mut found, mut next) = (HashMap::new(), Offset(0));
    loop {
        let records = f.log.read(at, next, ReadLimit::default()).await.expect("read");
        let Some(last) = records.last() else { break };
        next = last.meta.offset.next();
        for record in records.iter() {
            let value = String::from_utf8_lossy(record.value().expect("it has one")).into_owned();
            assert_eq!(found.insert(value.clone(), record.meta.offset), None, "{value} came twice");
        }
    }
    assert_eq!(found, told, "what was acknowledged, where it was acknowledged, and nothing else");
    let counted = told.keys().filter(|value| !is_bare(value)).count();
    assert_eq!(f.value(&key("t", "sum")).await, Some(counted.to_string()));
    drop(broker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_where_events_come_in_needs_no_broker_for_those_that_have_come() {
    let (mut broker, folder) =
        (Broker::own().expect("a broker starts"), tempfile::tempdir().expect("a folder is made"));
    let f = opened(KafkaOptions::new(broker.brokers(), "recent", store_in(folder.path()))).await;
    let at = f.partition().await;
    assert!(f.values(at, 0).await.is_empty());
    let mut relayed = f.transaction();
    relayed.appends.push(events(at, &["b", "c"]));
    relayed.writes.push(add(&key("t", "sum"), 1, relayed.id));
    f.append(at, &["a"]).await;
    f.done(relayed).await;
    broker.kill(0).expect("it runs");
    let values: Vec<_> = f.values(at, 0).await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "b", "c"]);
}

/// Whether an event with this value is all that its transaction is, so that it goes to Kafka at once.
fn is_bare(value: &str) -> bool {
    value.starts_with(['1', '3'])
}

/// Commits until it is told to stop; returns what was acknowledged at which offset.
async fn write(
    f: Arc<Fixture>,
    at: At,
    writer: u32,
    stopped: tokio::sync::watch::Receiver<bool>,
    acknowledged: Arc<Semaphore>,
) -> Vec<(String, Offset)> {
    let mut told = Vec::new();
    for number in 0.. {
        if *stopped.borrow() {
            break;
        }
        let value = format!("{writer} {number}");
        let mut transaction = f.transaction();
        transaction.appends.push(events(at, &[&value]));
        if !is_bare(&value) {
            transaction.writes.push(add(&key("t", "sum"), 1, transaction.id));
        }
        let receipt = f.log.commit(Arc::new(transaction)).await.expect("it waits for the broker");
        acknowledged.add_permits(1);
        told.push((value, receipt.offsets().next().expect("it tells where").1));
    }
    told
}
