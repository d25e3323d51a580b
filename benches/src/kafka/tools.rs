//! Kafka's own tools, which tell how fast its own clients are.

use super::cluster::{Feed, Kafka, PARTITIONS, read_all};
use crate::append::VALUE;
use crate::measure::paired;
use crate::node::Node;
use crate::peers::output;
use crate::report::{Row, Target};
use crate::trigger::NOTHING;
use anyhow::{Context as _, anyhow};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use weir_log::conformance::broker::tool;

/// What the producer sends.
const SENT: u64 = 400_000;
/// What is replayed.
const REPLAYED: u64 = 400_000;

/// Events a second that ProducerPerformance sends.
pub(crate) fn producer_performance(runtime: &Runtime, kafka: &Kafka) -> anyhow::Result<f64> {
    let topic = format!("{}_sent", runtime.block_on(kafka.topics(&["sent"]))?);
    let mut command = tool("org.apache.kafka.tools.ProducerPerformance").map_err(|e| anyhow!(e))?;
    command.args(["--topic", &topic, "--throughput", "-1", "--num-records", &SENT.to_string()]);
    command.args(["--record-size", &VALUE.len().to_string(), "--producer-props", "acks=all"]);
    let said = output(command.arg(format!("bootstrap.servers={}", kafka.brokers())))?;
    let last = said.lines().rfind(|line| line.contains("records/sec")).with_context(|| said.clone())?;
    let rate = last.split(", ").nth(1).and_then(|part| part.split_whitespace().next());
    Ok(rate.with_context(|| format!("ProducerPerformance tells no rate: {said}"))?.parse()?)
}

/// A function that does nothing on a backlog, and a scan of the log, beside a consumer of Kafka's.
pub(crate) fn replayed(runtime: &Runtime, kafka: &Kafka) -> anyhow::Result<Vec<Row>> {
    let prefix = runtime.block_on(kafka.topics(&["events"]))?;
    let name = format!("{prefix}_events");
    Feed::new(kafka, &name)?.fill(REPLAYED)?;
    let theirs = || consumer_performance(kafka, &name);
    let (replayed, consumed) = paired(|| runtime.block_on(replay(kafka, &prefix)), theirs)?;
    let (scanned, consumed_beside) = paired(|| runtime.block_on(scan(kafka, &prefix)), theirs)?;
    let against = "Kafka's ConsumerPerformance, without its join";
    Ok(vec![
        Row::rates("replay, no-op function, Kafka", against, replayed, consumed, Target::AtLeast(1.0)),
        Row::rates("scan of a topic, Kafka", against, scanned, consumed_beside, Target::None),
    ])
}

/// Events a second of a function that does nothing, by a node with a store of its own.
async fn replay(kafka: &Kafka, prefix: &str) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in(".")?;
    let log = kafka.log(prefix, folder.path()).await?;
    let topic = log.topic("events", PARTITIONS).await?;
    // strangers' events have no gaps
    Node::start(log, folder.path(), &[("nothing", NOTHING)])?.rate(&topic, "nothing", REPLAYED).await
}

/// Events a second of reading page after page.
async fn scan(kafka: &Kafka, prefix: &str) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in(".")?;
    let log = kafka.log(prefix, folder.path()).await?;
    let topic = log.topic("events", PARTITIONS).await?;
    let begun = Instant::now();
    let events = read_all(&**log.session.log(), &topic).await?;
    let rate = events as f64 / begun.elapsed().as_secs_f64();
    anyhow::ensure!(events == REPLAYED, "{events} of {REPLAYED} events were read");
    log.session.log().close().await?;
    Ok(rate)
}

/// Events a second that ConsumerPerformance fetches, without the time that it takes to join its group.
fn consumer_performance(kafka: &Kafka, topic: &str) -> anyhow::Result<f64> {
    let mut command = tool("org.apache.kafka.tools.ConsumerPerformance").map_err(|e| anyhow!(e))?;
    command.args(["--bootstrap-server", kafka.brokers(), "--topic", topic]);
    command.args(["--messages", &REPLAYED.to_string(), "--timeout"]);
    let said = output(command.arg(Duration::from_secs(30).as_millis().to_string()))?;
    let rate = said.lines().last().and_then(|line| line.rsplit(", ").next());
    rate.and_then(|rate| rate.parse().ok())
        .with_context(|| format!("ConsumerPerformance tells no rate: {said}"))
}
