//! All of a file but its events and rows.

use super::error::Failure;
use super::{groups, schema, state, topics};
use crate::moving::{Marker, Numbers, Outline, Partition, Position};
use rusqlite::Connection;
use std::collections::HashSet;
use weir_schema::{At, TopicId};

/// What the file holds.
pub(super) fn read(connection: &Connection) -> Result<Outline, Failure> {
    let origin = schema::number_if_any(connection, schema::COPY_ORIGIN)?;
    let writers = schema::number_if_any(connection, schema::COPY_WRITERS)?;
    let topics = topics::all(connection)?;
    let mut partitions = Vec::new();
    for at in topics.iter().flat_map(crate::TopicInfo::partitions) {
        let topics::Partition { earliest, tail, last_time, bytes, .. } = topics::known(connection, at)?;
        partitions.push(Partition { at, earliest, tail, last_time, bytes });
    }
    partitions.sort_unstable_by_key(|partition| partition.at);
    Ok(Outline {
        app: schema::owner(connection)?,
        marker: origin.zip(writers).map(|(origin, writers)| Marker { origin, writers }),
        numbers: Numbers::read(|name| schema::number(connection, name))?,
        topics: topics.into_iter().map(|topic| (topic.id, topic.spec)).collect(),
        partitions,
        positions: positions(connection)?,
        rows: connection
            .query_row("SELECT count(*) FROM rows", [], |row| row.get::<_, i64>(0))?
            .cast_unsigned(),
        last_row: state::last(connection)?,
    })
}

fn positions(connection: &Connection) -> Result<Vec<Position>, Failure> {
    let mut statement = connection.prepare_cached("SELECT name, topic, part FROM positions WHERE owned")?;
    let owned = statement
        .query_map([], |row| Ok((row.get(0)?, At { topic: TopicId(row.get(1)?), partition: row.get(2)? })))?;
    let owned: HashSet<(String, At)> = owned.collect::<Result<_, _>>()?;
    Ok(Position::all(groups::positions(connection, None)?, &owned))
}
