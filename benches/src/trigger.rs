//! Triggers: exactly-once state and output, a replay's speed, and how soon a function starts.

use crate::measure::{ROUNDS, median, paired};
use crate::node::Node;
use crate::report::{Row, Target};
use crate::store::{Store, value};
use rusqlite::{Connection, params};
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use weir_schema::{At, RecordsBuilder};

pub(crate) const EVENTS: u64 = 50_000;
pub(crate) const KEYS: u64 = 1000;
pub(crate) const REPLAYED: u64 = 200_000;
const SAMPLES: usize = 300;

pub(crate) const COUNT: &str = "local state, topics = require 'state', require 'topics'
return function(event, ctx)
  local seen = state.get('seen', ctx.key) or {n = 0}
  seen.n = seen.n + 1
  state.set('seen', ctx.key, seen)
  topics.append('out', {{key = ctx.key, value = {n = seen.n, id = event.id}}})
end";
pub(crate) const NOTHING: &str = "return function() end";
const TELL: &str = "local log = require 'log'
return function() log.info('started') end";

pub(crate) fn run() -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (counted, raw) = paired(|| runtime.block_on(count(Store::Embedded)), count_raw)?;
    let (replayed, scanned) = paired(|| runtime.block_on(replay(Store::Embedded)), scan_raw)?;
    let latency = runtime.block_on(latency(Store::Embedded))?;
    Ok(vec![
        Row::rates(
            "trigger with state read, write and append (exactly once)",
            "raw SQL of the same statements, batches of 1000",
            counted,
            raw,
            Target::AtLeast(0.5),
        ),
        Row::rates(
            "replay, no-op function",
            "raw scan of the topic + JSON parse",
            replayed,
            scanned,
            Target::AtLeast(0.5),
        ),
        Row::alone(
            "append → function starts, idle system, p50",
            "—",
            format!("{latency:.3} ms"),
            latency,
            Target::AtMost(1.0),
        ),
    ])
}

/// Events a second of a function that reads, writes and appends.
pub(crate) async fn count(store: Store<'_>) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in(".")?;
    let log = store.log(folder.path()).await?;
    let topic = log.topic("events", 1).await?;
    log.topic("out", 1).await?;
    log.fill(&topic, EVENTS, KEYS).await?;
    Node::start(log, folder.path(), &[("count", COUNT)])?.rate(&topic, "count", EVENTS).await
}

/// What the trigger does, as SQL of one connection that knows beforehand what it will read.
fn count_raw() -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in(".")?;
    let connection = open_raw(&folder.path().join("raw.db"))?;
    let started = Instant::now();
    for first in (0..EVENTS).step_by(1000) {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for i in first..first + 1000 {
            let key = format!("key-{:06}", i % KEYS);
            let mut read = connection.prepare_cached("SELECT v FROM kv WHERE k = ?1")?;
            let seen: Option<Vec<u8>> = read.query_row([&key], |r| r.get(0)).ok();
            let n = seen
                .and_then(|v| serde_json::from_slice::<serde_json::Value>(&v).ok()?["n"].as_u64())
                .unwrap_or(0)
                + 1;
            let put = "INSERT INTO kv VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET v = excluded.v, stamp = excluded.stamp";
            connection.prepare_cached(put)?.execute(params![
                key,
                format!("{{\"n\":{n}}}").as_bytes(),
                i.cast_signed()
            ])?;
            let event = "INSERT INTO events VALUES (1, 0, ?1, 1, ?2, ?3, x'')";
            connection.prepare_cached(event)?.execute(params![
                i.cast_signed(),
                key,
                format!("{{\"n\":{n},\"id\":{i}}}").as_bytes()
            ])?;
        }
        connection.execute("UPDATE position SET at = ?1", [(first + 1000).cast_signed()])?;
        connection.execute_batch("COMMIT")?;
    }
    Ok(EVENTS as f64 / started.elapsed().as_secs_f64())
}

/// Events a second of a function that does nothing.
pub(crate) async fn replay(store: Store<'_>) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in(".")?;
    let log = store.log(folder.path()).await?;
    let topic = log.topic("events", 1).await?;
    log.fill(&topic, REPLAYED, KEYS).await?;
    Node::start(log, folder.path(), &[("nothing", NOTHING)])?.rate(&topic, "nothing", REPLAYED).await
}

fn scan_raw() -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in(".")?;
    let connection = open_raw(&folder.path().join("raw.db"))?;
    connection.execute_batch("BEGIN")?;
    for i in 0..REPLAYED {
        let event = "INSERT INTO events VALUES (0, 0, ?1, 1, ?2, ?3, x'')";
        connection.prepare_cached(event)?.execute(params![
            i.cast_signed(),
            format!("key-{:06}", i % KEYS),
            value(i).as_bytes()
        ])?;
    }
    connection.execute_batch("COMMIT")?;
    let started = Instant::now();
    let mut scan =
        connection.prepare("SELECT off, key, value FROM events WHERE topic = 0 AND part = 0 ORDER BY off")?;
    let mut rows = scan.query([])?;
    let mut seen = 0u64;
    while let Some(row) = rows.next()? {
        let value: serde_json::Value = serde_json::from_slice(row.get_ref(2)?.as_blob()?)?;
        seen += u64::from(value.is_object());
    }
    Ok(seen as f64 / started.elapsed().as_secs_f64())
}

fn open_raw(path: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA wal_autocheckpoint = 8000;
         CREATE TABLE kv(k BLOB PRIMARY KEY, v BLOB, stamp INTEGER) WITHOUT ROWID;
         CREATE TABLE position(at INTEGER); INSERT INTO position VALUES (0);
         CREATE TABLE events(topic INTEGER NOT NULL, part INTEGER NOT NULL, off INTEGER NOT NULL, ts INTEGER NOT NULL,
           key BLOB, value BLOB, headers BLOB NOT NULL, PRIMARY KEY (topic, part, off)) WITHOUT ROWID;",
    )?;
    Ok(connection)
}

/// Tells when a function logs.
struct Starts(mpsc::Sender<Instant>);

impl<S: tracing::Subscriber> Layer<S> for Starts {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "function" {
            // one at a time is under way, so the channel is never full
            self.0.try_send(Instant::now()).ok();
        }
    }
}

/// When functions started, as their first acts told. One measurement at a time looks here.
static STARTS: LazyLock<Mutex<mpsc::Receiver<Instant>>> = LazyLock::new(|| {
    let (sender, starts) = mpsc::channel(16);
    let told = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Starts(sender)));
    told.expect("nothing else listens to the functions' logs");
    Mutex::new(starts)
});

/// From the call of the append, which is durable before the function starts, to the function's first act; ms.
pub(crate) async fn latency(store: Store<'_>) -> anyhow::Result<f64> {
    let (mut starts, mut rounds) = (STARTS.lock().await, Vec::new());
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir_in(".")?;
        let log = store.log(folder.path()).await?;
        let topic = log.topic("events", 1).await?;
        let node = Node::start(log, folder.path(), &[("tell", TELL)])?;
        node.trigger(&topic, "tell").await?;
        let mut times = Vec::new();
        for i in 0..SAMPLES {
            tokio::time::sleep(Duration::from_millis(3)).await; // idle again
            let mut records = RecordsBuilder::default();
            records.push(At { topic: topic.id, partition: 0 }, None, Some(value(i as u64).as_bytes()), []);
            let appended = Instant::now();
            node.log.append(records).await?;
            if let Some(start) = starts.recv().await {
                times.push(start.duration_since(appended).as_secs_f64() * 1e3);
            }
        }
        node.stop().await?;
        rounds.push(median(&mut times));
    }
    Ok(median(&mut rounds))
}
