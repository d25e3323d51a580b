//! Events that Kafka does not take.

use super::opened::open;
use super::outside::{admin, delete, make};
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
use std::sync::Arc;
use std::time::Duration;
use weir_log::conformance::broker::Prefix;
use weir_log::conformance::{Fixture, events, key, put};
use weir_log::{CommitError, RefusedEvent, Rejection, refused_events};
use weir_schema::{At, Receipt};

const SMALL: usize = 10_000;

async fn set(prefix: &Prefix, topic: &str, name: &str, value: &str) {
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
    let changed = admin(prefix).alter_configs([&change], &AdminOptions::new()).await;
    changed.expect("the broker answers")[0].as_ref().expect("it is changed");
}

async fn set_aside(f: &Fixture) -> Vec<RefusedEvent> {
    refused_events(&*f.log).await.expect("told")
}

/// Takes a refused event out of its table, and appends it again if it is to be.
async fn take(f: &Fixture, refused: &RefusedEvent, again: bool) -> Result<Receipt, CommitError> {
    let mut transaction = f.transaction();
    refused.take(&mut transaction);
    if again {
        transaction.appends.push(refused.event.clone());
    }
    f.log.commit(Arc::new(transaction)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_its_topic_does_not_take_is_refused_before_anything_is_committed() {
    let prefix = Prefix::fresh();
    let name = prefix.topic("events");
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
    set(&prefix, &prefix.topic("events"), "max.message.bytes", &SMALL.to_string()).await;
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
async fn events_that_their_topic_refuses_are_set_aside_until_someone_sends_them_again_or_gives_them_up() {
    let prefix = Prefix::fresh();
    let f = open(&prefix).await;
    let topics = [f.topic("strict", 1).await, f.topic("other", 1).await];
    let [strict, other] = topics.map(|topic| At { topic: topic.id, partition: 0 });
    let name = prefix.topic("strict");
    commit(&f, [strict, other], "a").await;
    // takes no events without keys from now on
    set(&prefix, &name, "cleanup.policy", "compact").await;
    for value in ["b", "c", "d"] {
        commit(&f, [strict, other], value).await;
    }
    assert_eq!(values(&f, other).await, ["a", "b", "c", "d"]);
    assert_eq!(f.value(&key("t", "d")).await.as_deref(), Some("1"), "what was committed stays so");
    let troubles = f.log.troubles().await.expect("told");
    assert!(troubles.iter().any(|line| line.contains("3 events") && line.contains("strict")), "{troubles:?}");
    let aside = set_aside(&f).await;
    assert_eq!(aside.iter().map(|refused| &*refused.topic).collect::<Vec<_>>(), ["strict"; 3]);
    take(&f, &aside[1], true).await.expect("it is tried");
    let again = set_aside(&f).await;
    assert_eq!((again.len(), &again[0].id), (3, &aside[0].id));
    assert!(again[2].id > aside[2].id, "it is refused once more, behind the others");
    let gone = take(&f, &aside[1], true).await;
    assert!(matches!(gone, Err(CommitError::Conflict { .. })), "{gone:?}");
    set(&prefix, &name, "cleanup.policy", "delete").await;
    for refused in &again[1..] {
        let receipt = take(&f, refused, true).await.expect("it is sent");
        assert_eq!(receipt.offsets().map(|(at, _)| at).collect::<Vec<_>>(), [strict]);
    }
    take(&f, &again[0], false).await.expect("it is given up");
    assert_eq!(values(&f, strict).await, ["a", "d", "c"]);
    assert_eq!((set_aside(&f).await.len(), f.log.troubles().await.expect("told")), (0, Vec::new()));
}

async fn values(f: &Fixture, at: At) -> Vec<String> {
    f.values(at, 0).await.into_iter().map(|(_, value)| value).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_a_topic_that_was_gone_is_tried_again_as_soon_as_someone_says_so() {
    let prefix = Prefix::fresh();
    let f = open(&prefix).await;
    let at = f.partition().await;
    let name = prefix.topic("events");
    delete(&prefix, &name).await;
    // before the log has noticed
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &["a"]));
    transaction.writes.push(put(&key("t", "a"), "1", transaction.id));
    f.done(transaction).await;
    let aside = set_aside(&f).await;
    make(&prefix, &name, 1).await;
    // one whose topic is not known to be there is not even tried
    let sent = async {
        while let Err(error) = take(&f, &aside[0], true).await {
            assert!(matches!(error, CommitError::Rejected(Rejection::NoTopic { .. })), "{error}");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), sent).await.expect("it is met");
    assert_eq!((values(&f, at).await, set_aside(&f).await.len()), (vec!["a".to_owned()], 0));
}
