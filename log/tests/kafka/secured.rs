//! Brokers that ask who one is, and speak TLS; and settings that do not fit them.

use super::opened::{open_with, options, store_in};
use std::path::Path;
use std::sync::Arc;
use weir_log::conformance::broker::{Prefix, Secured};
use weir_log::conformance::{Fixture, events, key, put, spec};
use weir_log::{KafkaOptions, Log, LogError};

async fn open(brokers: &str, prefix: &str, properties: &[(&str, &str)]) -> Result<Arc<dyn Log>, LogError> {
    let folder = tempfile::tempdir().expect("a folder is made").keep();
    let usual = [("broker.address.family", "v4")];
    let properties =
        usual.iter().chain(properties).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let options = KafkaOptions { properties, ..KafkaOptions::new(brokers, prefix, store_in(&folder)) };
    let opened = open_with(options).await;
    if opened.is_err() {
        std::fs::remove_dir_all(folder).expect("the folder is removed");
    }
    opened
}

fn login<'a>(
    protocol: &'a str,
    mechanism: &'a str,
    s: &'a Secured,
    root: &'a Path,
) -> Vec<(&'a str, &'a str)> {
    vec![
        ("security.protocol", protocol),
        ("sasl.mechanisms", mechanism),
        ("sasl.username", s.user),
        ("sasl.password", s.password),
        ("ssl.ca.location", root.to_str().expect("it is text")),
    ]
}

/// Opens a log, and uses every way there is to Kafka.
async fn works(brokers: &str, prefix: &str, properties: &[(&str, &str)]) {
    let log = open(brokers, prefix, properties).await.unwrap_or_else(|error| panic!("{prefix}: {error}"));
    let f = Fixture::new(log, Arc::default(), ());
    let at = f.partition().await;
    let mut bare = f.transaction();
    bare.appends.push(events(at, &["a"]));
    f.done(bare).await;
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &["b"]));
    transaction.writes.push(put(&key("t", "k"), "1", transaction.id));
    f.done(transaction).await;
    let values: Vec<_> = f.values(at, 0).await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "b"]);
    f.log.close().await.expect("closed");
}

/// What opening a log ends with, which is one line.
async fn refused(brokers: &str, properties: &[(&str, &str)]) -> (String, bool) {
    let error = open(brokers, "refused", properties).await.expect_err("it cannot be opened");
    let (text, may_pass) = (error.to_string(), error.is_retryable());
    assert!(!text.contains('\n'), "{text}");
    (text, may_pass)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_ask_for_a_password_are_used_with_it_and_without_it_refuse_in_one_line() {
    let s = Secured::start();
    works(&s.tls, "plain", &login("sasl_ssl", "PLAIN", &s, &s.root)).await;
    works(&s.tls, "scram256", &login("sasl_ssl", "SCRAM-SHA-256", &s, &s.root)).await;
    works(&s.tls, "scram512", &login("sasl_ssl", "SCRAM-SHA-512", &s, &s.root)).await;
    works(&s.plaintext, "unencrypted", &login("sasl_plaintext", "SCRAM-SHA-512", &s, &s.root)).await;

    let mut wrong = login("sasl_ssl", "SCRAM-SHA-512", &s, &s.root);
    wrong[3].1 = "wrong";
    let (text, may_pass) = refused(&s.tls, &wrong).await;
    assert!(!may_pass && text.contains("sasl.password"), "{text}");
    let (text, may_pass) = refused(&s.tls, &login("sasl_ssl", "PLAIN", &s, &s.other_root)).await;
    assert!(!may_pass && text.contains("ssl.ca.location under kafka"), "{text}");
    let (text, _) = refused(&s.open, &login("sasl_ssl", "PLAIN", &s, &s.root)).await;
    assert!(text.contains("port for TLS"), "{text}");
    let (text, _) = refused(&s.tls, &[]).await;
    assert!(text.contains("security.protocol"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_on_more_brokers_than_there_are_is_refused_with_the_remedy() {
    let (prefix, folder) = (Prefix::fresh(), tempfile::tempdir().expect("a folder is made"));
    let once = options(&prefix, store_in(folder.path()));
    let log = open_with(once.clone()).await.expect("opened");
    log.close().await.expect("closed");
    let log = open_with(KafkaOptions { replication: Some(3), ..once }).await.expect("its own topic is there");
    let refused = log.create_topic(&spec("orders", 1)).await.expect_err("there is one broker");
    assert!(!refused.is_retryable() && refused.to_string().contains("replication:"), "{refused}");
}
