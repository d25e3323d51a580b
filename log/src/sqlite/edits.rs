//! Edits of an import, applied to a file.

use super::error::Failure;
use super::events::{self, Appender};
use super::{groups, schema, state, topics};
use crate::moving::refusal::moved_on;
use crate::moving::{Edit, Marker, Partition, Row};
use rusqlite::Connection;
use weir_schema::Records;

/// Applies `edit`, inside of a transaction.
pub(super) fn apply(connection: &Connection, edit: Edit, place: &str) -> Result<(), Failure> {
    match edit {
        Edit::App(app) => {
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('app', ?1)", [app])?;
        }
        Edit::Mark(marker) => mark(connection, marker)?,
        Edit::Topic(id, spec) => topics::put(connection, id, &spec)?,
        Edit::NoTopics => connection.execute_batch("DELETE FROM partitions; DELETE FROM topics")?,
        Edit::Partition(partition) => put_partition(connection, &partition)?,
        Edit::NoEvents(at) => {
            if let Some(partition) = topics::partition(connection, at)? {
                events::remove_all(connection, &partition)?;
            }
        }
        Edit::Events(records) => append(connection, &records, place)?,
        Edit::Rows(rows) => rows.iter().try_for_each(|row| put_row(connection, row))?,
        Edit::NoRows => connection.execute_batch("DELETE FROM rows; DELETE FROM tables")?,
        Edit::Positions(positions) => {
            positions.iter().try_for_each(|position| groups::put(connection, position))?;
        }
        Edit::NoPositions => connection.execute_batch("DELETE FROM positions")?,
        Edit::Numbers(numbers) => {
            for (name, value) in numbers.named() {
                schema::set_number(connection, name, value)?;
            }
        }
    }
    Ok(())
}

fn mark(connection: &Connection, marker: Option<Marker>) -> rusqlite::Result<()> {
    let names = (schema::COPY_ORIGIN, schema::COPY_WRITERS);
    connection.execute("DELETE FROM meta WHERE name IN (?1, ?2)", names)?;
    let Some(Marker { origin, writers }) = marker else { return Ok(()) };
    for (name, value) in [(names.0, origin), (names.1, writers)] {
        connection.execute("INSERT INTO meta VALUES (?1, ?2)", (name, value.cast_signed()))?;
    }
    Ok(())
}

fn put_partition(connection: &Connection, partition: &Partition) -> Result<(), Failure> {
    let Partition { at, earliest, tail, last_time, bytes } = *partition;
    let sql = "INSERT INTO partitions(topic, part) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    connection.execute(sql, (at.topic.0, at.partition))?;
    let id = topics::known(connection, at)?.id;
    Ok(topics::store(connection, &topics::Partition { id, earliest, tail, last_time, bytes })?)
}

fn append(connection: &Connection, records: &Records, place: &str) -> Result<(), Failure> {
    let Some(first) = records.get(0) else { return Ok(()) };
    let mut partition = topics::known(connection, first.meta.at)?;
    let mut appender = Appender::new(connection)?;
    for event in records.iter() {
        if event.meta.offset != partition.tail {
            return Err(moved_on(place).into());
        }
        appender.append(&mut partition, &event, event.meta.time)?;
    }
    Ok(topics::store(connection, &partition)?)
}

fn put_row(connection: &Connection, Row { key, row }: &Row) -> rusqlite::Result<()> {
    let table = state::table_id(connection, &key.table)?;
    state::put(connection, table, key, &row.value, row.stamp, row.expires)
}
