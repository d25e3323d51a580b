//! What is on its way to Kafka: the appends of a transaction as events on a topic of the store's.
//!
//! They are committed with the state and the position that belong to them, and their offsets number the transactions in
//! commit order. A row is one event, or a few where one is too large for all: the last of them says so.
//!
//! The value of a row: version (1), whether it is the last of its transaction and whether its events were refused before
//! (1), the writer that waits for it (4), its time
//! in milliseconds (8); then
//! each event: topic (4), partition (4), key and value (4 for the length, all ones for none, and the bytes), headers (4 and
//! the bytes). Numbers are little-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use weir_schema::{At, Headers, Millis, Record, Records, RecordsBuilder, TopicId, Transaction, WriterId};

/// What the topic is called in the store.
pub(super) const TOPIC: &str = "_weir_outbox";

const VERSION: u8 = 1;
const NONE: u32 = u32::MAX;
/// What a row says of itself.
const LAST: u8 = 1;
const AGAIN: u8 = 2;
/// A row is full at this many bytes; it may be larger by one event.
const ROW_BYTES: usize = 8 << 20;

/// A row, as the relay reads it.
#[derive(Debug)]
pub(super) struct Row {
    /// Whether the transaction ends with it.
    pub(super) is_last: bool,
    /// Whether its events were refused before, and someone wants them to be sent all the same.
    pub(super) is_again: bool,
    /// Who waits for it.
    pub(super) writer: WriterId,
    /// When it was committed, by its own clock.
    pub(super) time: Millis,
    pub(super) events: Records,
}

/// `transaction` as the store is given it: its appends are rows of the outbox `at`.
pub(super) fn pack(transaction: &Transaction, at: At, writer: WriterId, time: Millis) -> Transaction {
    let mut rows: Vec<BytesMut> = Vec::new();
    for event in transaction.appends.iter().flat_map(Records::iter) {
        if rows.last().is_none_or(|row| row.len() >= ROW_BYTES) {
            rows.push(begin(writer, time));
        }
        if let Some(row) = rows.last_mut() {
            put_event(row, &event);
        }
    }
    if crate::refused::takes(transaction) {
        rows.iter_mut().for_each(|row| row[1] |= AGAIN);
    }
    if let Some(row) = rows.last_mut() {
        row[1] |= LAST;
    }
    let mut packed = RecordsBuilder::default();
    for row in &rows {
        packed.push(at, None, Some(row), []);
    }
    Transaction { appends: [packed.build()].into_iter().collect(), ..transaction.clone() }
}

fn begin(writer: WriterId, time: Millis) -> BytesMut {
    let mut row = BytesMut::new();
    row.put_u8(VERSION);
    row.put_u8(0);
    row.put_u32_le(writer.0);
    row.put_i64_le(time.0);
    row
}

fn put_event(row: &mut BytesMut, event: &Record<'_>) {
    row.put_u32_le(event.meta.at.topic.0);
    row.put_u32_le(event.meta.at.partition);
    for part in [event.key(), event.value(), Some(event.headers_encoded())] {
        match part {
            // events are bounded far below 4 GiB
            Some(bytes) => {
                row.put_u32_le(u32::try_from(bytes.len()).unwrap_or(NONE));
                row.put_slice(bytes);
            }
            None => row.put_u32_le(NONE),
        }
    }
}

/// Reads a row; none if it is not of this form.
pub(super) fn unpack(value: &[u8]) -> Option<Row> {
    let mut rest = Bytes::copy_from_slice(value);
    if rest.try_get_u8().ok()? != VERSION {
        return None;
    }
    let says = rest.try_get_u8().ok()?;
    let writer = WriterId(rest.try_get_u32_le().ok()?);
    let time = Millis(rest.try_get_i64_le().ok()?);
    let mut events = RecordsBuilder::with_capacity(1, rest.len());
    while rest.has_remaining() {
        let topic = TopicId(rest.try_get_u32_le().ok()?);
        let partition = rest.try_get_u32_le().ok()?;
        let (key, value) = (take(&mut rest)?, take(&mut rest)?);
        let headers = take(&mut rest)??;
        let headers = Headers::decode(&headers);
        events.push(At { topic, partition }, key.as_deref(), value.as_deref(), headers);
    }
    Some(Row { is_last: says & LAST != 0, is_again: says & AGAIN != 0, writer, time, events: events.build() })
}

/// The next key or value; the outer none: the row ends too early.
fn take(rest: &mut Bytes) -> Option<Option<Bytes>> {
    match rest.try_get_u32_le().ok()? {
        NONE => Some(None),
        length => {
            let length = usize::try_from(length).ok().filter(|length| *length <= rest.len())?;
            Some(Some(rest.split_to(length)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_schema::{CatalogVersion, TxnId};

    const OUTBOX: At = At { topic: TopicId(9), partition: 0 };

    type Event = (u32, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Vec<u8>)>);

    fn transaction(events: &[Event]) -> Transaction {
        let mut builder = RecordsBuilder::default();
        for (topic, key, value, headers) in events {
            let at = At { topic: TopicId(*topic), partition: 3 };
            let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
            builder.push(at, key.as_deref(), value.as_deref(), headers);
        }
        let mut transaction = Transaction::new(TxnId(1), CatalogVersion(0));
        transaction.appends.push(builder.build());
        transaction
    }

    fn rows(transaction: &Transaction) -> Vec<Row> {
        let packed = pack(transaction, OUTBOX, WriterId(7), Millis(9));
        let values = packed.appends[0].iter();
        values.map(|row| unpack(row.value().expect("a row has a value")).expect("it was packed")).collect()
    }

    fn unpacked(rows: &[Row]) -> Vec<Event> {
        let event = |record: Record<'_>| {
            let headers = record.headers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
            let (key, value) = (record.key().map(<[u8]>::to_vec), record.value().map(<[u8]>::to_vec));
            (record.meta.at.topic.0, key, value, headers)
        };
        rows.iter().flat_map(|row| row.events.iter().map(event)).collect()
    }

    #[test]
    fn what_is_too_large_for_one_row_is_several_of_which_the_last_says_so() {
        let event: Event = (1, None, Some(vec![7; 3 << 20]), vec![]);
        let rows = rows(&transaction(&vec![event; 7]));
        assert_eq!(rows.iter().map(|row| row.is_last).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(rows.iter().map(|row| row.events.len()).sum::<usize>(), 7);
        assert!(rows.iter().all(|row| (row.writer, row.time) == (WriterId(7), Millis(9))));
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..20)
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_the_same(events in prop::collection::vec(
            (any::<u32>(), prop::option::of(bytes()), prop::option::of(bytes()), prop::collection::vec(("[a-z]{0,5}", bytes()), 0..3)),
            1..6,
        )) {
            prop_assert_eq!(unpacked(&rows(&transaction(&events))), events);
        }

        #[test]
        fn reading_any_bytes_as_a_row_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut row = vec![VERSION];
            row.extend(bytes);
            let events = unpack(&row).map_or(0, |row| row.events.len());
            prop_assert!(events <= row.len());
        }
    }
}
