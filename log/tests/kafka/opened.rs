//! Logs in Kafka, by the real clock: brokers keep to no other.

use std::path::Path;
use std::sync::Arc;
use weir_log::conformance::Fixture;
use weir_log::conformance::broker::Prefix;
use weir_log::{Driver, KafkaOptions, Log, LogConfig, LogError, SystemClock};

/// A log whose store is its own.
pub(super) async fn open(prefix: &Prefix) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder is made");
    let log = open_with(options(prefix, store_in(folder.path()))).await;
    Fixture::new(log.expect("the log is opened"), Arc::default(), folder)
}

/// A log whose store stays in `folder` when it is closed.
pub(super) async fn open_in(prefix: &Prefix, folder: &Path) -> Fixture {
    opened(options(prefix, store_in(folder))).await
}

/// A log that is opened with these options.
pub(super) async fn opened(options: KafkaOptions) -> Fixture {
    Fixture::new(open_with(options).await.expect("the log is opened"), Arc::default(), ())
}

/// The log that these options lead to, or why it is not opened.
pub(super) async fn open_with(options: KafkaOptions) -> Result<Arc<dyn Log>, LogError> {
    weir_log::open(LogConfig { driver: Driver::Kafka(options), app: None, clock: Arc::new(SystemClock) })
        .await
}

pub(super) fn options(prefix: &Prefix, store: Driver) -> KafkaOptions {
    KafkaOptions::new(prefix.brokers(), prefix.name(), store)
}

/// A store in a file of `folder`.
pub(super) fn store_in(folder: &Path) -> Driver {
    Driver::sqlite(folder.join("store.db"))
}
