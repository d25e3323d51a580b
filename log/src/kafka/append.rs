//! The short way to Kafka: single events that belong to nothing else, by an idempotent producer, without a transaction.

use super::clients::{Clients, Context};
use super::error::Words;
use super::mirror::{Topic, number, offset};
use super::shared::Shared;
use crate::{Clock, CommitError, Rejection};
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use smallvec::smallvec;
use std::sync::Arc;
use weir_schema::{At, Millis, Receipt, Record, TxnId};

/// How many events may wait for the brokers.
const QUEUE: &str = "1000000";

/// Sends single events.
pub(super) struct Appender {
    producer: ThreadedProducer<Deliveries>,
    pub(super) clock: Arc<dyn Clock>,
    words: Words,
}

/// One event on its way.
#[derive(Debug)]
pub(super) struct Sent {
    id: TxnId,
    at: At,
    shared: Arc<Shared>,
}

/// Hears what became of events.
struct Deliveries(Context);

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        match result {
            Ok(message) => arrived(*sent, message.offset()),
            Err((error, _)) => sent.shared.pending.resolve(sent.id, Err(refusal(error, sent.at))),
        }
    }
}

impl Appender {
    pub(super) fn open(clients: &Clients, clock: Arc<dyn Clock>) -> Result<Self, KafkaError> {
        let config = clients.config(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("linger.ms", "0"),
            // an event waits for its brokers however long they are away: its outcome is never a guess
            ("message.timeout.ms", "0"),
            ("queue.buffering.max.messages", QUEUE),
        ]);
        let producer: ThreadedProducer<Deliveries> =
            config.create_with_context(Deliveries(Context(clients.words.clone())))?;
        // the first acknowledgement would take half a second more
        producer.client().fetch_metadata(Some(&clients.group("relay")), super::clients::ANSWER)?;
        Ok(Self { producer, clock, words: clients.words.clone() })
    }

    /// Sends the event of the transaction `id`, which is resolved when it can be read.
    pub(super) fn send(&self, shared: &Arc<Shared>, id: TxnId, topic: &Topic, event: &Record<'_>) {
        let at = event.meta.at;
        let sent = shared.times.stamp(at, self.clock.now(), |time| {
            let sent = Box::new(Sent { id, at, shared: shared.clone() });
            self.producer.send(message(topic, event, time, sent)).map_err(|(error, _)| error)
        });
        if let Err(error) = sent {
            let error = match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) => {
                    CommitError::Unavailable("too many events wait for Kafka: commit less at once".into())
                }
                _ => CommitError::Unavailable(self.words.unavailable("append to Kafka", &error).into()),
            };
            shared.pending.resolve(id, Err(error));
        }
    }
}

/// An event as a producer takes it.
pub(super) fn message<'a, D: rdkafka::util::IntoOpaque>(
    topic: &'a Topic,
    event: &Record<'a>,
    time: Millis,
    opaque: D,
) -> BaseRecord<'a, [u8], [u8], D> {
    let mut message = BaseRecord::with_opaque_to(&topic.name, opaque)
        .partition(number(event.meta.at.partition))
        .timestamp(time.0);
    (message.key, message.payload) = (event.key(), event.value());
    if event.headers().next().is_some() {
        let insert = |headers: OwnedHeaders, (key, value): (&str, &[u8])| {
            headers.insert(Header { key, value: Some(value) })
        };
        message = message.headers(event.headers().fold(OwnedHeaders::new(), insert));
    }
    message
}

fn arrived(sent: Sent, at_offset: i64) {
    let Sent { id, at, shared } = sent;
    let offset = offset(at_offset);
    let receipt = Receipt { bases: smallvec![(at, offset, 1)], ..Receipt::default() };
    let tell = shared.clone();
    shared.tails.when_visible(at, offset, Box::new(move || tell.pending.resolve(id, Ok(receipt))));
}

/// What an error of a delivery means for its transaction.
fn refusal(error: &KafkaError, at: At) -> CommitError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            CommitError::Rejected(Rejection::NoTopic { topic: at.topic, partition: at.partition })
        }
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::PolicyViolation,
        ) => CommitError::Unavailable(format!("Kafka refused the event: {error}").into()),
        _ => CommitError::Ambiguous(error.to_string().into()),
    }
}

impl std::fmt::Debug for Appender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Appender").finish_non_exhaustive()
    }
}
