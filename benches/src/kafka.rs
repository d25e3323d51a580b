//! `make bench-kafka`: the log in Kafka, beside Kafka's own tools, a program of transactions by hand, and Kafka Streams, on the
//! same broker in the same run.

mod cluster;
mod flow;
mod invoked;
mod pure;
mod streams;
mod tools;

use crate::append::{EACH, KEY, VALUE};
use crate::load::{Load, in_flight};
use crate::measure::{ROUNDS, median};
use crate::probe::Probe;
use crate::report::{self, Part, Row, Target};
use cluster::{Kafka, PARTITIONS};
use flow::Flow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use weir_schema::{At, RecordsBuilder};

const WRITERS: u32 = 256;
/// How long the broker is worked before anything is measured: its compiler takes a processor's half for the first minute.
const WARM: Duration = Duration::from_secs(75);

/// A measurement by its name on the command line.
type Bench = (&'static str, fn(&Runtime, &Kafka) -> anyhow::Result<Vec<Row>>);

const BENCHES: [Bench; 4] =
    [("append", appended), ("invocations", invoked::run), ("trigger", worked), ("replay", tools::replayed)];

/// Measures what is wanted; nothing named is all, and only all is written down.
pub(crate) fn run(wanted: &[String]) -> anyhow::Result<()> {
    let before = Probe::take()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let kafka = Kafka::start()?;
    eprintln!("warm the broker …");
    warm(&runtime, &kafka)?;
    let mut rows = Vec::new();
    for (name, bench) in BENCHES.iter().filter(|(name, _)| crate::is_wanted(wanted, name)) {
        eprintln!("{name} …");
        let measured = bench(&runtime, &kafka)?;
        measured.iter().for_each(|row| println!("{row}"));
        rows.extend(measured);
    }
    if wanted.is_empty() {
        report::write(Part::Kafka, &rows, (&before, &Probe::take()?), &notes())?;
    }
    Ok(())
}

/// Works a broker that has just started until it has compiled what it needs most: it is several times as fast then, and
/// whoever is measured first would pay for it.
fn warm(runtime: &Runtime, kafka: &Kafka) -> anyhow::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < WARM {
        runtime.block_on(append(kafka))?;
        tools::producer_performance(runtime, kafka)?;
        pure::run(runtime, kafka)?;
        flow::of_weir(runtime, kafka)?;
    }
    Ok(())
}

fn notes() -> Vec<String> {
    [
        "One broker (Apache Kafka 4.1.1) for both sides; it syncs no append by itself, as brokers are run, and is a third \
         program on the machine. It is worked for more than a minute before anything is measured. The store is a file, which is synced \
         at each commit.",
        "Kafka Streams runs with `exactly_once_v2` and its defaults, and keeps its state in RocksDB and a changelog. Its rate \
         is that from its first output to its last, as ours beside it, so that its start does not count.",
        "What comes out is counted: each event's output is there once, in every round.",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Single events, by many writers.
fn appended(runtime: &Runtime, kafka: &Kafka) -> anyhow::Result<Vec<Row>> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(runtime.block_on(append(kafka))?);
        theirs.push(tools::producer_performance(runtime, kafka)?);
    }
    let (load, theirs) = (Load::median(&ours), median(&mut theirs));
    Ok(vec![
        Row {
            path: format!("append, Kafka, {WRITERS} writers"),
            against: "Kafka's ProducerPerformance, acks=all".into(),
            ours: load.shown(),
            reference: format!("{theirs:.0}/s"),
            value: load.per_second / theirs,
            target: Target::AtLeast(0.7),
        },
        Row::alone(
            format!("append, Kafka, {WRITERS} writers, p50"),
            "—",
            format!("{:.2} ms", load.p50_ms),
            load.p50_ms,
            Target::AtMost(1.5),
        ),
    ])
}

async fn append(kafka: &Kafka) -> anyhow::Result<Load> {
    let folder = tempfile::tempdir_in(".")?;
    let log = kafka.log(&kafka.topics(&[]).await?, folder.path()).await?;
    let topic = log.topic("appended", PARTITIONS).await?.id;
    let turn = Arc::new(AtomicU32::new(0));
    let writing = log.clone();
    let load = in_flight(WRITERS, EACH, move || {
        let partition = turn.fetch_add(1, Ordering::Relaxed) % PARTITIONS;
        let mut records = RecordsBuilder::with_capacity(1, 300);
        records.push(At { topic, partition }, Some(KEY), Some(VALUE), []);
        let log = writing.clone();
        async move { log.append(records).await }
    })
    .await?;
    log.session.log().close().await?;
    Ok(load)
}

/// A function that counts each key and appends the count, from a backlog and from a steady stream.
fn worked(runtime: &Runtime, kafka: &Kafka) -> anyhow::Result<Vec<Row>> {
    let [mut ours, mut streams] = [const { Vec::new() }; 2];
    let mut pure = Vec::new();
    for _ in 0..ROUNDS {
        ours.push(flow::of_weir(runtime, kafka)?);
        pure.push(pure::run(runtime, kafka)?);
        streams.push(streams::run(runtime, kafka)?);
    }
    let (ours, streams, pure) = (Flow::median(&ours), Flow::median(&streams), median(&mut pure));
    Ok(vec![
        Row::rates(
            "trigger with state read, write and append, Kafka (exactly once)",
            "transactions of Kafka's by hand, batches of 1000, no state",
            ours.per_second,
            pure,
            Target::AtLeast(0.5),
        ),
        Row::rates(
            "trigger with state read, write and append, Kafka (exactly once)",
            "Kafka Streams, the same work",
            ours.per_second,
            streams.per_second,
            Target::AtLeast(1.0),
        ),
        Row {
            path: format!("event in → count out, {}/s, p99", flow::PACE),
            against: "Kafka Streams, the same work".into(),
            ours: ours.shown(),
            reference: streams.shown(),
            value: ours.p99_ms / streams.p99_ms,
            target: Target::AtMost(1.0),
        },
    ])
}
