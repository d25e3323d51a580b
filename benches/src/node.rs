//! A node in this process: an embedded log, one worker, its triggers.

use anyhow::Context as _;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weir_log::{Driver, LogConfig, SqliteOptions, SystemClock, TopicInfo, TopicSpec};
use weir_runtime::{Code, Limits, Session, Watchdog, Worker, WorkerOptions};
use weir_schema::{
    At, FunctionName, GroupName, Partitioner, Position, RecordsBuilder, TopicName, Transaction,
};
use weir_triggers::{Pump, Trigger, Triggers, dispatcher, pump_channel};

/// See the module's docs.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) session: Arc<Session>,
    triggers: Triggers,
    shutdown: CancellationToken,
    stop: CancellationToken,
    worker: Option<std::thread::JoinHandle<()>>,
}

impl Node {
    /// A node whose functions are these files below `app/`.
    pub(crate) async fn start(folder: &Path, functions: &[(&str, &str)]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder.join("app"))?;
        for (name, text) in functions {
            std::fs::write(folder.join(format!("app/{name}.lua")), text)?;
        }
        let driver = Driver::Sqlite { path: folder.join("log.db"), options: SqliteOptions::default() };
        let log = weir_log::open(LogConfig { driver, app: None, clock: Arc::new(SystemClock) }).await?;
        let session = Arc::new(Session::new(log, Arc::new(SystemClock), BTreeMap::new()));
        let (_, code) = watch::channel(Arc::new(Code::load(folder)));
        let (pump, inbox) = pump_channel();
        let (shutdown, stop) = (CancellationToken::new(), CancellationToken::new());
        let (session_there, stop_there) = (session.clone(), stop.clone());
        let options = WorkerOptions::new(Watchdog::start()?);
        let worker = std::thread::Builder::new().stack_size(8 << 20).spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a reactor starts");
            let worker = Rc::new(Worker::new(&options).expect("a VM starts"));
            let pump = Pump::new(session_there, worker, code, inbox);
            tokio::task::LocalSet::new().block_on(&runtime, pump.run(stop_there));
        })?;
        let triggers = Triggers::new(session.clone(), vec![pump], shutdown.clone(), false);
        Ok(Self { session, triggers, shutdown, stop, worker: Some(worker) })
    }

    /// A topic that functions may append to.
    pub(crate) async fn topic(&self, name: &str) -> anyhow::Result<TopicInfo> {
        let spec = TopicSpec {
            name: TopicName::new(name)?,
            partitions: 1,
            partitioner: Partitioner::Murmur2,
            retention: None,
        };
        let topic = self.session.log().create_topic(&spec).await?;
        self.session.refresh_topics(|_| true).await?;
        Ok(topic)
    }

    /// Appends events in batches of 1000.
    pub(crate) async fn fill(&self, topic: &TopicInfo, events: u64, keys: u64) -> anyhow::Result<()> {
        let at = At { topic: topic.id, partition: 0 };
        for first in (0..events).step_by(1000) {
            let mut records = RecordsBuilder::default();
            for i in first..events.min(first + 1000) {
                let (key, value) = (format!("key-{:06}", i % keys), value(i));
                records.push(at, Some(key.as_bytes()), Some(value.as_bytes()), []);
            }
            let mut transaction = Transaction::new(self.session.next_id(), self.session.catalog());
            transaction.appends.push(records.build());
            self.session.log().commit(Arc::new(transaction)).await?;
        }
        Ok(())
    }

    /// Runs `function` on every event of `topic` from the earliest on.
    pub(crate) async fn trigger(&self, topic: &TopicInfo, function: &str) -> anyhow::Result<GroupName> {
        let name = FunctionName::new(function)?;
        let group = GroupName::of_trigger(&topic.spec.name, &name);
        let trigger = Trigger {
            topic: topic.spec.name.clone(),
            name: name.clone(),
            function: name,
            group: group.clone(),
            settings: dispatcher::Settings::default(),
            limits: Limits::default(),
            replay: None,
        };
        self.triggers.start(trigger, Some(Position::Earliest), true).await?;
        Ok(group)
    }

    /// Waits until a group has handled `events` events.
    pub(crate) async fn handled(&self, group: &GroupName, events: u64) -> anyhow::Result<()> {
        loop {
            let positions = self.session.log().positions(Some(group)).await?;
            if positions.first().is_some_and(|p| p.position.0 >= events) {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    /// Hands over, and closes the log.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.triggers.stopped().await;
        self.stop.cancel();
        if let Some(worker) = self.worker.take() {
            tokio::task::spawn_blocking(move || worker.join())
                .await?
                .ok()
                .context("the worker ended by a panic")?;
        }
        Ok(self.session.log().close().await?)
    }
}

/// An event's value, about 250 bytes.
pub(crate) fn value(i: u64) -> String {
    let filling = "x".repeat(180);
    format!("{{\"id\":{i},\"sku\":\"key-{:06}\",\"amount\":{},\"note\":\"{filling}\"}}", i % 1000, i % 97)
}
