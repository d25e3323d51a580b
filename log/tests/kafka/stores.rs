//! Stores that do not belong to what is in Kafka.

use std::sync::Arc;
use weir_log::conformance::broker::Prefix;
use weir_log::conformance::{Fixture, key, put};
use weir_log::{Driver, KafkaOptions, Log, LogConfig, LogError, SystemClock};

async fn open(prefix: &Prefix, store: Driver) -> Result<Arc<dyn Log>, LogError> {
    let options = KafkaOptions::new(prefix.brokers(), prefix.name(), store);
    weir_log::open(LogConfig { driver: Driver::Kafka(options), app: None, clock: Arc::new(SystemClock) })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_older_than_kafka_is_refused() {
    let (prefix, folder) = (Prefix::fresh(), tempfile::tempdir().expect("a folder is made"));
    let log = open(&prefix, Driver::sqlite(folder.path().join("store.db"))).await.expect("opened");
    let f = Fixture::new(log, Arc::default(), ());
    let at = f.partition().await;
    let mut transaction = f.transaction();
    transaction.appends.push(weir_log::conformance::events(at, &["a"]));
    transaction.writes.push(put(&key("t", "k"), "1", transaction.id));
    f.done(transaction).await;
    f.log.close().await.expect("closed");
    let other = open(&prefix, Driver::sqlite(folder.path().join("other/store.db"))).await;
    let refused = other.expect_err("the store knows nothing of what is in Kafka");
    assert!(!refused.is_retryable() && refused.to_string().contains("topicPrefix"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_memory_is_no_store() {
    let refused = open(&Prefix::fresh(), Driver::Memory).await.expect_err("it would be gone at the end");
    assert!(!refused.is_retryable(), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_are_not_there_are_an_error_that_may_pass() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let options = KafkaOptions::new("127.0.0.1:1", "nowhere", Driver::sqlite(folder.path().join("store.db")));
    let config = LogConfig { driver: Driver::Kafka(options), app: None, clock: Arc::new(SystemClock) };
    let refused = weir_log::open(config).await.expect_err("nobody is there");
    assert!(refused.is_retryable(), "{refused}");
    assert!(refused.to_string().contains("127.0.0.1:1"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_on_a_store_in_a_file_is_refused_with_the_remedy() {
    let (prefix, folder) = (Prefix::fresh(), tempfile::tempdir().expect("a folder is made"));
    let store = || Driver::sqlite(folder.path().join("store.db"));
    let first = open(&prefix, store()).await.expect("opened");
    let refused = open(&prefix, store()).await.expect_err("another node has the store");
    assert!(!refused.is_retryable() && refused.to_string().contains("driver: postgres"), "{refused}");
    first.close().await.expect("closed");
    open(&prefix, store()).await.expect("it is free again");
}
