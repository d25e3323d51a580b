//! The log of a measurement.

use crate::postgres::cluster::Cluster;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use weir_log::{Driver, LogConfig, SystemClock, TopicInfo, TopicSpec};
use weir_runtime::Session;
use weir_schema::{At, Partitioner, RecordsBuilder, TopicName, Transaction};

/// Where logs are made: each measurement has a new one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Store<'a> {
    /// In a file.
    Embedded,
    /// In a schema of a server.
    Postgres(&'a Cluster),
}

impl Store<'_> {
    /// A new log; `folder` is the measurement's own.
    pub(crate) async fn log(self, folder: &Path) -> anyhow::Result<Log> {
        Log::open(self.place(folder)).await
    }

    /// Where a new log would be.
    pub(crate) fn place(self, folder: &Path) -> Driver {
        match self {
            Self::Embedded => Driver::sqlite(folder.join("log.db")),
            Self::Postgres(cluster) => cluster.place(&cluster.schema()),
        }
    }
}

/// A log that is open.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) session: Arc<Session>,
}

impl Log {
    pub(crate) async fn open(driver: Driver) -> anyhow::Result<Self> {
        let log = weir_log::open(LogConfig { driver, app: None, clock: Arc::new(SystemClock) }).await?;
        Ok(Self { session: Arc::new(Session::new(log, Arc::new(SystemClock), BTreeMap::new())) })
    }

    /// A topic that functions may append to.
    pub(crate) async fn topic(&self, name: &str, partitions: u32) -> anyhow::Result<TopicInfo> {
        let spec = TopicSpec {
            name: TopicName::new(name)?,
            partitions,
            partitioner: Partitioner::Murmur2,
            retention: None,
        };
        let topic = self.session.log().create_topic(&spec).await?;
        self.session.refresh_topics(|_| true).await?;
        Ok(topic)
    }

    /// Appends events in batches of 1000, of so many keys, each of which has its partition.
    pub(crate) async fn fill(&self, topic: &TopicInfo, events: u64, keys: u64) -> anyhow::Result<()> {
        for first in (0..events).step_by(1000) {
            let mut records = RecordsBuilder::default();
            for i in first..events.min(first + 1000) {
                let partition = (i % keys % u64::from(topic.spec.partitions)) as u32;
                let (key, value) = (format!("key-{:06}", i % keys), value(i));
                let at = At { topic: topic.id, partition };
                records.push(at, Some(key.as_bytes()), Some(value.as_bytes()), []);
            }
            self.append(records).await?;
        }
        Ok(())
    }

    /// Appends in one transaction, and waits until it is durable.
    pub(crate) async fn append(&self, records: RecordsBuilder) -> anyhow::Result<()> {
        let mut transaction = Transaction::new(self.session.next_id(), self.session.catalog());
        transaction.appends.push(records.build());
        self.session.log().commit(Arc::new(transaction)).await?;
        Ok(())
    }
}

/// An event's value, about 250 bytes.
pub(crate) fn value(i: u64) -> String {
    let filling = "x".repeat(180);
    format!("{{\"id\":{i},\"sku\":\"key-{:06}\",\"amount\":{},\"note\":\"{filling}\"}}", i % 1000, i % 97)
}
