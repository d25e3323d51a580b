//! Topics and their partitions.

use super::error::Failure;
use crate::{TopicInfo, TopicSpec};
use rusqlite::{Connection, OptionalExtension, Row};
use std::time::Duration;
use weir_schema::{At, Millis, Offset, TopicId, TopicName};

/// What is stored of one partition beside its events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partition {
    /// Its number among all partitions of the log.
    pub(super) id: i64,
    pub(super) earliest: Offset,
    pub(super) tail: Offset,
    pub(super) last_time: Millis,
    /// Of keys, values and headers.
    pub(super) bytes: u64,
}

/// Creates a topic, or takes over the retention of one that is there.
pub(super) fn create(connection: &Connection, spec: &TopicSpec) -> Result<TopicInfo, Failure> {
    let there = all(connection)?.into_iter().find(|topic| topic.spec.name == spec.name);
    if let Some(mut there) = there {
        crate::topic::check_same(&there.spec, spec)?;
        let sql = "UPDATE topics SET retention_ms = ?2 WHERE id = ?1";
        connection.execute(sql, (there.id.0, crate::topic::retention_ms(spec)))?;
        there.spec.retention = spec.retention;
        return Ok(there);
    }
    let sql = "SELECT coalesce(max(id) + 1, 0) FROM topics";
    let id: u32 = connection.query_row(sql, [], |row| row.get(0))?;
    put(connection, TopicId(id), spec)?;
    for partition in 0..spec.partitions {
        connection.execute("INSERT INTO partitions(topic, part) VALUES (?1, ?2)", (id, partition))?;
    }
    let offsets = vec![Offset::ZERO; spec.partitions as usize];
    Ok(TopicInfo { id: TopicId(id), spec: spec.clone(), earliest: offsets.clone(), tail: offsets, bytes: 0 })
}

/// Gives a topic so many partitions, if it has fewer.
#[cfg(feature = "kafka")]
pub(super) fn grow(connection: &Connection, id: TopicId, partitions: u32) -> rusqlite::Result<()> {
    for At { topic, partition } in (0..partitions).map(|partition| At { topic: id, partition }) {
        let sql = "INSERT INTO partitions(topic, part) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        connection.execute(sql, (topic.0, partition))?;
    }
    let sql = "UPDATE topics SET partitions = max(partitions, ?2) WHERE id = ?1";
    connection.execute(sql, (id.0, partitions)).map(drop)
}

/// Makes the topic `id` this one, without its partitions.
pub(super) fn put(connection: &Connection, id: TopicId, spec: &TopicSpec) -> rusqlite::Result<()> {
    let sql = "INSERT INTO topics VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET name = excluded.name,
        partitions = excluded.partitions, partitioner = excluded.partitioner, retention_ms = excluded.retention_ms";
    let (name, partitioner) = (spec.name.as_str(), crate::topic::partitioner_name(spec.partitioner));
    let values = (id.0, name, spec.partitions, partitioner, crate::topic::retention_ms(spec));
    connection.execute(sql, values).map(drop)
}

/// Every topic, by name.
pub(super) fn all(connection: &Connection) -> Result<Vec<TopicInfo>, Failure> {
    let sql = "SELECT id, name, partitions, partitioner, retention_ms FROM topics ORDER BY name";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut topics = Vec::new();
    while let Some(row) = rows.next()? {
        topics.push(info(connection, row)?);
    }
    Ok(topics)
}

fn info(connection: &Connection, row: &Row<'_>) -> Result<TopicInfo, Failure> {
    let id = TopicId(row.get(0)?);
    let spec = TopicSpec {
        name: TopicName::new(&row.get::<_, String>(1)?).map_err(|e| crate::topic::damaged(&e.to_string()))?,
        partitions: row.get(2)?,
        partitioner: crate::topic::partitioner(&row.get::<_, String>(3)?)?,
        retention: row.get::<_, Option<i64>>(4)?.map(|ms| Duration::from_millis(ms.cast_unsigned())),
    };
    let mut info = TopicInfo { id, spec, earliest: Vec::new(), tail: Vec::new(), bytes: 0 };
    for at in info.partitions() {
        let stored =
            partition(connection, at)?.ok_or_else(|| crate::topic::damaged("a partition is missing"))?;
        info.earliest.push(stored.earliest);
        info.tail.push(stored.tail);
        info.bytes += stored.bytes;
    }
    Ok(info)
}

/// The partitions of a topic; none if there is no such topic.
pub(super) fn partitions_of(connection: &Connection, topic: TopicId) -> rusqlite::Result<Vec<At>> {
    let mut statement = connection.prepare_cached("SELECT partitions FROM topics WHERE id = ?1")?;
    let count: Option<u32> = statement.query_row([topic.0], |row| row.get(0)).optional()?;
    Ok((0..count.unwrap_or(0)).map(|partition| At { topic, partition }).collect())
}

/// What is stored of a partition; none if there is no such partition.
pub(super) fn partition(connection: &Connection, at: At) -> rusqlite::Result<Option<Partition>> {
    let sql = "SELECT id, earliest, tail, last_ts, bytes FROM partitions WHERE topic = ?1 AND part = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let read = |row: &Row<'_>| {
        Ok(Partition {
            id: row.get(0)?,
            earliest: offset(row, 1)?,
            tail: offset(row, 2)?,
            last_time: Millis(row.get(3)?),
            bytes: row.get::<_, i64>(4)?.cast_unsigned(),
        })
    };
    statement.query_row((at.topic.0, at.partition), read).optional()
}

/// As [`partition`], for a caller whose partition should exist.
pub(super) fn known(connection: &Connection, at: At) -> Result<Partition, Failure> {
    partition(connection, at)?.ok_or_else(|| crate::topic::no_topic(at).into())
}

/// Stores what has changed of a partition.
pub(super) fn store(connection: &Connection, partition: &Partition) -> rusqlite::Result<()> {
    let sql = "UPDATE partitions SET earliest = ?2, tail = ?3, last_ts = ?4, bytes = ?5 WHERE id = ?1";
    let values = (
        partition.id,
        partition.earliest.0.cast_signed(),
        partition.tail.0.cast_signed(),
        partition.last_time.0,
        partition.bytes.cast_signed(),
    );
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

/// The tail of every partition.
pub(super) fn tails(connection: &Connection) -> rusqlite::Result<Vec<(At, Offset)>> {
    let mut statement = connection.prepare_cached("SELECT topic, part, tail FROM partitions")?;
    let rows = statement.query_map([], |row| {
        Ok((At { topic: TopicId(row.get(0)?), partition: row.get(1)? }, offset(row, 2)?))
    })?;
    rows.collect()
}

/// The offset in a column.
pub(super) fn offset(row: &Row<'_>, column: usize) -> rusqlite::Result<Offset> {
    row.get::<_, i64>(column).map(|n| Offset(n.cast_unsigned()))
}
