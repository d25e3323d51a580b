//! Stores that do not belong to what is in Kafka.

use super::opened::{open_in, open_with, options, store_in};
use super::outside::{PATIENCE, open_producer};
use rdkafka::producer::{BaseRecord, Producer as _};
use weir_log::conformance::broker::Prefix;
use weir_log::conformance::{key, put};
use weir_log::{Driver, KafkaOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_older_than_kafka_is_refused() {
    let (prefix, folder) = (Prefix::fresh(), tempfile::tempdir().expect("a folder is made"));
    let f = open_in(&prefix, folder.path()).await;
    let at = f.partition().await;
    let mut transaction = f.transaction();
    transaction.appends.push(weir_log::conformance::events(at, &["a"]));
    transaction.writes.push(put(&key("t", "k"), "1", transaction.id));
    f.done(transaction).await;
    f.log.close().await.expect("closed");
    let other = open_with(options(&prefix, store_in(&folder.path().join("other")))).await;
    let refused = other.expect_err("the store knows nothing of what is in Kafka");
    assert!(!refused.is_retryable() && refused.to_string().contains("topicPrefix"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_own_topic_others_write_to_is_refused_with_the_remedy() {
    let (prefix, folder) = (Prefix::fresh(), tempfile::tempdir().expect("a folder is made"));
    open_in(&prefix, folder.path()).await.log.close().await.expect("closed");
    let (producer, topic) = (open_producer(&prefix, &[]), prefix.topic("__relay"));
    producer.send(BaseRecord::to(&topic).key("theirs").payload("many")).expect("it is taken");
    producer.flush(PATIENCE).expect("it is sent");
    let refused = open_with(options(&prefix, store_in(folder.path()))).await;
    let refused = refused.expect_err("what Kafka has is not known any more");
    let text = refused.to_string();
    assert!(!refused.is_retryable() && text.contains("___relay") && text.contains("many"), "{text}");
    assert!(text.contains("topicPrefix"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_memory_is_no_store() {
    let refused =
        open_with(options(&Prefix::fresh(), Driver::Memory)).await.expect_err("it would be gone at the end");
    assert!(!refused.is_retryable(), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_are_not_there_are_an_error_that_may_pass() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let nowhere = KafkaOptions::new("127.0.0.1:1", "nowhere", store_in(folder.path()));
    let refused = open_with(nowhere).await.expect_err("nobody is there");
    assert!(refused.is_retryable(), "{refused}");
    assert!(refused.to_string().contains("127.0.0.1:1"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_on_a_store_in_a_file_is_refused_with_the_remedy() {
    let (prefix, folder) = (Prefix::fresh(), tempfile::tempdir().expect("a folder is made"));
    let open = || open_with(options(&prefix, store_in(folder.path())));
    let first = open().await.expect("opened");
    let refused = open().await.expect_err("another node has the store");
    assert!(!refused.is_retryable() && refused.to_string().contains("driver: postgres"), "{refused}");
    first.close().await.expect("closed");
    open().await.expect("it is free again");
}
