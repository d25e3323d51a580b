//! All of a file but its events and rows.

use super::error::Failure;
use super::{groups, schema, state, topics};
use crate::moving::{Marker, Numbers, Outline, Partition, Position};
use rusqlite::Connection;
use std::collections::HashSet;
use weir_schema::{At, TopicId};

/// What the file holds.
pub(super) fn read(connection: &Connection) -> Result<Outline, Failure> {
    let number = |name| schema::number(connection, name);
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
        numbers: Numbers {
            catalog: number("catalog")?,
            control: number("control")?,
            writers: number("writers")?,
            epochs: number("epochs")?,
        },
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
    let positions = groups::positions(connection, None)?.into_iter().map(|standing| {
        let owned = owned.contains(&(standing.group.as_str().to_owned(), standing.at));
        Position { standing, owned }
    });
    Ok(positions.collect())
}
