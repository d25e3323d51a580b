//! Events that are committed and that the place where events are does not take: they wait in a table until someone has mended
//! the cause, or gives them up.

use crate::{Log, LogError, all_rows};
use bytes::{Bytes, BytesMut};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use weir_schema::{
    At, Headers, Millis, Offset, Op, Read, Records, RecordsBuilder, Stamp, StateKey, StateRange, TableName,
    TopicId, Transaction, Versioned, Write,
};

/// The table.
const TABLE: &str = "_weir_refused";

/// An event that was refused.
#[derive(Clone, Debug)]
pub struct RefusedEvent {
    /// Under which it is known; ids are in the order of commits.
    pub id: String,
    /// Why.
    pub why: String,
    /// The name of its topic.
    pub topic: String,
    /// The event, alone, with the time of its commit; its offset means nothing.
    pub event: Records,
    stamp: Stamp,
}

/// Every event that was refused, in the order of their commits.
///
/// # Errors
/// As [`Log::scan`].
pub async fn refused_events(log: &dyn Log) -> Result<Vec<RefusedEvent>, LogError> {
    let all = StateRange { table: table(), generation: 0, from: Bytes::new(), to: None };
    let rows = all_rows(log, all).await?;
    Ok(rows.into_iter().filter_map(|(key, row)| RefusedEvent::read(&key, &row)).collect())
}

impl RefusedEvent {
    /// None: the row is not of this form.
    fn read(key: &[u8], row: &Versioned) -> Option<Self> {
        let id = std::str::from_utf8(key).ok()?.to_owned();
        let read: Row = serde_json::from_slice(&row.value).ok()?;
        let event = read.event()?;
        Some(Self { id, why: read.why, topic: read.topic, event, stamp: row.stamp })
    }

    /// Takes it out of the table by `transaction`, which conflicts if another has.
    pub fn take(&self, transaction: &mut Transaction) {
        let key = key_of(self.id.clone());
        transaction.reads.push(Read::Key(key.clone(), Some(self.stamp)));
        transaction.writes.push(Write { key, op: Op::Delete, stamp: transaction.id });
    }
}

/// Whether a transaction takes refused events out of their table.
#[cfg(feature = "kafka")]
pub(crate) fn takes(transaction: &Transaction) -> bool {
    transaction.writes.iter().any(|write| write.key.table.as_str() == TABLE)
}

/// The key of an event by the number of its row in the outbox, and its place there: it orders as these do.
#[cfg(feature = "kafka")]
pub(crate) fn key((row, index): (u64, usize)) -> StateKey {
    key_of(format!("{row:020}-{index:010}"))
}

fn key_of(id: String) -> StateKey {
    StateKey { table: table(), generation: 0, key: id.into() }
}

fn table() -> TableName {
    TableName::new(TABLE).expect("the constant is a valid name")
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

/// The row of an event of `topic`, committed at `time`, that was refused for a reason.
#[cfg(feature = "kafka")]
pub(crate) fn row(topic: &str, event: &weir_schema::Record<'_>, time: Millis, why: &str) -> Op {
    let row = Row {
        why: why.to_owned(),
        topic: topic.to_owned(),
        topic_id: event.meta.at.topic.0,
        partition: event.meta.at.partition,
        time: time.0,
        key: event.key().map(Part::of),
        value: event.value().map(Part::of),
        headers: event.headers().map(|(name, value)| (name.to_owned(), Part::of(value))).collect(),
    };
    let value = serde_json::to_vec(&row).expect("it is text and numbers");
    Op::Put { value: value.into(), expires: None }
}

impl Row {
    /// None: it has bytes that are not in hex.
    fn event(&self) -> Option<Records> {
        let (mut builder, mut headers) = (RecordsBuilder::default(), BytesMut::new());
        let at = At { topic: TopicId(self.topic_id), partition: self.partition };
        for (name, value) in &self.headers {
            Headers::encode(&mut headers, name, &value.bytes()?);
        }
        let bytes = |part: &Option<Part>| part.as_ref().map_or(Some(None), |part| part.bytes().map(Some));
        let (key, value) = (bytes(&self.key)?, bytes(&self.value)?);
        let (key, value) = (key.as_deref(), value.as_deref());
        builder.push_encoded(at, Offset::ZERO, Millis(self.time), key, value, &headers);
        Some(builder.build())
    }
}

impl Part {
    #[cfg(feature = "kafka")]
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            // escapes would make it large
            Ok(text) if !text.chars().any(char::is_control) => Self::Text(text.to_owned()),
            _ => Self::Bytes { hex: HEXLOWER.encode(bytes) },
        }
    }

    /// None: it is not in hex.
    fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.clone().into_bytes()),
            Self::Bytes { hex } => HEXLOWER.decode(hex.as_bytes()).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_schema::TxnId;

    #[test]
    fn a_row_whose_bytes_are_not_in_hex_is_no_event() {
        let read = |hex: &str| {
            let value = format!(
                r#"{{"why":"","topic":"t","topic_id":1,"partition":0,"time":1,"key":null,"value":{{"hex":"{hex}"}},"headers":[]}}"#
            );
            RefusedEvent::read(b"1-2", &Versioned { value: value.into(), stamp: TxnId(1), expires: None })
        };
        let event = read("00ff").expect("it is a row").event;
        assert_eq!(event.get(0).and_then(|event| event.value()), Some(&b"\x00\xff"[..]));
        assert!(["0", "0x", "00f"].into_iter().all(|hex| read(hex).is_none()));
    }

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
            let Op::Put { value, expires } = row("orders", &event, Millis(9), "because") else {
                unreachable!("it is put");
            };
            let back = RefusedEvent::read(b"1-2", &Versioned { value, stamp: TxnId(1), expires });
            let back = back.expect("it is a row");
            prop_assert_eq!((&*back.id, &*back.topic, &*back.why), ("1-2", "orders", "because"));
            let back = back.event.get(0).expect("one");
            prop_assert_eq!((back.meta.at, back.meta.time), (at, Millis(9)));
            prop_assert_eq!((back.key(), back.value()), (event.key(), event.value()));
            prop_assert_eq!(back.headers_encoded(), event.headers_encoded());
        }

        #[test]
        fn reading_any_bytes_as_a_row_never_panics(value in prop::collection::vec(any::<u8>(), 0..100)) {
            let row = Versioned { value: value.into(), stamp: TxnId(1), expires: None };
            prop_assert!(RefusedEvent::read(b"1-2", &row).is_none());
        }
    }
}
