//! Brokers with access control lists: what a user needs, and what is said where it lacks that.

use super::altered::assigned;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, TopicPartitionList};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use weir_log::conformance::broker::Guarded;
use weir_log::conformance::{Fixture, events, group, key, put};
use weir_log::{CommitError, Driver, KafkaOptions, Log, LogConfig, LogError, SystemClock};
use weir_schema::{At, Offset};

/// How long what is denied may take to be said.
const PATIENCE: Duration = Duration::from_secs(30);
/// The rights on topics that docs/guide/kafka.md lists.
const TOPICS: [&str; 7] =
    ["Create", "Describe", "DescribeConfigs", "AlterConfigs", "Read", "Write", "Delete"];

/// Lets `user` do with its own topics what is in [`TOPICS`], but for `without`.
fn allow(broker: &Guarded, user: &str, without: &[&str]) {
    let rights: Vec<_> = TOPICS.into_iter().filter(|right| !without.contains(right)).collect();
    let topics = ["--topic", &format!("{user}_"), "--resource-pattern-type", "prefixed"];
    broker.allow(&[user], &topics, &rights).expect("it is allowed");
}

fn allow_group(broker: &Guarded, user: &str) {
    let groups = ["--group", &format!("{user}___"), "--resource-pattern-type", "prefixed"];
    broker.allow(&[user], &groups, &["Read"]).expect("it is allowed");
}

/// For the groups that show positions, and the one of an application that Weir takes the place of.
fn allow_consumer_group(broker: &Guarded, user: &str) {
    let groups = ["--group", &consumer_group(user), "--resource-pattern-type", "prefixed"];
    broker.allow(&[user], &groups, &["Read", "Describe", "Delete"]).expect("it is allowed");
}

fn consumer_group(user: &str) -> String {
    format!("spacer-{user}")
}

fn allow_transactions(broker: &Guarded, user: &str) {
    let ids = ["--transactional-id", &format!("{user}-relay"), "--resource-pattern-type", "prefixed"];
    broker.allow(&[user], &ids, &["Describe", "Write"]).expect("it is allowed");
}

/// Opens the log of an application that is called as its user, with a store in `folder`.
async fn open(broker: &Guarded, user: &str, folder: &Path) -> Result<Arc<dyn Log>, LogError> {
    let properties = [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanisms", "PLAIN"),
        ("sasl.username", user),
        ("sasl.password", broker.password),
    ];
    let properties = properties.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let store = Driver::sqlite(folder.join("store.db"));
    let consumer_group = Some(consumer_group(user));
    let options =
        KafkaOptions { properties, consumer_group, ..KafkaOptions::new(&broker.address, user, store) };
    weir_log::open(LogConfig { driver: Driver::Kafka(options), app: None, clock: Arc::new(SystemClock) })
        .await
}

async fn denied(broker: &Guarded, user: &str, words: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder is made");
    let opened = tokio::time::timeout(PATIENCE, open(broker, user, folder.path())).await;
    let error = opened.expect("it does not wait").expect_err("it is denied");
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)) && !text.contains('\n'), "{user}: {text}");
    assert!(!error.is_retryable(), "{user}: {text}");
}

/// Uses every way there is to Kafka.
async fn works(broker: &Guarded, user: &str) {
    let folder = tempfile::tempdir().expect("a folder is made");
    let open = || open(broker, user, folder.path());
    let f = Fixture::new(open().await.expect("nothing is missing"), Arc::default(), ());
    let at = f.partition().await;
    let topic = f.log.topics().await.expect("listed").remove(0);
    f.log.first_position(&topic).await.expect("told");
    let (stays, goes) = (group("events/stays"), group("events/goes"));
    for group in [&stays, &goes] {
        assigned(&mut f.log.join(group, &[(at, Offset(0))]).await.expect("joined"), at).await;
    }
    append(&f, at, "a", false).await.expect("alone");
    append(&f, at, "b", true).await.expect("by the relay");
    let values: Vec<_> = f.values(at, 0).await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "b"]);
    f.log.trim(at, Offset(1)).await.expect("trimmed");
    let mut kept = weir_log::conformance::spec("events", 1);
    kept.retention = Some(Duration::from_secs(86_400));
    f.log.create_topic(&kept).await.expect("another retention is taken over");
    f.log.close().await.expect("closed");
    let shown = |group: &str| committed(broker, &format!("{}.events.{group}", consumer_group(user)), user);
    assert_eq!((shown("stays"), shown("goes")), (Some(0), Some(0)));
    let f = Fixture::new(open().await.expect("once more"), Arc::default(), ());
    f.log.forget(&goes).await.expect("forgotten");
    assert_eq!((shown("stays"), shown("goes")), (Some(0), None));
}

/// What Kafka has of a group's position in the user's topic.
fn committed(broker: &Guarded, group: &str, user: &str) -> Option<i64> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.open()).set("group.id", group);
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut place = TopicPartitionList::new();
    place.add_partition(&format!("{user}_events"), 0);
    let found = consumer.committed_offsets(place, PATIENCE).expect("the broker answers");
    found.elements()[0].offset().to_raw().filter(|offset| *offset >= 0)
}

async fn append(f: &Fixture, at: At, value: &str, with_state: bool) -> Result<(), CommitError> {
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &[value]));
    if with_state {
        transaction.writes.push(put(&key("t", "k"), "1", transaction.id));
    }
    f.log.commit(Arc::new(transaction)).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_that_the_guide_lists_are_enough_and_one_that_is_missing_is_named() {
    let users = ["all", "nocreate", "nogroup", "noid", "noread", "nowrite"];
    let broker = Guarded::start(&users).expect("a broker starts");
    allow(&broker, "all", &[]);
    allow_group(&broker, "all");
    allow_transactions(&broker, "all");
    allow_consumer_group(&broker, "all");
    works(&broker, "all").await;

    denied(&broker, "nocreate", &["nocreate___relay", "Describe"]).await;
    allow(&broker, "nocreate", &["Create"]);
    denied(&broker, "nocreate", &["nocreate___relay", "Create"]).await;
    allow(&broker, "nogroup", &[]);
    denied(&broker, "nogroup", &["Read", "groups that begin with nogroup___"]).await;
    allow(&broker, "noid", &[]);
    allow_group(&broker, "noid");
    relays_nothing(&broker, "noid", &["Describe and Write", "transactional ids that begin with noid-relay"])
        .await;
    allow(&broker, "noread", &["Read"]);
    allow_group(&broker, "noread");
    allow_transactions(&broker, "noread");
    denied(&broker, "noread", &["Read", "noread_"]).await;
    allow(&broker, "nowrite", &["Write"]);
    allow_group(&broker, "nowrite");
    allow_transactions(&broker, "nowrite");
    appends_nothing(&broker, "nowrite", &["Write", "nowrite_", "IdempotentWrite"]).await;
}

async fn fixture(broker: &Guarded, user: &str) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder is made");
    let log = open(broker, user, folder.path()).await.expect("it is opened");
    Fixture::new(log, Arc::default(), folder)
}

/// Opens a log whose transactions reach the store and not Kafka: it says why.
async fn relays_nothing(broker: &Guarded, user: &str, words: &[&str]) {
    let f = fixture(broker, user).await;
    let at = f.partition().await;
    append(&f, at, "a", false).await.expect("alone it needs no transaction of Kafka's");
    let told = async {
        loop {
            let troubles = f.log.troubles().await.expect("told");
            if troubles.iter().any(|line| words.iter().all(|word| line.contains(word))) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let commit = append(&f, at, "b", true);
    let (committed, ()) = tokio::join!(tokio::time::timeout(PATIENCE, commit), async {
        tokio::time::timeout(PATIENCE, told).await.expect("it is said");
        allow_transactions(broker, user);
    });
    committed.expect("it goes on by itself").expect("it is committed");
    assert_eq!(f.log.troubles().await.expect("told"), Vec::<String>::new());
}

/// Opens a log that cannot append: the commit says why.
async fn appends_nothing(broker: &Guarded, user: &str, words: &[&str]) {
    let f = fixture(broker, user).await;
    let at = f.partition().await;
    let refused = tokio::time::timeout(PATIENCE, append(&f, at, "a", false)).await;
    let text = refused.expect("it does not wait").expect_err("it is denied").to_string();
    assert!(words.iter().all(|word| text.contains(word)) && !text.contains('\n'), "{user}: {text}");
}
