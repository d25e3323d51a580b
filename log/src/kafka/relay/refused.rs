//! Events that Kafka does not take, and will not: they are set aside in the store, so that those behind them reach it.
//!
//! Each is a row of the reserved table `_weir_refused`, under the row of the outbox that it was in and its place there, so
//! that it is set aside once however often that is tried. When a relay begins, it puts them behind what has been committed
//! by then ([`Relay::send_again`]): whatever was mended reaches Kafka, and what was not is set aside once more.

use super::Relay;
use super::transactor::Undelivered;
use crate::kafka::error::Words;
use crate::kafka::{notes, outbox};
use crate::store::Store;
use crate::{BoxError, CommitError, LogError};
use bytes::Bytes;
use rdkafka::error::RDKafkaErrorCode as Code;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};
use weir_schema::{
    At, CatalogVersion, Millis, Op, Read, Record, RecordsBuilder, StateKey, StateRange, TopicId, Transaction,
    TxnId,
};

/// The table.
const TABLE: &str = "_weir_refused";
/// How long nothing is tried with a topic that was refused as a whole.
const LEFT_ALONE: Duration = Duration::from_secs(60);
/// So many are looked at in one go.
const PAGE: u32 = 100;

/// The number of an event's row in the outbox, and its place there.
pub(super) type Origin = (u64, usize);

/// What Kafka has refused, as far as this relay has met it.
#[derive(Default)]
pub(super) struct Refused {
    events: HashMap<Origin, String>,
    topics: HashMap<TopicId, (Instant, String)>,
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

/// A row of the table.
#[derive(Serialize, Deserialize)]
struct Row {
    why: String,
    topic: String,
    topic_id: u32,
    partition: u32,
    time: i64,
    key: Option<Part>,
    value: Option<Part>,
    headers: Vec<(String, Part)>,
}

/// Bytes, as text where they are some that JSON holds without much ado.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Part {
    Text(String),
    Bytes { hex: String },
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
            let value = serde_json::to_vec(&Row::of(aside))?;
            self.notes
                .write(vec![(key(aside.origin), Op::Put { value: value.into(), expires: None })])
                .await?;
            let (topic, why) = (&aside.topic, &aside.why);
            tracing::error!(
                topic,
                why,
                "Kafka refused an event that is committed: it is set aside in the table {TABLE} (weir state list \
                 {TABLE}). Mend what it says, and start the server anew: then it is sent again"
            );
        }
        Ok(())
    }

    /// Puts what was set aside into the outbox again, behind what is there.
    pub(super) async fn send_again(&self) -> Result<(), BoxError> {
        let mut range = all();
        loop {
            let page = self.store.scan(&range, PAGE).await?;
            for (key, row) in page.rows {
                let refused: Row = serde_json::from_slice(&row.value)?;
                let key = notes::key(TABLE, key);
                match self.commit_again(&key, row.stamp, &refused).await {
                    // another relay was faster
                    Ok(()) | Err(CommitError::Conflict { catalog: None, .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            match page.next {
                Some(next) => range.from = next,
                None => return Ok(()),
            }
        }
    }

    async fn commit_again(
        &self,
        key: &StateKey,
        stamp: weir_schema::Stamp,
        refused: &Row,
    ) -> Result<(), CommitError> {
        let (writer, time) = (self.writer, Millis(refused.time));
        let again = Transaction {
            appends: [refused.event()].into_iter().collect(),
            ..Transaction::new(TxnId(0), CatalogVersion(0))
        };
        let appends = outbox::pack(&again, self.outbox, writer, time).appends;
        let more = |transaction: &mut Transaction| {
            transaction.reads.push(Read::Key(key.clone(), Some(stamp)));
            transaction.appends.clone_from(&appends);
        };
        self.notes.commit(more, vec![(key.clone(), Op::Delete)]).await
    }
}

impl Row {
    fn of(aside: &Aside<'_>) -> Self {
        let event = &aside.event;
        Self {
            why: aside.why.clone(),
            topic: aside.topic.clone(),
            topic_id: event.meta.at.topic.0,
            partition: event.meta.at.partition,
            time: aside.time.0,
            key: event.key().map(Part::of),
            value: event.value().map(Part::of),
            headers: event.headers().map(|(name, value)| (name.to_owned(), Part::of(value))).collect(),
        }
    }

    fn event(&self) -> weir_schema::Records {
        let mut builder = RecordsBuilder::default();
        let at = At { topic: TopicId(self.topic_id), partition: self.partition };
        let (key, value) = (self.key.as_ref().map(Part::bytes), self.value.as_ref().map(Part::bytes));
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name, value.bytes())).collect();
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        builder.push(at, key.as_deref(), value.as_deref(), headers);
        builder.build()
    }
}

impl Part {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            // escapes would make it large
            Ok(text) if !text.chars().any(char::is_control) => Self::Text(text.to_owned()),
            _ => Self::Bytes { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() },
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Bytes { hex } => {
                let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
                let byte = |pair: &[u32]| u8::try_from(pair[0] << 4 | pair[1]).unwrap_or(0);
                digits.chunks_exact(2).map(byte).collect()
            }
        }
    }
}

fn all() -> StateRange {
    StateRange { table: notes::key(TABLE, Bytes::new()).table, generation: 0, from: Bytes::new(), to: None }
}

/// What Kafka has refused, topic by topic.
pub(in crate::kafka) async fn troubles(store: &dyn Store) -> Result<Vec<String>, LogError> {
    let (mut range, mut topics) = (all(), BTreeMap::<String, (usize, String)>::new());
    loop {
        let page = store.scan(&range, PAGE).await?;
        for (_, row) in page.rows {
            let Ok(Row { topic, why, .. }) = serde_json::from_slice(&row.value) else { continue };
            topics.entry(topic).or_insert((0, why)).0 += 1;
        }
        let Some(next) = page.next else { break };
        range.from = next;
    }
    let tell = |(topic, (events, why))| {
        format!(
            "Kafka refused {events} events of topic {topic} ({why}): they are set aside in the table {TABLE}; mend the \
             cause and start the server anew, then they are sent again"
        )
    };
    Ok(topics.into_iter().map(tell).collect())
}

/// Orders as the outbox does.
fn key((row, index): Origin) -> StateKey {
    notes::key(TABLE, format!("{row:020}-{index:010}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_event_that_is_set_aside_comes_back_as_it_was(
            key in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
            value in prop::option::of(".{0,20}"),
            headers in prop::collection::vec(("[a-z]{0,5}", prop::collection::vec(any::<u8>(), 0..9)), 0..3),
        ) {
            let mut builder = RecordsBuilder::default();
            let named = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
            let at = At { topic: TopicId(7), partition: 3 };
            builder.push(at, key.as_deref(), value.as_deref().map(str::as_bytes), named);
            let records = builder.build();
            let event = records.get(0).expect("one");
            let (topic, why) = ("orders".to_owned(), "because".to_owned());
            let aside = Aside { origin: (1, 2), topic, event, time: Millis(9), why };
            let row = serde_json::to_vec(&Row::of(&aside)).expect("it is JSON");
            let back = serde_json::from_slice::<Row>(&row).expect("it is a row").event();
            let back = back.get(0).expect("one");
            prop_assert_eq!(back.meta.at, at);
            prop_assert_eq!((back.key(), back.value()), (event.key(), event.value()));
            prop_assert_eq!(back.headers_encoded(), event.headers_encoded());
        }
    }
}
