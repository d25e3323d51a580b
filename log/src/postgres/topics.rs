//! Topics and their partitions.

use super::error::Failure;
use crate::{Hint, LogError, TopicInfo, TopicSpec};
use deadpool_postgres::{Client, GenericClient};
use std::collections::HashMap;
use std::time::Duration;
use tokio_postgres::Row;
use weir_schema::{At, CatalogVersion, Offset, TopicId, TopicName};

/// All topics with their partitions, in one snapshot.
const ALL: &str =
    "SELECT t.id, t.name, t.partitions, t.partitioner, t.retention_ms, p.earliest, p.tail, p.bytes
    FROM topics t JOIN partition_now p ON p.topic = t.id ORDER BY t.name, p.part";

/// Creates a topic, or takes over the retention of one that is there.
pub(super) async fn create(client: &mut Client, spec: &TopicSpec) -> Result<TopicInfo, Failure> {
    let transaction = client.transaction().await?;
    // of several that create topics at once, one goes first; whoever reads or appends does not wait
    transaction.batch_execute("LOCK TABLE topics IN SHARE ROW EXCLUSIVE MODE").await?;
    let there = infos(&transaction.query(ALL, &[]).await?)?.into_iter().find(|t| t.spec.name == spec.name);
    if let Some(mut there) = there {
        crate::topic::check_same(&there.spec, spec)?;
        let sql = "UPDATE topics SET retention_ms = $2 WHERE id = $1";
        transaction.execute(sql, &[&signed(there.id.0), &crate::topic::retention_ms(spec)]).await?;
        transaction.commit().await?;
        there.spec.retention = spec.retention;
        return Ok(there);
    }
    let sql = "SELECT coalesce(max(id) + 1, 0) FROM topics";
    let id = TopicId(unsigned(&transaction.query_one(sql, &[]).await?, 0));
    put(&transaction, id, spec).await?;
    let sql = "INSERT INTO partitions(topic, part) SELECT $1, * FROM generate_series(0, $2::int - 1)";
    transaction.execute(sql, &[&signed(id.0), &signed(spec.partitions)]).await?;
    let sql = "INSERT INTO tails(topic, part) SELECT topic, part FROM partitions WHERE topic = $1";
    transaction.execute(sql, &[&signed(id.0)]).await?;
    transaction.commit().await?;
    let offsets = vec![Offset::ZERO; spec.partitions as usize];
    Ok(TopicInfo { id, spec: spec.clone(), earliest: offsets.clone(), tail: offsets, bytes: 0 })
}

/// Gives a topic so many partitions, if it has fewer.
#[cfg(feature = "kafka")]
pub(super) async fn grow(client: &mut Client, id: TopicId, partitions: u32) -> Result<(), Failure> {
    let transaction = client.transaction().await?;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&signed(id.0), &signed(partitions)];
    for table in ["partitions", "tails"] {
        let sql = format!(
            "INSERT INTO {table}(topic, part) SELECT $1, * FROM generate_series(0, $2::int - 1) ON CONFLICT DO NOTHING"
        );
        transaction.execute(&sql, &values).await?;
    }
    let sql = "UPDATE topics SET partitions = greatest(partitions, $2) WHERE id = $1";
    transaction.execute(sql, &values).await?;
    Ok(transaction.commit().await?)
}

/// Makes the topic `id` this one, without its partitions.
pub(super) async fn put(client: &impl GenericClient, id: TopicId, spec: &TopicSpec) -> Result<(), Failure> {
    let sql = "INSERT INTO topics VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET name = excluded.name,
        partitions = excluded.partitions, partitioner = excluded.partitioner, retention_ms = excluded.retention_ms";
    let (name, partitioner) = (spec.name.as_str(), crate::topic::partitioner_name(spec.partitioner));
    let (id, partitions, retention) =
        (signed(id.0), signed(spec.partitions), crate::topic::retention_ms(spec));
    client.execute(sql, &[&id, &name, &partitions, &partitioner, &retention]).await?;
    Ok(())
}

/// Every topic, by name.
pub(super) async fn all(client: &Client) -> Result<Vec<TopicInfo>, Failure> {
    let statement = client.prepare_cached(ALL).await?;
    infos(&client.query(&statement, &[]).await?)
}

fn infos(rows: &[Row]) -> Result<Vec<TopicInfo>, Failure> {
    let mut topics: Vec<TopicInfo> = Vec::new();
    for row in rows {
        let id = TopicId(unsigned(row, 0));
        if topics.last().is_none_or(|last| last.id != id) {
            topics.push(TopicInfo { id, spec: spec(row)?, earliest: vec![], tail: vec![], bytes: 0 });
        }
        if let Some(info) = topics.last_mut() {
            info.earliest.push(offset(row, 5));
            info.tail.push(offset(row, 6));
            info.bytes += row.get::<_, i64>(7).cast_unsigned();
        }
    }
    Ok(topics)
}

fn spec(row: &Row) -> Result<TopicSpec, LogError> {
    Ok(TopicSpec {
        name: TopicName::new(row.get(1)).map_err(|e| crate::topic::damaged(&e.to_string()))?,
        partitions: unsigned(row, 2),
        partitioner: crate::topic::partitioner(row.get(3))?,
        retention: row.get::<_, Option<i64>>(4).map(|ms| Duration::from_millis(ms.cast_unsigned())),
    })
}

/// How many partitions each topic has.
pub(super) async fn shapes(client: &Client) -> Result<HashMap<TopicId, u32>, Failure> {
    let rows = client.query("SELECT id, partitions FROM topics", &[]).await?;
    Ok(rows.iter().map(|row| (TopicId(unsigned(row, 0)), unsigned(row, 1))).collect())
}

/// All that a hint tells, as it is in the database; and which tables tell it.
pub(super) async fn news(client: &Client) -> Result<(Hint, u32), Failure> {
    let sql = "SELECT topic, part, tail, (SELECT value FROM meta WHERE name = 'catalog'),
          (SELECT value FROM meta WHERE name = 'control'), (SELECT tableoid FROM meta WHERE name = 'catalog')
        FROM (SELECT 1) one LEFT JOIN partition_now ON true";
    let statement = client.prepare_cached(sql).await?;
    let (mut hint, mut tables) = (Hint::default(), 0);
    for row in client.query(&statement, &[]).await? {
        if row.get::<_, Option<i32>>(0).is_some() {
            hint.tails.insert(at(&row, 0), offset(&row, 2));
        }
        hint.catalog = CatalogVersion(row.get::<_, i64>(3).cast_unsigned());
        hint.control = row.get::<_, i64>(4).cast_unsigned();
        tables = row.get(5);
    }
    Ok((hint, tables))
}

/// A number that the server keeps as an `int`.
pub(super) fn signed(number: u32) -> i32 {
    // what is past it names nothing that exists
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// An offset as the server keeps it; what is past its range is past every tail.
pub(super) fn signed_offset(offset: Offset) -> i64 {
    i64::try_from(offset.0).unwrap_or(i64::MAX)
}

/// The `int` in a column.
pub(super) fn unsigned(row: &Row, column: usize) -> u32 {
    row.get::<_, i32>(column).cast_unsigned()
}

/// The offset in a column.
pub(super) fn offset(row: &Row, column: usize) -> Offset {
    Offset(row.get::<_, i64>(column).cast_unsigned())
}

/// The partition in two columns.
pub(super) fn at(row: &Row, first: usize) -> At {
    At { topic: TopicId(unsigned(row, first)), partition: unsigned(row, first + 1) }
}
