//! The log in PostgreSQL, beside the same work as SQL of the same server's, and beside `pgbench`.

pub(crate) mod cluster;
mod raw;

use crate::append::appends;
use crate::load::Load;
use crate::measure::{ROUNDS, median, paired};
use crate::node::Node;
use crate::probe::sync_ms;
use crate::report::{Row, Target};
use crate::store::{Log, Store};
use crate::trigger::{COUNT, EVENTS, KEYS, count, latency, replay};
use cluster::Cluster;
use raw::Raw;
use std::time::Instant;
use tokio::runtime::Runtime;

const WRITERS: [u32; 4] = [1, 16, 64, 256];
const PARTITIONS: u32 = 16;

pub(crate) fn run() -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let cluster = Cluster::start()?;
    let mut rows = written(&runtime, &cluster)?;
    rows.extend(worked(&runtime, &cluster)?);
    rows.push(started(&runtime, &cluster)?);
    rows.push(shared(&runtime, &cluster)?);
    Ok(rows)
}

/// Load of single events.
fn written(runtime: &Runtime, cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let (mut ours, mut theirs, mut raw) = (vec![Vec::new(); 4], vec![Vec::new(); 4], Vec::new());
    cluster.prepare_pgbench()?;
    for _ in 0..ROUNDS {
        for (i, writers) in WRITERS.into_iter().enumerate() {
            ours[i].push(runtime.block_on(append(cluster, writers))?);
            theirs[i].push(cluster.pgbench(writers)?);
        }
        raw.push(runtime.block_on(async { Raw::new(cluster).await?.append().await })?);
    }
    let medians: Vec<Load> = ours.iter().map(|rounds| Load::median(rounds)).collect();
    let raw = median(&mut raw);
    let mut rows = vec![Row {
        path: "append, PostgreSQL, 256 writers".into(),
        against: "raw `unnest` batches of 1000 on one connection".into(),
        ours: medians[3].shown(),
        reference: format!("{raw:.0}/s"),
        value: medians[3].per_second / raw,
        target: Target::AtLeast(0.8),
    }];
    for ((writers, ours), theirs) in WRITERS.into_iter().zip(medians).zip(&mut theirs) {
        let theirs = median(theirs);
        rows.push(Row {
            path: format!("append, PostgreSQL, writers: {writers}"),
            against: format!("`pgbench` simple-update, clients: {writers}"),
            ours: ours.shown(),
            reference: format!("{theirs:.0}/s"),
            value: ours.per_second / theirs,
            target: Target::None,
        });
    }
    Ok(rows)
}

async fn append(cluster: &Cluster, writers: u32) -> anyhow::Result<Load> {
    let folder = tempfile::tempdir()?;
    let log = Store::Postgres(cluster).log(folder.path()).await?;
    let appends = appends(&log, writers).await?;
    log.session.log().close().await?;
    Ok(appends)
}

/// Triggers with a backlog.
fn worked(runtime: &Runtime, cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let store = Store::Postgres(cluster);
    let raw_count = || runtime.block_on(async { Raw::new(cluster).await?.count().await });
    let (counted, raw) = paired(|| runtime.block_on(count(store)), raw_count)?;
    let raw_scan = || runtime.block_on(async { Raw::new(cluster).await?.scan().await });
    let (replayed, scanned) = paired(|| runtime.block_on(replay(store)), raw_scan)?;
    Ok(vec![
        Row::rates(
            "trigger with state read, write and append, PostgreSQL (exactly once)",
            "raw SQL of the same rows, batches of 1000 by `unnest`",
            counted,
            raw,
            Target::AtLeast(0.5),
        ),
        Row::rates(
            "replay, no-op function, PostgreSQL",
            "raw scan of the topic in pages + JSON parse",
            replayed,
            scanned,
            Target::AtLeast(0.5),
        ),
    ])
}

fn started(runtime: &Runtime, cluster: &Cluster) -> anyhow::Result<Row> {
    let (sync, latency) = (sync_ms()?, runtime.block_on(latency(Store::Postgres(cluster)))?);
    let against =
        format!("2 ms where a sync takes less than 0.2 ms, else a sync + 1 ms; here it takes {sync:.2} ms");
    let most = if sync < 0.2 { 2.0 } else { (sync * 100.0).round() / 100.0 + 1.0 };
    let path = "append → function starts, idle system, PostgreSQL, p50";
    Ok(Row::alone(path, against, format!("{latency:.3} ms"), latency, Target::AtMost(most)))
}

/// One node against two.
fn shared(runtime: &Runtime, cluster: &Cluster) -> anyhow::Result<Row> {
    let (one, two) = paired(|| runtime.block_on(nodes(cluster, 1)), || runtime.block_on(nodes(cluster, 2)))?;
    let path = format!("trigger with state, PostgreSQL, {PARTITIONS} partitions, two nodes of one worker");
    Ok(Row::rates(path, "one node of one worker, on the same machine", two, one, Target::None))
}

/// Events a second of so many nodes that share a trigger's partitions.
async fn nodes(cluster: &Cluster, nodes: usize) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let place = Store::Postgres(cluster).place(folder.path());
    let log = Log::open(place.clone()).await?;
    let topic = log.topic("events", PARTITIONS).await?;
    log.topic("out", PARTITIONS).await?;
    log.fill(&topic, EVENTS, KEYS).await?;
    log.session.log().close().await?;
    let mut all = Vec::new();
    for _ in 0..nodes {
        let log = Log::open(place.clone()).await?;
        log.session.refresh_topics(|_| true).await?;
        all.push(Node::start(log, folder.path(), &[("count", COUNT)])?);
    }
    let started = Instant::now();
    let mut group = None;
    for node in &all {
        group = Some(node.trigger(&topic, "count").await?);
    }
    if let (Some(node), Some(group)) = (all.first(), &group) {
        node.handled(group, EVENTS).await?;
    }
    let rate = EVENTS as f64 / started.elapsed().as_secs_f64();
    for node in all {
        node.stop().await?;
    }
    Ok(rate)
}
