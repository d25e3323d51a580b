//! The number that the relay has reached, in Kafka: an event of the log's own topic, in the transaction whose rows it counts. So it
//! is there if they are, and only then.
//!
//! An offset that a group commits in the transaction would do as well, and costs two requests more, which brokers gather for
//! some milliseconds (`group.coordinator.append.linger.ms`).

use crate::kafka::clients::{ANSWER, Clients, Consumer, until_known};
use crate::kafka::error::is_silence;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::BaseRecord;
use rdkafka::util::IntoOpaque;
use rdkafka::{Offset as Place, TopicPartitionList};
use std::time::{Duration, Instant};

/// How the topic is made: only its last event counts, however old that is.
pub(in crate::kafka) const SETTINGS: [(&str, &str); 2] =
    [("cleanup.policy", "compact"), ("segment.bytes", "16777216")];
/// Of each event.
const KEY: &str = "reached";
/// How far before the end the last event is looked for at first: behind it are marks of transactions, and what was aborted.
const BACK: i64 = 64;
/// How long an event is waited for at a time.
const POLL: Duration = Duration::from_millis(50);

/// The log's own topic.
pub(in crate::kafka) fn topic(clients: &Clients) -> String {
    clients.group("relay")
}

/// An event of `topic` that says that `reached` was reached.
pub(super) fn event<'a, D: IntoOpaque>(
    topic: &'a str,
    reached: &'a str,
    opaque: D,
) -> BaseRecord<'a, str, str, D> {
    BaseRecord::with_opaque_to(topic, opaque).partition(0).key(KEY).payload(reached)
}

/// The number of the last transaction that has been committed; none: there has been none. One that is open is not waited for.
/// The inner error says that the last event is not the relay's.
pub(in crate::kafka) fn reached(clients: &Clients) -> Result<Result<Option<u64>, String>, KafkaError> {
    let topic = topic(clients);
    let consumer = clients.consumer(&[("enable.partition.eof", "true"), ("fetch.wait.max.ms", "10")])?;
    let (low, end) = until_known(|| consumer.fetch_watermarks(&topic, 0, ANSWER))?;
    let mut back = BACK;
    loop {
        let from = low.max(end.saturating_sub(back));
        let last = last_since(&consumer, &topic, from)?;
        if last.is_some() || from == low {
            return Ok(last.map(|text| number(&text, &topic)).transpose());
        }
        back = back.saturating_mul(8);
    }
}

fn number(text: &str, topic: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        format!(
            "topic {topic}, which says how many transactions of this log Kafka has, ends with an event of somebody else's \
             ({text:.40}): let nobody else write there, and give this log another topicPrefix"
        )
    })
}

/// What the last event from an offset on says.
fn last_since(consumer: &Consumer, topic: &str, from: i64) -> Result<Option<String>, KafkaError> {
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, 0, Place::Offset(from))?;
    consumer.assign(&place)?;
    let (mut last, mut patience) = (None, Instant::now() + ANSWER);
    loop {
        match consumer.poll(POLL) {
            Some(Ok(event)) => {
                last = Some(String::from_utf8_lossy(event.payload().unwrap_or_default()).into_owned());
                patience = Instant::now() + ANSWER;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(last),
            Some(Err(error)) if !is_silence(&error) => return Err(error),
            Some(Err(_)) | None if Instant::now() < patience => {}
            Some(Err(_)) | None => {
                return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
            }
        }
    }
}
