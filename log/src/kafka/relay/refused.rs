//! Events that Kafka does not take, and will not: they are set aside in the store, so that those behind them reach it.
//!
//! Each is a row of a table of its own ([`refused`]), under the row of the outbox that it was in and its place there, so
//! that it is set aside once however often that is tried. There it stays until someone takes it out: to have it sent again,
//! behind what has been committed by then, or to give it up.

use super::Relay;
use super::transactor::Undelivered;
use crate::kafka::error::Words;
use crate::refused::{self, RefusedEvent, refused_events};
use crate::store::Store;
use crate::{BoxError, LogError};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};
use weir_schema::{At, Millis, Record, TopicId};

/// How long nothing is tried with a topic that was refused as a whole.
const LEFT_ALONE: Duration = Duration::from_secs(60);
/// The number of an event's row in the outbox, and its place there.
pub(super) type Origin = (u64, usize);

/// What Kafka has refused, as far as this relay has met it.
#[derive(Default)]
pub(super) struct Refused {
    events: HashMap<Origin, String>,
    topics: HashMap<TopicId, (Instant, String)>,
    /// The last row that was to be tried whatever had been refused of its topic.
    insisted: Option<u64>,
    /// Whether each event is sent in a batch of its own: only then an error is the event's own.
    pub(super) singly: bool,
}

/// An event to be set aside.
pub(super) struct Aside<'a> {
    pub(super) origin: Origin,
    /// What the log calls its topic.
    pub(super) topic: String,
    pub(super) event: Record<'a>,
    pub(super) time: Millis,
    pub(super) why: String,
}

impl Refused {
    /// Takes note of why an event was not delivered; false: that may pass.
    pub(super) fn note(&mut self, undelivered: &Undelivered, words: &Words) -> bool {
        let Undelivered { origin, at, error } = undelivered;
        let why = words.explain(error);
        match error.rdkafka_error_code() {
            Some(
                Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::TopicAuthorizationFailed
                | Code::InvalidTopic,
            ) => {
                self.topics.insert(at.topic, (Instant::now() + LEFT_ALONE, why));
            }
            Some(
                Code::MessageSizeTooLarge
                | Code::InvalidMessageSize
                | Code::InvalidRecord
                | Code::PolicyViolation,
            ) => {
                if self.singly {
                    self.events.insert(*origin, why);
                }
                self.singly = true;
            }
            _ => return false,
        }
        true
    }

    /// Someone has mended what was refused of a topic: an event of row `number` is to be tried, once.
    pub(super) fn insist(&mut self, number: u64, at: At) {
        if self.insisted < Some(number) {
            self.insisted = Some(number);
            self.topics.remove(&at.topic);
        }
    }

    /// Why an event is not to be sent.
    pub(super) fn why(&self, origin: Origin, at: At) -> Option<String> {
        let topic = self.topics.get(&at.topic).filter(|(until, _)| Instant::now() < *until);
        self.events.get(&origin).or_else(|| topic.map(|(_, why)| why)).cloned()
    }

    /// Everything below `row` is in Kafka, or set aside.
    pub(super) fn forget(&mut self, row: u64) {
        self.events.retain(|(number, _), _| *number >= row);
    }
}

impl Relay {
    /// Sets events aside. Durable when it returns; a second time it does nothing more.
    pub(super) async fn set_aside(&self, events: &[Aside<'_>]) -> Result<(), BoxError> {
        for aside in events {
            let row = refused::row(&aside.topic, &aside.event, aside.time, &aside.why);
            self.notes.write(vec![(refused::key(aside.origin), row)]).await?;
            let (topic, why) = (&aside.topic, &aside.why);
            tracing::error!(
                topic,
                why,
                "Kafka refused an event that is committed: it is set aside (weir refused). Mend what it says, then send it \
                 again: weir refused retry --topic {topic}"
            );
        }
        Ok(())
    }
}

/// What Kafka has refused, topic by topic.
pub(in crate::kafka) async fn troubles(store: &dyn Store) -> Result<Vec<String>, LogError> {
    let mut topics = BTreeMap::<String, (usize, String)>::new();
    for RefusedEvent { topic, why, .. } in refused_events(store).await? {
        topics.entry(topic).or_insert((0, why)).0 += 1;
    }
    let tell = |(topic, (events, why))| {
        format!(
            "Kafka refused {events} events of topic {topic} ({why}): they are set aside (weir refused); mend the cause, \
             then send them again: weir refused retry --topic {topic}"
        )
    };
    Ok(topics.into_iter().map(tell).collect())
}
