//! Events: appended, read, looked up by time, trimmed.

use super::error::Failure;
use super::topics::{self, Partition};
use crate::{LogError, ReadLimit};
use rusqlite::{Connection, OptionalExtension};
use weir_schema::{At, Millis, Offset, Record, Records, RecordsBuilder};

/// How many events one step of a trim removes, so that commits that wait get their turn.
const TRIM_STEP: u64 = 4096;

/// Adds `event` at the tail of `partition`. Its time is `now`, but never below the last one's.
pub(super) fn append(
    connection: &Connection,
    partition: &mut Partition,
    event: &Record<'_>,
    now: Millis,
) -> rusqlite::Result<()> {
    let time = partition.last_time.max(now);
    let at = event.meta.at;
    let sql =
        "INSERT INTO events(topic, part, off, ts, key, value, headers) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute((
        at.topic.0,
        at.partition,
        partition.tail.0.cast_signed(),
        time.0,
        event.key(),
        event.value(),
        event.headers_encoded(),
    ))?;
    partition.tail = partition.tail.next();
    partition.last_time = time;
    partition.bytes += event.meta.bytes() as u64;
    Ok(())
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
    let sql = "SELECT off, ts, key, value, headers FROM events
        WHERE topic = ?1 AND part = ?2 AND off >= ?3 ORDER BY off LIMIT ?4";
    let mut statement = connection.prepare_cached(sql)?;
    let count = i64::try_from(max.events).unwrap_or(i64::MAX);
    let mut rows = statement.query((at.topic.0, at.partition, from.0.cast_signed(), count))?;
    let mut records = RecordsBuilder::default();
    while let Some(row) = rows.next()? {
        let key = row.get_ref(2)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
        let value = row.get_ref(3)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
        let headers = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
        let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers.len();
        if !records.is_empty() && records.bytes() + bytes > max.bytes {
            break;
        }
        records.push_encoded(at, topics::offset(row, 0)?, Millis(row.get(1)?), key, value, headers);
    }
    Ok(records.build())
}

/// The first offset whose time is `time` or later; none: the tail. Times never go back within a partition, so half
/// of what is left goes with every look. Needs one snapshot.
pub(super) fn offset_at(connection: &Connection, at: At, time: Millis) -> Result<Offset, Failure> {
    let partition = topics::known(connection, at)?;
    let sql = "SELECT ts FROM events WHERE topic = ?1 AND part = ?2 AND off = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let (mut low, mut high) = (partition.earliest.0, partition.tail.0);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = statement.query_row((at.topic.0, at.partition, middle.cast_signed()), |row| row.get(0));
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
        FROM events WHERE topic = ?1 AND part = ?2 AND off < ?3";
    let place = (at.topic.0, at.partition, end.0.cast_signed());
    let bytes: i64 = connection.prepare_cached(sql)?.query_row(place, |row| row.get(0))?;
    let sql = "DELETE FROM events WHERE topic = ?1 AND part = ?2 AND off < ?3";
    connection.prepare_cached(sql)?.execute(place)?;
    partition.earliest = end;
    partition.bytes = partition.bytes.saturating_sub(bytes.cast_unsigned());
    topics::store(connection, at, &partition)?;
    Ok(end)
}

fn missing(at: At, offset: Offset) -> LogError {
    let subject = format!("topic {} partition {}", at.topic.0, at.partition);
    LogError::Corrupt { subject, detail: format!("offset {offset} is missing") }
}
