//! What a program would do by hand: transactions of Kafka's, a thousand events each, one output an event, and no state.

use super::cluster::{Kafka, Outputs, PARTITIONS};
use super::flow::{BACKLOG, backlog};
use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const BATCH: usize = 1000;
const ANSWER: Duration = Duration::from_secs(10);

/// Events a second of a backlog.
pub(crate) fn run(runtime: &Runtime, kafka: &Kafka) -> anyhow::Result<f64> {
    let (prefix, _) = backlog(runtime, kafka)?;
    let (events, out) = (format!("{prefix}_events"), format!("{prefix}_out"));
    let reader = kafka.reader(&events, &prefix)?;
    let mut config = kafka.client();
    config.set("transactional.id", &prefix).set("linger.ms", "0").set("batch.size", "131072");
    config.set("retry.backoff.ms", "2").set("queue.buffering.max.messages", "1000000");
    let producer: BaseProducer = config.create()?;
    producer.init_transactions(ANSWER)?;
    let (begun, mut handled, mut positions) = (Instant::now(), 0, vec![0; PARTITIONS as usize]);
    while handled < BACKLOG {
        handled += transact(&reader, &producer, &mut positions, (&events, &out))?;
    }
    let rate = BACKLOG as f64 / begun.elapsed().as_secs_f64();
    Outputs::new(kafka, &out)?.next(BACKLOG)?;
    Ok(rate)
}

/// Handles what is there, up to a batch.
fn transact(
    reader: &BaseConsumer,
    producer: &BaseProducer,
    positions: &mut [i64],
    (events, out): (&str, &str),
) -> anyhow::Result<u64> {
    let mut batch = Vec::with_capacity(BATCH);
    while batch.len() < BATCH {
        let wait = Duration::from_millis(if batch.is_empty() { 1000 } else { 5 });
        let Some(message) = reader.poll(wait) else { break };
        batch.push(message?);
    }
    if batch.is_empty() {
        return Ok(0);
    }
    producer.begin_transaction()?;
    for event in &batch {
        let value: serde_json::Value = serde_json::from_slice(event.payload().context("it has a value")?)?;
        let counted = serde_json::json!({ "n": 1, "id": value["id"] }).to_string();
        let output = BaseRecord::to(out).partition(event.partition()).payload(counted.as_bytes());
        producer.send(output.key(event.key().unwrap_or_default())).map_err(|(error, _)| error)?;
        positions[usize::try_from(event.partition())?] = event.offset() + 1;
    }
    let mut places = TopicPartitionList::new();
    for (partition, position) in (0..).zip(positions) {
        places.add_partition_offset(events, partition, Offset::Offset(*position))?;
    }
    let member = reader.group_metadata().context("a consumer has metadata")?;
    producer.send_offsets_to_transaction(&places, &member, ANSWER)?;
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::ZERO);
        std::thread::yield_now();
    }
    producer.commit_transaction(ANSWER)?;
    Ok(batch.len() as u64)
}
