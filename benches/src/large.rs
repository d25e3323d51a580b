//! What a topic costs when it is long.

use crate::append::appends_to;
use crate::measure::median;
use crate::node::Node;
use crate::postgres::cluster::Cluster;
use crate::probe::Probe;
use crate::report::{self, Part, Row, Target};
use crate::store::Log;
use crate::trigger::{KEYS, NOTHING, REPLAYED};
use anyhow::Context as _;
use std::path::Path;
use std::time::Instant;
use weir_log::{ReadLimit, TopicInfo};
use weir_schema::{At, Offset};

const SMALL: u64 = 100_000;
const LARGE: u64 = 10_000_000;
const SAMPLES: u64 = 2000;

/// Figures of one length.
struct Figures {
    events: u64,
    append_ms: f64,
    read_ms: f64,
    lookup_ms: f64,
    replayed: f64,
    table: f64,
    index: f64,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let before = Probe::take()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let cluster = Cluster::start()?;
    let (small, large, filled) = runtime.block_on(measure(&cluster))?;
    let rows = rows(&small, &large);
    rows.iter().for_each(|row| println!("{row}"));
    let note =
        format!("It was filled in transactions of 1000 events, one after the other: {filled:.0} events/s.");
    report::write(Part::Large, &rows, (&before, &Probe::take()?), &[note])
}

/// What it comes to while the topic is short, and when it is long; and the rate at which it was filled.
async fn measure(cluster: &Cluster) -> anyhow::Result<(Figures, Figures, f64)> {
    let (folder, schema) = (tempfile::tempdir()?, cluster.schema());
    let log = Log::open(cluster.place(&schema)).await?;
    let topic = log.topic("events", 1).await?;
    log.fill(&topic, SMALL, KEYS).await?;
    let small = figures(cluster, &schema, &topic, folder.path()).await?;
    let started = Instant::now();
    log.fill(&topic, LARGE - SMALL, KEYS).await?;
    let filled = (LARGE - SMALL) as f64 / started.elapsed().as_secs_f64();
    let large = figures(cluster, &schema, &topic, folder.path()).await?;
    log.session.log().close().await?;
    Ok((small, large, filled))
}

/// What the topic costs as long as it is now.
async fn figures(
    cluster: &Cluster,
    schema: &str,
    topic: &TopicInfo,
    folder: &Path,
) -> anyhow::Result<Figures> {
    let log = Log::open(cluster.place(schema)).await?;
    log.session.refresh_topics(|_| true).await?;
    let at = At { topic: topic.id, partition: 0 };
    let tail = tail(&log, at).await?;
    let (table, index) = sizes(cluster, schema).await?;
    let (read_ms, lookup_ms) = looked_up(&log, at, tail).await?;
    let appended = appends_to(&log, at, 1).await?;
    let replayed = replayed(log, topic, tail, folder).await?;
    Ok(Figures {
        events: tail,
        append_ms: appended.p50_ms,
        read_ms,
        lookup_ms,
        replayed,
        table: table / tail as f64,
        index: index / tail as f64,
    })
}

async fn tail(log: &Log, at: At) -> anyhow::Result<u64> {
    let topics = log.session.log().topics().await?;
    let topic = topics.iter().find(|t| t.id == at.topic).context("the topic is there")?;
    Ok(topic.tail[at.partition as usize].0)
}

/// Bytes of the events' table and of its indexes.
async fn sizes(cluster: &Cluster, schema: &str) -> anyhow::Result<(f64, f64)> {
    let database = cluster.connect().await?;
    database.batch_execute(&format!("VACUUM ANALYZE {schema}.events")).await?;
    let sizes = "SELECT pg_table_size($1::text::regclass), pg_indexes_size($1::text::regclass)";
    let row = database.query_one(sizes, &[&format!("{schema}.events")]).await?;
    Ok((row.get::<_, i64>(0) as f64, row.get::<_, i64>(1) as f64))
}

/// Median times to read an event anywhere, and to find the event of a time.
async fn looked_up(log: &Log, at: At, tail: u64) -> anyhow::Result<(f64, f64)> {
    let (log, mut reads, mut lookups) = (log.session.log(), Vec::new(), Vec::new());
    for i in 0..SAMPLES {
        // spread over the topic, in no order
        let offset = Offset(i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % tail);
        let begun = Instant::now();
        let records = log.read(at, offset, ReadLimit { events: 1, bytes: 1 }).await?;
        reads.push(begun.elapsed().as_secs_f64() * 1e3);
        let time = records.get(0).context("the event is there")?.meta.time;
        let begun = Instant::now();
        let found = log.offset_at(at, time).await?;
        lookups.push(begun.elapsed().as_secs_f64() * 1e3);
        anyhow::ensure!(found <= offset, "the first event of this time is this one or one before it");
    }
    Ok((median(&mut reads), median(&mut lookups)))
}

/// Events a second of a function that does nothing, from the earliest on.
async fn replayed(log: Log, topic: &TopicInfo, tail: u64, folder: &Path) -> anyhow::Result<f64> {
    let function = format!("nothing_{tail}"); // a group of its own
    Node::start(log, folder, &[(&function, NOTHING)])?.rate(topic, &function, tail.min(REPLAYED)).await
}

fn rows(small: &Figures, large: &Figures) -> Vec<Row> {
    let row = |path: &str, shown: fn(f64) -> String, figure: fn(&Figures) -> f64| Row {
        path: path.into(),
        against: format!("the same with {} events", small.events),
        ours: shown(figure(large)),
        reference: shown(figure(small)),
        value: figure(large) / figure(small),
        target: Target::None,
    };
    let ms = |figure: f64| format!("{figure:.3} ms");
    let rate = |figure: f64| format!("{figure:.0}/s");
    let bytes = |figure: f64| format!("{figure:.0} bytes");
    vec![
        row("append at the tail, one writer, p50", ms, |f| f.append_ms),
        row("read of one event anywhere, p50", ms, |f| f.read_ms),
        row("look-up of an event by its time, p50", ms, |f| f.lookup_ms),
        row("replay, no-op function", rate, |f| f.replayed),
        row("table, for each event (its key and value have 260 bytes)", bytes, |f| f.table),
        row("index, for each event", bytes, |f| f.index),
    ]
}
