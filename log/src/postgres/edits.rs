//! Edits of an import, applied to a schema.

use super::error::Failure;
use super::topics::{self, offset, signed, signed_offset};
use super::{groups, schema, state};
use crate::moving::refusal::moved_on;
use crate::moving::{Edit, Marker, Numbers, Partition};
use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;
use weir_schema::Records;

/// Applies `edit`.
pub(super) async fn apply(transaction: &Transaction<'_>, edit: Edit, place: &str) -> Result<(), Failure> {
    match edit {
        Edit::App(app) => {
            transaction.batch_execute("DELETE FROM owner").await?;
            transaction.execute("INSERT INTO owner VALUES ($1)", &[&app]).await?;
        }
        Edit::Mark(marker) => mark(transaction, marker).await?,
        Edit::Topic(id, spec) => topics::put(transaction, id, &spec).await?,
        Edit::NoTopics => transaction.batch_execute("DELETE FROM partitions; DELETE FROM topics").await?,
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
        Edit::Numbers(Numbers { catalog, control, writers, epochs }) => {
            let numbers =
                [("catalog", catalog), ("control", control), ("writers", writers), ("epochs", epochs)];
            for (name, value) in numbers {
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
    let sql = "INSERT INTO partitions VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (topic, part) DO UPDATE
        SET earliest = excluded.earliest, tail = excluded.tail, last_ts = excluded.last_ts, bytes = excluded.bytes";
    let (topic, part) = (signed(at.topic.0), signed(at.partition));
    let (earliest, tail, bytes) = (signed_offset(earliest), signed_offset(tail), bytes.cast_signed());
    let values: [&(dyn ToSql + Sync); 6] = [&topic, &part, &earliest, &tail, &last_time.0, &bytes];
    transaction.execute(sql, &values).await?;
    Ok(())
}

async fn append(transaction: &Transaction<'_>, records: &Records, place: &str) -> Result<(), Failure> {
    let Some(first) = records.get(0) else { return Ok(()) };
    let at = first.meta.at;
    let (topic, part) = (signed(at.topic.0), signed(at.partition));
    let sql = "SELECT tail, last_ts FROM partitions WHERE topic = $1 AND part = $2 FOR NO KEY UPDATE";
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
    let sql =
        "UPDATE partitions SET tail = $3, last_ts = $4, bytes = bytes + $5 WHERE topic = $1 AND part = $2";
    let bytes = i64::try_from(records.bytes()).unwrap_or(i64::MAX);
    transaction.execute(sql, &[&topic, &part, &signed_offset(tail), &last_time, &bytes]).await?;
    Ok(())
}
