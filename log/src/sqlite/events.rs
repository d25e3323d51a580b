//! Events: appended, read, looked up by time, trimmed.
//!
//! The row of an event is its partition's number, then its offset in 45 bits: a hundred thousand a second for eleven
//! years. The schema refuses what would not fit.

use super::error::Failure;
use super::topics::{self, Partition};
use crate::{LogError, ReadLimit};
use rusqlite::{CachedStatement, Connection, OptionalExtension};
use weir_schema::{At, Millis, Offset, Record, Records, RecordsBuilder};

/// How many bits of an event's row are its offset.
const OFFSET_BITS: u32 = 45;
/// How many events one step of a trim removes, so that commits that wait get their turn.
const TRIM_STEP: u64 = 4096;

/// Where an event is. `offset` is at most the partition's tail.
fn row_of(partition: &Partition, offset: Offset) -> i64 {
    (partition.id << OFFSET_BITS) + offset.0.cast_signed()
}

fn offset_in(row: i64) -> Offset {
    Offset(row.cast_unsigned() & ((1 << OFFSET_BITS) - 1))
}

/// Appends the events of one batch.
pub(super) struct Appender<'c>(CachedStatement<'c>);

impl<'c> Appender<'c> {
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        let sql = "INSERT INTO events(id, ts, key, value, headers) VALUES (?1, ?2, ?3, ?4, ?5)";
        connection.prepare_cached(sql).map(Self)
    }

    /// Adds `event` at the tail of `partition`. Its time is `now`, but never below the last one's.
    pub(super) fn append(
        &mut self,
        partition: &mut Partition,
        event: &Record<'_>,
        now: Millis,
    ) -> rusqlite::Result<()> {
        let time = partition.last_time.max(now);
        let row = row_of(partition, partition.tail);
        self.0.execute((row, time.0, event.key(), event.value(), event.headers_encoded()))?;
        partition.tail = partition.tail.next();
        partition.last_time = time;
        partition.bytes += event.meta.bytes() as u64;
        Ok(())
    }
}

/// Events from `from` on, as [`Log::read`](crate::Log::read) says. Needs one snapshot.
pub(super) fn read(
    connection: &Connection,
    at: At,
    from: Offset,
    max: ReadLimit,
) -> Result<Records, Failure> {
    let partition = topics::known(connection, at)?;
    if from < partition.earliest {
        return Err(LogError::Trimmed { earliest: partition.earliest }.into());
    }
    let sql =
        "SELECT id, ts, key, value, headers FROM events WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let count = i64::try_from(max.events).unwrap_or(i64::MAX);
    let from = row_of(&partition, from.min(partition.tail));
    let mut rows = statement.query((from, row_of(&partition, partition.tail), count))?;
    let mut records = RecordsBuilder::default();
    while let Some(row) = rows.next()? {
        let key = row.get_ref(2)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
        let value = row.get_ref(3)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
        let headers = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
        let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers.len();
        if !max.has_room(&records, bytes) {
            break;
        }
        records.push_encoded(at, offset_in(row.get(0)?), Millis(row.get(1)?), key, value, headers);
    }
    Ok(records.build())
}

/// The first offset whose time is `time` or later; none: the tail. Times never go back within a partition, so half
/// of what is left goes with every look. Needs one snapshot.
pub(super) fn offset_at(connection: &Connection, at: At, time: Millis) -> Result<Offset, Failure> {
    let partition = topics::known(connection, at)?;
    let sql = "SELECT ts FROM events WHERE id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let (mut low, mut high) = (partition.earliest.0, partition.tail.0);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = statement.query_row([row_of(&partition, Offset(middle))], |row| row.get(0));
        let found: i64 = found.optional()?.ok_or_else(|| missing(at, Offset(middle)))?;
        if Millis(found) < time {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(Offset(low))
}

/// Removes one step's worth of the events below `before`; returns the new earliest offset.
pub(super) fn trim_step(connection: &Connection, at: At, before: Offset) -> Result<Offset, Failure> {
    let mut partition = topics::known(connection, at)?;
    let end = Offset(before.0.min(partition.tail.0).min(partition.earliest.0 + TRIM_STEP));
    if end <= partition.earliest {
        return Ok(partition.earliest);
    }
    let sql =
        "SELECT coalesce(sum(coalesce(length(key), 0) + coalesce(length(value), 0) + length(headers)), 0)
        FROM events WHERE id >= ?1 AND id < ?2";
    let place = (row_of(&partition, partition.earliest), row_of(&partition, end));
    let bytes: i64 = connection.prepare_cached(sql)?.query_row(place, |row| row.get(0))?;
    let sql = "DELETE FROM events WHERE id >= ?1 AND id < ?2";
    connection.prepare_cached(sql)?.execute(place)?;
    partition.earliest = end;
    partition.bytes = partition.bytes.saturating_sub(bytes.cast_unsigned());
    topics::store(connection, &partition)?;
    Ok(end)
}

/// Removes every event of a partition, and leaves its numbers alone.
pub(super) fn remove_all(connection: &Connection, partition: &Partition) -> rusqlite::Result<()> {
    let place = (row_of(partition, partition.earliest), row_of(partition, partition.tail));
    connection.execute("DELETE FROM events WHERE id >= ?1 AND id < ?2", place).map(drop)
}

fn missing(at: At, offset: Offset) -> LogError {
    let subject = format!("topic {} partition {}", at.topic.0, at.partition);
    LogError::Corrupt { subject, detail: format!("offset {offset} is missing") }
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;
    use crate::TopicSpec;
    use std::path::Path;
    use weir_schema::{Partitioner, TopicName};

    /// The first two partitions of a log.
    fn two() -> (Connection, [At; 2]) {
        let mut connection = Connection::open_in_memory().expect("opened");
        schema::prepare(&mut connection, Path::new("a.db"), None).expect("tables are made");
        let name = TopicName::new("t").expect("valid");
        let spec = TopicSpec { name, partitions: 2, partitioner: Partitioner::Crc32, retention: None };
        let topic = topics::create(&connection, &spec).expect("created").id;
        (connection, [0, 1].map(|partition| At { topic, partition }))
    }

    fn append(connection: &Connection, at: At, value: &[u8]) -> rusqlite::Result<()> {
        let mut partition = topics::known(connection, at).expect("it is there");
        let mut records = RecordsBuilder::default();
        records.push(at, None, Some(value), []);
        let records = records.build();
        let event = records.last().expect("one event");
        Appender::new(connection)?.append(&mut partition, &event, Millis(1))?;
        topics::store(connection, &partition)
    }

    #[test]
    fn a_partition_ends_before_the_next_one_begins() {
        let (connection, [first, second]) = two();
        append(&connection, second, b"of the second").expect("there is room");
        let last = (1_i64 << OFFSET_BITS) - 2;
        let sql = "UPDATE partitions SET earliest = ?1, tail = ?1 WHERE part = 0";
        connection.execute(sql, [last]).expect("written");
        append(&connection, first, b"the last one").expect("there is room for one");
        append(&connection, first, b"one too many").expect_err("there is no room");
        let all = ReadLimit { events: 9, bytes: 1 << 20 };
        for (at, from, value) in [(first, last.cast_unsigned(), "the last one"), (second, 0, "of the second")]
        {
            let records = read(&connection, at, Offset(from), all).expect("read");
            let values: Vec<_> = records.iter().map(|r| (r.meta.offset.0, r.value())).collect();
            assert_eq!(values, [(from, Some(value.as_bytes()))]);
            assert!(read(&connection, at, Offset(u64::MAX), all).expect("read").is_empty());
        }
    }

    #[test]
    fn a_log_with_too_many_partitions_is_refused() {
        let (connection, _) = two();
        connection
            .execute("UPDATE partitions SET id = (1 << 18) - 1 WHERE part = 1", [])
            .expect("the last one");
        let name = TopicName::new("u").expect("valid");
        let spec = TopicSpec { name, partitions: 1, partitioner: Partitioner::Crc32, retention: None };
        topics::create(&connection, &spec).expect_err("there is no number left");
    }
}
