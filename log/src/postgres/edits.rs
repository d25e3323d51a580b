//! Edits of an import, applied to a schema.

use super::error::Failure;
use super::topics::{self, offset, signed, signed_offset};
use super::{groups, schema, state};
use crate::moving::refusal::moved_on;
use crate::moving::{Edit, Marker, Partition};
use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;
use weir_schema::{At, Offset, Records};

/// Applies `edit`.
pub(super) async fn apply(transaction: &Transaction<'_>, edit: Edit, place: &str) -> Result<(), Failure> {
    match edit {
        Edit::App(app) => {
            transaction.batch_execute("DELETE FROM owner").await?;
            transaction.execute("INSERT INTO owner VALUES ($1)", &[&app]).await?;
        }
        Edit::Mark(marker) => mark(transaction, marker).await?,
        Edit::Topic(id, spec) => topics::put(transaction, id, &spec).await?,
        Edit::NoTopics => {
            transaction.batch_execute("DELETE FROM tails; DELETE FROM partitions; DELETE FROM topics").await?
        }
        Edit::Partition(partition) => put_partition(transaction, &partition).await?,
        Edit::NoEvents(at) => {
            let sql = "DELETE FROM events WHERE topic = $1 AND part = $2";
            transaction.execute(sql, &[&signed(at.topic.0), &signed(at.partition)]).await?;
        }
        Edit::Events(records) => append(transaction, &records, place).await?,
        Edit::Rows(rows) => state::put(transaction, &rows).await?,
        Edit::NoRows => transaction.batch_execute("DELETE FROM rows; DELETE FROM tables").await?,
        Edit::Positions(positions) => groups::put(transaction, &positions).await?,
        Edit::NoPositions => transaction.batch_execute("DELETE FROM positions").await?,
        Edit::Numbers(numbers) => {
            for (name, value) in numbers.named() {
                schema::set_number(transaction, name, value).await?;
            }
        }
    }
    Ok(())
}

async fn mark(transaction: &Transaction<'_>, marker: Option<Marker>) -> Result<(), Failure> {
    let names = [schema::COPY_ORIGIN, schema::COPY_WRITERS];
    transaction.execute("DELETE FROM meta WHERE name = ANY($1)", &[&&names[..]]).await?;
    let Some(Marker { origin, writers }) = marker else { return Ok(()) };
    schema::set_number(transaction, names[0], origin).await?;
    schema::set_number(transaction, names[1], writers).await
}

async fn put_partition(transaction: &Transaction<'_>, partition: &Partition) -> Result<(), Failure> {
    let Partition { at, earliest, tail, last_time, bytes } = *partition;
    let (topic, part) = (signed(at.topic.0), signed(at.partition));
    let sql = "INSERT INTO partitions VALUES ($1, $2, $3, 0) ON CONFLICT (topic, part) DO UPDATE
        SET earliest = excluded.earliest, removed = 0";
    transaction.execute(sql, &[&topic, &part, &signed_offset(earliest)]).await?;
    put_tail(transaction, at, tail, last_time.0, bytes.cast_signed()).await
}

/// Makes this the end of a partition.
async fn put_tail(
    transaction: &Transaction<'_>,
    at: At,
    tail: Offset,
    last_time: i64,
    appended: i64,
) -> Result<(), Failure> {
    let (topic, part) = (signed(at.topic.0), signed(at.partition));
    transaction.execute("DELETE FROM tails WHERE topic = $1 AND part = $2", &[&topic, &part]).await?;
    let sql = "INSERT INTO tails VALUES ($1, $2, $3, $4, $5)";
    transaction.execute(sql, &[&topic, &part, &signed_offset(tail), &last_time, &appended]).await?;
    Ok(())
}

async fn append(transaction: &Transaction<'_>, records: &Records, place: &str) -> Result<(), Failure> {
    let Some(first) = records.get(0) else { return Ok(()) };
    let at = first.meta.at;
    let (topic, part) = (signed(at.topic.0), signed(at.partition));
    let sql = "SELECT t.tail, t.last_ts, t.appended FROM partitions p, LATERAL (
          SELECT * FROM tails t WHERE t.topic = p.topic AND t.part = p.part ORDER BY t.tail DESC LIMIT 1) t
        WHERE p.topic = $1 AND p.part = $2 FOR NO KEY UPDATE OF p";
    let row = transaction.query_opt(sql, &[&topic, &part]).await?;
    let row = row.ok_or_else(|| crate::topic::no_topic(at))?;
    let (mut tail, mut last_time) = (offset(&row, 0), row.get::<_, i64>(1));
    let mut times = Vec::with_capacity(records.len());
    for event in records.iter() {
        if event.meta.offset != tail {
            return Err(moved_on(place).into());
        }
        last_time = last_time.max(event.meta.time.0);
        times.push(last_time);
        tail = tail.next();
    }
    let offsets: Vec<_> = records.iter().map(|event| signed_offset(event.meta.offset)).collect();
    let keys: Vec<_> = records.iter().map(|event| event.key()).collect();
    let values: Vec<_> = records.iter().map(|event| event.value()).collect();
    let headers: Vec<_> = records.iter().map(|event| event.headers_encoded()).collect();
    let sql = "INSERT INTO events(topic, part, off, ts, key, value, headers)
        SELECT $1::int, $2::int, * FROM unnest($3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bytea[])";
    let columns: [&(dyn ToSql + Sync); 7] = [&topic, &part, &offsets, &times, &keys, &values, &headers];
    transaction.execute(sql, &columns).await?;
    let bytes = i64::try_from(records.bytes()).unwrap_or(i64::MAX);
    put_tail(transaction, at, tail, last_time, row.get::<_, i64>(2) + bytes).await
}
