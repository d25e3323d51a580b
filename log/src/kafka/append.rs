//! The short way to Kafka: single events that belong to nothing else, by an idempotent producer, without a transaction.

mod lanes;
mod line;
mod mending;

use super::clients::{Context, KNOWN_WITHIN};
use super::error::Words;
use super::mirror::{Topic, number, offset};
use super::parts::Parts;
use super::shared::Shared;
use crate::{Clock, CommitError, LogError, Rejection};
use line::Line;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use smallvec::smallvec;
use std::sync::Arc;
use tokio::runtime::Handle;
use weir_schema::{At, Millis, Receipt, Record, Records, TxnId};

/// How many milliseconds an event may wait for what is handed over with it.
const LINGER: &str = "5";
/// How many events may wait for the brokers.
const QUEUE: &str = "1000000";

/// Sends single events. When its producer fails for good there is another ([`mending`]).
#[derive(Debug)]
pub(super) struct Appender {
    line: Arc<Line>,
    pub(super) clock: Arc<dyn Clock>,
}

/// One event on its way.
#[derive(Debug)]
pub(super) struct Sent {
    id: TxnId,
    topic: Arc<Topic>,
    at: At,
    /// The event, alone.
    event: Records,
    /// With which time a producer has it, or had it; none: none has.
    time: Option<Millis>,
    shared: Arc<Shared>,
}

type Producer = ThreadedProducer<Deliveries>;

/// Hears what became of events.
struct Deliveries {
    context: Context,
    line: Arc<Line>,
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let at = sent.at;
        match result {
            Ok(message) => sent.arrived(message.offset()),
            Err((error, _)) => match refusal(error, at, &self.context.0) {
                Some(why) => sent.resolve(Err(why)),
                None => self.line.fail(sent),
            },
        }
        self.line.reported(at);
    }
}

impl Appender {
    /// Opens the producer. Waits for brokers; what waits for them later may use `handle`.
    pub(super) fn open(parts: Arc<Parts>, handle: Handle, clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        let line = Arc::new(Line::default());
        let producer = open_producer(&parts, &line);
        let producer = producer.map_err(|error| parts.in_words("open a producer", "", &error))?;
        if line.restore(producer).is_err() {
            return Err(LogError::Closed);
        }
        let place = parts.clients.options.place();
        let no_thread = |error| LogError::no_thread(&place, error);
        let appender = Self { line: line.clone(), clock };
        let mended = line.clone();
        spawn("weir-kafka-mender", move || mending::mend(&mended, &parts, &handle)).map_err(no_thread)?;
        spawn("weir-kafka-append", move || line.run()).map_err(no_thread)?;
        Ok(appender)
    }

    /// Sends `event`, which is one and all of the transaction `id`; that is resolved when it can be read.
    pub(super) fn send(&self, shared: &Arc<Shared>, id: TxnId, topic: Arc<Topic>, at: At, event: Records) {
        let sent = Sent { id, topic, at, event, time: None, shared: shared.clone() };
        self.line.send(Box::new(sent), self.clock.now());
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.line.close();
    }
}

impl Sent {
    /// Gives it to a producer; if that does not take it, it comes back.
    fn produce(self: Box<Self>, producer: &Producer, now: Millis) -> Result<(), (KafkaError, Box<Self>)> {
        let (shared, topic, records) = (self.shared.clone(), self.topic.clone(), self.event.clone());
        // it has been sent as one
        let Some(event) = records.get(0) else { return Ok(()) };
        shared.times.stamp(self.at, now, |time| {
            let mut sent = self;
            sent.time = Some(time);
            let refused = producer.send(message(&topic, &event, time, sent));
            refused.map_err(|(error, record)| (error, record.delivery_opaque))
        })
    }

    /// It is in Kafka: its transaction is resolved when it can be read.
    fn arrived(self, at_offset: i64) {
        let Self { id, at, shared, .. } = self;
        let offset = offset(at_offset);
        let receipt = Receipt { bases: smallvec![(at, offset, 1)], ..Receipt::default() };
        let tell = shared.clone();
        shared.tails.when_visible(at, offset, Box::new(move || tell.pending.resolve(id, Ok(receipt))));
    }

    fn resolve(&self, outcome: crate::batch::Outcome) {
        self.shared.pending.resolve(self.id, outcome);
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

/// A producer whose reports `line` hears.
fn open_producer(parts: &Parts, line: &Arc<Line>) -> Result<Producer, KafkaError> {
    let clients = &parts.clients;
    let batch = parts.shared.limits.batch(clients.batch()).to_string();
    let config = clients.config(&[
        ("enable.idempotence", "true"),
        ("acks", "all"),
        // what is handed over is flushed
        ("linger.ms", LINGER),
        ("batch.size", &batch),
        ("topic.metadata.propagation.max.ms", KNOWN_WITHIN),
        // an event waits for its brokers however long they are away: its outcome is never a guess
        ("message.timeout.ms", "0"),
        ("queue.buffering.max.messages", QUEUE),
    ]);
    let deliveries = Deliveries { context: Context(clients.words.clone()), line: line.clone() };
    let producer: Producer = config.create_with_context(deliveries)?;
    // the first acknowledgement would take half a second more
    producer.client().fetch_metadata(Some(&super::relay::topic(clients)), super::clients::ANSWER)?;
    Ok(producer)
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

/// What an error of a delivery means for its transaction; none: it may be in Kafka or not, or may yet be sent.
fn refusal(error: &KafkaError, at: At, words: &Words) -> Option<CommitError> {
    match error.rdkafka_error_code()? {
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
            Some(CommitError::Rejected(Rejection::NoTopic { topic: at.topic, partition: at.partition }))
        }
        RDKafkaErrorCode::InvalidRecord => Some(CommitError::Rejected(Rejection::Malformed(
            "Kafka does not take the event as its topic is set: one that is compacted takes none without a key",
        ))),
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::PolicyViolation => Some(
            CommitError::Unavailable(format!("Kafka refused the event: {}", words.explain(error)).into()),
        ),
        _ => None,
    }
}
