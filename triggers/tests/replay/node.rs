//! A node without HTTP: a log, one worker, a live trigger, replays.

use serde_json::Value;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weir_log::{Clock, Driver, Log, LogConfig, ReadLimit, SqliteOptions, SystemClock, TopicSpec};
use weir_runtime::{Code, Limits, Session, Watchdog, Worker, WorkerOptions};
use weir_schema::{
    At, FunctionName, GroupName, Offset, Partitioner, Position, RecordsBuilder, StateKey, TableName,
    TopicName, Transaction,
};
use weir_triggers::replay::{NewReplay, ReplayStatus};
use weir_triggers::{Inbox, Pump, Replays, Trigger, Triggers, pump_channel};

/// What the live trigger `orders/tally` and the replays run.
const TALLY: &str = r#"
local state, topics = require "state", require "topics"
return function(args, ctx)
  if ctx.replay and args.fails then error("no such order") end
  local key = ctx.key or "-"
  local seen = state.get("seen", key) or {}
  table.insert(seen, ctx.offset)
  state.set("seen", key, seen)
  state.add("counters", "runs", 1)
  topics.append("emails", {{key = key, value = ctx.offset}})
  if ctx.replay then state.set("modes", ctx.replay.name, ctx.replay.mode) end
end
"#;

/// How long anything may take before a test gives up.
const WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Node {
    pub(crate) session: Arc<Session>,
    pub(crate) triggers: Triggers,
    pub(crate) replays: Replays,
    shutdown: CancellationToken,
    stop: CancellationToken,
    worker: JoinHandle<()>,
}

impl Node {
    /// A node on the log of a folder, with a topic `orders` and a topic `emails`, and the live trigger.
    pub(crate) async fn start(folder: &Path, partitions: u32) -> Self {
        Self::start_at(folder, partitions, Arc::new(SystemClock)).await
    }

    pub(crate) async fn start_at(folder: &Path, partitions: u32, clock: Arc<dyn Clock>) -> Self {
        Self::start_on(Self::open(folder, clock.clone()).await, partitions, clock).await
    }

    /// The log of a folder.
    pub(crate) async fn open(folder: &Path, clock: Arc<dyn Clock>) -> Arc<dyn Log> {
        let driver = Driver::Sqlite { path: folder.join("log.db"), options: SqliteOptions::default() };
        weir_log::open(LogConfig { driver, app: None, clock }).await.unwrap()
    }

    pub(crate) async fn start_on(log: Arc<dyn Log>, partitions: u32, clock: Arc<dyn Clock>) -> Self {
        for (name, partitions) in [("orders", partitions), ("emails", 1)] {
            let spec = TopicSpec {
                name: TopicName::new(name).unwrap(),
                partitions,
                partitioner: Partitioner::default(),
                retention: None,
            };
            log.create_topic(&spec).await.unwrap();
        }
        let session = Arc::new(Session::new(log, clock, BTreeMap::new()));
        session.refresh_topics(|_| true).await.unwrap();
        let (shutdown, stop) = (CancellationToken::new(), CancellationToken::new());
        let (pump, inbox) = pump_channel();
        let worker = spawn_worker(session.clone(), inbox, stop.clone());
        let triggers = Triggers::new(session.clone(), vec![pump], shutdown.clone(), false);
        triggers.start(live_trigger(), None, true).await.unwrap();
        let replays = Replays::new(triggers.clone(), Arc::new(|_| Limits::default()), true);
        replays.serve();
        Self { session, triggers, replays, shutdown, stop, worker }
    }

    /// Hands everything over and closes the log.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.triggers.stopped().await;
        self.stop.cancel();
        tokio::task::spawn_blocking(move || self.worker.join().unwrap()).await.unwrap();
        self.session.log().close().await.unwrap();
    }

    pub(crate) async fn append(&self, events: &[(u32, Option<&str>, &str)]) {
        let topic = self.session.topic("orders").unwrap().id;
        let mut records = RecordsBuilder::default();
        for (partition, key, value) in events {
            let at = At { topic, partition: *partition };
            records.push(at, key.map(str::as_bytes), Some(value.as_bytes()), []);
        }
        let mut transaction = Transaction::new(self.session.next_id(), self.session.catalog());
        transaction.appends.push(records.build());
        self.session.log().commit(Arc::new(transaction)).await.unwrap();
    }

    /// Waits until the live trigger has handled everything.
    pub(crate) async fn caught_up(&self) {
        until("the live trigger is at the tail", async || self.lag().await == 0).await;
    }

    pub(crate) async fn lag(&self) -> u64 {
        self.triggers.status().await.unwrap().iter().map(|t| t.lag).sum()
    }

    /// The state of the live trigger.
    pub(crate) async fn live_state(&self) -> &'static str {
        self.triggers.status().await.unwrap()[0].state
    }

    pub(crate) async fn ended(&self, name: &str) -> ReplayStatus {
        until("the replay is over", async || self.replays.show(name).await.unwrap().state.is_over()).await;
        self.replays.show(name).await.unwrap()
    }

    pub(crate) async fn row(&self, table: &str, key: &str) -> Value {
        let key =
            StateKey { table: TableName::new(table).unwrap(), generation: 0, key: key.to_owned().into() };
        let row = self.session.log().get(&[key]).await.unwrap().pop().flatten();
        row.map_or(Value::Null, |row| serde_json::from_slice(&row.value).unwrap())
    }

    /// The values of all events of `emails`.
    pub(crate) async fn emails(&self) -> Vec<String> {
        let at = At { topic: self.session.topic("emails").unwrap().id, partition: 0 };
        let records = self.session.log().read(at, Offset(0), ReadLimit::default()).await.unwrap();
        records.iter().map(|r| String::from_utf8_lossy(r.value().unwrap()).into_owned()).collect()
    }

    /// The groups that the log knows.
    pub(crate) async fn groups(&self) -> Vec<String> {
        let positions = self.session.log().positions(None).await.unwrap();
        let mut groups: Vec<_> = positions.iter().map(|p| p.group.to_string()).collect();
        groups.dedup();
        groups
    }
}

pub(crate) fn live() -> GroupName {
    GroupName::new("orders/tally").unwrap()
}

fn live_trigger() -> Trigger {
    let mut settings = weir_triggers::dispatcher::Settings::default();
    settings.retry.backoff = Duration::from_millis(1);
    let function = FunctionName::new("tally").unwrap();
    Trigger {
        topic: TopicName::new("orders").unwrap(),
        name: function.clone(),
        function,
        group: live(),
        settings,
        limits: Limits::default(),
        replay: None,
    }
}

fn spawn_worker(session: Arc<Session>, inbox: Inbox, stop: CancellationToken) -> JoinHandle<()> {
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    thread
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let worker = Worker::new(&WorkerOptions::new(Watchdog::start().unwrap())).unwrap();
            let (_code, seen) = watch::channel(Arc::new(Code::from_sources([("app/tally.lua", TALLY)])));
            let pump = Pump::new(session, Rc::new(worker), seen, inbox);
            tokio::task::LocalSet::new().block_on(&runtime, pump.run(stop));
        })
        .unwrap()
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WITHIN, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// A replay of all that the live trigger has handled.
pub(crate) fn asked(name: &str) -> NewReplay {
    NewReplay {
        topic: TopicName::new("orders").unwrap(),
        function: FunctionName::new("tally").unwrap(),
        from: None,
        to: None,
        partition: None,
        key: None,
        rate: None,
        emit: false,
        allow_http: Vec::new(),
        name: Some(name.to_owned()),
    }
}

pub(crate) fn at(offset: u64) -> Option<Position> {
    Some(Position::Offset(Offset(offset)))
}

pub(crate) fn per_second(events: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(events)
}
