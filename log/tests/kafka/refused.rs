//! Events that Kafka does not take.

use super::opened::{open, open_in};
use super::outside::{admin, make};
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
use std::sync::Arc;
use weir_log::conformance::broker::Prefix;
use weir_log::conformance::{Fixture, events, key, put};
use weir_log::{CommitError, Rejection};
use weir_schema::{At, StateRange, TableName};

const SMALL: usize = 10_000;

async fn set(prefix: &Prefix, topic: &str, name: &str, value: &str) {
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
    let changed = admin(prefix).alter_configs([&change], &AdminOptions::new()).await;
    changed.expect("the broker answers")[0].as_ref().expect("it is changed");
}

async fn set_aside(f: &Fixture) -> usize {
    let table = TableName::new("_weir_refused").expect("valid");
    let all = StateRange { table, generation: 0, from: Default::default(), to: None };
    f.log.scan(&all, 1000).await.expect("scanned").rows.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_its_topic_does_not_take_is_refused_before_anything_is_committed() {
    let prefix = Prefix::fresh();
    let name = format!("{}_events", prefix.name());
    make(&prefix, &name, 1).await;
    set(&prefix, &name, "max.message.bytes", &SMALL.to_string()).await;
    let f = open(&prefix).await;
    let at = f.partition().await;
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &["a", &"x".repeat(SMALL)]));
    transaction.writes.push(put(&key("t", "k"), "1", transaction.id));
    let refused = f.log.commit(Arc::new(transaction)).await.expect_err("it is too large");
    let CommitError::Rejected(Rejection::TooLarge { what, limit, .. }) = &refused else {
        panic!("{refused}");
    };
    assert!(what.contains("max.message.bytes") && *limit < SMALL, "{refused}");
    assert_eq!((f.value(&key("t", "k")).await, f.values(at, 0).await), (None, Vec::new()));
    // many that it takes go there in as many batches as it takes
    let values = vec!["x".repeat(SMALL / 4); 30];
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &values));
    f.done(transaction).await;
    assert_eq!(f.values(at, 0).await.len(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_events_are_sent_in_smaller_batches_when_their_topic_takes_less_than_it_did() {
    let prefix = Prefix::fresh();
    let f = open(&prefix).await;
    let at = f.partition().await;
    set(&prefix, &format!("{}_events", prefix.name()), "max.message.bytes", &SMALL.to_string()).await;
    let commits: Vec<_> = (0..100)
        .map(|_| {
            let mut transaction = f.transaction();
            transaction.appends.push(events(at, &[&"x".repeat(SMALL / 4)]));
            f.log.commit(Arc::new(transaction))
        })
        .collect();
    for commit in commits {
        commit.await.expect("the topic takes it");
    }
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &[&"x".repeat(SMALL)]));
    let refused = f.log.commit(Arc::new(transaction)).await;
    assert!(matches!(refused, Err(CommitError::Rejected(Rejection::TooLarge { .. }))), "{refused:?}");
    assert_eq!(f.values(at, 0).await.len(), 100);
}

/// Commits an event on each of two topics, and a row.
async fn commit(f: &Fixture, [a, b]: [At; 2], value: &str) {
    let mut transaction = f.transaction();
    transaction.appends.push(events(a, &[value]));
    transaction.appends.push(events(b, &[value]));
    transaction.writes.push(put(&key("t", value), "1", transaction.id));
    f.done(transaction).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_their_topic_refuses_are_set_aside_and_sent_again_when_it_takes_them() {
    let (prefix, folder) = (Prefix::fresh(), tempfile::tempdir().expect("a folder is made"));
    let f = open_in(&prefix, folder.path()).await;
    let topics = [f.topic("strict", 1).await, f.topic("other", 1).await];
    let [strict, other] = topics.map(|topic| At { topic: topic.id, partition: 0 });
    let name = format!("{}_strict", prefix.name());
    commit(&f, [strict, other], "a").await;
    // takes no events without keys from now on
    set(&prefix, &name, "cleanup.policy", "compact").await;
    commit(&f, [strict, other], "b").await;
    commit(&f, [strict, other], "c").await;
    let values: Vec<_> = f.values(other, 0).await.into_iter().map(|(_, value)| value).collect();
    assert_eq!((values, set_aside(&f).await), (["a", "b", "c"].map(str::to_owned).to_vec(), 2));
    assert_eq!(f.value(&key("t", "c")).await.as_deref(), Some("1"), "what was committed stays so");
    let troubles = f.log.troubles().await.expect("told");
    assert!(troubles.iter().any(|line| line.contains("2 events") && line.contains("strict")), "{troubles:?}");
    f.log.close().await.expect("closed");
    set(&prefix, &name, "cleanup.policy", "delete").await;
    let f = open_in(&prefix, folder.path()).await;
    let mut news = f.log.watch();
    while f.values(strict, 0).await.len() < 3 {
        news.changed().await.expect("the log is open");
    }
    let values: Vec<_> = f.values(strict, 0).await.into_iter().map(|(_, value)| value).collect();
    assert_eq!((values, set_aside(&f).await), (["a", "b", "c"].map(str::to_owned).to_vec(), 0));
    assert_eq!(f.log.troubles().await.expect("told"), Vec::<String>::new());
}
