//! Events: read, looked up by time, trimmed.

use super::error::Failure;
use super::topics::{offset, signed, signed_offset};
use crate::ReadLimit;
use deadpool_postgres::Client;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use weir_schema::{At, Millis, Offset, Records, RecordsBuilder};

/// How many events one step of a trim removes.
const TRIM_STEP: u64 = 4096;

/// The columns of the events from an offset on, with the earliest offset that is kept; one row without an event if
/// there is none, no row if there is no such partition. One statement, so one snapshot.
const READ: &str = "SELECT p.earliest, e.off, e.ts, e.key, e.value, e.headers FROM partitions p
    LEFT JOIN LATERAL (
      SELECT * FROM (
        SELECT *, row_number() OVER w AS nth,
          sum(coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0) + octet_length(headers)) OVER w AS size
        FROM (SELECT * FROM events WHERE topic = $1 AND part = $2 AND off >= $3 ORDER BY off LIMIT $4) page
        WINDOW w AS (ORDER BY off ROWS UNBOUNDED PRECEDING)) sized
      WHERE nth = 1 OR size <= $5) e ON true
    WHERE p.topic = $1 AND p.part = $2 ORDER BY e.off";

/// Events from `from` on, as [`Log::read`](crate::Log::read) says.
pub(super) async fn read(client: &Client, at: At, from: Offset, max: ReadLimit) -> Result<Records, Failure> {
    let statement = client.prepare_cached(READ).await?;
    let (topic, part) = (signed(at.topic.0), signed(at.partition));
    let count = i64::try_from(max.events).unwrap_or(i64::MAX);
    let bytes = i64::try_from(max.bytes).unwrap_or(i64::MAX);
    let values: [&(dyn ToSql + Sync); 5] = [&topic, &part, &signed_offset(from), &count, &bytes];
    let rows = client.query(&statement, &values).await?;
    let first = rows.first().ok_or_else(|| crate::topic::no_topic(at))?;
    if from < offset(first, 0) {
        return Err(crate::LogError::Trimmed { earliest: offset(first, 0) }.into());
    }
    let mut records = RecordsBuilder::with_capacity(rows.len(), 0);
    for row in rows.iter().filter(|row| row.get::<_, Option<i64>>(1).is_some()) {
        push(&mut records, at, row);
    }
    Ok(records.build())
}

fn push(records: &mut RecordsBuilder, at: At, row: &Row) {
    records.push_encoded(at, offset(row, 1), Millis(row.get(2)), row.get(3), row.get(4), row.get(5));
}

/// The first offset whose time is `time` or later; none: the tail.
pub(super) async fn offset_at(client: &Client, at: At, time: Millis) -> Result<Offset, Failure> {
    let statement = client.prepare_cached("SELECT weir_offset_at($1, $2, $3)").await?;
    let row = client.query_one(&statement, &[&signed(at.topic.0), &signed(at.partition), &time.0]).await?;
    let found: Option<i64> = row.get(0);
    Ok(Offset(found.ok_or_else(|| crate::topic::no_topic(at))?.cast_unsigned()))
}

/// Removes one step's worth of the events below `before`; returns the new earliest offset.
pub(super) async fn trim_step(client: &mut Client, at: At, before: Offset) -> Result<Offset, Failure> {
    let (topic, part) = (signed(at.topic.0), signed(at.partition));
    let transaction = client.transaction().await?;
    let sql = "SELECT earliest, tail FROM partition_now WHERE topic = $1 AND part = $2";
    let row = transaction.query_opt(sql, &[&topic, &part]).await?;
    let row = row.ok_or_else(|| crate::topic::no_topic(at))?;
    let (earliest, tail) = (offset(&row, 0), offset(&row, 1));
    let end = Offset(before.0.min(tail.0).min(earliest.0 + TRIM_STEP));
    if end <= earliest {
        return Ok(earliest);
    }
    // the events first: appends wait only for the partition's own row. From the earliest on: below it the index is full
    // of what is gone, for as long as anybody could still see that
    let sql = "WITH gone AS (DELETE FROM events WHERE topic = $1 AND part = $2 AND off >= $3 AND off < $4
          RETURNING coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0) + octet_length(headers) AS size)
        SELECT coalesce(sum(size), 0)::bigint FROM gone";
    let (first, end) = (signed_offset(earliest), signed_offset(end));
    let bytes: i64 = transaction.query_one(sql, &[&topic, &part, &first, &end]).await?.get(0);
    let sql = "UPDATE partitions SET earliest = greatest(earliest, $3), removed = removed + $4
        WHERE topic = $1 AND part = $2 RETURNING earliest";
    let row = transaction.query_one(sql, &[&topic, &part, &end, &bytes]).await?;
    transaction.commit().await?;
    Ok(offset(&row, 0))
}
