//! Events in, counts out: a backlog, and then a steady stream.

use super::cluster::{Feed, Kafka, Outputs, PARTITIONS};
use crate::load::p99;
use crate::measure::{median, median_of};
use crate::node::Node;
use crate::trigger::COUNT;
use anyhow::Context as _;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Events of the backlog.
pub(crate) const BACKLOG: u64 = 100_000;
/// Events a second of the stream.
pub(crate) const PACE: u64 = 1000;
/// Events of the stream.
const STREAM: u64 = 8000;

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// Events of the backlog a second, from the first output to the last.
    pub(crate) per_second: f64,
    /// From an event's send to its output's arrival.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Flow {
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let of = |figure| median_of(rounds, figure);
        Self { per_second: of(|f| f.per_second), p50_ms: of(|f| f.p50_ms), p99_ms: of(|f| f.p99_ms) }
    }

    pub(crate) fn shown(&self) -> String {
        format!("{:.1} ms (p50 {:.1} ms)", self.p99_ms, self.p50_ms)
    }

    /// Has a backlog counted by what `start` starts, which is told the prefix of the topics `events` and `out`, and then a
    /// stream.
    pub(crate) fn measure<T>(
        runtime: &Runtime,
        kafka: &Kafka,
        start: impl FnOnce(&str) -> anyhow::Result<T>,
    ) -> anyhow::Result<(Self, T)> {
        let (prefix, feed) = backlog(runtime, kafka)?;
        let mut outputs = Outputs::new(kafka, &format!("{prefix}_out"))?;
        let running = start(&prefix)?;
        let came = outputs.next(BACKLOG)?;
        let (first, last) = came.first().zip(came.last()).context("there is a backlog")?;
        let per_second = BACKLOG as f64 / last.1.duration_since(first.1).as_secs_f64();
        let mut times = stream(feed, outputs)?;
        let p50_ms = median(&mut times);
        Ok((Self { per_second, p50_ms, p99_ms: p99(&times) }, running))
    }
}

/// How long each event of a steady stream took, in milliseconds.
fn stream(mut feed: Feed, mut outputs: Outputs) -> anyhow::Result<Vec<f64>> {
    let sender = std::thread::spawn(move || {
        let (begun, mut sent) = (Instant::now(), Vec::new());
        for n in 0..STREAM {
            let due = begun + Duration::from_micros(n * 1_000_000 / PACE);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            sent.push(Instant::now());
            feed.send()?;
        }
        anyhow::Ok((feed, sent))
    });
    let came = outputs.next(STREAM)?;
    let (_, sent) = sender.join().ok().context("the sender ended by a panic")??;
    let took = |(id, came): &(u64, Instant)| {
        let sent = sent.get(usize::try_from(id - BACKLOG).ok()?)?;
        Some(came.duration_since(*sent).as_secs_f64() * 1e3)
    };
    came.iter().map(|output| took(output).context("an output of no event of the stream")).collect()
}

/// Topics `events`, with a backlog, and `out`: their prefix, and what feeds them.
pub(crate) fn backlog(runtime: &Runtime, kafka: &Kafka) -> anyhow::Result<(String, Feed)> {
    let prefix = runtime.block_on(kafka.topics(&["events", "out"]))?;
    let mut feed = Feed::new(kafka, &format!("{prefix}_events"))?;
    feed.fill(BACKLOG)?;
    Ok((prefix, feed))
}

/// Ours: a node in this process.
pub(crate) fn of_weir(runtime: &Runtime, kafka: &Kafka) -> anyhow::Result<Flow> {
    let folder = tempfile::tempdir_in(".")?;
    let (flow, node) = Flow::measure(runtime, kafka, |prefix| {
        runtime.block_on(async {
            let log = kafka.log(prefix, folder.path()).await?;
            let topic = log.topic("events", PARTITIONS).await?;
            log.topic("out", PARTITIONS).await?;
            let node = Node::start(log, folder.path(), &[("count", COUNT)])?;
            node.trigger(&topic, "count").await?;
            Ok(node)
        })
    })?;
    runtime.block_on(node.stop())?;
    Ok(flow)
}
